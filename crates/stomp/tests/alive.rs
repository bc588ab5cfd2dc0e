//! How a connection stays alive and how it ends, against a scripted broker, in paused time.

use std::time::Duration;

use stomp::{Command, Ended, Item, SendError};
use tokio::{
    io::AsyncWriteExt,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::script::{Script, introduction, message};

#[tokio::test(start_paused = true)]
async fn a_broker_that_owes_a_receipt_is_given_up() {
    let mut script = Script::new().await;
    let start = Instant::now();
    let client = script.client.clone();
    let (sent, ended) = tokio::join!(client.send(message("x")), script.ended());
    assert!(
        matches!(sent, Err(SendError::NoReceipt(_) | SendError::Ended(_))),
        "{sent:?}"
    );
    assert!(matches!(ended, Ended::NoReceipt(_)), "{ended}");
    assert_eq!(start.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn heart_beats_go_out_at_half_and_silence_of_three_is_death() {
    let mut connect = introduction();
    connect.heart_beat = Duration::from_secs(5);
    let mut script = Script::with(connect, "heart-beat:1000,8000\n").await;
    let start = Instant::now();
    for n in 1..=3 {
        assert_eq!(script.far.item().await, Some(Item::HeartBeat));
        assert_eq!(
            start.elapsed().as_secs(),
            4 * n,
            "half of the larger of 5 s and 8 s"
        );
    }
    let ended = script.ended().await;
    assert!(matches!(ended, Ended::Silent(_)), "{ended}");
    assert_eq!(
        start.elapsed().as_secs(),
        15,
        "three times the larger of 5 s and 1 s"
    );
}

/// A healthy ActiveMQ was seen to pause for twice its time.
#[tokio::test(start_paused = true)]
async fn a_pause_of_two_heart_beats_is_survived() {
    let mut connect = introduction();
    connect.heart_beat = Duration::from_secs(1);
    let mut script = Script::with(connect, "heart-beat:1000,1000\n").await;
    for _ in 0..100 {
        sleep(Duration::from_millis(2_900)).await;
        script.far.say("\n").await;
    }
    let client = script.client.clone();
    let (sent, _) = tokio::join!(client.send(message("x")), script.confirm_next());
    sent.unwrap();
    let start = Instant::now();
    assert!(matches!(script.ended().await, Ended::Silent(_)));
    assert_eq!(start.elapsed().as_secs(), 3);
}

/// While there is enough else to send, no beat is needed, and a beat is due half of the time after the last byte.
#[tokio::test(start_paused = true)]
async fn whatever_is_sent_counts_as_a_beat() {
    let mut connect = introduction();
    connect.heart_beat = Duration::from_secs(2);
    let mut script = Script::with(connect, "heart-beat:0,2000\n").await;
    for _ in 0..10 {
        sleep(Duration::from_millis(900)).await;
        let mut light = message("x");
        light.confirm = false;
        script.client.send(light).await.unwrap();
        assert!(matches!(script.far.item().await, Some(Item::Frame(_))));
    }
    let start = Instant::now();
    assert_eq!(script.far.item().await, Some(Item::HeartBeat));
    assert_eq!(start.elapsed().as_millis(), 1000);
}

#[tokio::test(start_paused = true)]
async fn any_byte_is_a_sign_of_life() {
    let mut connect = introduction();
    connect.heart_beat = Duration::from_secs(1);
    let mut script = Script::with(connect, "heart-beat:1000,1000\n").await;
    let mut deliveries = script.subscribe("agent").await;
    for byte in "MESSAGE\nsubscription:agent\nack:1\n\nslow\0".chars() {
        sleep(Duration::from_secs(2)).await;
        script.far.say(&byte.to_string()).await;
    }
    assert_eq!(&deliveries.next().await.unwrap().body[..], b"slow");
}

#[tokio::test(start_paused = true)]
async fn a_broker_without_heart_beats_is_served() {
    let mut connect = introduction();
    connect.heart_beat = Duration::from_secs(1);
    for headers in [
        "",
        "heart-beat:0,0\n",
        "heart-beat:nonsense\n",
        "heart-beat:-1,-1\n",
        "heart-beat:18446744073709551615,18446744073709551615\n",
    ] {
        let mut script = Script::with(connect.clone(), headers).await;
        sleep(Duration::from_secs(3600)).await;
        let client = script.client.clone();
        let (sent, _) = tokio::join!(client.send(message("x")), script.confirm_next());
        sent.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn both_sides_full_is_no_deadlock() {
    let mut script = Script::with_server("RabbitMQ/3").await;
    let mut subscribed = script.subscribe("agent").await;
    let body = "x".repeat(200_000);
    let client = script.client.clone();
    let mut sends = JoinSet::new();
    let large = body.clone();
    // The client writes more than the pipe holds, and so does the broker, before it reads.
    sends.spawn(async move { client.send(message(&large)).await });
    for n in 0..2 {
        let text = format!("MESSAGE\nsubscription:agent\nack:{n}\n\n{body}\0");
        let said = timeout(Duration::from_secs(5), script.far.say(&text)).await;
        said.expect("the client reads while it writes");
    }
    script.confirm_next().await;
    sends.join_next().await.unwrap().unwrap().unwrap();
    assert_eq!(subscribed.next().await.unwrap().body.len(), body.len());
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_nothing_is_given_up_after_the_write_limit() {
    let mut connect = introduction();
    connect.limits.write = Duration::from_secs(3);
    let mut script = Script::with(connect, "").await;
    let start = Instant::now();
    let mut light = message(&"x".repeat(200_000));
    light.confirm = false;
    script.client.send(light).await.unwrap();
    assert!(matches!(script.ended().await, Ended::Stuck(_)));
    assert_eq!(start.elapsed().as_secs(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stop_sends_what_was_queued_and_says_goodbye() {
    let mut script = Script::new().await;
    let client = script.client.clone();
    let mut sends = JoinSet::new();
    sends.spawn(async move { client.send(message("last")).await });
    tokio::task::yield_now().await;
    script.stop.cancel();
    script.confirm_next().await;
    let goodbye = script.far.frame().await;
    assert_eq!(goodbye.command, Command::Disconnect);
    sends.join_next().await.unwrap().unwrap().unwrap();
    assert!(
        timeout(Duration::from_secs(1), script.ended())
            .await
            .is_err(),
        "it waits for the receipt"
    );
    let receipt = goodbye.header("receipt").unwrap();
    script
        .far
        .say(&format!("RECEIPT\nreceipt-id:{receipt}\n\n\0"))
        .await;
    assert!(matches!(script.ended().await, Ended::Stopped));
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_is_not_waited_for_for_ever() {
    let mut script = Script::new().await;
    let start = Instant::now();
    script.stop.cancel();
    assert!(matches!(script.ended().await, Ended::Stopped));
    assert_eq!(start.elapsed().as_secs(), 5);
}

#[tokio::test(start_paused = true)]
async fn the_end_says_what_the_broker_did() {
    let table = [
        (
            "MESSAGE\nsubscription:agent\n\nx\0",
            "a delivery of agent came without an ack header",
        ),
        (
            "SEND\n\n\0",
            "the broker sent SEND, which only clients send",
        ),
        (
            "NONSENSE\n",
            "the broker sent what is no STOMP: unknown command \"NONSENSE\"",
        ),
        ("MESSA", "the broker closed the connection"),
        ("", "the broker closed the connection"),
    ];
    for (said, expected) in table {
        let mut script = Script::new().await;
        let _deliveries = script.subscribe("agent").await;
        script.far.say(said).await;
        script.far.pipe.shutdown().await.unwrap();
        assert_eq!(script.ended().await.to_string(), expected);
    }
}
