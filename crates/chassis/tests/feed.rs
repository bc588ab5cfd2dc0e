//! Lines for the feed: who says one waits for nobody.

use std::time::Duration;

use events::message::{Line, Said};
use tokio::time::Instant;

use crate::peer::{OnSend, Peer, Tester, until};

fn said(number: usize) -> Said {
    Said::new("counted", format!("{number}")).with("number", number)
}

fn heard(peer: &Peer) -> Vec<String> {
    let sent = peer.sent();
    let lines = sent
        .iter()
        .filter(|it| it.destination == "/topic/deploykit.events.tester");
    let lines = lines.map(|it| it.envelope().open::<Line>().expect("a line"));
    lines.map(|it| it.line.to_string()).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_said_while_the_broker_is_away_goes_out_in_order_when_it_is_back() {
    let peer = Peer::new();
    peer.leave();
    let tester = Tester::new(&peer);
    let before = Instant::now();
    (0..100).for_each(|number| tester.bus.say(said(number)));
    assert_eq!(before.elapsed(), Duration::ZERO, "nobody waits");
    peer.come_back();
    until("all are said", || heard(&peer).len() == 100).await;
    let expected: Vec<_> = (0..100).map(|number| format!("hub1: {number}")).collect();
    assert_eq!(heard(&peer), expected);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn more_than_so_many_are_left_out_and_counted() {
    let peer = Peer::new();
    peer.leave();
    let tester = Tester::new(&peer);
    (0..300).for_each(|number| tester.bus.say(said(number)));
    let text = tester.bus.metrics().text();
    assert!(
        text.contains("deploykit_bus_lines_left_out_total 44\n"),
        "{text}"
    );
    peer.come_back();
    until("the first ones are said", || heard(&peer).len() == 256).await;
    assert_eq!(heard(&peer)[255], "hub1: 255");
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_said_last_goes_out_before_the_goodbye() {
    let peer = Peer::new();
    let tester = Tester::new(&peer);
    tester.connected().await;
    (0..50).for_each(|number| tester.bus.say(said(number)));
    tester.disconnect().await;
    assert_eq!(heard(&peer).len(), 50);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_confirm_holds_a_stop_up_for_a_moment_only() {
    let peer = Peer::new();
    let tester = Tester::new(&peer);
    tester.connected().await;
    peer.on_send(OnSend::Silence);
    tester.bus.say(said(1));
    until("it is sent", || heard(&peer).len() == 1).await;
    let before = Instant::now();
    tester.disconnect().await;
    assert!(
        before.elapsed() < Duration::from_secs(10),
        "{:?}",
        before.elapsed()
    );
}
