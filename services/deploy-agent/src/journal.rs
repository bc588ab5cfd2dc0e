//! A project's journal: what was decided and done, one JSON line each, flushed before anything acts on it.
//!
//! ```text
//! {"v":1,"seq":7,"prev":"<sha256 of the line before, hex>","record":{…},"crc":"<crc32 of all before it, hex>"}
//! ```
//!
//! A torn last line was never acted on and is dropped, which is logged. One that was edited looks the same, but ends in a line feed, as few
//! torn ones do: [`mod@crate::verify`] tells. Any other damage stops the project: see [`Damage`].

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use events::message::JournalHead;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use world::{Disk, Lock};

use crate::machine::Record;

/// The version of the format that this build writes, and the only one it reads.
pub const VERSION: u32 = 1;

const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why a journal cannot be used. Nothing is done for its project until a person has looked at it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A line is not as it was written.
    #[error("line {line} of the journal is damaged: {what}")]
    Line {
        /// From 1 on.
        line: usize,
        /// What is wrong with it.
        what: String,
    },
    /// Lines are missing, doubled, or in another order.
    #[error("line {line} of the journal does not follow the line before it")]
    Order {
        /// From 1 on.
        line: usize,
    },
    /// Written whole, but by a newer build.
    #[error("line {line} of the journal was written by another build of deploy-agent: {what}")]
    Foreign {
        /// From 1 on.
        line: usize,
        /// What this build does not know.
        what: String,
    },
}

/// Why a journal could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// It is damaged.
    #[error(transparent)]
    Damage(#[from] Damage),
    /// Another agent has it.
    #[error("the journal {} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or made.
    #[error("cannot use the journal {}", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// What a journal's bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The records, oldest first.
    pub records: Vec<Record>,
    /// Where the next line goes.
    pub end: End,
    /// How many bytes of a torn last line come after it.
    pub torn: usize,
}

/// The end of a journal: what the next line must follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct End {
    /// The sequence of the next line.
    pub seq: u64,
    /// The hash of the last line.
    pub head: String,
    /// The length of the file in bytes.
    pub bytes: u64,
}

impl Default for End {
    fn default() -> Self {
        Self {
            seq: 1,
            head: FIRST.to_owned(),
            bytes: 0,
        }
    }
}

#[derive(Serialize)]
struct Unsealed<'a> {
    v: u32,
    seq: u64,
    prev: &'a str,
    record: &'a Record,
}

#[derive(Deserialize)]
struct Line {
    seq: u64,
    prev: String,
    record: Record,
}

#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

impl End {
    /// The line of the next record, with its line feed.
    ///
    /// # Panics
    /// Never: records hold only what JSON can hold.
    #[must_use]
    pub fn line(&self, record: &Record) -> Vec<u8> {
        let unsealed = Unsealed {
            v: VERSION,
            seq: self.seq,
            prev: &self.head,
            record,
        };
        let mut line = serde_json::to_vec(&unsealed).expect("a record holds only JSON values");
        line.pop();
        let crc = crc32fast::hash(&line);
        line.extend_from_slice(format!(",\"crc\":\"{crc:08x}\"}}\n").as_bytes());
        line
    }

    /// How whoever keeps it knows this end again.
    ///
    /// # Panics
    /// Never: the hash is made here.
    #[must_use]
    pub fn journal_head(&self) -> JournalHead {
        JournalHead {
            entries: self.seq - 1,
            hash: self.head.parse().expect("64 hex digits"),
        }
    }

    /// The end after a line.
    #[must_use]
    pub fn after(&self, line: &[u8]) -> Self {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        Self {
            seq: self.seq + 1,
            head: hex::encode(Sha256::digest(text)),
            bytes: self.bytes + line.len() as u64,
        }
    }
}

/// Reads a whole journal.
///
/// # Errors
/// See [`Damage`].
pub fn replay(bytes: &[u8]) -> Result<Replayed, Damage> {
    let mut replayed = Replayed {
        records: Vec::new(),
        end: End::default(),
        torn: 0,
    };
    let mut rest = bytes;
    while !rest.is_empty() {
        let number = replayed.records.len() + 1;
        let Some(length) = rest.iter().position(|byte| *byte == b'\n') else {
            replayed.torn = rest.len();
            break;
        };
        let (line, after) = rest.split_at(length + 1);
        match read(&line[..length], number, &replayed.end) {
            Ok(record) => replayed.records.push(record),
            // A line whose sum is wrong and which nothing follows was torn while it was written.
            Err(Damage::Line { .. }) if after.is_empty() => {
                replayed.torn = line.len();
                break;
            }
            Err(damage) => return Err(damage),
        }
        replayed.end = replayed.end.after(line);
        rest = after;
    }
    Ok(replayed)
}

