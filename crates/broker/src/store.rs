//! What lasts: messages, who waits for them, and the durable subscriptions, in an append-only log.
//!
//! The log is a row of segments, `00000001.log` and so on. A commit is one group of records at the end of the newest,
//! with one flush. A message lies there once, however many subscriptions wait for it. Segments go from the oldest on,
//! once nothing in one is wanted; where too little is wanted, what is left is copied to the end, a bounded piece with each
//! commit. So what settles a message never goes before the message does.

mod index;
mod record;
mod replay;
#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, VecDeque},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use world::{Disk, Lock, LogFile};

use crate::{
    lifecycle::OpenError,
    message::{Memory, Message},
};
use index::Index;
use record::{Group, HEAD_BYTES, Record, group_bytes, records};

/// The file whose lock says that a broker has the folder.
const LOCK: &str = "broker.lock";
/// A segment is closed at a sixteenth of the limit of the disk, but within these bounds.
const SEGMENT_BYTES: (u64, u64) = (4 * 1024, 16 * 1024 * 1024);
/// With one commit about as many bytes of the oldest segment are looked through for what must be copied.
const COPIED_BYTES: u64 = 1024 * 1024;
/// Memory for a group that is kept for the next.
const KEPT_BYTES: usize = 1024 * 1024;
/// The number of a commit is that of the start of the broker, and below it a counter of so many bits.
pub(crate) const PER_START_BITS: u32 = 40;

/// A durable subscription as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Durable {
    pub(crate) client_id: String,
    pub(crate) name: String,
    pub(crate) destination: String,
    /// When somebody last held it, seconds since 1970 UTC.
    pub(crate) used_s: i64,
}

/// A change that must last.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// A message for these durable subscriptions.
    Put {
        sequence: u64,
        expires_ms: u64,
        message: Arc<Message>,
        queues: Vec<u64>,
    },
    /// Whether it may have been delivered.
    Mark {
        queue: u64,
        sequence: u64,
        redelivered: bool,
    },
    /// A queue is done with a message; the last one takes it off the disk.
    Settle { queue: u64, sequence: u64 },
    /// A durable subscription, new or changed.
    Keep { queue: u64, durable: Durable },
    /// It is gone; its messages were settled.
    Remove { queue: u64 },
}

/// A message that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) queue: u64,
    pub(crate) sequence: u64,
    pub(crate) bytes: u64,
    pub(crate) expires_ms: u64,
    pub(crate) redelivered: bool,
}

/// All that was there at the start.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// How often the broker was started here, this time included.
    pub(crate) starts: u64,
    pub(crate) queues: Vec<(u64, Durable)>,
    pub(crate) waiting: Vec<Waiting>,
    pub(crate) disk_bytes: u64,
}

/// How a commit went.
#[derive(Debug, Default)]
pub(crate) struct Committed {
    /// The messages that were asked for.
    pub(crate) read: HashMap<u64, Arc<Message>>,
    /// Bytes of all segments.
    pub(crate) disk_bytes: u64,
    /// There is more to copy: another commit is wanted, an empty one too.
    pub(crate) busy: bool,
}

#[derive(Debug)]
struct Segment {
    number: u64,
    path: PathBuf,
    file: Box<dyn LogFile>,
    bytes: u64,
    /// How far it was looked through for what must be copied.
    copied: u64,
}

#[derive(Debug)]
pub(crate) struct Store {
    folder: PathBuf,
    _lock: Box<dyn Lock>,
    limit_bytes: u64,
    segment_bytes: u64,
    /// From the oldest to the newest, never empty.
    segments: VecDeque<Segment>,
    index: Index,
    last_commit: u64,
    /// On every group, the same for the whole log: see the module `record`.
    seed: u64,
    group: Group,
    memory: Memory,
}

