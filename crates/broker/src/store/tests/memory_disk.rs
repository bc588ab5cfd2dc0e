//! A disk in memory that stops where a test wants it to, and what is left of it then.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use world::{Disk, Entry, Kind, Lock, LogFile, Space};

/// A file, and how much of it was flushed.
#[derive(Debug, Clone, Default)]
struct File {
    bytes: Vec<u8>,
    flushed: usize,
}

#[derive(Debug, Default)]
struct Inside {
    files: BTreeMap<PathBuf, File>,
    /// Changes that may still be made.
    changes_left: Option<usize>,
}

/// The disk; clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryDisk(Arc<Mutex<Inside>>);

#[derive(Debug)]
struct Held;
impl Lock for Held {}

#[derive(Debug)]
struct Open(MemoryDisk, PathBuf);

impl MemoryDisk {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().expect("no panic while it is locked")
    }

    /// After so many changes every further one fails.
    pub(super) fn stop_after(&self, changes: usize) {
        self.inside().changes_left = Some(changes);
    }

    fn change(&self) -> io::Result<MutexGuard<'_, Inside>> {
        let mut inside = self.inside();
        match &mut inside.changes_left {
            Some(0) => return Err(io::Error::other("the power is gone")),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(inside)
    }

    /// What another disk finds after `kill -9`: all that was written.
    pub(super) fn after_kill(&self) -> Self {
        self.copy(|file| file.bytes.len())
    }

    /// What is there after the power was gone, where nothing lasts but what was flushed.
    pub(super) fn after_power_loss(&self) -> Self {
        self.copy(|file| file.flushed)
    }

    fn copy(&self, bytes: impl Fn(&File) -> usize) -> Self {
        let copied = |(path, file): (&PathBuf, &File)| {
            let bytes = file.bytes[..bytes(file)].to_vec();
            let flushed = bytes.len();
            (path.clone(), File { bytes, flushed })
        };
        let files = self.inside().files.iter().map(copied).collect();
        let inside = Inside {
            files,
            changes_left: None,
        };
        Self(Arc::new(Mutex::new(inside)))
    }

    /// The newest log file, and its size.
    pub(super) fn newest(&self) -> (PathBuf, usize) {
        let inside = self.inside();
        let (path, file) = inside.files.last_key_value().expect("there is one");
        (path.clone(), file.bytes.len())
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.inside().files.keys().cloned().collect()
    }

    /// Changes the bytes of a file, as no broker would.
    pub(super) fn harm(&self, path: &Path, harm: impl FnOnce(&mut Vec<u8>)) {
        let mut inside = self.inside();
        harm(&mut inside.files.get_mut(path).expect("it is there").bytes);
    }
}

fn no<T>() -> io::Result<T> {
    Err(ErrorKind::Unsupported.into())
}

impl LogFile for Open {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut inside = self.0.change()?;
        let file = inside.files.get_mut(&self.1).ok_or(ErrorKind::NotFound)?;
        file.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inside = self.0.change()?;
        let file = inside.files.get_mut(&self.1).ok_or(ErrorKind::NotFound)?;
        file.flushed = file.bytes.len();
        Ok(())
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let inside = self.0.inside();
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let read = inside
            .files
            .get(&self.1)
            .and_then(|file| file.bytes.get(start..start + bytes));
        Ok(read.ok_or(ErrorKind::UnexpectedEof)?.to_vec())
    }
}

impl Disk for MemoryDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let inside = self.inside();
        let file = inside.files.get(path).ok_or(ErrorKind::NotFound)?;
        Ok(file.bytes.clone())
    }

    fn open_log(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        self.change()?.files.entry(path.to_owned()).or_default();
        Ok(Box::new(Open(self.clone(), path.to_owned())))
    }

    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let mut inside = self.change()?;
        let file = inside.files.get_mut(path).ok_or(ErrorKind::NotFound)?;
        file.bytes
            .truncate(usize::try_from(bytes).map_err(io::Error::other)?);
        file.flushed = file.bytes.len();
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.change()?.files.remove(path);
        Ok(())
    }

    fn create_folders(&self, _: &Path, _: u32) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.change().map(drop)
    }

    fn lock(&self, _: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        Ok(Some(Box::new(Held)))
    }

    fn list(&self, _: &Path) -> io::Result<Vec<Entry>> {
        let inside = self.inside();
        let entry = |(path, file): (&PathBuf, &File)| Entry {
            path: path.clone(),
            kind: Kind::File,
            bytes: file.bytes.len() as u64,
            mode: 0o640,
            modified_s: 0,
            inode: 0,
        };
        Ok(inside.files.iter().map(entry).collect())
    }

    fn read_at(&self, _: &Path, _: u64, _: usize) -> io::Result<Vec<u8>> {
        no()
    }
    fn create(&self, _: &Path, _: &[u8], _: u32) -> io::Result<()> {
        no()
    }
    fn replace(&self, _: &Path, _: &[u8], _: u32) -> io::Result<()> {
        no()
    }
    fn append(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        no()
    }
    fn symlink(&self, _: &Path, _: &Path) -> io::Result<()> {
        no()
    }
    fn read_link(&self, _: &Path) -> io::Result<Option<PathBuf>> {
        no()
    }
    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        no()
    }
    fn remove_tree(&self, _: &Path) -> io::Result<()> {
        no()
    }
    fn set_mode(&self, _: &Path, _: u32) -> io::Result<()> {
        no()
    }
    fn look(&self, _: &Path) -> io::Result<Option<Entry>> {
        no()
    }
    fn sync_all(&self, _: &Path) -> io::Result<()> {
        no()
    }
    fn space(&self, _: &Path) -> io::Result<Space> {
        no()
    }
}
