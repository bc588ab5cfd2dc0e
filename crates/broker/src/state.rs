//! Who waits for what: decided here, without I/O.
//!
//! The core feeds [`State::step`] with a batch of inputs, calls [`State::pump`], makes the [`Effects`] last and only then
//! lets the connections see them. So a receipt is always later than the disk.

mod deliver;
mod expiry;
mod publish;
mod queue;
mod subscribe;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, atomic::Ordering},
};

use stomp::{Command, Frame};

use crate::{
    link::{ConnectionId, Input, Link, Output},
    message::Memory,
    settings::Limits,
    store::{Change, Durable, Found, PER_START_BITS},
    topic::Pattern,
};
use queue::{Entry, Queue, QueueId};

/// What is to be done about a batch, in this order: the changes on disk, then the outputs.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    pub(crate) changes: Vec<Change>,
    pub(crate) outputs: Vec<(Arc<Link>, Output)>,
}

/// Why a frame is answered with ERROR.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) String);

impl<T: Into<String>> From<T> for Refusal {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

#[derive(Debug)]
struct Connection {
    link: Arc<Link>,
    subscriptions: HashMap<String, QueueId>,
    in_flight: BTreeMap<u64, InFlight>,
    next_ordinal: u64,
}

/// A receipt is kept in memory until the peer takes it.
const RECEIPT_BYTES: usize = 256;

#[derive(Debug)]
struct InFlight {
    queue: QueueId,
    entry: Entry,
}

#[derive(Debug)]
pub(crate) struct State {
    limits: Limits,
    /// Whether there is a disk.
    lasting: bool,
    now_ms: u64,
    /// The start of the broker and a counter within it: a sequence is never used twice.
    next_sequence: u64,
    next_queue: QueueId,
    connections: HashMap<ConnectionId, Connection>,
    queues: HashMap<QueueId, Queue>,
    /// Client-id and name → queue.
    durable: HashMap<(String, String), QueueId>,
    exact: HashMap<String, BTreeSet<QueueId>>,
    wild: BTreeSet<QueueId>,
    /// Bytes on disk after the last commit, and what was added since.
    disk_bytes: u64,
    memory: Memory,
    /// Queues that may have something to deliver.
    ready: BTreeSet<QueueId>,
    /// The one whose turn it was last.
    served_last: QueueId,
    effects: Effects,
}

impl State {
    pub(crate) fn new(limits: Limits, found: Option<Found>, memory: Memory, now_ms: u64) -> Self {
        let lasting = found.is_some();
        let found = found.unwrap_or_default();
        let mut state = Self {
            limits,
            lasting,
            now_ms,
            next_sequence: (found.starts << PER_START_BITS) + 1,
            next_queue: 1,
            connections: HashMap::new(),
            queues: HashMap::new(),
            durable: HashMap::new(),
            exact: HashMap::new(),
            wild: BTreeSet::new(),
            disk_bytes: found.disk_bytes,
            memory,
            ready: BTreeSet::new(),
            served_last: 0,
            effects: Effects::default(),
        };
        for (id, durable) in found.queues {
            state.next_queue = state.next_queue.max(id + 1);
            let Ok(pattern) = Pattern::parse(&durable.destination) else {
                tracing::error!(
                    subscription = durable.name,
                    "stored subscription is unreadable"
                );
                continue;
            };
            state.add_queue(id, Queue::new(pattern, Some(durable)));
        }
        for waiting in found.waiting {
            let Some(queue) = state.queues.get_mut(&waiting.queue) else {
                continue;
            };
            queue.push(Entry {
                sequence: waiting.sequence,
                bytes: waiting.bytes,
                expires_ms: waiting.expires_ms,
                redelivered: waiting.redelivered,
                on_disk: true,
                message: None,
            });
        }
        state
    }

    /// Takes one input in.
    pub(crate) fn step(&mut self, input: Input) {
        match input {
            Input::Opened(id, link) => {
                let connection = Connection {
                    link,
                    subscriptions: HashMap::new(),
                    in_flight: BTreeMap::new(),
                    next_ordinal: 1,
                };
                self.connections.insert(id, connection);
            }
            Input::Frame(id, frame, _share) => self.frame(id, frame),
            Input::Broken(id, message) => self.refuse(id, message, None),
            Input::Leave(id) => self.leave(id, Output::Close),
            Input::Flushed(id) => self.flushed(id),
            Input::Closed(id) => {
                if let Some(connection) = self.connections.get(&id) {
                    let offered = connection.link.offered.load(Ordering::SeqCst);
                    self.forget(id, offered);
                }
            }
        }
    }

    /// What happened since the last call.
    pub(crate) fn take_effects(&mut self) -> Effects {
        std::mem::take(&mut self.effects)
    }

    /// True when something of what happened must last.
    pub(crate) fn has_changes(&self) -> bool {
        !self.effects.changes.is_empty()
    }

    /// True when nothing happened but up to `most` settled messages, of which nobody waits to hear.
    pub(crate) fn has_only_settled(&self, most: usize) -> bool {
        let Effects { changes, outputs } = &self.effects;
        let settled = |change: &Change| matches!(change, Change::Settle { .. });
        (1..=most).contains(&changes.len()) && outputs.is_empty() && changes.iter().all(settled)
    }

