//! SEND: to whom a message goes, and what happens at the limits.

use std::sync::Arc;

use stomp::Frame;

use super::{
    Held, Refusal, State,
    queue::{Entry, QueueId},
};
use crate::{link::ConnectionId, message::Message, store::Change, topic};

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
        let persistent = self.lasting && frame.header("persistent") == Some("true");
        let message = Arc::new(Message::new(destination, frame));
        let bytes = message.bytes() as u64;
        let lasts = persistent && wanted_by.iter().any(|id| self.queues[id].durable.is_some());
        if lasts && self.disk_bytes + bytes > self.limits.disk_bytes {
            let limit = self.limits.disk_bytes;
            return Err(Refusal(format!(
                "messages on disk are at their limit of {limit} bytes"
            )));
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        if lasts {
            self.change(Change::Put {
                sequence,
                message: Arc::clone(&message),
            });
        }
        for id in wanted_by {
            self.enqueue(id, sequence, bytes, persistent, &message);
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

    fn enqueue(
        &mut self,
        id: QueueId,
        sequence: u64,
        bytes: u64,
        persistent: bool,
        message: &Arc<Message>,
    ) {
        let Some(queue) = self.queues.get_mut(&id) else {
            // It went with its connection, which was too slow for this very message.
            return;
        };
        let on_disk = persistent && queue.durable.is_some();
        // What is delivered at once need not be read again; a backlog must not fill the memory.
        let credit = queue
            .consumer
            .as_ref()
            .map_or(0, super::queue::Consumer::credit);
        let at_once = queue.entries.len() < credit;
        if !on_disk && !at_once && queue.memory_bytes + bytes > self.limits.memory_bytes {
            return self.memory_is_full(id);
        }
        queue.push(Entry {
            sequence,
            bytes,
            redelivered: false,
            on_disk,
            message: (!on_disk || at_once).then(|| Arc::clone(message)),
        });
        if on_disk {
            self.hold(sequence, bytes);
            self.change(Change::Wait {
                queue: id,
                sequence,
                bytes,
                redelivered: false,
            });
        }
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
        let name = self.queues[&id].name().to_owned();
        let message = format!("subscription {name:?} is too slow: its backlog is at its limit");
        self.refuse(connection, message, None);
    }

    /// One more subscription wants a message on disk.
    pub(super) fn hold(&mut self, sequence: u64, bytes: u64) {
        let held = self.held.entry(sequence).or_insert_with(|| {
            self.disk_bytes += bytes;
            Held {
                wanted_by: 0,
                bytes,
            }
        });
        held.wanted_by += 1;
    }

    /// A subscription is done with a message; the last one takes it off the disk.
    pub(super) fn settle(&mut self, queue: QueueId, entry: &Entry) {
        if !entry.on_disk {
            return;
        }
        let sequence = entry.sequence;
        self.change(Change::Settle { queue, sequence });
        let Some(held) = self.held.get_mut(&sequence) else {
            return;
        };
        held.wanted_by -= 1;
        if held.wanted_by == 0 {
            self.disk_bytes -= held.bytes;
            self.held.remove(&sequence);
            self.change(Change::Forget { sequence });
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
