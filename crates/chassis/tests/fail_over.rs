//! Several brokers: over to the next one, back to the first one, and patience with all of them.

use std::time::Duration;

use chassis::{BusSettings, Listen, outbox};
use events::{Topic, message::Beat};
use tokio::time::{Instant, sleep};

use crate::peer::{OnConnect, OnSend, Peer, Tester, until, within};

const FIRST: &str = "first:1";
const SECOND: &str = "second:2";

fn beat() -> Beat {
    Beat {
        from: "hub1".to_owned(),
        number: 77,
        last_round_trip_ms: None,
    }
}

fn two() -> BusSettings {
    BusSettings {
        brokers: vec![FIRST.to_owned(), SECOND.to_owned()],
        fail_back_s: 10,
        ..BusSettings::default()
    }
}

fn reports() -> Listen {
    Listen::durable(Topic::DeployReports, "deploykit.tester.hub1".to_owned())
}

/// How often that address was connected to.
fn attempts(peer: &Peer, address: &str) -> usize {
    peer.reached().iter().filter(|a| *a == address).count()
}

/// Publishes until one arrives at that address.
async fn publish_until_at(tester: &Tester, peer: &Peer, address: &str) {
    let wanted = format!("{address} SEND");
    while !peer.heard().contains(&wanted) {
        within(tester.bus.publish(&beat())).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn the_way_back_is_made_before_the_old_connection_is_left() {
    let peer = Peer::new();
    peer.refuse(FIRST);
    let tester = Tester::with(&peer, two());
    tester.connected().await;
    let mut inbox = tester.bus.listen(reports()).await;
    let mut connected = tester.bus.connected();
    connected.mark_unchanged();
    peer.on_send(OnSend::Later);
    let bus = tester.bus.clone();
    let early = tokio::spawn(async move { bus.publish(&beat()).await });
    until("it is sent", || peer.sent().len() == 1).await;
    peer.on_send(OnSend::Confirm);

    peer.accept(FIRST);
    let subscribed = format!("{FIRST} SUBSCRIBE");
    until("the first is subscribed on", || {
        peer.heard().contains(&subscribed)
    })
    .await;
    publish_until_at(&tester, &peer, FIRST).await;
    // Nothing is left behind: the second one still owes a receipt.
    assert!(!early.is_finished());
    let goodbye = format!("{SECOND} DISCONNECT");
    assert!(!peer.heard().contains(&goodbye));
    peer.confirm_now();
    within(early).await.unwrap().unwrap();
    until("the second is left", || peer.heard().contains(&goodbye)).await;

    assert!(
        !connected.has_changed().unwrap(),
        "there always was a connection"
    );
    assert_eq!(attempts(&peer, SECOND), 1);
    let ids: Vec<_> = peer.sent().iter().map(|sent| sent.envelope().id).collect();
    let once: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(once.len(), ids.len(), "nothing went out twice");
    peer.bring("/topic/deploykit.deploy.reports", "one");
    within(inbox.next()).await.unwrap().ack().await;
    until("it is acknowledged", || peer.acknowledged() == [true]).await;
    tester.disconnect().await;
    assert_eq!(peer.heard().last().unwrap(), &format!("{FIRST} DISCONNECT"));
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_owes_a_receipt_for_ever_is_left_all_the_same() {
    let peer = Peer::new();
    peer.refuse(FIRST);
    let settings = BusSettings {
        publish_limit_s: 600,
        receipt_limit_s: 60,
        ..two()
    };
    let tester = Tester::with(&peer, settings);
    tester.connected().await;
    peer.on_send(OnSend::Silence);
    let bus = tester.bus.clone();
    let early = tokio::spawn(async move { bus.publish(&beat()).await });
    until("it is sent", || peer.sent().len() == 1).await;
    peer.on_send(OnSend::Confirm);
    peer.accept(FIRST);
    // The connection that never confirms ends, and the message goes out by the other one under its id.
    let id = within(early).await.unwrap().unwrap();
    let ids: Vec<_> = peer.sent().iter().map(|sent| sent.envelope().id).collect();
    assert_eq!(ids, [id, id]);
    assert_eq!(
        peer.heard().iter().filter(|h| h.contains("SEND")).count(),
        2
    );
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_open_on_the_connection_that_is_left_comes_again_and_is_folded() {
    let peer = Peer::new();
    peer.refuse(FIRST);
    let tester = Tester::with(&peer, two());
    tester.connected().await;
    let mut inbox = tester.bus.listen(reports()).await;
    let envelope = tester.bus.seal(&beat()).unwrap().to_bytes();
    peer.bring("/topic/deploykit.deploy.reports", envelope);
    let open = within(inbox.next()).await.unwrap();
    peer.accept(FIRST);
    let goodbye = format!("{SECOND} DISCONNECT");
    until("the second is left", || peer.heard().contains(&goodbye)).await;
    open.ack().await;
    assert_eq!(peer.acknowledged(), [false], "its connection is gone");
    // The first broker has brought it too, since one cluster is behind both.
    let next = tokio::time::timeout(Duration::from_secs(1), inbox.next()).await;
    assert!(next.is_err(), "it is not handed out again");
    assert_eq!(peer.acknowledged(), [true]);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn the_first_broker_is_looked_for_now_and_then_and_never_with_zero() {
    let looks = async |fail_back_s| {
        let peer = Peer::new();
        peer.on_connect(FIRST, OnConnect::HangUp);
        let settings = BusSettings {
            fail_back_s,
            ..two()
        };
        let tester = Tester::with(&peer, settings);
        tester.connected().await;
        sleep(Duration::from_secs(600)).await;
        assert_eq!(attempts(&peer, SECOND), 1, "the later one is kept");
        tester.disconnect().await;
        attempts(&peer, FIRST) - 1
    };
    let with_60 = looks(60).await;
    assert!((10..=20).contains(&with_60), "{with_60} in 600 s");
    assert_eq!(looks(0).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_way_back_that_cannot_be_subscribed_on_is_not_taken() {
    let peer = Peer::new();
    peer.on_connect(FIRST, OnConnect::HangUpLater);
    let tester = Tester::with(&peer, two());
    let _inbox = tester.bus.listen(reports()).await;
    tester.connected().await;
    let mut connected = tester.bus.connected();
    connected.mark_unchanged();
    until("it was looked at", || attempts(&peer, FIRST) == 3).await;
    assert!(!connected.has_changed().unwrap());
    within(tester.bus.publish(&beat())).await.unwrap();
    assert_eq!(peer.heard().last().unwrap(), &format!("{SECOND} SEND"));
    // Mended, it is taken.
    peer.on_connect(FIRST, OnConnect::Answer);
    let goodbye = format!("{SECOND} DISCONNECT");
    until("the second is left", || peer.heard().contains(&goodbye)).await;
    publish_until_at(&tester, &peer, FIRST).await;
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_lets_in_and_hangs_up_keeps_nobody_from_the_next_one() {
    let peer = Peer::new();
    peer.on_connect(FIRST, OnConnect::HangUpLater);
    let tester = Tester::with(&peer, two());
    let _inbox = tester.bus.listen(reports()).await;
    let began = Instant::now();
    tester.connected().await;
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    let reached = peer.reached();
    assert_eq!(reached, [FIRST, SECOND]);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn brokers_that_all_hang_up_at_once_are_tried_ever_more_slowly_for_ever() {
    for how in [OnConnect::HangUp, OnConnect::HangUpLater] {
        let peer = Peer::new();
        peer.on_connect(FIRST, how);
        peer.on_connect(SECOND, how);
        let tester = Tester::with(&peer, two());
        let _inbox = tester.bus.listen(reports()).await;
        sleep(Duration::from_secs(600)).await;
        let tries = attempts(&peer, FIRST);
        // 0.2 s, 0.4 s … 25.6 s, then 30 s, each less up to half: 27 to 47 rounds in 10 minutes.
        assert!((20..=50).contains(&tries), "{how:?}: {tries} in 600 s");
        assert!(attempts(&peer, SECOND).abs_diff(tries) <= 1);
        peer.on_connect(SECOND, OnConnect::Answer);
        tester.connected().await;
        tester.disconnect().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_never_answers_costs_its_limit_and_is_named_with_it() {
    let peer = Peer::new();
    peer.on_connect(FIRST, OnConnect::Silence);
    let settings = BusSettings {
        handshake_limit_s: 3,
        ..two()
    };
    let tester = Tester::with(&peer, settings.clone());
    let began = Instant::now();
    tester.connected().await;
    assert_eq!(began.elapsed().as_secs(), 3);
    tester.disconnect().await;

    let alone = BusSettings {
        brokers: vec![FIRST.to_owned()],
        publish_limit_s: 5,
        ..settings
    };
    let tester = Tester::with(&peer, alone);
    let error = within(tester.bus.publish(&beat())).await.unwrap_err();
    let expected = "no broker confirmed it within 5 s, bus.publish_limit_s (not connected: first:1: no CONNECTED within 3s (bus.handshake_limit_s))";
    assert_eq!(error.to_string(), expected);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_is_followed_by_the_next_broker_and_its_news_come_once() {
    let peer = Peer::new();
    let tester = Tester::with(&peer, two());
    tester.connected().await;
    let mut inbox = tester.bus.listen(reports()).await;
    sleep(Duration::from_secs(20)).await;
    peer.refuse(FIRST);
    peer.cut(FIRST);
    publish_until_at(&tester, &peer, SECOND).await;
    let envelope = tester.bus.seal(&beat()).unwrap().to_bytes();
    peer.bring("/topic/deploykit.deploy.reports", envelope);
    within(inbox.next()).await.unwrap().ack().await;
    until("it is acknowledged", || peer.acknowledged() == [true]).await;
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn what_goes_out_in_order_stays_in_order_on_the_way_back() {
    let peer = Peer::new();
    peer.refuse(FIRST);
    let tester = Tester::with(&peer, two());
    tester.connected().await;
    peer.on_send(OnSend::Later);
    let mut batch = tester.bus.in_order::<u64>(64);
    let push = |batch: &mut chassis::bus::InOrder<u64>, numbers: std::ops::Range<u64>| {
        for number in numbers {
            let envelope = tester.bus.seal(&Beat { number, ..beat() }).unwrap();
            batch.push(number, &outbox::Waiting::of(&beat(), envelope));
        }
    };
    push(&mut batch, 0..5);
    tokio::select! {
        _ = batch.settled() => panic!("nothing is confirmed"),
        () = until("five are on their way", || peer.sent().len() == 5) => {}
    }
    peer.on_send(OnSend::Confirm);
    peer.accept(FIRST);
    let connected = format!("{FIRST} CONNECT");
    until("the first is there", || peer.heard().contains(&connected)).await;
    publish_until_at(&tester, &peer, FIRST).await;
    push(&mut batch, 5..10);
    let early = tokio::time::timeout(Duration::from_secs(1), batch.settled()).await;
    assert!(early.is_err(), "the other connection owes receipts");
    peer.confirm_now();
    for number in 0..10 {
        let (whose, settled) = within(batch.settled()).await;
        settled.unwrap();
        assert_eq!(whose, number);
    }
    let numbers: Vec<u64> = peer
        .sent()
        .iter()
        .map(|sent| sent.envelope().open::<Beat>().unwrap().number)
        .filter(|number| *number != 77)
        .collect();
    assert_eq!(numbers, Vec::from_iter(0..10));
    tester.disconnect().await;
}
