//! Topics and receipts.

use bytes::Bytes;
use stomp::Message;

use crate::support::{House, message, next, soon, text, texts};

#[tokio::test(start_paused = true)]
async fn every_subscriber_gets_headers_and_body_as_they_were_sent() {
    let house = House::new().await;
    let (reader, second, writer) = (
        house.guest("a").await,
        house.guest("b").await,
        house.guest("c").await,
    );
    let mut first = reader.subscribe("git.commits").await;
    let mut other = second.subscribe("git.commits").await;
    let sent = Message {
        headers: vec![
            ("x:odd\\name".into(), "a:b\r\nc\\".into()),
            ("subscription".into(), "forged".into()),
        ],
        body: Bytes::from_static(b"\0\xff\n\0"),
        ..message("git.commits", "")
    };
    writer.client.send(sent).await.unwrap();
    for deliveries in [&mut first, &mut other] {
        let delivery = next(deliveries).await;
        assert_eq!(delivery.destination, "/topic/git.commits");
        assert_eq!(delivery.header("x:odd\\name"), Some("a:b\r\nc\\"));
        assert_eq!(&delivery.body[..], b"\0\xff\n\0");
        assert!(!delivery.headers.iter().any(|(_, value)| value == "forged"));
        assert_eq!(delivery.header("receipt"), None);
        assert!(!delivery.redelivered());
    }
}

#[tokio::test(start_paused = true)]
async fn patterns_select_by_words() {
    let house = House::new().await;
    let guest = house.guest("a").await;
    let mut one_word = guest.subscribe("events.*").await;
    let mut hash = guest.subscribe("events.#").await;
    let mut arrow = guest.subscribe("events.agent.>").await;
    for topic in ["events", "events.agent", "events.agent.web1", "other.agent"] {
        guest.publish(topic, topic).await;
    }
    assert_eq!(texts(&mut one_word, 1).await, ["events.agent"]);
    assert_eq!(
        texts(&mut hash, 3).await,
        ["events", "events.agent", "events.agent.web1"]
    );
    assert_eq!(
        texts(&mut arrow, 2).await,
        ["events.agent", "events.agent.web1"]
    );
    guest.publish("events.last", "last").await;
    assert_eq!(texts(&mut one_word, 1).await, ["last"]);
    assert_eq!(texts(&mut hash, 1).await, ["last"]);
}

#[tokio::test(start_paused = true)]
async fn messages_of_one_publisher_arrive_in_order() {
    let house = House::new().await;
    let (reader, writer) = (house.guest("a").await, house.guest("b").await);
    let mut deliveries = reader.durable("t", "a", 3).await;
    for n in 0..50 {
        writer.publish("t", &n.to_string()).await;
    }
    for n in 0..50 {
        let delivery = next(&mut deliveries).await;
        assert_eq!(text(&delivery), n.to_string());
        reader.client.ack(&delivery).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_receipt_comes_too_when_nobody_reads() {
    let house = House::new().await;
    house.guest("a").await.publish("nobody.reads", "x").await;
}

#[tokio::test(start_paused = true)]
async fn every_frame_can_ask_for_a_receipt() {
    let house = House::new().await;
    let mut raw = house.raw("a").await;
    raw.say("SUBSCRIBE\nid:1\ndestination:/topic/t\nack:client\nreceipt:r1\n\n\0")
        .await;
    raw.receipt("r1").await;
    raw.say("SEND\ndestination:/topic/t\nreceipt:r2\n\nhello\0")
        .await;
    raw.receipt("r2").await;
    let delivered = raw.frame().await;
    assert_eq!(&delivered.body[..], b"hello");
    raw.say(&format!(
        "ACK\nid:{}\nreceipt:r3\n\n\0",
        delivered.header("ack").unwrap()
    ))
    .await;
    raw.receipt("r3").await;
    raw.say("UNSUBSCRIBE\nid:1\nreceipt:r4\n\n\0").await;
    raw.receipt("r4").await;
    raw.say("DISCONNECT\nreceipt:r5\n\n\0").await;
    raw.receipt("r5").await;
    assert_eq!(raw.item().await, None);
}

#[tokio::test(start_paused = true)]
async fn after_unsubscribe_nothing_comes() {
    let house = House::new().await;
    let guest = house.guest("a").await;
    let mut kept = guest.subscribe("t").await;
    let dropped = guest.subscribe("t").await;
    drop(dropped);
    guest.publish("t", "x").await;
    assert_eq!(texts(&mut kept, 1).await, ["x"]);
    // The connection is none the worse for it.
    soon("publish", guest.publish("t", "y")).await;
    assert_eq!(texts(&mut kept, 1).await, ["y"]);
}
