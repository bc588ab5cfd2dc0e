//! The run loop: when a message is acknowledged, and what a stop waits for.

use std::{collections::HashMap, sync::Arc, time::Duration};

use chassis::{ATTEMPTS, Handler, Listen, Verdict, consume};
use events::{
    Envelope, Topic,
    message::{Beat, DeadLetter},
};
use jiff::Timestamp;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::peer::{OnSend, Peer, Tester, until, within};

const KEEPALIVE: &str = "/topic/deploykit.keepalive";
const DEAD: &str = "/topic/deploykit.dead.tester";

/// Takes beats: sleeps `number` seconds, then says what its script says for that number, else `Done`.
#[derive(Debug, Default)]
struct Beats {
    script: HashMap<u64, Vec<Verdict>>,
    handled: Arc<std::sync::Mutex<Vec<u64>>>,
}

impl Handler for Beats {
    async fn handle(&mut self, envelope: &Envelope) -> Verdict {
        let beat = match envelope.open::<Beat>() {
            Ok(beat) => beat,
            Err(error) => return error.into(),
        };
        tokio::time::sleep(Duration::from_secs(beat.number)).await;
        self.handled.lock().unwrap().push(beat.number);
        match self.script.get_mut(&beat.number) {
            Some(verdicts) if !verdicts.is_empty() => verdicts.remove(0),
            _ => Verdict::Done,
        }
    }
}

fn beat(id: u128, number: u64) -> Vec<u8> {
    let beat = Beat {
        from: "other".to_owned(),
        number,
        last_round_trip_ms: None,
    };
    Envelope::seal(Uuid::from_u128(id), "/test", Timestamp::UNIX_EPOCH, &beat)
        .unwrap()
        .to_bytes()
}