impl Store {
    /// Opens the folder, or makes it; `seed` is random, for a new one. Blocks.
    pub(crate) fn open(
        disk: &dyn Disk,
        folder: &Path,
        limit_bytes: u64,
        memory: Memory,
        seed: u64,
    ) -> Result<(Self, Found), OpenError> {
        let cannot = |source| OpenError::Folder {
            path: folder.to_owned(),
            source,
        };
        disk.create_folders(folder, 0o750).map_err(cannot)?;
        let path = folder.join(LOCK);
        let lock = disk.lock(&path).map_err(cannot)?;
        let lock = lock.ok_or(OpenError::InUse { path })?;
        let mut index = Index::default();
        let log = replay::replay(disk, folder, &mut index)?;
        let (least, most) = SEGMENT_BYTES;
        let mut store = Self {
            folder: folder.to_owned(),
            _lock: lock,
            limit_bytes,
            segment_bytes: (limit_bytes / 16).clamp(least, most),
            segments: log.segments,
            index,
            last_commit: log.last_commit,
            seed: log.seed.unwrap_or(seed),
            group: Group::default(),
            memory,
        };
        let starts = (log.last_commit >> PER_START_BITS) + 1;
        store.begin(disk, starts).map_err(cannot)?;
        let found = Found {
            starts,
            queues: store.index.queues(),
            waiting: store.index.waiting(),
            disk_bytes: store.disk_bytes(),
        };
        Ok((store, found))
    }

    /// A group without records: the start counts even if nothing else is ever written.
    fn begin(&mut self, disk: &dyn Disk, starts: u64) -> io::Result<()> {
        if self.segments.is_empty() {
            self.add_segment(disk, 1)?;
        }
        self.last_commit = (starts << PER_START_BITS) - 1;
        self.group.clear(KEPT_BYTES);
        self.write()
    }

    fn add_segment(&mut self, disk: &dyn Disk, number: u64) -> io::Result<()> {
        let path = self.folder.join(replay::name(number));
        let file = disk.open_log(&path)?;
        disk.sync_folder(&self.folder)?;
        self.segments.push_back(Segment {
            number,
            path,
            file,
            bytes: 0,
            copied: 0,
        });
        Ok(())
    }

    fn newest(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("there is always one")
    }

    fn disk_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Makes changes last, all or none, and reads messages. Blocks. After an error this value is not to be used.
    pub(crate) fn commit(
        &mut self,
        disk: &dyn Disk,
        changes: &[Change],
        wanted: &[u64],
    ) -> io::Result<Committed> {
        let number = self.newest().number;
        if self.newest().bytes >= self.segment_bytes {
            self.add_segment(disk, number + 1)?;
        }
        self.group.clear(KEPT_BYTES);
        for change in changes {
            self.add(record(change));
        }
        self.copy_some()?;
        if !self.group.is_empty() {
            self.write()?;
        }
        self.drop_oldest(disk)?;
        Ok(Committed {
            read: self.read(wanted)?,
            disk_bytes: self.disk_bytes(),
            busy: self.wastes(),
        })
    }

    /// Adds a record to the group, and takes it in.
    fn add(&mut self, record: Record<'_>) {
        let segment = self.segments.back().expect("there is always one");
        let start = self.group.bytes();
        self.group.push(&record);
        let end = self.group.bytes();
        let at = segment.bytes + end as u64;
        self.index.take_in(record, end - start, segment.number, at);
    }

    fn write(&mut self) -> io::Result<()> {
        let commit = self.last_commit + 1;
        let bytes = self.group.finish(commit, self.seed);
        let segment = self.segments.back_mut().expect("there is always one");
        segment.file.append(bytes)?;
        segment.file.sync()?;
        segment.bytes += bytes.len() as u64;
        self.last_commit = commit;
        Ok(())
    }

    /// True while more of the disk is wasted than is allowed: as much as is wanted, or half of the room that is left, where
    /// that is less.
    fn wastes(&self) -> bool {
        let wanted = self.index.wanted_bytes();
        let wasted = self.disk_bytes().saturating_sub(wanted);
        let room = self.limit_bytes.saturating_sub(wanted);
        self.segments.len() > 1 && wasted > wanted.min(room / 2) + self.segment_bytes
    }

