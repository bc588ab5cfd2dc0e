//! What of the log is still wanted, and where it lies.

use std::collections::{BTreeMap, HashMap};

use super::{
    Durable, Waiting,
    record::{Record, Waiter, records},
};

/// Where a message lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) bytes: u32,
    pub(super) crc: u32,
}

/// A message that somebody waits for.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) place: Place,
    pub(super) expires_ms: u64,
    pub(super) waiting: Vec<Waiter>,
    /// Bytes of its record.
    record_bytes: u32,
}

#[derive(Debug)]
struct Kept {
    durable: Durable,
    segment: u64,
    record_bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    messages: HashMap<u64, Held>,
    queues: BTreeMap<u64, Kept>,
    /// Segment → how many of its records are wanted.
    wanted: HashMap<u64, usize>,
    wanted_bytes: u64,
}

impl Index {
    /// Takes in records that lie in `segment` from `offset` on. False when one cannot be read.
    pub(super) fn apply(&mut self, bytes: &[u8], segment: u64, offset: u64) -> bool {
        for read in records(bytes) {
            let Some((record, start, end)) = read else {
                return false;
            };
            self.take_in(record, end - start, segment, offset + end as u64);
        }
        true
    }

    /// Takes in a record that ends at `end` of `segment`.
    pub(super) fn take_in(
        &mut self,
        record: Record<'_>,
        record_bytes: usize,
        segment: u64,
        end: u64,
    ) {
        match record {
            Record::Put {
                sequence,
                expires_ms,
                waiting,
                crc,
                message,
            } => {
                self.forget(sequence);
                let length = u32::try_from(message.len()).expect("it was read as one");
                let held = Held {
                    place: Place {
                        segment,
                        offset: end - u64::from(length),
                        bytes: length,
                        crc,
                    },
                    expires_ms,
                    waiting,
                    record_bytes: u32::try_from(record_bytes).expect("a group is below 4 GiB"),
                };
                self.want(segment, record_bytes as u64);
                self.messages.insert(sequence, held);
            }
            Record::Mark {
                queue,
                sequence,
                redelivered,
            } => {
                let held = self.messages.get_mut(&sequence);
                let mut waiting = held.into_iter().flat_map(|held| &mut held.waiting);
                if let Some(waiter) = waiting.find(|waiter| waiter.0 == queue) {
                    waiter.1 = redelivered;
                }
            }
            Record::Settle { queue, sequence } => {
                if let Some(held) = self.messages.get_mut(&sequence) {
                    held.waiting.retain(|waiter| waiter.0 != queue);
                    if held.waiting.is_empty() {
                        self.forget(sequence);
                    }
                }
            }
            Record::Keep { queue, durable } => {
                self.drop_queue(queue);
                self.want(segment, record_bytes as u64);
                let kept = Kept {
                    durable,
                    segment,
                    record_bytes: record_bytes as u64,
                };
                self.queues.insert(queue, kept);
            }
            Record::Remove { queue } => self.drop_queue(queue),
        }
    }

    fn want(&mut self, segment: u64, bytes: u64) {
        *self.wanted.entry(segment).or_default() += 1;
        self.wanted_bytes += bytes;
    }

    fn unwant(&mut self, segment: u64, bytes: u64) {
        self.wanted_bytes -= bytes;
        if let Some(wanted) = self.wanted.get_mut(&segment) {
            *wanted -= 1;
            if *wanted == 0 {
                self.wanted.remove(&segment);
            }
        }
    }

    fn forget(&mut self, sequence: u64) {
        if let Some(held) = self.messages.remove(&sequence) {
            self.unwant(held.place.segment, held.record_bytes.into());
        }
    }

    fn drop_queue(&mut self, queue: u64) {
        if let Some(kept) = self.queues.remove(&queue) {
            self.unwant(kept.segment, kept.record_bytes);
        }
    }

    /// A message, if somebody waits for it.
    pub(super) fn held(&self, sequence: u64) -> Option<&Held> {
        self.messages.get(&sequence)
    }

    /// A durable subscription, if its newest record lies in `segment`.
    pub(super) fn kept_in(&self, segment: u64, queue: u64) -> Option<&Durable> {
        let kept = self.queues.get(&queue)?;
        (kept.segment == segment).then_some(&kept.durable)
    }

    /// False when all of a segment can go.
    pub(super) fn wants(&self, segment: u64) -> bool {
        self.wanted.contains_key(&segment)
    }

    /// Bytes of all records that are wanted.
    pub(super) fn wanted_bytes(&self) -> u64 {
        self.wanted_bytes
    }

    pub(super) fn queues(&self) -> Vec<(u64, Durable)> {
        let queues = self.queues.iter();
        queues
            .map(|(&id, kept)| (id, kept.durable.clone()))
            .collect()
    }

    /// Who waits for what, in the order of publication.
    pub(super) fn waiting(&self) -> Vec<Waiting> {
        let of = |(&sequence, held): (&u64, &Held)| {
            let (bytes, expires_ms) = (held.place.bytes.into(), held.expires_ms);
            let waiting = held.waiting.clone().into_iter();
            waiting.map(move |(queue, redelivered)| Waiting {
                queue,
                sequence,
                bytes,
                expires_ms,
                redelivered,
            })
        };
        let mut waiting: Vec<Waiting> = self.messages.iter().flat_map(of).collect();
        waiting.sort_unstable_by_key(|waiting| (waiting.queue, waiting.sequence));
        waiting
    }
}
