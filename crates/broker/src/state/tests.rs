//! Decisions that cannot be seen from a connection, or only after days.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use stomp::{Command, Frame};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{
    link::{Delivery, Output},
    store::Waiting,
};

const DAY_MS: u64 = 24 * 3600 * 1000;

fn with(limits: Limits, found: Option<Found>) -> State {
    State::new(limits, found, Memory::default(), 0)
}

fn on_disk() -> State {
    with(Limits::default(), Some(Found::default()))
}

fn open(state: &mut State, id: ConnectionId, silence: Option<Duration>) -> Arc<Link> {
    // Nothing here reads what is sent: outputs are looked at before they are.
    let (outgoing, _) = mpsc::channel(1);
    let link = Arc::new(Link {
        client_id: format!("client-{}", id % 10),
        outgoing,
        cut: CancellationToken::new(),
        offered: 0.into(),
        written: 0.into(),
        queued_bytes: 0.into(),
        wants_flushed: false.into(),
        heard_ms: 0.into(),
        opened: Instant::now(),
        silence,
    });
    state.step(Input::Opened(id, Arc::clone(&link)));
    link
}

fn subscribe(state: &mut State, id: ConnectionId) {
    let frame = Frame::new(Command::Subscribe)
        .with("id", "s")
        .with("destination", "/topic/t")
        .with("ack", "client-individual")
        .with("durable", "true");
    say(state, id, frame);
}

fn publish(state: &mut State, id: ConnectionId) {
    let frame = Frame::new(Command::Send)
        .with("destination", "/topic/t")
        .with("persistent", "true");
    say(state, id, frame.with_body("body"));
}

fn say(state: &mut State, id: ConnectionId, frame: Frame) {
    state.step(Input::Frame(id, frame, None));
}

fn marks(effects: &Effects) -> Vec<(u64, bool)> {
    let marks = effects.changes.iter().filter_map(|change| match change {
        Change::Mark {
            sequence,
            redelivered,
            ..
        } => Some((*sequence, *redelivered)),
        _ => None,
    });
    marks.collect()
}

fn deliveries(effects: &Effects) -> Vec<&Delivery> {
    let outputs = effects.outputs.iter();
    outputs
        .filter_map(|(_, output)| match output {
            Output::Deliver(delivery) => Some(delivery),
            _ => None,
        })
        .collect()
}

fn errors(effects: &Effects) -> Vec<&str> {
    let outputs = effects.outputs.iter();
    outputs
        .filter_map(|(_, output)| match output {
            Output::Error { message, .. } => Some(message.as_str()),
            _ => None,
        })
        .collect()
}

fn count(effects: &Effects, kind: fn(&Change) -> bool) -> usize {
    effects.changes.iter().filter(|change| kind(change)).count()
}

fn is_put(change: &Change) -> bool {
    matches!(change, Change::Put { .. })
}

fn is_settle(change: &Change) -> bool {
    matches!(change, Change::Settle { .. })
}

#[tokio::test]
async fn a_message_for_many_is_stored_once_and_settled_by_each() {
    let mut state = on_disk();
    for id in 1..=3 {
        open(&mut state, id, None);
        subscribe(&mut state, id);
    }
    state.take_effects();
    publish(&mut state, 1);
    state.pump(u64::MAX);
    let effects = state.take_effects();
    assert_eq!(count(&effects, is_put), 1);
    assert_eq!(deliveries(&effects).len(), 3);
    drop(effects);
    for id in 1..=3 {
        say(&mut state, id, Frame::new(Command::Ack).with("id", "1"));
        assert_eq!(count(&state.take_effects(), is_settle), 1);
    }
    assert_eq!(state.memory.bytes(), 0);
}

#[tokio::test]
async fn nobody_wants_it_so_nothing_is_stored() {
    let mut state = on_disk();
    open(&mut state, 1, None);
    publish(&mut state, 1);
    assert_eq!(state.take_effects().changes.len(), 0);
}