    /// Copies a piece of what is wanted of the oldest segment into the group, so that it can go.
    fn copy_some(&mut self) -> io::Result<()> {
        let mut looked = 0;
        while self.wastes() && looked < COPIED_BYTES {
            let oldest = &mut self.segments[0];
            if oldest.copied >= oldest.bytes || !self.index.wants(oldest.number) {
                return Ok(());
            }
            let (number, start) = (oldest.number, oldest.copied);
            let head = oldest.file.read_at(start, HEAD_BYTES)?;
            let bytes = oldest.file.read_at(start, group_bytes(&head))?;
            oldest.copied += bytes.len() as u64;
            looked += bytes.len() as u64;
            let path = oldest.path.clone();
            let damaged = || damaged(&path, start);
            let group = record::group(&bytes).ok_or_else(damaged)?;
            for read in records(group.records) {
                let (record, _, end) = read.ok_or_else(damaged)?;
                let end = start + (HEAD_BYTES + end) as u64;
                if let Some(record) = wanted(&self.index, number, record, end) {
                    self.add(record);
                }
            }
        }
        Ok(())
    }

    /// One segment at a time, each for good before the next: no gap can be left.
    fn drop_oldest(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let oldest = &self.segments[0];
        if self.segments.len() > 1 && !self.index.wants(oldest.number) {
            disk.remove_file(&oldest.path)?;
            disk.sync_folder(&self.folder)?;
            self.segments.pop_front();
        }
        Ok(())
    }

    fn read(&self, wanted: &[u64]) -> io::Result<HashMap<u64, Arc<Message>>> {
        let oldest = self.segments[0].number;
        let read = wanted.iter().map(|&sequence| {
            let held = self.index.held(sequence);
            let place = held.expect("it waits for somebody").place;
            let at = usize::try_from(place.segment - oldest).map_err(io::Error::other)?;
            let segment = &self.segments[at];
            let bytes = segment.file.read_at(place.offset, place.bytes as usize)?;
            if crc32fast::hash(&bytes) != place.crc {
                return Err(damaged(&segment.path, place.offset));
            }
            Ok((sequence, Arc::new(Message::from_disk(bytes, &self.memory))))
        });
        read.collect()
    }
}

/// A change as it lies in the log.
fn record(change: &Change) -> Record<'_> {
    match change {
        Change::Put {
            sequence,
            expires_ms,
            message,
            queues,
        } => Record::Put {
            sequence: *sequence,
            expires_ms: *expires_ms,
            waiting: queues.iter().map(|&queue| (queue, false)).collect(),
            crc: crc32fast::hash(message.encoded()),
            message: message.encoded(),
        },
        &Change::Mark {
            queue,
            sequence,
            redelivered,
        } => Record::Mark {
            queue,
            sequence,
            redelivered,
        },
        &Change::Settle { queue, sequence } => Record::Settle { queue, sequence },
        Change::Keep { queue, durable } => Record::Keep {
            queue: *queue,
            durable: durable.clone(),
        },
        &Change::Remove { queue } => Record::Remove { queue },
    }
}

/// A record that ends at `end` of a segment as it is to be copied, if it is still wanted from there.
fn wanted<'a>(index: &Index, segment: u64, record: Record<'a>, end: u64) -> Option<Record<'a>> {
    match record {
        Record::Put {
            sequence,
            crc,
            message,
            ..
        } => {
            let held = index.held(sequence)?;
            let place = &held.place;
            let here = place.segment == segment && place.offset + u64::from(place.bytes) == end;
            here.then(|| Record::Put {
                sequence,
                expires_ms: held.expires_ms,
                waiting: held.waiting.clone(),
                crc,
                message,
            })
        }
        Record::Keep { queue, .. } => {
            let durable = index.kept_in(segment, queue)?.clone();
            Some(Record::Keep { queue, durable })
        }
        Record::Mark { .. } | Record::Settle { .. } | Record::Remove { .. } => None,
    }
}

fn damaged(path: &Path, offset: u64) -> io::Error {
    let what = format!("{} is damaged at byte {offset}", path.display());
    io::Error::new(io::ErrorKind::InvalidData, what)
}
