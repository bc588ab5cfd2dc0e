//! The files that hold deliveries: one after the other, the oldest removed.
//!
//! A file is named by the first delivery in it, so that names sort by time. Nothing is flushed: after a power loss the last
//! ones may be missing, and what is half there at the end of a file is passed over. A process adds only to files of its own.
//! A file that was left without a delivery, because the disk was full, is removed before another one is made.

use std::{
    collections::VecDeque,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use bytes::Bytes;
use uuid::Uuid;
use world::{Disk, LogFile};

use super::record::{Delivery, HEAD_BYTES};

/// Nobody but the service (and root) reads what forges sent.
const FOLDER_MODE: u32 = 0o700;
const MODE: u32 = 0o600;

/// Into how many files the bounds are divided: so much is removed at once.
const FILES: u64 = 16;

/// What is read of a file to find a head, mostly.
const LOOK: usize = 4096;

/// A body up to this size is written together with its head; a larger one is not copied for that.
const COPIED: usize = 64 * 1024;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Deliveries.
    pub number: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// How long, in seconds.
    pub age_s: i64,
}

/// The files of a folder, and the one that is written.
#[derive(Debug)]
pub struct Shelf {
    folder: PathBuf,
    bounds: Bounds,
    /// Oldest first; the last one is written if `open` is there.
    files: VecDeque<Filed>,
    open: Option<Box<dyn LogFile>>,
}

/// Deliveries that were not added.
#[derive(Debug, thiserror::Error)]
#[error("cannot write deliveries")]
pub struct Lost {
    /// How many.
    pub number: usize,
    /// Why.
    #[source]
    pub error: io::Error,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Filed {
    path: PathBuf,
    number: u64,
    bytes: u64,
    /// Seconds since 1970 of what was added last.
    newest_s: i64,
}

impl Shelf {
    /// Opens the folder, making it where it is missing, and hands each delivery that it holds to `each`, oldest first.
    ///
    /// # Errors
    /// The system's.
    pub fn open(
        disk: &dyn Disk,
        folder: &Path,
        bounds: Bounds,
        mut each: impl FnMut(Delivery),
    ) -> io::Result<Self> {
        disk.create_folders(folder, FOLDER_MODE)?;
        let mut files = VecDeque::new();
        for path in names(disk, folder)? {
            let Some(entry) = disk.look(&path)? else {
                continue;
            };
            let mut number = 0;
            walk(disk, &path, |delivery, _| {
                number += 1;
                each(delivery);
                true
            })?;
            files.push_back(Filed {
                path,
                number,
                bytes: entry.bytes,
                newest_s: entry.modified_s,
            });
        }
        Ok(Self {
            folder: folder.to_owned(),
            bounds,
            files,
            open: None,
        })
    }

    /// Adds deliveries with what is kept of their bodies, then removes what is over the bounds.
    ///
    /// # Errors
    /// The system's, and how many were not added; the next ones go into a new file.
    pub fn add(
        &mut self,
        disk: &dyn Disk,
        deliveries: &[(Delivery, Bytes)],
        now_s: i64,
    ) -> Result<(), Lost> {
        let mut left = deliveries.iter();
        let added = left.try_for_each(|(delivery, body)| self.add_one(disk, delivery, body, now_s));
        let lost = |error, number| Lost { number, error };
        let added = added.map_err(|error| lost(error, left.len() + 1));
        let removed = self.remove_old(disk, now_s);
        added.and(removed.map_err(|error| lost(error, 0)))
    }

    fn add_one(
        &mut self,
        disk: &dyn Disk,
        delivery: &Delivery,
        body: &Bytes,
        now_s: i64,
    ) -> io::Result<()> {
        let mut bytes = delivery.head();
        let size = delivery.bytes(bytes.len());
        if self.is_next_due(size) {
            self.open = None;
        }
        let log = match self.open.take() {
            Some(log) => log,
            None => self.next_file(disk, delivery.id, now_s)?,
        };
        if body.len() <= COPIED {
            bytes.extend_from_slice(body);
            bytes.push(b'\n');
            log.append(&bytes)?;
        } else {
            log.append(&bytes)?;
            log.append(body)?;
            log.append(b"\n")?;
        }
        self.open = Some(log);
        if let Some(file) = self.files.back_mut() {
            file.number += 1;
            file.bytes += size;
            file.newest_s = now_s;
        }
        Ok(())
    }

    fn is_next_due(&self, size: u64) -> bool {
        let (number, bytes) = (self.bounds.number / FILES, self.bounds.bytes / FILES);
        let full =
            |file: &Filed| file.number > 0 && (file.number >= number || file.bytes + size > bytes);
        self.files.back().is_some_and(full)
    }

