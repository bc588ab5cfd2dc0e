//! Heart-beats, both ways. Time is paused: it moves when everybody waits.

use std::time::Duration;

use stomp::{Ended, Item};
use tokio::{io::AsyncReadExt, time::Instant};

use crate::support::{House, Raw, texts};

const CONNECT: &str =
    "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\nclient-id:c\n";

#[tokio::test(start_paused = true)]
async fn the_broker_beats_and_hangs_up_on_a_silent_peer() {
    let house = House::new().await;
    let mut raw = Raw::new(house.pipe().await);
    raw.say(&format!("{CONNECT}heart-beat:1000,2000\n\n\0"))
        .await;
    assert_eq!(raw.frame().await.header("heart-beat"), Some("2000,1000"));
    let start = Instant::now();
    let mut beats = 0;
    while let Some(item) = raw.item().await {
        assert_eq!(item, Item::HeartBeat);
        beats += 1;
    }
    let seconds = start.elapsed().as_secs_f32();
    assert!(
        (2.9..3.2).contains(&seconds),
        "silent for 3 s is dead, was {seconds}"
    );
    assert!(beats >= 2, "a beat at half of 2 s, were {beats}");
}

#[tokio::test(start_paused = true)]
async fn two_quiet_peers_stay_connected() {
    let house = House::new().await;
    let guest = house.guest("a").await;
    let mut deliveries = guest.subscribe("t").await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    guest.publish("t", "x").await;
    assert_eq!(texts(&mut deliveries, 1).await, ["x"]);
}

#[tokio::test(start_paused = true)]
async fn without_heart_beats_nobody_is_hung_up_on() {
    let house = House::new().await;
    let mut raw = house.raw("a").await;
    tokio::time::sleep(Duration::from_secs(3600)).await;
    raw.say("SEND\ndestination:/topic/t\nreceipt:r\n\n\0").await;
    raw.receipt("r").await;
}

#[tokio::test(start_paused = true)]
async fn a_wrong_heart_beat_is_refused() {
    for wrong in ["1000", "a,b", "-1,0", "1,2,3"] {
        let house = House::new().await;
        let mut raw = Raw::new(house.pipe().await);
        raw.say(&format!("{CONNECT}heart-beat:{wrong}\n\n\0")).await;
        assert!(raw.error().await.contains("heart-beat"), "{wrong}");
    }
}

/// The link is dead but not closed: bytes are swallowed both ways.
#[tokio::test(start_paused = true)]
async fn a_half_dead_holder_gives_way_after_three_beats() {
    let house = House::new().await;
    let (near, mut swallowed) = tokio::io::duplex(64 * 1024);
    let mut far = house.pipe().await;
    let mut bridge = tokio::task::JoinSet::new();
    let cut = tokio_util::sync::CancellationToken::new();
    let cut_here = cut.clone();
    bridge.spawn(async move {
        tokio::select! {
            _ = tokio::io::copy_bidirectional(&mut swallowed, &mut far) => {}
            () = cut_here.cancelled() => {}
        }
        let mut sink = Vec::new();
        let _never = swallowed.read_to_end(&mut sink).await;
        drop(far);
    });
    let agent = crate::support::Guest::over(near, "agent").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    agent.publish("t", "1").await;
    assert_eq!(texts(&mut deliveries, 1).await, ["1"]);
    let start = Instant::now();
    cut.cancel();
    let retry = async {
        loop {
            let guest = house.guest("agent").await;
            let subscription = stomp::Subscription {
                destination: "/topic/t".into(),
                durable: Some("agent".into()),
                prefetch: 10,
            };
            if let Ok(deliveries) = guest.client.subscribe(subscription).await {
                return (guest, deliveries);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let (_second, mut taken_over) = crate::support::soon("take over", retry).await;
    let seconds = start.elapsed().as_secs_f32();
    assert!(
        (2.4..3.6).contains(&seconds),
        "three beats of 1 s, was {seconds}"
    );
    assert_eq!(texts(&mut taken_over, 1).await, ["1"]);
    assert!(matches!(agent.ended().await, Ended::Silent(_)));
}
