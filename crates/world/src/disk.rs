//! Files, synchronously. Every change that must last says so: see [`Disk::replace`] and [`Disk::sync_folder`].

mod real;

use std::{
    fmt::Debug,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use real::RealDisk;

/// What a path is; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A socket, device or pipe.
    Other,
}

/// A path and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path, as it was asked for.
    pub path: PathBuf,
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its permission bits.
    pub mode: u32,
    /// When it was last written, seconds since 1970 UTC.
    pub modified_s: i64,
    /// Its number in the file system: a link that was switched has a new one.
    pub inode: u64,
}

/// All that changes when a file is touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// What it is.
    pub kind: Kind,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its permission bits.
    pub mode: u32,
    /// Whose it is: user and group.
    pub owner: (u32, u32),
    /// Its number in the file system.
    pub inode: u64,
    /// When it was last written, nanoseconds since 1970 UTC. Anybody who owns it can set that.
    pub modified_ns: i64,
    /// When anything about it was last changed, by the file system's own clock. Nobody can set that.
    pub changed_ns: i64,
}

/// Room on the file system of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that an unprivileged user may still write.
    pub free_bytes: u64,
    /// Files that may still be made; the largest number where the file system does not count them.
    pub free_files: u64,
}

/// A held lock; dropping it lets go. The kernel lets go too when the process dies.
pub trait Lock: Send + Sync + Debug {}
impl Lock for File {}

/// A file that is held open and grows at its end.
pub trait LogFile: Send + Sync + Debug {
    /// Adds to the end. Nothing of it need last before [`LogFile::sync`].
    ///
    /// # Errors
    /// The system's; a part may have been written.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;
    /// Flushes what was added.
    ///
    /// # Errors
    /// The system's; what was added since the last flush may last or not.
    fn sync(&self) -> io::Result<()>;
    /// Exactly so many bytes from `offset` on.
    ///
    /// # Errors
    /// The system's, or the file ends before.
    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>>;
}

impl LogFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&mut &*self).write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut read = vec![0; bytes];
        self.read_exact_at(&mut read, offset)?;
        Ok(read)
    }
}

/// The disk. No method follows a link in the last part of a path, except to read or open a file.
pub trait Disk: Send + Sync + Debug {
    /// The whole file.
    ///
    /// # Errors
    /// The system's.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// At most `limit` bytes from `offset` on.
    ///
    /// # Errors
    /// The system's.
    fn read_at(&self, path: &Path, offset: u64, limit: usize) -> io::Result<Vec<u8>>;
    /// Makes a new file and flushes it; fails if there is one.
    ///
    /// # Errors
    /// The system's.
    fn create(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()>;
    /// Makes a new file with exactly this mode from a stream, and says how many bytes it has; fails if there is one.
    /// Nothing is flushed: for trees, which [`Disk::sync_all`] makes last in one go.
    ///
    /// # Errors
    /// The system's, or the stream's; a part may have been written.
    fn create_from(&self, path: &Path, from: &mut dyn Read, mode: u32) -> io::Result<u64> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        self.create(path, &bytes, mode)?;
        Ok(bytes.len() as u64)
    }
    /// Puts a whole file in place of the old one: written beside, flushed, renamed, folder flushed.
    ///
    /// # Errors
    /// The system's; the old file is then still whole.
    fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()>;
    /// Adds to the end of a file (made with mode 0640 if missing) and flushes it.
    ///
    /// # Errors
    /// The system's; a part may have been written.
    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// Opens a file to read and to add to (made with mode 0640 if missing; [`Disk::sync_folder`] makes that last).
    ///
    /// # Errors
    /// The system's.
    fn open_log(&self, path: &Path) -> io::Result<Box<dyn LogFile>>;
    /// Cuts a file to a length and flushes it.
    ///
    /// # Errors
    /// The system's.
    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()>;
    /// Makes a folder and those above it, where missing.
    ///
    /// # Errors
    /// The system's.
    fn create_folders(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Makes a symbolic link; fails if something is there.
    ///
    /// # Errors
    /// The system's.
    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()>;
    /// What a symbolic link leads to; `None` when there is nothing.
    ///
    /// # Errors
    /// The system's, also when it is no link.
    fn read_link(&self, link: &Path) -> io::Result<Option<PathBuf>>;
    /// Renames; replaces what was at `to` in one step.
    ///
    /// # Errors
    /// The system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file or link; nothing there is fine.
    ///
    /// # Errors
    /// The system's.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder and all in it; nothing there is fine.
    ///
    /// # Errors
    /// The system's; a part may be gone.
    fn remove_tree(&self, path: &Path) -> io::Result<()>;
    /// Changes permission bits.
    ///
    /// # Errors
    /// The system's.
    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()>;
    /// Gives a file, folder or link to a user and a group.
    ///
    /// # Errors
    /// The system's.
    fn set_owner(&self, path: &Path, owner: (u32, u32)) -> io::Result<()> {
        let _ = (path, owner);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Makes a new file with exactly this mode and the bytes of another, and shares them where the file system can. Gives
    /// what was known of the very file that was read, once it was: whoever knows how it was before knows then that nobody
    /// wrote meanwhile. Nothing is flushed. What is no regular file is not waited for.
    ///
    /// # Errors
    /// The system's; a part may have been written.
    fn copy(&self, from: &Path, to: &Path, mode: u32) -> io::Result<Stamp> {
        let _ = (from, to, mode);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Gives a file a second name; fails if something is there. Nothing is flushed.
    ///
    /// # Errors
    /// The system's.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let _ = (from, to);
        Err(io::ErrorKind::Unsupported.into())
    }
    /// What tells whether a path was touched; `None` when nothing is there.
    ///
    /// # Errors
    /// The system's.
    fn stamp(&self, path: &Path) -> io::Result<Option<Stamp>> {
        let _ = path;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// What is there; `None` when nothing is.
    ///
    /// # Errors
    /// The system's.
    fn look(&self, path: &Path) -> io::Result<Option<Entry>>;
    /// What is in a folder, sorted by name.
    ///
    /// # Errors
    /// The system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>>;
    /// Flushes a folder's entries: a rename in it lasts from then on.
    ///
    /// # Errors
    /// The system's.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Flushes everything on the file system of `path`: a whole tree lasts from then on.
    ///
    /// # Errors
    /// The system's.
    fn sync_all(&self, path: &Path) -> io::Result<()>;
    /// Takes the exclusive lock of a file (made if missing); `None` when somebody else has it.
    ///
    /// # Errors
    /// The system's.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>>;
    /// How much room there is.
    ///
    /// # Errors
    /// The system's.
    fn space(&self, path: &Path) -> io::Result<Space>;
}