    fn next_file(
        &mut self,
        disk: &dyn Disk,
        first: Uuid,
        now_s: i64,
    ) -> io::Result<Box<dyn LogFile>> {
        self.remove_empty(disk)?;
        let path = self.folder.join(format!("{first}.log"));
        self.files.push_back(Filed {
            path: path.clone(),
            number: 0,
            bytes: 0,
            newest_s: now_s,
        });
        disk.create(&path, b"", MODE)?;
        disk.open_log(&path)
    }

    /// Removes files whose first delivery could not be written.
    fn remove_empty(&mut self, disk: &dyn Disk) -> io::Result<()> {
        while let Some(at) = self.files.iter().position(|file| file.number == 0) {
            disk.remove_file(&self.files[at].path)?;
            self.files.remove(at);
        }
        Ok(())
    }

    /// Removes the oldest files while the bounds are passed.
    ///
    /// # Errors
    /// The system's.
    pub fn remove_old(&mut self, disk: &dyn Disk, now_s: i64) -> io::Result<()> {
        self.remove_empty(disk)?;
        let mut number: u64 = self.files.iter().map(|file| file.number).sum();
        let mut bytes: u64 = self.files.iter().map(|file| file.bytes).sum();
        while let Some(oldest) = self.files.front() {
            let old = oldest.newest_s < now_s.saturating_sub(self.bounds.age_s);
            let over = number > self.bounds.number || bytes > self.bounds.bytes;
            let written = self.files.len() == 1 && self.open.is_some();
            if !old && (!over || written) {
                break;
            }
            disk.remove_file(&oldest.path)?;
            number -= oldest.number;
            bytes -= oldest.bytes;
            if written {
                self.open = None;
            }
            self.files.pop_front();
        }
        Ok(())
    }
}

/// The newest deliveries that are `wanted`, newest first, at most so many.
///
/// # Errors
/// The system's.
pub fn newest(
    disk: &dyn Disk,
    folder: &Path,
    most: usize,
    wanted: impl Fn(&Delivery) -> bool,
) -> io::Result<Vec<Delivery>> {
    let mut found = Vec::new();
    for path in names(disk, folder)?.into_iter().rev() {
        if found.len() >= most {
            break;
        }
        let mut here = VecDeque::new();
        walk(disk, &path, |delivery, _| {
            if wanted(&delivery) {
                here.push_back(delivery);
            }
            // Those at the end of the file are the newest.
            while here.len() > most - found.len() {
                here.pop_front();
            }
            true
        })?;
        found.extend(here.into_iter().rev());
    }
    Ok(found)
}

/// A delivery and what is kept of its body.
///
/// # Errors
/// The system's.
pub fn find(disk: &dyn Disk, folder: &Path, id: Uuid) -> io::Result<Option<(Delivery, Vec<u8>)>> {
    for path in names(disk, folder)?.into_iter().rev() {
        let mut found = None;
        walk(disk, &path, |delivery, body| {
            if delivery.id == id {
                found = Some((delivery, body));
            }
            found.is_none()
        })?;
        if let Some((delivery, at)) = found {
            let body = disk.read_at(&path, at, delivery.kept_bytes)?;
            // Half of it is none.
            let whole = body.len() == delivery.kept_bytes;
            return Ok(whole.then_some((delivery, body)));
        }
    }
    Ok(None)
}

/// The files of deliveries, oldest first.
fn names(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<PathBuf>> {
    let paths = disk.list(folder)?.into_iter().map(|entry| entry.path);
    Ok(paths.filter(|path| is_ours(path)).collect())
}

fn is_ours(path: &Path) -> bool {
    let stem = path.file_stem().and_then(OsStr::to_str);
    let log = path.extension() == Some(OsStr::new("log"));
    log && stem.is_some_and(|stem| stem.parse::<Uuid>().is_ok())
}

/// Goes through a file while `each` says true; it is given each delivery and where its body begins.
fn walk(
    disk: &dyn Disk,
    path: &Path,
    mut each: impl FnMut(Delivery, u64) -> bool,
) -> io::Result<()> {
    let mut at = 0;
    while let Some((delivery, head)) = head_at(disk, path, at)? {
        let body = at + head as u64;
        at = at.saturating_add(delivery.bytes(head));
        if !each(delivery, body) {
            break;
        }
    }
    Ok(())
}

fn head_at(disk: &dyn Disk, path: &Path, at: u64) -> io::Result<Option<(Delivery, usize)>> {
    for limit in [LOOK, HEAD_BYTES] {
        let bytes = match disk.read_at(path, at, limit) {
            Ok(bytes) => bytes,
            // It was the oldest.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if let Some(found) = Delivery::read(&bytes) {
            return Ok(Some(found));
        }
        if bytes.len() < limit {
            break;
        }
    }
    Ok(None)
}
