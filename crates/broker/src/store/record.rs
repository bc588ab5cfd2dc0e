//! How changes lie in the log: in groups, one per commit, each whole or not there at all.
//!
//! A group is its mark, the length of its records, the number of its commit, the seed of the log, a CRC over all but the
//! mark, then the records one after the other. Numbers are little-endian. The seed is random and the same in all groups of a log:
//! a message may hold what looks like a group, but nobody who sends one knows the seed.

use crc32fast::Hasher;

use super::Durable;

/// What a group begins with.
pub(super) const MARK: [u8; 4] = *b"dkb2";
/// Bytes of a group before its records.
pub(super) const HEAD_BYTES: usize = 4 + 4 + 8 + 8 + 4;
/// Where its CRC is.
const CRC: std::ops::Range<usize> = 24..HEAD_BYTES;

/// A queue, and whether the message may have been delivered to it before.
pub(super) type Waiter = (u64, bool);

/// What a record says.
#[derive(Debug, PartialEq)]
pub(super) enum Record<'a> {
    /// A message and who waits for it; one that is there already is replaced.
    Put {
        sequence: u64,
        expires_ms: u64,
        waiting: Vec<Waiter>,
        crc: u32,
        message: &'a [u8],
    },
    Mark {
        queue: u64,
        sequence: u64,
        redelivered: bool,
    },
    Settle {
        queue: u64,
        sequence: u64,
    },
    Keep {
        queue: u64,
        durable: Durable,
    },
    Remove {
        queue: u64,
    },
}

/// A group that is being written.
#[derive(Debug, Default)]
pub(super) struct Group(Vec<u8>);

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.0.len() <= HEAD_BYTES
    }

    /// Begins anew, in the same memory unless that has become large.
    pub(super) fn clear(&mut self, most_kept: usize) {
        if self.0.capacity() > most_kept {
            self.0 = Vec::new();
        }
        self.0.clear();
        self.0.resize(HEAD_BYTES, 0);
    }

    /// Its size so far.
    pub(super) fn bytes(&self) -> usize {
        self.0.len()
    }

    /// Adds a record.
    pub(super) fn push(&mut self, record: &Record<'_>) {
        match record {
            Record::Put {
                sequence,
                expires_ms,
                waiting,
                crc,
                message,
            } => {
                self.kind(1, *sequence);
                self.0.extend(expires_ms.to_le_bytes());
                self.length(waiting.len());
                self.0.extend(crc.to_le_bytes());
                self.length(message.len());
                for (queue, redelivered) in waiting {
                    self.0.extend(queue.to_le_bytes());
                    self.0.push((*redelivered).into());
                }
                self.0.extend_from_slice(message);
            }
            Record::Mark {
                queue,
                sequence,
                redelivered,
            } => {
                self.kind(2, *queue);
                self.0.extend(sequence.to_le_bytes());
                self.0.push((*redelivered).into());
            }
            Record::Settle { queue, sequence } => {
                self.kind(3, *queue);
                self.0.extend(sequence.to_le_bytes());
            }
            Record::Keep { queue, durable } => {
                let json = serde_json::to_vec(durable).expect("plain text and numbers are JSON");
                self.kind(4, *queue);
                self.length(json.len());
                self.0.extend(json);
            }
            Record::Remove { queue } => self.kind(5, *queue),
        }
    }

    fn kind(&mut self, kind: u8, first: u64) {
        self.0.push(kind);
        self.0.extend(first.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        let length = u32::try_from(length).expect("frames have a limit far below 4 GiB");
        self.0.extend(length.to_le_bytes());
    }

    /// The group as it is written.
    pub(super) fn finish(&mut self, commit: u64, seed: u64) -> &[u8] {
        let records = self.0.len() - HEAD_BYTES;
        let records = u32::try_from(records).expect("a commit has a limit far below 4 GiB");
        self.0[..4].copy_from_slice(&MARK);
        self.0[4..8].copy_from_slice(&records.to_le_bytes());
        self.0[8..16].copy_from_slice(&commit.to_le_bytes());
        self.0[16..24].copy_from_slice(&seed.to_le_bytes());
        let crc = crc(&self.0[4..CRC.start], &self.0[HEAD_BYTES..]);
        self.0[CRC].copy_from_slice(&crc.to_le_bytes());
        &self.0
    }
}

fn crc(head: &[u8], records: &[u8]) -> u32 {
    let mut hasher = Hasher::new();
    hasher.update(head);
    hasher.update(records);
    hasher.finalize()
}

/// A group that was read.
pub(super) struct Read<'a> {
    pub(super) commit: u64,
    pub(super) seed: u64,
    pub(super) records: &'a [u8],
}

/// A whole group at the start of `bytes`.
pub(super) fn group(bytes: &[u8]) -> Option<Read<'_>> {
    let mut rest = Rest(bytes);
    let mark = rest.take(4)?;
    let records = rest.u32()? as usize;
    let (commit, seed) = (rest.u64()?, rest.u64()?);
    let expected = rest.u32()?;
    let records = rest.take(records)?;
    let good = mark == MARK && crc(&bytes[4..CRC.start], records) == expected;
    good.then_some(Read {
        commit,
        seed,
        records,
    })
}

/// How many bytes the group takes whose head stands at the start of `bytes`.
pub(super) fn group_bytes(head: &[u8]) -> usize {
    let records = Rest(head.get(4..).unwrap_or_default()).u32();
    HEAD_BYTES + records.unwrap_or_default() as usize
}

/// The records of a group one after the other, each with where it starts and ends; `None` in place of one that cannot be
/// read.
pub(super) fn records(bytes: &[u8]) -> impl Iterator<Item = Option<(Record<'_>, usize, usize)>> {
    let mut rest = Rest(bytes);
    std::iter::from_fn(move || {
        let start = bytes.len() - rest.0.len();
        if rest.0.is_empty() {
            return None;
        }
        let read = rest.record().map(|record| {
            let end = bytes.len() - rest.0.len();
            (record, start, end)
        });
        if read.is_none() {
            rest.0 = &[];
        }
        Some(read)
    })
}

struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|byte| byte[0] != 0)
    }

    fn u32(&mut self) -> Option<u32> {
        let bytes = self.take(4)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }

    fn u64(&mut self) -> Option<u64> {
        let bytes = self.take(8)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    fn record(&mut self) -> Option<Record<'a>> {
        let kind = self.take(1)?[0];
        let first = self.u64()?;
        Some(match kind {
            1 => {
                let expires_ms = self.u64()?;
                let (waiting, crc, bytes) = (self.u32()?, self.u32()?, self.u32()?);
                let waiting = (0..waiting).map(|_| Some((self.u64()?, self.flag()?)));
                Record::Put {
                    sequence: first,
                    expires_ms,
                    waiting: waiting.collect::<Option<_>>()?,
                    crc,
                    message: self.take(bytes as usize)?,
                }
            }
            2 => Record::Mark {
                queue: first,
                sequence: self.u64()?,
                redelivered: self.flag()?,
            },
            3 => Record::Settle {
                queue: first,
                sequence: self.u64()?,
            },
            4 => {
                let bytes = self.u32()? as usize;
                let durable = serde_json::from_slice(self.take(bytes)?).ok()?;
                Record::Keep {
                    queue: first,
                    durable,
                }
            }
            5 => Record::Remove { queue: first },
            _ => return None,
        })
    }
}
