//! Messages that nobody wants any more after a time. Wall time is set by hand.

use std::time::Duration;

use crate::support::{HandClock, House, Raw, next, texts};

const NOW_MS: i64 = 1_800_000_000_000;
/// Longer than the broker waits between two looks for expired messages.
const SWEEP: Duration = Duration::from_secs(11);

async fn send(raw: &mut Raw, text: &str, headers: &str) {
    raw.say(&format!(
        "SEND\ndestination:/topic/t\npersistent:true\nreceipt:{text}\n{headers}\n\n{text}\0"
    ))
    .await;
    raw.receipt(text).await;
}

async fn absent(house: &House) {
    let agent = house.guest("agent").await;
    drop(agent.durable("t", "agent", 10).await);
    agent.leave().await;
}

fn log_bytes(folder: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("a folder");
    files
        .map(|file| file.expect("a file").metadata().expect("its size").len())
        .sum()
}

#[tokio::test(start_paused = true)]
async fn an_expired_message_is_never_delivered_by_either_header() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at_ms(NOW_MS);
    let house = House::at(folder.path(), &clock).await;
    absent(&house).await;
    let mut writer = house.raw("w").await;
    for (text, headers) in [
        ("at", format!("expires:{}", NOW_MS + 1000)),
        ("later", format!("expires:{}", NOW_MS + 1001)),
        ("after", "expiration:1000".to_owned()),
        ("afterwards", "expiration:1001".to_owned()),
        (
            "both",
            format!("expires:{}\nexpiration:9000", NOW_MS + 1000),
        ),
        ("none", "expires:0".to_owned()),
        ("gone", format!("expires:{}", NOW_MS - 1)),
        ("at once", "expiration:0".to_owned()),
        ("plain", "x:y".to_owned()),
    ] {
        send(&mut writer, text, &headers).await;
    }
    clock.advance_ms(1000);
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    let later = next(&mut deliveries).await;
    assert_eq!(later.body, "later");
    assert_eq!(later.header("expires"), Some(&*(NOW_MS + 1001).to_string()));
    let afterwards = next(&mut deliveries).await;
    assert_eq!(afterwards.body, "afterwards");
    // What counted from now is told as a time, too.
    let expires = afterwards.header("expires");
    assert_eq!(expires, Some(&*(NOW_MS + 1001).to_string()));
    assert_eq!(texts(&mut deliveries, 2).await, ["none", "plain"]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_does_not_make_it_live_longer() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at_ms(NOW_MS);
    let house = House::at(folder.path(), &clock).await;
    absent(&house).await;
    let mut writer = house.raw("w").await;
    send(&mut writer, "short", "expiration:1000").await;
    send(&mut writer, "long", "expiration:3000").await;
    clock.advance_ms(500);
    house.crash().await;
    clock.advance_ms(500);
    let house = House::at(folder.path(), &clock).await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    assert_eq!(texts(&mut deliveries, 1).await, ["long"]);
    // It comes back to the queue, but not for long.
    agent.leave().await;
    clock.advance_ms(2000);
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    agent.publish("t", "new").await;
    assert_eq!(texts(&mut deliveries, 1).await, ["new"]);
}

#[tokio::test(start_paused = true)]
async fn nobody_need_come_for_an_expired_backlog_to_free_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at_ms(NOW_MS);
    let house = House::limited_at(folder.path(), &clock, 200_000).await;
    absent(&house).await;
    let mut writer = house.raw("w").await;
    let padding = "p".repeat(10_000);
    for n in 0..15 {
        let headers = format!("expiration:1000\npadding:{padding}");
        send(&mut writer, &n.to_string(), &headers).await;
    }
    send(&mut writer, "kept", "x:y").await;
    assert!(log_bytes(folder.path()) > 150_000);
    clock.advance_ms(1000);
    tokio::time::sleep(SWEEP).await;
    let left = log_bytes(folder.path());
    assert!(left < 30_000, "{left} bytes are left");
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    assert_eq!(texts(&mut deliveries, 1).await, ["kept"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_number_is_refused() {
    for header in [
        "expires:tomorrow",
        "expiration:-1",
        "expires:",
        "expiration:1.5",
    ] {
        let house = House::new().await;
        let mut listener = house.raw("l").await;
        listener
            .say("SUBSCRIBE\nid:s\ndestination:/topic/t\nreceipt:r\n\n\0")
            .await;
        listener.receipt("r").await;
        let mut raw = house.raw("w").await;
        raw.say(&format!("SEND\ndestination:/topic/t\n{header}\n\nx\0"))
            .await;
        let told = raw.error().await;
        assert!(
            told.contains("no number of milliseconds"),
            "{header}: {told}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn our_client_writes_it() {
    let folder = tempfile::tempdir().unwrap();
    let clock = HandClock::at_ms(NOW_MS);
    let house = House::at(folder.path(), &clock).await;
    absent(&house).await;
    let writer = house.guest("w").await;
    let at_ms = u64::try_from(NOW_MS).unwrap() + 1000;
    let expiring = stomp::Message {
        expires: Some(stomp::Expires {
            at_ms,
            after_ms: 1000,
        }),
        ..crate::support::message("t", "short")
    };
    writer.client.send(expiring).await.unwrap();
    writer.publish("t", "for ever").await;
    clock.advance_ms(1000);
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    assert_eq!(texts(&mut deliveries, 1).await, ["for ever"]);
}
