//! The log at the start: read from its oldest group to its newest.

use std::{collections::VecDeque, path::Path};

use world::{Disk, Kind};

use super::{
    PER_START_BITS, Segment,
    index::Index,
    record::{HEAD_BYTES, MARK, Read, group},
};
use crate::lifecycle::OpenError;

pub(super) struct Log {
    pub(super) segments: VecDeque<Segment>,
    pub(super) last_commit: u64,
    /// What all its groups bear; `None` where there is none.
    pub(super) seed: Option<u64>,
}

/// The file of a segment.
pub(super) fn name(number: u64) -> String {
    format!("{number:08}.log")
}

/// Reads all segments into the index. What was being written when the broker died is cut off.
///
/// # Errors
/// Something else is damaged or missing.
pub(super) fn replay(disk: &dyn Disk, folder: &Path, index: &mut Index) -> Result<Log, OpenError> {
    let cannot = |source| OpenError::Folder {
        path: folder.to_owned(),
        source,
    };
    let entries = disk.list(folder).map_err(cannot)?;
    let files = entries.iter().filter(|entry| entry.kind == Kind::File);
    let mut numbers: Vec<u64> = files
        .filter_map(|entry| entry.path.file_name()?.to_str()?.strip_suffix(".log"))
        .filter_map(|number| number.parse().ok())
        .collect();
    numbers.sort_unstable();
    let mut log = Log {
        segments: VecDeque::new(),
        last_commit: 0,
        seed: None,
    };
    for (at, &number) in numbers.iter().enumerate() {
        let path = folder.join(name(number));
        let newest = at + 1 == numbers.len();
        let damaged = |offset, what| OpenError::Damaged {
            path: path.clone(),
            offset,
            what,
        };
        if at > 0 && number != numbers[at - 1] + 1 {
            return Err(damaged(0, "the segment before it is missing"));
        }
        let cannot = |source| OpenError::Store {
            path: path.clone(),
            source,
        };
        let bytes = disk.read(&path).map_err(cannot)?;
        let mut offset = 0;
        while offset < bytes.len() {
            let Some(group) = group(&bytes[offset..]) else {
                if !newest || log.goes_on(&bytes[offset + 1..]) {
                    return Err(damaged(offset, "a group is damaged"));
                }
                tracing::warn!(
                    file = %path.display(),
                    offset,
                    bytes = bytes.len() - offset,
                    "the last commit was not finished and is cut off; nobody was told of it"
                );
                disk.truncate(&path, offset as u64).map_err(cannot)?;
                break;
            };
            let first = at == 0 && offset == 0;
            if !first && !follows(log.last_commit, group.commit) {
                return Err(damaged(offset, "commits are missing before it"));
            }
            let from = (offset + HEAD_BYTES) as u64;
            if !index.apply(group.records, number, from) {
                return Err(damaged(offset, "a record is unknown"));
            }
            log.last_commit = group.commit;
            log.seed = Some(group.seed);
            offset += HEAD_BYTES + group.records.len();
        }
        let file = disk.open_log(&path).map_err(cannot)?;
        log.segments.push_back(Segment {
            number,
            path: path.clone(),
            file,
            bytes: offset as u64,
            copied: 0,
        });
    }
    Ok(log)
}

/// The next commit of the same start, or the first of a later one.
fn follows(last: u64, commit: u64) -> bool {
    let start = |commit: u64| commit >> PER_START_BITS;
    commit == last + 1 || (start(commit) > start(last) && commit == start(commit) << PER_START_BITS)
}

impl Log {
    /// True when a later commit stands somewhere in `bytes`. It was begun after the one before it was on disk.
    fn goes_on(&self, bytes: &[u8]) -> bool {
        let ours = |group: Read<'_>| {
            group.commit > self.last_commit && self.seed.is_none_or(|seed| seed == group.seed)
        };
        let mut marks = memchr::memmem::find_iter(bytes, &MARK);
        marks.any(|at| group(&bytes[at..]).is_some_and(ours))
    }
}
