//! Files of an outbox: their names, their lines.

use std::{ffi::OsStr, io, path::Path};

use events::{Envelope, Payload, SealError, Topic};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use world::{Disk, Entry, World};

use crate::bus::expiry;

/// A file that is not finished after this many seconds belongs to nobody: its writer is gone.
const UNFINISHED_S: i64 = 3600;

/// The permission bits of a file.
pub(super) const MODE: u32 = 0o640;

/// A file is closed before it grows over this.
pub(super) const FILE_BYTES: usize = 1 << 20;

/// A larger file is none of ours: one holds what one caller gave at once, or what was gathered up to [`FILE_BYTES`].
pub(super) const MOST_BYTES: usize = 64 << 20;

/// Reads a file of messages, which others may have left.
pub(super) fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let bytes = disk.read_at(path, 0, MOST_BYTES + 1)?;
    if bytes.len() > MOST_BYTES {
        let mib = MOST_BYTES >> 20;
        return Err(io::Error::other(format!("it is larger than {mib} MiB")));
    }
    Ok(bytes)
}

/// A message as it waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// Where it goes.
    pub topic: Topic,
    /// Outlives a crash of the broker.
    pub persistent: bool,
    /// Nobody wants it any more from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// The message.
    pub envelope: Envelope,
}

impl Waiting {
    /// A payload that was sealed in this envelope; its time to live began then.
    pub fn of<P: Payload>(payload: &P, envelope: Envelope) -> Self {
        Self {
            topic: payload.topic(),
            persistent: P::PERSISTENT,
            until: expiry::until(envelope.time, P::TIME_TO_LIVE),
            envelope,
        }
    }

    /// A payload under a new id, made now by this source.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn seal<P: Payload>(payload: &P, source: &str, world: &World) -> Result<Self, SealError> {
        let envelope = Envelope::seal(world.new_id(), source, world.clock.now(), payload)?;
        Ok(Self::of(payload, envelope))
    }
}

/// A message as a line of a file, its end included.
pub(super) fn line(message: &Waiting) -> Vec<u8> {
    let mut line = serde_json::to_vec(message).expect("an envelope holds only JSON values");
    line.push(b'\n');
    line
}

/// The lines of a file with their numbers from 1 on; empty ones are none.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let numbered = bytes.split(|&byte| byte == b'\n').enumerate();
    numbered
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_ascii().is_empty())
}

/// The name of a file of so many messages, the first of which has this id. Names sort by their numbers.
pub(super) fn name(number: i64, id: Uuid, messages: usize) -> String {
    match messages {
        0 | 1 => format!("{number:020}-{id}.json"),
        more => format!("{number:020}-{id}.x{more}.json"),
    }
}

/// The number in a name: microseconds since 1970 UTC, or a little more if a clock went back.
pub(super) fn number(name: &str) -> Option<i64> {
    name.split_once('-')?.0.parse().ok()
}

/// How many messages a file of this name holds.
pub(super) fn messages(name: &str) -> usize {
    let stem = name.strip_suffix(".json").unwrap_or(name);
    let count = stem
        .rsplit_once(".x")
        .and_then(|(_, count)| count.parse().ok());
    count.unwrap_or(1).max(1)
}

/// The name of a file that holds messages; `None` for other files.
pub(super) fn is_message(path: &Path) -> Option<&str> {
    let name = path.file_name().and_then(OsStr::to_str)?;
    (name.ends_with(".json") && !name.starts_with('.')).then_some(name)
}

/// Removes what writers left that are gone.
pub(super) fn remove_unfinished(disk: &dyn Disk, entries: &[Entry], now_s: i64) -> io::Result<()> {
    for entry in entries {
        let name = entry.path.file_name().unwrap_or_default().to_string_lossy();
        let old = entry.modified_s < now_s - UNFINISHED_S;
        if old && name.starts_with('.') && name.ends_with(".new") {
            disk.remove_file(&entry.path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_its_order_and_how_many_it_holds() {
        let id = Uuid::nil();
        let (one, many) = (name(9, id, 1), name(10, id, 64));
        assert_eq!(one, format!("{:020}-{id}.json", 9));
        assert!(one < many);
        assert_eq!((number(&one), messages(&one)), (Some(9), 1));
        assert_eq!((number(&many), messages(&many)), (Some(10), 64));
        for odd in ["x.json", "a-b.x0.json", "a-b.x-1.json", ".x.json", ""] {
            assert_eq!((number(odd), messages(odd)), (None, 1), "{odd}");
        }
    }

    #[test]
    fn lines_are_numbered_and_empty_ones_passed_over() {
        let found: Vec<_> = lines(b"a\n\n \nb").collect();
        assert_eq!(found, [(1, &b"a"[..]), (4, &b"b"[..])]);
        assert_eq!(lines(b"\n").count(), 0);
    }
}
