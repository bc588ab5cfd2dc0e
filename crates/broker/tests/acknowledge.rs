//! Acknowledgement and redelivery.

use crate::support::{House, next, soon, text, texts};

#[tokio::test(start_paused = true)]
async fn what_was_not_acknowledged_comes_again_and_says_so() {
    let house = House::new().await;
    let writer = house.guest("w").await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 2).await;
    for text in ["1", "2", "3"] {
        writer.publish("t", text).await;
    }
    let first = next(&mut deliveries).await;
    let second = next(&mut deliveries).await;
    agent.client.ack(&second).await.unwrap();
    // The third is delivered because the second is done.
    let third = next(&mut deliveries).await;
    assert_eq!([text(&first), text(&second), text(&third)], ["1", "2", "3"]);
    writer.publish("t", "4").await;
    agent.drop_link().await;
    let (_agent, mut deliveries) = house.take_over("agent", "t", 10).await;
    for (expected, again) in [("1", true), ("3", true), ("4", false)] {
        let delivery = next(&mut deliveries).await;
        assert_eq!(text(&delivery), expected);
        assert_eq!(delivery.redelivered(), again, "{expected}");
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_polite_goodbye_too() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::on(folder.path()).await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 1).await;
    agent.publish("t", "seen").await;
    agent.publish("t", "unseen").await;
    assert_eq!(texts(&mut deliveries, 1).await, ["seen"]);
    agent.leave().await;
    // The mark outlives the broker.
    house.stop().await;
    let house = House::on(folder.path()).await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 5).await;
    for (expected, again) in [("seen", true), ("unseen", false)] {
        let delivery = next(&mut deliveries).await;
        assert_eq!((text(&delivery), delivery.redelivered()), (expected, again));
    }
}

#[tokio::test(start_paused = true)]
async fn ack_client_is_cumulative() {
    let house = House::new().await;
    let mut raw = house.raw("agent").await;
    raw.say(
        "SUBSCRIBE\nid:s\ndestination:/topic/t\nack:client\ndurable:true\nprefetch-count:10\n\n\0",
    )
    .await;
    for text in ["1", "2", "3"] {
        raw.say(&format!("SEND\ndestination:/topic/t\n\n{text}\0"))
            .await;
    }
    let _first = raw.frame().await;
    let second = raw.frame().await;
    let _third = raw.frame().await;
    let ack = second.header("ack").unwrap();
    raw.say(&format!("ACK\nid:{ack}\nreceipt:r\n\n\0")).await;
    raw.receipt("r").await;
    raw.say("DISCONNECT\nreceipt:d\n\n\0").await;
    raw.receipt("d").await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "s", 10).await;
    assert_eq!(texts(&mut deliveries, 1).await, ["3"]);
}

#[tokio::test(start_paused = true)]
async fn ack_auto_is_dealt_with_once_written() {
    let house = House::new().await;
    let writer = house.guest("w").await;
    let subscribe = "SUBSCRIBE\nid:s\ndestination:/topic/t\nack:auto\ndurable:true\nprefetch-count:2\nreceipt:r\n\n\0";
    let mut raw = house.raw("agent").await;
    raw.say(subscribe).await;
    raw.receipt("r").await;
    for n in 0..20 {
        writer.publish("t", &n.to_string()).await;
    }
    for n in 0..20 {
        let frame = raw.frame().await;
        assert_eq!(frame.body, n.to_string());
        assert_eq!(frame.header("ack"), None);
    }
    drop(raw);
    let (_agent, mut deliveries) = soon("take over", async {
        house.take_over("agent", "t", 10).await
    })
    .await;
    writer.publish("t", "new").await;
    assert_eq!(texts(&mut deliveries, 1).await, ["new"]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_ack_is_an_error() {
    for id in ["77", "x", ""] {
        let house = House::new().await;
        let mut raw = house.raw("a").await;
        raw.say(&format!("ACK\nid:{id}\n\n\0")).await;
        assert!(raw.error().await.contains("not on its way"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_ack_of_a_delivery_does_no_harm() {
    let house = House::new().await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.subscribe("t").await;
    agent.publish("t", "1").await;
    let delivery = next(&mut deliveries).await;
    agent.client.ack(&delivery).await.unwrap();
    agent.client.ack(&delivery).await.unwrap();
    agent.publish("t", "2").await;
    assert_eq!(texts(&mut deliveries, 1).await, ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_delivery_of_an_earlier_connection_cannot_be_acknowledged() {
    let house = House::new().await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    agent.publish("t", "1").await;
    let stale = next(&mut deliveries).await;
    agent.drop_link().await;
    let (agent, mut deliveries) = house.take_over("agent", "t", 10).await;
    assert!(agent.client.ack(&stale).await.is_err());
    let again = next(&mut deliveries).await;
    assert_eq!(text(&again), "1");
    agent.client.ack(&again).await.unwrap();
}
