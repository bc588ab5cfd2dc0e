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

const DAY_S: i64 = 24 * 3600;

fn on_disk() -> State {
    State::new(Limits::default(), Some(Found::default()), 0)
}

fn open(state: &mut State, id: ConnectionId, silence: Option<Duration>) -> Arc<Link> {
    // Nothing here reads what is sent: outputs are looked at before they are.
    let (outgoing, _) = mpsc::channel(1);
    let link = Arc::new(Link {
        client_id: format!("client-{}", id % 10),
        outgoing,
        cut: CancellationToken::new(),
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
    state.step(Input::Frame(id, frame));
}

fn publish(state: &mut State, id: ConnectionId) {
    let frame = Frame::new(Command::Send)
        .with("destination", "/topic/t")
        .with("persistent", "true");
    state.step(Input::Frame(id, frame.with_body("body")));
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

fn is_forget(change: &Change) -> bool {
    matches!(change, Change::Forget { .. })
}

#[tokio::test]
async fn a_message_for_many_is_stored_once_and_forgotten_with_the_last_ack() {
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
    for id in 1..=3 {
        assert_eq!(state.disk_bytes, "/topic/t".len() as u64 + 14 + 4);
        let ack = Frame::new(Command::Ack).with("id", "1");
        state.step(Input::Frame(id, ack));
        let effects = state.take_effects();
        assert_eq!(count(&effects, is_forget), usize::from(id == 3));
    }
    assert_eq!(state.disk_bytes, 0);
    assert!(state.held.is_empty());
}

#[tokio::test]
async fn nobody_wants_it_so_nothing_is_stored() {
    let mut state = on_disk();
    open(&mut state, 1, None);
    publish(&mut state, 1);
    assert_eq!(state.take_effects().changes, []);
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
        redelivered: false,
    });
    let found = Found {
        starts: 2,
        queues: vec![(1, durable)],
        waiting: waiting.collect(),
    };
    let mut state = State::new(Limits::default(), Some(found), 0);
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
async fn only_deliveries_that_the_transport_took_come_again_as_redelivered() {
    let mut state = on_disk();
    let link = open(&mut state, 1, None);
    subscribe(&mut state, 1);
    publish(&mut state, 1);
    publish(&mut state, 1);
    state.pump(u64::MAX);
    link.written.store(1, Ordering::SeqCst);
    state.step(Input::Closed(1));
    state.take_effects();
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
    state.set_now(7 * DAY_S);
    state.sweep();
    assert_eq!(state.durable.len(), 2);
    state.take_effects();
    state.set_now(7 * DAY_S + 1);
    state.sweep();
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
    state.set_now(14 * DAY_S);
    state.sweep();
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
    let mut state = State::new(limits, None, 0);
    open(&mut state, 1, None);
    for (id, destination) in [("a", "/topic/t"), ("b", "/topic/*")] {
        let frame = Frame::new(Command::Subscribe)
            .with("id", id)
            .with("destination", destination);
        state.step(Input::Frame(1, frame));
    }
    publish(&mut state, 1);
    assert_eq!(errors(&state.take_effects()).len(), 1);
    assert!(state.queues.is_empty());
}