#[tokio::test]
async fn what_was_delivered_is_not_kept_in_memory_while_it_lies_on_disk() {
    let mut state = on_disk();
    open(&mut state, 1, None);
    subscribe(&mut state, 1);
    for _ in 0..200 {
        publish(&mut state, 1);
    }
    state.pump(u64::MAX);
    let effects = state.take_effects();
    assert_eq!(deliveries(&effects).len(), 100, "the prefetch");
    assert!(
        deliveries(&effects)
            .iter()
            .all(|delivery| delivery.message.is_some())
    );
    let in_flight = state.connections[&1]
        .in_flight
        .values()
        .map(|in_flight| &in_flight.entry);
    let waiting = state.queues.values().flat_map(|queue| &queue.entries);
    assert!(
        in_flight
            .chain(waiting)
            .all(|entry| entry.message.is_none())
    );
}

#[tokio::test]
async fn a_batch_reads_no_more_from_disk_than_its_budget() {
    let durable = Durable {
        client_id: "client-1".to_owned(),
        name: "s".to_owned(),
        destination: "/topic/t".to_owned(),
        used_s: 0,
    };
    let waiting = (1..=10).map(|sequence| Waiting {
        queue: 1,
        sequence,
        bytes: 100,
        expires_ms: 0,
        redelivered: false,
    });
    let found = Found {
        starts: 2,
        queues: vec![(1, durable)],
        waiting: waiting.collect(),
        disk_bytes: 1000,
    };
    let mut state = with(Limits::default(), Some(found));
    open(&mut state, 1, None);
    subscribe(&mut state, 1);
    let mut batches = Vec::new();
    loop {
        state.pump(250);
        batches.push(deliveries(&state.take_effects()).len());
        if !state.has_ready() {
            break;
        }
    }
    assert_eq!(batches, [3, 3, 3, 1]);
}

#[tokio::test]
async fn only_deliveries_that_the_transport_was_offered_come_again_as_redelivered() {
    let mut state = on_disk();
    let link = open(&mut state, 1, None);
    subscribe(&mut state, 1);
    publish(&mut state, 1);
    publish(&mut state, 1);
    state.pump(u64::MAX);
    // A crash from here on leaves both as maybe seen.
    let sequences: Vec<_> = marks(&state.take_effects());
    let [(first, true), (second, true)] = sequences[..] else {
        panic!("{sequences:?}")
    };
    assert_ne!(first, second);
    link.offered.store(1, Ordering::SeqCst);
    state.step(Input::Closed(1));
    assert_eq!(marks(&state.take_effects()), [(second, false)]);
    open(&mut state, 11, None);
    subscribe(&mut state, 11);
    state.pump(u64::MAX);
    let effects = state.take_effects();
    let again: Vec<_> = deliveries(&effects)
        .iter()
        .map(|delivery| delivery.redelivered)
        .collect();
    assert_eq!(again, [true, false]);
}