fn read(line: &[u8], number: usize, end: &End) -> Result<Record, Damage> {
    let damaged = |what: &str| Damage::Line {
        line: number,
        what: what.to_owned(),
    };
    const TAIL: usize = ",\"crc\":\"01234567\"}".len();
    let cut = line
        .len()
        .checked_sub(TAIL)
        .ok_or_else(|| damaged("too short"))?;
    let (sealed, tail) = line.split_at(cut);
    let crc = format!(",\"crc\":\"{:08x}\"}}", crc32fast::hash(sealed));
    if tail != crc.as_bytes() {
        return Err(damaged("its sum is wrong"));
    }
    // The sum is right, so this was written so: it is no torn line, whatever comes after it.
    let foreign = |what: String| Damage::Foreign { line: number, what };
    let unknown = |error: serde_json::Error| foreign(error.to_string());
    let Versioned { v } = serde_json::from_slice(line).map_err(unknown)?;
    if v != VERSION {
        return Err(foreign(format!("version {v}, this build reads {VERSION}")));
    }
    let read: Line = serde_json::from_slice(line).map_err(unknown)?;
    if read.seq != end.seq || read.prev != end.head {
        return Err(Damage::Order { line: number });
    }
    Ok(read.record)
}

/// A journal on disk, open for writing.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    end: End,
    lock: Arc<dyn Lock>,
}

impl Journal {
    /// Opens or makes a journal and reads it. A torn last line is cut off by the next one that is written.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(disk: &dyn Disk, path: &Path) -> Result<(Self, Vec<Record>), OpenError> {
        let failed = |source| OpenError::Disk {
            path: path.to_owned(),
            source,
        };
        make_folder(disk, path).map_err(failed)?;
        let Some(lock) = disk.lock(&path.with_extension("lock")).map_err(failed)? else {
            return Err(OpenError::InUse {
                path: path.to_owned(),
            });
        };
        let bytes = match disk.read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                make(disk, path).map_err(failed)?;
                Vec::new()
            }
            Err(error) => return Err(failed(error)),
        };
        let replayed = replay(&bytes)?;
        if replayed.torn > 0 {
            let (path, bytes) = (path.display(), replayed.torn);
            tracing::warn!(%path, bytes, "the last line of the journal is torn, and is dropped");
        }
        let journal = Self {
            path: path.to_owned(),
            end: replayed.end,
            lock: Arc::from(lock),
        };
        Ok((journal, replayed.records))
    }

    /// The line that the next record makes, and the place it goes to.
    #[must_use]
    pub fn next(&self, record: &Record) -> Entry {
        let line = self.end.line(record);
        Entry {
            path: self.path.clone(),
            _lock: Arc::clone(&self.lock),
            from: self.end.bytes,
            after: self.end.after(&line),
            line,
        }
    }

    /// Takes a written line as the new end.
    pub fn written(&mut self, entry: Entry) {
        self.end = entry.after;
    }

    /// Where it ends: what a report names, so that a cut tail is noticed.
    ///
    /// # Panics
    /// Never: the hash is made here.
    #[must_use]
    pub fn head(&self) -> JournalHead {
        self.end.journal_head()
    }
}

/// A line on its way into the journal.
#[derive(Debug, Clone)]
pub struct Entry {
    path: PathBuf,
    line: Vec<u8>,
    from: u64,
    after: End,
    // A line that is still being written keeps the next agent out.
    _lock: Arc<dyn Lock>,
}

impl Entry {
    /// Writes and flushes it.
    ///
    /// # Errors
    /// The system's; what a failed try left is cut off by the next one.
    pub fn write(&self, disk: &dyn Disk) -> io::Result<()> {
        let length = disk.look(&self.path)?.map_or(0, |file| file.bytes);
        if length < self.from {
            return Err(io::Error::other("the journal has become shorter"));
        }
        if length > self.from {
            disk.truncate(&self.path, self.from)?;
        }
        disk.append(&self.path, &self.line)
    }
}

fn make_folder(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    if disk.look(folder)?.is_some() {
        return Ok(());
    }
    let Some(above) = folder.parent() else {
        return disk.create_folders(folder, 0o750);
    };
    // The owner of a release comes through here.
    disk.create_folders(above, 0o755)?;
    disk.create_folders(folder, 0o750)?;
    disk.sync_folder(above)
}

fn make(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.create(path, b"", 0o640)?;
    match path.parent() {
        Some(folder) => disk.sync_folder(folder),
        None => Ok(()),
    }
}
