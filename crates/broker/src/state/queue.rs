//! What waits for one subscription.

use std::{collections::VecDeque, sync::Arc};

use crate::{link::ConnectionId, message::Message, store::Durable, topic::Pattern};

pub(super) type QueueId = u64;

/// A message that waits. Bodies of persistent messages lie on disk; this is their index in memory.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) sequence: u64,
    pub(super) bytes: u64,
    /// When it is to be thrown away, milliseconds since 1970 UTC; 0 for never.
    pub(super) expires_ms: u64,
    /// Somebody may have seen it.
    pub(super) redelivered: bool,
    pub(super) on_disk: bool,
    /// The message itself, where it is not on disk, or about to be delivered.
    pub(super) message: Option<Arc<Message>>,
}

impl Entry {
    pub(super) fn is_past(&self, now_ms: u64) -> bool {
        self.expires_ms > 0 && self.expires_ms <= now_ms
    }
}

/// When a delivery counts as dealt with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AckMode {
    /// Once it was written.
    Auto,
    /// With an ACK of this or of a later one.
    Client,
    /// With its own ACK.
    Individual,
}

/// Who takes from a queue.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) connection: ConnectionId,
    /// The header `subscription` as it is written, with its line end.
    pub(super) subscription: Arc<[u8]>,
    pub(super) ack: AckMode,
    pub(super) prefetch: usize,
    pub(super) in_flight: usize,
    /// Bytes of those that stay in memory, because they would come again and do not lie on disk.
    pub(super) held_bytes: u64,
}

impl Consumer {
    pub(super) fn credit(&self) -> usize {
        self.prefetch.saturating_sub(self.in_flight)
    }
}

/// The messages of one subscription, in the order of their publication.
#[derive(Debug)]
pub(super) struct Queue {
    pub(super) pattern: Pattern,
    /// Set where it outlives its connection.
    pub(super) durable: Option<Durable>,
    pub(super) entries: VecDeque<Entry>,
    pub(super) bytes: u64,
    /// Bytes of `entries` that are not on disk.
    pub(super) memory_bytes: u64,
    /// No entry is to be thrown away before this, milliseconds since 1970 UTC.
    first_expiry_ms: u64,
    pub(super) consumer: Option<Consumer>,
    /// Messages that were lost at a limit since somebody was told.
    pub(super) lost: u64,
}

impl Queue {
    pub(super) fn new(pattern: Pattern, durable: Option<Durable>) -> Self {
        Self {
            pattern,
            durable,
            entries: VecDeque::new(),
            bytes: 0,
            memory_bytes: 0,
            first_expiry_ms: u64::MAX,
            consumer: None,
            lost: 0,
        }
    }

    fn count(&mut self, entry: &Entry) {
        self.bytes += entry.bytes;
        if !entry.on_disk {
            self.memory_bytes += entry.bytes;
        }
        if entry.expires_ms > 0 {
            self.first_expiry_ms = self.first_expiry_ms.min(entry.expires_ms);
        }
    }

    fn discount(&mut self, entry: &Entry) {
        self.bytes -= entry.bytes;
        if !entry.on_disk {
            self.memory_bytes -= entry.bytes;
        }
    }

    /// Adds what was published last.
    pub(super) fn push(&mut self, entry: Entry) {
        self.count(&entry);
        self.entries.push_back(entry);
    }

    /// Bytes of messages that are in memory for this subscription until they are acknowledged.
    pub(super) fn held_in_memory(&self) -> u64 {
        let held = self.consumer.as_ref().map_or(0, |it| it.held_bytes);
        self.memory_bytes + held
    }

    /// Puts back what was taken; it must be older than all that waits.
    pub(super) fn put_back(&mut self, entry: Entry) {
        self.count(&entry);
        self.entries.push_front(entry);
    }

    /// Takes the oldest.
    pub(super) fn pop(&mut self) -> Option<Entry> {
        let entry = self.entries.pop_front()?;
        self.discount(&entry);
        Some(entry)
    }

    /// Takes those that have expired.
    pub(super) fn take_expired(&mut self, now_ms: u64) -> Vec<Entry> {
        if self.first_expiry_ms > now_ms {
            return Vec::new();
        }
        let all = std::mem::take(&mut self.entries);
        let (mut expired, mut next) = (Vec::new(), u64::MAX);
        for entry in all {
            if entry.is_past(now_ms) {
                self.discount(&entry);
                expired.push(entry);
            } else {
                if entry.expires_ms > 0 {
                    next = next.min(entry.expires_ms);
                }
                self.entries.push_back(entry);
            }
        }
        self.first_expiry_ms = next;
        expired
    }

    /// What people call it.
    pub(super) fn name(&self) -> &str {
        match &self.durable {
            Some(durable) => &durable.name,
            None => "(not durable)",
        }
    }
}