/// Runs the loop with `beats` until `told` is done, then stops it.
async fn run(peer: &Peer, mut beats: Beats, told: impl Future<Output = ()>) {
    let tester = Tester::new(peer);
    let inbox = tester.bus.listen(Listen::hints([Topic::Keepalive])).await;
    let stop = CancellationToken::new();
    let bus = tester.bus.clone();
    let looped = async {
        consume(&mut beats, inbox, &bus, &stop).await.unwrap();
    };
    let teller = async {
        told.await;
        stop.cancel();
    };
    within(async { tokio::join!(looped, teller) }).await;
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_for_the_delivery_in_hand() {
    let peer = Peer::new();
    peer.bring(KEEPALIVE, beat(1, 30));
    peer.bring(KEEPALIVE, beat(2, 31));
    let beats = Beats::default();
    let handled = Arc::clone(&beats.handled);
    let began = Instant::now();
    run(&peer, beats, tokio::time::sleep(Duration::from_secs(5))).await;
    assert_eq!(
        *handled.lock().unwrap(),
        [30],
        "the one in hand, and no other"
    );
    assert!(began.elapsed() >= Duration::from_secs(30));
    assert_eq!(peer.acknowledged(), [true, false]);
    assert_eq!(peer.commands().last().unwrap(), "DISCONNECT");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_put_aside_with_its_reason_and_the_loop_goes_on() {
    let peer = Peer::new();
    let future = String::from_utf8(beat(3, 1)).unwrap();
    let future = future.replace("deploykit.keepalive.v1", "deploykit.keepalive.v2");
    let no_type = r#"{"specversion":"1.0","id":"00000000-0000-0000-0000-000000000009","source":"/x","time":"2026-01-01T00:00:00Z","data":{}}"#;
    peer.bring(KEEPALIVE, "not JSON");
    peer.bring(KEEPALIVE, no_type);
    peer.bring(KEEPALIVE, future);
    peer.bring(KEEPALIVE, b"\xff\xfe".to_vec());
    peer.bring(KEEPALIVE, beat(4, 1));
    let beats = Beats::default();
    let handled = Arc::clone(&beats.handled);
    run(
        &peer,
        beats,
        until("all acknowledged", || {
            peer.acknowledged() == [true, true, true, true, true]
        }),
    )
    .await;
    assert_eq!(*handled.lock().unwrap(), [1]);
    let letters: Vec<DeadLetter> = peer
        .sent()
        .iter()
        .filter(|sent| sent.destination == DEAD)
        .map(|sent| sent.envelope().open().unwrap())
        .collect();
    let said: Vec<(&str, &str)> = letters
        .iter()
        .map(|letter| (letter.body.as_str(), letter.cause.as_str()))
        .map(|(body, cause)| (&body[..8.min(body.len())], cause))
        .collect();
    assert_eq!(
        said,
        [
            (
                "not JSON",
                "not a CloudEvents 1.0 JSON message: expected ident at line 1 column 2"
            ),
            (
                r#"{"specve"#,
                "not a CloudEvents 1.0 JSON message: missing field `type` at line 1 column 119"
            ),
            (
                r#"{"specve"#,
                "message type deploykit.keepalive.v2 is not known here, only deploykit.keepalive.v1 is: update this service"
            ),
            (
                "//4=",
                "not a CloudEvents 1.0 JSON message: expected value at line 1 column 1"
            ),
        ]
    );
    assert!(letters[3].base64 && !letters[0].base64);
    assert_eq!(letters[0].destination, KEEPALIVE);
    assert_eq!(letters[0].service, "tester");
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_confirmed_before_its_message_is_acknowledged() {
    let peer = Peer::new();
    peer.on_send(OnSend::Silence);
    peer.bring(KEEPALIVE, "not JSON");
    let told = async {
        until("two tries", || peer.sent().len() >= 2).await;
        assert_eq!(peer.acknowledged(), [false]);
        peer.on_send(OnSend::Confirm);
        until("it is acknowledged", || peer.acknowledged() == [true]).await;
    };
    run(&peer, Beats::default(), told).await;
}

#[tokio::test(start_paused = true)]
async fn again_comes_back_later_while_others_go_on_and_becomes_poison_at_last() {
    let peer = Peer::new();
    let again = |reason: &str| Verdict::Again(reason.to_owned());
    let beats = Beats {
        script: HashMap::from([
            (1, vec![again("not yet")]),
            (2, vec![again("never"); ATTEMPTS as usize]),
        ]),
        ..Beats::default()
    };
    let handled = Arc::clone(&beats.handled);
    peer.bring(KEEPALIVE, beat(1, 1));
    peer.bring(KEEPALIVE, beat(2, 2));
    peer.bring(KEEPALIVE, beat(3, 3));
    run(
        &peer,
        beats,
        until("all acknowledged", || peer.acknowledged() == [true; 3]),
    )
    .await;
    let handled = handled.lock().unwrap();
    let times = |number| handled.iter().filter(|&&n| n == number).count();
    assert_eq!((times(1), times(2), times(3)), (2, ATTEMPTS as usize, 1));
    assert_eq!(
        handled[..2],
        [1, 2],
        "the second did not wait for the first"
    );
    let letter: DeadLetter = peer.sent()[0].envelope().open().unwrap();
    assert_eq!(letter.cause, "never (tried 8 times)");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_came_twice_is_handled_once_and_acknowledged_twice() {
    let peer = Peer::new();
    peer.bring(KEEPALIVE, beat(1, 1));
    peer.bring(KEEPALIVE, beat(1, 1));
    let beats = Beats::default();
    let handled = Arc::clone(&beats.handled);
    run(
        &peer,
        beats,
        until("both acknowledged", || peer.acknowledged() == [true; 2]),
    )
    .await;
    assert_eq!(*handled.lock().unwrap(), [1]);
}

#[tokio::test(start_paused = true)]
async fn work_that_outlived_its_connection_is_not_done_again() {
    let peer = Peer::new();
    peer.bring(KEEPALIVE, beat(1, 60));
    let beats = Beats::default();
    let handled = Arc::clone(&beats.handled);
    let told = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        peer.leave();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(peer.acknowledged(), [false]);
        peer.come_back();
        until("it is acknowledged", || peer.acknowledged() == [true]).await;
    };
    run(&peer, beats, told).await;
    assert_eq!(*handled.lock().unwrap(), [60]);
    assert_eq!(peer.connects().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_waits_to_come_again_keeps_its_tries_when_a_new_connection_brings_it() {
    let peer = Peer::new();
    peer.bring(KEEPALIVE, beat(1, 1));
    let again = Verdict::Again("not yet".to_owned());
    let beats = Beats {
        script: HashMap::from([(1, vec![again; 100])]),
        ..Beats::default()
    };
    let handled = Arc::clone(&beats.handled);
    let told = async {
        // Each new connection is there long before the next try.
        for tries in 5..ATTEMPTS as usize {
            until("it was tried", || handled.lock().unwrap().len() == tries).await;
            peer.leave();
            tokio::time::sleep(Duration::from_millis(10)).await;
            peer.come_back();
        }
        until("it is put aside", || peer.acknowledged() == [true]).await;
        tokio::time::sleep(Duration::from_secs(120)).await;
    };
    run(&peer, beats, told).await;
    assert_eq!(handled.lock().unwrap().len(), ATTEMPTS as usize);
    let letter: DeadLetter = peer.sent()[0].envelope().open().unwrap();
    assert_eq!(letter.cause, "not yet (tried 8 times)");
    assert_eq!(peer.sent().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_that_is_refused_costs_a_connection_each_half_minute_and_no_more() {
    let peer = Peer::new();
    peer.on_send(OnSend::Refuse);
    // What is no message has no id; the second one is what nobody here knows.
    let future = String::from_utf8(beat(3, 1)).unwrap();
    let future = future.replace("deploykit.keepalive.v1", "deploykit.keepalive.v2");
    peer.bring(KEEPALIVE, "not JSON");
    peer.bring(KEEPALIVE, future);
    let told = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        assert_eq!(peer.sent().len(), 2, "the second try comes later");
        tokio::time::sleep(Duration::from_secs(280)).await;
        let (tries, connects) = (peer.sent().len(), peer.connects().len());
        // Two messages, at most eleven tries each.
        assert!((8..=22).contains(&tries), "{tries} tries");
        assert!(connects <= tries + 1, "{connects} connections");
        peer.on_send(OnSend::Confirm);
        until("both are acknowledged", || peer.acknowledged() == [true; 2]).await;
        assert_eq!(peer.sent().len(), tries + 2, "one letter each");
    };
    run(&peer, Beats::default(), told).await;
}

#[tokio::test(start_paused = true)]
async fn an_inbox_read_directly_gives_out_no_message_twice_once_it_is_acknowledged() {
    let peer = Peer::new();
    for body in [beat(1, 1), beat(1, 1), beat(2, 2)] {
        peer.bring(KEEPALIVE, body);
    }
    let tester = Tester::new(&peer);
    let mut inbox = tester.bus.listen(Listen::hints([Topic::Keepalive])).await;
    let mut ids = Vec::new();
    for _ in 0..2 {
        let delivery = within(inbox.next()).await.unwrap();
        ids.push(delivery.envelope().unwrap().id.as_u128());
        delivery.ack().await;
    }
    assert_eq!(ids, [1, 2]);
    until("all are acknowledged", || peer.acknowledged() == [true; 3]).await;
    tester.disconnect().await;
}