    /// True when [`State::pump`] stopped for the size of a batch and goes on with the next.
    pub(crate) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Wall time, milliseconds since 1970 UTC.
    pub(crate) fn set_now(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// What the store takes on disk after a commit.
    pub(crate) fn set_disk_bytes(&mut self, bytes: u64) {
        self.disk_bytes = bytes;
    }

    fn now_s(&self) -> i64 {
        i64::try_from(self.now_ms / 1000).unwrap_or(i64::MAX)
    }

    fn frame(&mut self, id: ConnectionId, frame: Frame) {
        if !self.connections.contains_key(&id) {
            // It has been told ERROR, or has said DISCONNECT.
            return;
        }
        let receipt = frame.header("receipt").map(str::to_owned);
        if receipt.as_ref().is_some_and(|it| it.len() > RECEIPT_BYTES) {
            let message = format!("the header receipt has more than {RECEIPT_BYTES} bytes");
            return self.refuse(id, message, None);
        }
        let done = match frame.command {
            _ if frame.header("transaction").is_some() => Err("there are no transactions here".into()),
            Command::Send => self.publish(frame),
            Command::Subscribe => self.subscribe(id, &frame),
            Command::Unsubscribe => self.unsubscribe(id, &frame),
            Command::Ack => self.acknowledge(id, &frame),
            Command::Disconnect => {
                if let Some(receipt) = receipt {
                    self.output(id, Output::Receipt(receipt));
                }
                return self.leave(id, Output::Close);
            }
            Command::Nack => Err("there is no NACK here: what is not acknowledged comes again on the next connection".into()),
            Command::Begin | Command::Commit | Command::Abort => {
                Err("there are no transactions here".into())
            }
            Command::Connect | Command::Stomp => Err("already connected".into()),
            Command::Connected | Command::Message | Command::Receipt | Command::Error => {
                Err(Refusal(format!("{} is for servers to send", frame.command)))
            }
        };
        match (done, receipt) {
            (Ok(()), Some(receipt)) => self.output(id, Output::Receipt(receipt)),
            (Ok(()), None) => {}
            (Err(Refusal(message)), receipt_id) => self.refuse(id, message, receipt_id),
        }
    }

    fn output(&mut self, id: ConnectionId, output: Output) {
        if let Some(connection) = self.connections.get(&id) {
            let link = Arc::clone(&connection.link);
            self.effects.outputs.push((link, output));
        }
    }

    fn refuse(&mut self, id: ConnectionId, message: String, receipt_id: Option<String>) {
        if let Some(connection) = self.connections.get(&id) {
            let client_id = &connection.link.client_id;
            tracing::warn!(connection = id, client_id, "refused: {message}");
        }
        self.leave(
            id,
            Output::Error {
                message,
                receipt_id,
            },
        );
    }

    /// A connection ends from this side: its subscriptions are free at once, its last words follow.
    fn leave(&mut self, id: ConnectionId, last: Output) {
        // What was handed over is still written before that.
        if let Some(link) = self.forget(id, u64::MAX) {
            self.effects.outputs.push((link, last));
        }
    }

    /// Forgets a connection, whose peer may have seen the deliveries up to `seen`.
    fn forget(&mut self, id: ConnectionId, seen: u64) -> Option<Arc<Link>> {
        let connection = self.connections.get_mut(&id)?;
        let subscriptions = std::mem::take(&mut connection.subscriptions);
        for queue in subscriptions.into_values() {
            self.detach(id, queue, seen);
        }
        Some(self.connections.remove(&id)?.link)
    }

    fn add_queue(&mut self, id: QueueId, queue: Queue) {
        if let Some(durable) = &queue.durable {
            let key = (durable.client_id.clone(), durable.name.clone());
            self.durable.insert(key, id);
        }
        match &queue.pattern {
            Pattern::Exact(name) => {
                self.exact.entry(name.clone()).or_default().insert(id);
            }
            Pattern::Words { .. } => {
                self.wild.insert(id);
            }
        }
        self.queues.insert(id, queue);
    }

    /// Takes a queue out of the lists, to be put back or dropped.
    fn unlist(&mut self, id: QueueId) -> Option<Queue> {
        let queue = self.queues.remove(&id)?;
        match &queue.pattern {
            Pattern::Exact(name) => {
                if let Some(queues) = self.exact.get_mut(name) {
                    queues.remove(&id);
                    if queues.is_empty() {
                        self.exact.remove(name);
                    }
                }
            }
            Pattern::Words { .. } => {
                self.wild.remove(&id);
            }
        }
        self.ready.remove(&id);
        if let Some(Durable {
            client_id, name, ..
        }) = &queue.durable
        {
            self.durable.remove(&(client_id.clone(), name.clone()));
        }
        Some(queue)
    }

    /// Forgets a queue, with the messages that only it wanted.
    fn remove_queue(&mut self, id: QueueId) {
        let Some(queue) = self.unlist(id) else {
            return;
        };
        for entry in &queue.entries {
            self.settle(id, entry);
        }
        if queue.durable.is_some() {
            self.change(Change::Remove { queue: id });
        }
    }

    fn change(&mut self, change: Change) {
        if self.lasting {
            self.effects.changes.push(change);
        }
    }
}
