//! From the queues to the connections, and back with ACK.

use std::sync::{Arc, atomic::Ordering};

use stomp::Frame;

use super::{
    Connection, Effects, InFlight, Refusal, State,
    queue::{AckMode, Consumer, Entry, QueueId},
};
use crate::{
    link::{ConnectionId, Delivery, Output},
    store::Change,
};

impl State {
    /// Hands on what the subscribers have room for, reading about `disk_budget` bytes at most from disk. Queues take turns:
    /// the next call begins after the queue that this one served last.
    pub(crate) fn pump(&mut self, mut disk_budget: u64) {
        let mut turns = self.ready.clone();
        let later = turns.split_off(&(self.served_last + 1));
        for queue in later.into_iter().chain(turns) {
            let was_left = disk_budget;
            let done = self.pump_queue(queue, &mut disk_budget);
            if done || was_left > 0 {
                self.served_last = queue;
            }
            if !done {
                return;
            }
            self.ready.remove(&queue);
        }
    }

    /// False when the budget is used up.
    fn pump_queue(&mut self, id: QueueId, disk_budget: &mut u64) -> bool {
        let Some(queue) = self.queues.get_mut(&id) else {
            return true;
        };
        let consumer = queue.consumer.as_ref();
        let Some((to, mut credit)) = consumer.map(|it| (it.connection, it.credit())) else {
            return true;
        };
        let Some(connection) = self.connections.get_mut(&to) else {
            return true;
        };
        let mut expired = Vec::new();
        let mut in_budget = true;
        while credit > 0 && !connection.is_full(self.limits.outgoing_bytes) {
            in_budget = *disk_budget > 0;
            let next = if in_budget { queue.pop() } else { None };
            let Some(entry) = next else { break };
            if entry.is_past(self.now_ms) {
                expired.push(entry);
                continue;
            }
            if entry.message.is_none() {
                *disk_budget = disk_budget.saturating_sub(entry.bytes.max(1));
            }
            credit -= 1;
            let comes_again = queue.durable.is_some();
            let consumer = queue.consumer.as_mut().expect("it has credit");
            connection.deliver(id, consumer, entry, comes_again, &mut self.effects);
        }
        for entry in expired {
            self.settle(id, &entry);
        }
        in_budget
    }

    pub(super) fn acknowledge(&mut self, id: ConnectionId, frame: &Frame) -> Result<(), Refusal> {
        let named = frame.header("id").ok_or("ACK needs an id")?;
        let unknown = || Refusal(format!("ACK of {named:?}, which is not on its way"));
        let ordinal: u64 = named.parse().map_err(|_| unknown())?;
        let connection = self.connections.get_mut(&id).expect("it sent this frame");
        let queue = connection
            .in_flight
            .get(&ordinal)
            .ok_or_else(unknown)?
            .queue;
        let consumer = self.queues[&queue].consumer.as_ref();
        let ack = consumer.map_or(AckMode::Individual, |consumer| consumer.ack);
        let first = match ack {
            AckMode::Auto => return Err(unknown()),
            AckMode::Client => 0,
            AckMode::Individual => ordinal,
        };
        let done = connection
            .in_flight
            .extract_if(first..=ordinal, |_, in_flight| in_flight.queue == queue);
        let done: Vec<_> = done.map(|(_, in_flight)| in_flight).collect();
        self.dealt_with(done);
        Ok(())
    }

    /// The transport took something: automatic acknowledgements, and room for more.
    pub(super) fn flushed(&mut self, id: ConnectionId) {
        self.settle_written(id);
        if let Some(connection) = self.connections.get(&id) {
            self.ready.extend(connection.subscriptions.values());
        }
    }

    /// With `ack:auto` a delivery is dealt with once it was written.
    pub(super) fn settle_written(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        let queues = &self.queues;
        let automatic = |queue: &QueueId| {
            let consumer = queues.get(queue).and_then(|queue| queue.consumer.as_ref());
            consumer.is_some_and(|consumer| consumer.ack == AckMode::Auto)
        };
        if !connection.subscriptions.values().any(automatic) {
            return;
        }
        // Asked first, looked second: no write between the two is missed.
        connection.link.wants_flushed.store(true, Ordering::SeqCst);
        let written = connection.link.written.load(Ordering::SeqCst);
        let done = connection
            .in_flight
            .extract_if(..=written, |_, in_flight| automatic(&in_flight.queue));
        let done = done.map(|(_, in_flight)| in_flight).collect();
        self.dealt_with(done);
    }

    fn dealt_with(&mut self, done: Vec<InFlight>) {
        for InFlight { queue, entry } in done {
            self.settle(queue, &entry);
            if let Some(consumer) = self
                .queues
                .get_mut(&queue)
                .and_then(|queue| queue.consumer.as_mut())
            {
                consumer.in_flight -= 1;
                if entry.message.is_some() {
                    consumer.held_bytes -= entry.bytes;
                }
            }
            self.ready.insert(queue);
        }
    }
}

impl Connection {
    /// Hands on a message.
    fn deliver(
        &mut self,
        queue: QueueId,
        consumer: &mut Consumer,
        mut entry: Entry,
        comes_again: bool,
        effects: &mut Effects,
    ) {
        let sequence = entry.sequence;
        // What lies on disk, or is not delivered again, need not stay in memory until it is acknowledged.
        let message = if entry.on_disk || !comes_again {
            entry.message.take()
        } else {
            consumer.held_bytes += entry.bytes;
            entry.message.clone()
        };
        let ordinal = self.next_ordinal;
        self.next_ordinal += 1;
        consumer.in_flight += 1;
        let bytes = usize::try_from(entry.bytes).unwrap_or(usize::MAX);
        self.link.queued_bytes.fetch_add(bytes, Ordering::SeqCst);
        if consumer.ack == AckMode::Auto {
            self.link.wants_flushed.store(true, Ordering::SeqCst);
        }
        let delivery = Delivery {
            subscription: Arc::clone(&consumer.subscription),
            ordinal,
            wants_ack: consumer.ack != AckMode::Auto,
            redelivered: entry.redelivered,
            sequence,
            bytes,
            message,
        };
        let output = (Arc::clone(&self.link), Output::Deliver(delivery));
        effects.outputs.push(output);
        if entry.on_disk && !entry.redelivered {
            // In the commit before the delivery, so that a crash cannot hide it.
            effects.changes.push(Change::Mark {
                queue,
                sequence,
                redelivered: true,
            });
        }
        self.in_flight.insert(ordinal, InFlight { queue, entry });
    }

    /// Whether what is handed on next goes out at once, after `waiting` bytes that do so too.
    pub(super) fn has_room(&self, waiting: u64, limit: usize) -> bool {
        let queued = self.link.queued_bytes.load(Ordering::SeqCst) as u64;
        queued + waiting < limit as u64
    }

    /// True when enough is on its way; the connection then says when there is room.
    fn is_full(&self, limit: usize) -> bool {
        if self.link.queued_bytes.load(Ordering::SeqCst) < limit {
            return false;
        }
        self.link.wants_flushed.store(true, Ordering::SeqCst);
        // The last write may have ended between the two.
        self.link.queued_bytes.load(Ordering::SeqCst) >= limit
    }
}
