//! Durable subscriptions.

use stomp::{SendError, Subscription};

use crate::support::{House, message, next, text, texts};

#[tokio::test(start_paused = true)]
async fn messages_wait_for_an_absent_subscriber() {
    let house = House::new().await;
    let writer = house.guest("w").await;
    let agent = house.guest("agent").await;
    let deliveries = agent.durable("orders", "agent", 10).await;
    drop(deliveries);
    agent.leave().await;
    for text in ["1", "2", "3"] {
        writer.publish("orders", text).await;
    }
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("orders", "agent", 10).await;
    for expected in ["1", "2", "3"] {
        let delivery = next(&mut deliveries).await;
        assert_eq!(text(&delivery), expected);
        assert!(!delivery.redelivered(), "nobody has seen it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_comes_from_the_disk_in_order_and_within_the_prefetch() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::on(folder.path()).await;
    let agent = house.guest("agent").await;
    drop(agent.durable("orders", "agent", 4).await);
    agent.leave().await;
    let writer = house.guest("w").await;
    for n in 0..300 {
        writer.publish("orders", &n.to_string()).await;
    }
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("orders", "agent", 4).await;
    let mut in_hand = Vec::new();
    for n in 0..4 {
        in_hand.push(next(&mut deliveries).await);
        assert_eq!(text(&in_hand[n]), n.to_string());
    }
    writer.publish("orders", "300").await;
    let fifth = tokio::time::timeout(std::time::Duration::from_secs(5), deliveries.next()).await;
    assert!(fifth.is_err(), "four are unacknowledged: {fifth:?}");
    for delivery in &in_hand {
        agent.client.ack(delivery).await.unwrap();
    }
    for n in 4..=300 {
        let delivery = next(&mut deliveries).await;
        assert_eq!(text(&delivery), n.to_string());
        agent.client.ack(&delivery).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_live_holder_is_refused_and_the_first_goes_on() {
    let house = House::new().await;
    let first = house.guest("agent").await;
    let mut deliveries = first.durable("orders", "agent", 10).await;
    let second = house.guest("agent").await;
    let subscription = Subscription {
        destination: "/topic/orders".into(),
        durable: Some("agent".into()),
        prefetch: 10,
    };
    let refused = second.client.subscribe(subscription).await;
    assert!(
        matches!(&refused, Err(SendError::Refused(why)) if why.contains("already connected")),
        "{refused:?}"
    );
    first.publish("orders", "x").await;
    assert_eq!(texts(&mut deliveries, 1).await, ["x"]);
}

#[tokio::test(start_paused = true)]
async fn the_same_name_of_another_client_is_another_subscription() {
    let house = House::new().await;
    let (one, two) = (house.guest("one").await, house.guest("two").await);
    let mut first = one.durable("orders", "same", 10).await;
    let mut second = two.durable("orders", "same", 10).await;
    one.publish("orders", "x").await;
    assert_eq!(texts(&mut first, 1).await, ["x"]);
    assert_eq!(texts(&mut second, 1).await, ["x"]);
}

/// Each broker's way to subscribe durably, and its ways to end that.
#[tokio::test(start_paused = true)]
async fn the_headers_of_every_broker_make_and_end_a_durable_subscription() {
    let table = [
        (
            "durable:true\nauto-delete:false",
            vec!["id:s\ndurable:true"],
        ),
        (
            "durable:true\nx-queue-name:q",
            vec!["id:s\ndurable:true\nx-queue-name:q"],
        ),
        (
            "activemq.subscriptionName:s",
            vec!["id:s", "id:s\nactivemq.subscriptionName:s"],
        ),
        (
            "activemq.subscriptionName:s",
            vec!["id:s\nactivemq.subscriptionName:s"],
        ),
        (
            "durable-subscription-name:s",
            vec!["id:s\ndurable-subscription-name:s"],
        ),
    ];
    for (headers, ends) in table {
        let house = House::new().await;
        let writer = house.guest("w").await;
        let subscribe = format!(
            "SUBSCRIBE\nid:s\ndestination:/topic/t\nack:client-individual\nreceipt:r\n{headers}\n\n\0"
        );
        let mut raw = house.raw("agent").await;
        raw.say(&subscribe).await;
        raw.receipt("r").await;
        raw.say("DISCONNECT\nreceipt:bye\n\n\0").await;
        raw.receipt("bye").await;
        writer.publish("t", "kept").await;
        let mut raw = house.raw("agent").await;
        raw.say(&subscribe).await;
        let mut seen = [raw.frame().await, raw.frame().await];
        seen.sort_by_key(|frame| frame.command.name());
        assert_eq!(&seen[0].body[..], b"kept", "{headers}");
        for end in ends {
            raw.say(&format!("UNSUBSCRIBE\n{end}\nreceipt:u\n\n\0"))
                .await;
            raw.receipt("u").await;
        }
        writer.publish("t", "for nobody").await;
        raw.say(&subscribe).await;
        raw.receipt("r").await;
        raw.say("SEND\ndestination:/topic/t\n\nlast\0").await;
        assert_eq!(
            &raw.frame().await.body[..],
            b"last",
            "{headers}: it was removed with its backlog"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_client_removes_a_durable_subscription_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::on(folder.path()).await;
    let agent = house.guest("agent").await;
    let deliveries = agent.durable("orders", "agent", 10).await;
    agent.publish("orders", "unread").await;
    agent.client.remove(deliveries).await.unwrap();
    house.stop().await;
    let house = House::on(folder.path()).await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("orders", "agent", 10).await;
    agent.publish("orders", "new").await;
    assert_eq!(texts(&mut deliveries, 1).await, ["new"]);
}

#[tokio::test(start_paused = true)]
async fn non_persistent_messages_wait_in_memory_and_not_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::on(folder.path()).await;
    let writer = house.guest("w").await;
    let agent = house.guest("agent").await;
    drop(agent.durable("t", "agent", 10).await);
    agent.leave().await;
    let light = stomp::Message {
        persistent: false,
        ..message("t", "light")
    };
    writer.client.send(light.clone()).await.unwrap();
    writer.publish("t", "heavy").await;
    let (agent, mut deliveries) = house.take_over("agent", "t", 10).await;
    assert_eq!(texts(&mut deliveries, 2).await, ["light", "heavy"]);
    drop(agent);
    house.crash().await;
    let house = House::on(folder.path()).await;
    let (_agent, mut deliveries) = house.take_over("agent", "t", 10).await;
    assert_eq!(texts(&mut deliveries, 1).await, ["heavy"]);
}
