//! SEND: to whom a message goes, and what happens at the limits.

use std::sync::Arc;

use stomp::Frame;

use super::{
    Refusal, State,
    queue::{Entry, QueueId},
};
use crate::{
    link::ConnectionId,
    message::{self, Message},
    store::Change,
    topic,
};

/// Losses are logged at the first and then at every so many.
const LOSSES_PER_WARNING: u64 = 1000;

impl State {
    pub(super) fn publish(&mut self, frame: Frame) -> Result<(), Refusal> {
        let destination = frame
            .header("destination")
            .ok_or("SEND needs a destination")?
            .to_owned();
        let name = topic::name(&destination).map_err(|error| error.to_string())?;
        let wanted_by = self.who_wants(name);
        let expires_ms = message::expires_ms(&frame, self.now_ms)?;
        if wanted_by.is_empty() || (expires_ms > 0 && expires_ms <= self.now_ms) {
            return Ok(());
        }
        let persistent = self.lasting && frame.header("persistent") == Some("true");
        let message = Message::new(&destination, &frame, expires_ms, &self.memory);
        let message = Arc::new(message);
        let bytes = message.bytes() as u64;
        let durable = wanted_by.iter().copied();
        let durable = durable.filter(|id| persistent && self.queues[id].durable.is_some());
        let queues: Vec<QueueId> = durable.collect();
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if !queues.is_empty() {
            if self.disk_bytes + bytes > self.limits.disk_bytes {
                let limit = self.limits.disk_bytes;
                return Err(Refusal(format!(
                    "messages on disk are at their limit of {limit} bytes"
                )));
            }
            self.disk_bytes += bytes;
            self.change(Change::Put {
                sequence,
                expires_ms,
                message: Arc::clone(&message),
                queues,
            });
        }
        for id in wanted_by {
            let entry = Entry {
                sequence,
                bytes,
                expires_ms,
                redelivered: false,
                on_disk: false,
                message: None,
            };
            self.enqueue(id, entry, persistent, &message);
        }
        Ok(())
    }

    fn who_wants(&self, name: &str) -> Vec<QueueId> {
        let exact = self.exact.get(name).into_iter().flatten().copied();
        let wild = self.wild.iter().copied();
        exact
            .chain(wild.filter(|id| self.queues[id].pattern.matches(name)))
            .collect()
    }

    fn enqueue(&mut self, id: QueueId, mut entry: Entry, persistent: bool, message: &Arc<Message>) {
        let Some(queue) = self.queues.get_mut(&id) else {
            // It went with its connection, which was too slow for this very message.
            return;
        };
        entry.on_disk = persistent && queue.durable.is_some();
        // What is delivered at once need not be read again; a backlog must not fill the memory.
        let at_once = queue.consumer.as_ref().is_some_and(|consumer| {
            let connection = self.connections.get(&consumer.connection);
            queue.entries.len() < consumer.credit()
                && connection.is_some_and(|it| it.has_room(queue.bytes, self.limits.outgoing_bytes))
        });
        let in_all_is_full = self.memory.bytes() > self.limits.memory_bytes_in_all;
        // One without durability holds nothing of what is delivered at once: it does not come again.
        let held = !entry.on_disk && (!at_once || queue.durable.is_some());
        let queue_is_full = queue.held_in_memory() + entry.bytes > self.limits.memory_bytes;
        if held && (queue_is_full || in_all_is_full) {
            return self.memory_is_full(id);
        }
        let kept = !entry.on_disk || (at_once && !in_all_is_full);
        entry.message = kept.then(|| Arc::clone(message));
        queue.push(entry);
        self.ready.insert(id);
        self.keep_within_backlog(id);
    }

    /// A message that is not on disk finds no room: a durable subscription does without it, another one has lost its right.
    fn memory_is_full(&mut self, id: QueueId) {
        let queue = self.queues.get_mut(&id).expect("the caller has it");
        match (&queue.durable, &queue.consumer) {
            (None, Some(consumer)) => {
                let connection = consumer.connection;
                self.refuse_slow(connection, id);
            }
            _ => queue.count_loss("memory limit reached, a non-persistent message was not kept"),
        }
    }

    fn keep_within_backlog(&mut self, id: QueueId) {
        let (messages, bytes) = (self.limits.backlog_messages, self.limits.backlog_bytes);
        while let Some(queue) = self.queues.get_mut(&id)
            && (queue.entries.len() > messages || queue.bytes > bytes)
        {
            if let (None, Some(consumer)) = (&queue.durable, &queue.consumer) {
                let connection = consumer.connection;
                return self.refuse_slow(connection, id);
            }
            let Some(oldest) = queue.pop() else { return };
            queue.count_loss("backlog limit reached, the oldest message was dropped");
            self.settle(id, &oldest);
        }
    }

    fn refuse_slow(&mut self, connection: ConnectionId, id: QueueId) {
        let subscriptions = self.connections.get(&connection);
        let mut subscriptions = subscriptions.into_iter().flat_map(|it| &it.subscriptions);
        let name = subscriptions.find(|(_, queue)| **queue == id);
        let name = name.map_or("", |(name, _)| name);
        let message = format!("subscription {name:?} is too slow: its backlog is at its limit");
        self.refuse(connection, message, None);
    }

    /// A subscription is done with a message.
    pub(super) fn settle(&mut self, queue: QueueId, entry: &Entry) {
        if entry.on_disk {
            let sequence = entry.sequence;
            self.change(Change::Settle { queue, sequence });
        }
    }
}

impl super::queue::Queue {
    fn count_loss(&mut self, what: &str) {
        if self.lost.is_multiple_of(LOSSES_PER_WARNING) {
            tracing::warn!(subscription = self.name(), lost = self.lost + 1, "{what}");
        }
        self.lost += 1;
    }
}