#[tokio::test]
async fn an_unused_subscription_is_removed_after_seven_days_and_a_used_one_is_not() {
    let mut state = on_disk();
    for id in 1..=2 {
        open(&mut state, id, None);
        subscribe(&mut state, id);
        publish(&mut state, id);
    }
    state.step(Input::Closed(1));
    state.set_now(7 * DAY_MS);
    state.drop_unused();
    assert_eq!(state.durable.len(), 2);
    state.take_effects();
    state.set_now(7 * DAY_MS + 1000);
    state.drop_unused();
    assert_eq!(
        state.durable.keys().collect::<Vec<_>>(),
        [&("client-2".to_owned(), "s".to_owned())]
    );
    let effects = state.take_effects();
    assert!(
        effects
            .changes
            .iter()
            .any(|change| matches!(change, Change::Remove { .. }))
    );
    // Held until now, so its seven days begin now.
    state.step(Input::Closed(2));
    state.set_now(14 * DAY_MS);
    state.drop_unused();
    assert_eq!(state.durable.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_holder_silent_for_three_beats_is_cut_for_the_next() {
    let mut state = on_disk();
    let link = open(&mut state, 1, Some(Duration::from_secs(3)));
    subscribe(&mut state, 1);
    tokio::time::advance(Duration::from_millis(2900)).await;
    open(&mut state, 11, None);
    subscribe(&mut state, 11);
    let effects = state.take_effects();
    assert_eq!(
        errors(&effects),
        ["durable subscription \"s\" of client \"client-1\" is already connected"]
    );
    assert!(!link.cut.is_cancelled());
    tokio::time::advance(Duration::from_millis(200)).await;
    open(&mut state, 21, None);
    subscribe(&mut state, 21);
    assert!(errors(&state.take_effects()).is_empty());
    assert!(link.cut.is_cancelled());
}

#[tokio::test]
async fn a_subscriber_that_is_too_slow_for_its_own_message_takes_nobody_with_it() {
    let limits = Limits {
        backlog_messages: 0,
        prefetch: 1,
        ..Limits::default()
    };
    let mut state = with(limits, None);
    open(&mut state, 1, None);
    for (id, destination) in [("a", "/topic/t"), ("b", "/topic/*")] {
        let frame = Frame::new(Command::Subscribe)
            .with("id", id)
            .with("destination", destination);
        say(&mut state, 1, frame);
    }
    publish(&mut state, 1);
    assert_eq!(errors(&state.take_effects()).len(), 1);
    assert!(state.queues.is_empty());
}

#[tokio::test]
async fn what_was_handed_over_before_an_error_comes_again_as_redelivered() {
    let mut state = on_disk();
    open(&mut state, 1, None);
    subscribe(&mut state, 1);
    publish(&mut state, 1);
    state.pump(u64::MAX);
    // It is written before the ERROR, though nothing was by now.
    say(&mut state, 1, Frame::new(Command::Nack).with("id", "1"));
    open(&mut state, 11, None);
    subscribe(&mut state, 11);
    state.take_effects();
    state.pump(u64::MAX);
    let effects = state.take_effects();
    assert!(deliveries(&effects)[0].redelivered);
    assert_eq!(marks(&effects), [], "the disk knows already");
}

#[tokio::test]
async fn messages_in_memory_are_bounded_in_all() {
    let limits = Limits {
        memory_bytes_in_all: 1000,
        prefetch: 1,
        ..Limits::default()
    };
    let mut state = with(limits, None);
    for id in 1..=3 {
        open(&mut state, id, None);
        subscribe(&mut state, id);
    }
    for _ in 0..100 {
        publish(&mut state, 1);
    }
    let bytes = state.memory.bytes();
    assert!((900..=1000).contains(&bytes), "{bytes}");
    let waiting = state.queues.values().map(|queue| queue.entries.len());
    // Each message is held once for all three.
    assert_eq!(waiting.collect::<Vec<_>>(), [16, 16, 16]);
}

#[tokio::test]
async fn what_is_delivered_and_not_acknowledged_is_bounded_in_memory() {
    let limits = Limits {
        memory_bytes: 30_000,
        ..Limits::default()
    };
    for durable in [true, false] {
        let mut state = with(limits.clone(), Some(Found::default()));
        open(&mut state, 1, None);
        let mut frame = Frame::new(Command::Subscribe)
            .with("id", "s")
            .with("destination", "/topic/t")
            .with("ack", "client-individual")
            .with("prefetch-count", "1000");
        if durable {
            frame = frame.with("durable", "true");
        }
        say(&mut state, 1, frame);
        let mut delivered = 0;
        for _ in 0..100 {
            let frame = Frame::new(Command::Send).with("destination", "/topic/t");
            say(&mut state, 1, frame.with_body("x".repeat(1000)));
            state.pump(u64::MAX);
            delivered += deliveries(&state.take_effects()).len();
        }
        let bytes = state.memory.bytes();
        if durable {
            // They come again if it goes, so they are held; what finds no room is not kept for it.
            assert!((25_000..=30_000).contains(&bytes), "{bytes}");
            assert!(delivered < 30, "{delivered}");
            let acknowledge = Frame::new(Command::Ack).with("id", "1");
            say(&mut state, 1, acknowledge);
            assert!(state.memory.bytes() < bytes);
        } else {
            assert_eq!((delivered, bytes), (100, 0));
        }
    }
}

/// A durable subscriber that asks for much and reads nothing, and 400 messages of 10 kB for it.
fn much_for_one(limits: Limits, mut between: impl FnMut(&mut State)) -> State {
    let mut state = with(limits, Some(Found::default()));
    open(&mut state, 1, None);
    let frame = Frame::new(Command::Subscribe)
        .with("id", "s")
        .with("destination", "/topic/t")
        .with("ack", "client-individual")
        .with("activemq.prefetchSize", "1000")
        .with("durable", "true");
    say(&mut state, 1, frame);
    for _ in 0..400 {
        let frame = Frame::new(Command::Send)
            .with("destination", "/topic/t")
            .with("persistent", "true");
        say(&mut state, 1, frame.with_body("x".repeat(10_000)));
        between(&mut state);
        state.take_effects();
    }
    state
}

#[tokio::test]
async fn a_durable_subscriber_that_does_not_read_takes_no_memory_for_what_lies_on_disk() {
    let outgoing = Limits::default().outgoing_bytes as u64;
    let state = much_for_one(Limits::default(), |state| state.pump(u64::MAX));
    assert_eq!(state.memory.bytes(), 0);
    // Within one batch: what will fit on the connection.
    let mut state = much_for_one(Limits::default(), |_| {});
    let bytes = state.memory.bytes();
    assert!((outgoing..outgoing + 20_000).contains(&bytes), "{bytes}");
    state.step(Input::Closed(1));
    assert_eq!(state.memory.bytes(), 0);
    let waiting: usize = state.queues.values().map(|queue| queue.entries.len()).sum();
    assert_eq!(waiting, 400);
}

#[tokio::test]
async fn above_the_limit_in_all_what_lies_on_disk_is_read_from_there() {
    let limits = Limits {
        memory_bytes_in_all: 100_000,
        ..Limits::default()
    };
    let mut state = much_for_one(limits, |_| {});
    let bytes = state.memory.bytes();
    assert!((90_000..120_000).contains(&bytes), "{bytes}");
    state.pump(u64::MAX);
    let effects = state.take_effects();
    let (read, kept): (Vec<_>, Vec<_>) = deliveries(&effects)
        .into_iter()
        .partition(|delivery| delivery.message.is_none());
    assert!(
        read.len() > 90 && kept.len() > 8,
        "{} {}",
        read.len(),
        kept.len()
    );
}

#[tokio::test]
async fn queues_take_turns_at_the_disk() {
    let queues = (1..=2).map(|queue| {
        let durable = Durable {
            client_id: format!("client-{queue}"),
            name: "s".to_owned(),
            destination: "/topic/t".to_owned(),
            used_s: 0,
        };
        (queue, durable)
    });
    let waiting = (1..=40).map(|sequence| Waiting {
        queue: 1 + sequence % 2,
        sequence,
        bytes: 100,
        expires_ms: 0,
        redelivered: false,
    });
    let found = Found {
        starts: 2,
        queues: queues.collect(),
        waiting: waiting.collect(),
        disk_bytes: 4000,
    };
    let limits = Limits {
        prefetch: 3,
        ..Limits::default()
    };
    let mut state = with(limits, Some(found));
    for id in 1..=2 {
        open(&mut state, id, None);
        subscribe(&mut state, id);
    }
    // The first takes the whole budget to the byte, and is ready for more each time.
    for budget in [300, 250] {
        let mut served = Vec::new();
        for _ in 0..4 {
            state.pump(budget);
            let effects = state.take_effects();
            let mut acks = Vec::new();
            for (link, output) in &effects.outputs {
                if let Output::Deliver(delivery) = output {
                    acks.push((link.client_id.clone(), delivery.ordinal));
                }
            }
            served.push(acks[0].0.clone());
            assert!(acks.iter().all(|(client, _)| *client == acks[0].0));
            for (client, ordinal) in acks {
                let id = if client == "client-1" { 1 } else { 2 };
                let ack = Frame::new(Command::Ack).with("id", &ordinal.to_string());
                say(&mut state, id, ack);
            }
        }
        assert_eq!(served, ["client-1", "client-2", "client-1", "client-2"]);
    }
}
