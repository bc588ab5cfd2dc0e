//! Files, synchronously. Every change that must last says so: see [`Disk::replace`] and [`Disk::sync_folder`].

use std::{
    fmt::Debug,
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, flock, statvfs, syncfs};

/// What a path is; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// Room on the file system of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Bytes that an unprivileged user may still write.
    pub free_bytes: u64,
    /// Files that may still be made.
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

/// The system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the seam")]
fn write_flushed(
    options: &mut OpenOptions,
    path: &Path,
    bytes: &[u8],
    mode: u32,
) -> io::Result<()> {
    let mut file = options.write(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[expect(clippy::disallowed_methods, reason = "this is the seam")]
impl Disk for RealDisk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn read_at(&self, path: &Path, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::new();
        file.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn create(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        write_flushed(OpenOptions::new().create_new(true), path, bytes, mode)
    }

    fn create_from(&self, path: &Path, from: &mut dyn Read, mode: u32) -> io::Result<u64> {
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(path)?;
        let bytes = io::copy(from, &mut file)?;
        // The mode at opening is cut by the umask.
        file.set_permissions(fs::Permissions::from_mode(mode))?;
        Ok(bytes)
    }

    fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
        let name = path
            .file_name()
            .ok_or(io::ErrorKind::InvalidInput)?
            .to_string_lossy();
        let beside = folder.join(format!(".{name}.new"));
        self.remove_file(&beside)?;
        write_flushed(OpenOptions::new().create_new(true), &beside, bytes, mode)?;
        fs::rename(&beside, path)?;
        self.sync_folder(folder)
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o640)
            .open(path)?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn open_log(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .open(path)?;
        Ok(Box::new(file))
    }

    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(bytes)?;
        file.sync_all()
    }

    fn create_folders(&self, path: &Path, mode: u32) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(mode).create(path)
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        std::os::unix::fs::symlink(target, link)
    }

    fn read_link(&self, link: &Path) -> io::Result<Option<PathBuf>> {
        absent_is_none(fs::read_link(link))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        absent_is_none(fs::remove_file(path)).map(|_| ())
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        absent_is_none(fs::remove_dir_all(path)).map(|_| ())
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode))
    }

    fn look(&self, path: &Path) -> io::Result<Option<Entry>> {
        let Some(meta) = absent_is_none(fs::symlink_metadata(path))? else {
            return Ok(None);
        };
        let kind = match meta.file_type() {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_symlink() => Kind::Link,
            _ => Kind::Other,
        };
        let path = path.to_owned();
        Ok(Some(Entry {
            path,
            kind,
            bytes: meta.len(),
            mode: meta.mode() & 0o7777,
            modified_s: meta.mtime(),
            inode: meta.ino(),
        }))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            // An entry that went away meanwhile is not there.
            entries.extend(self.look(&entry?.path())?);
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        Ok(syncfs(File::open(path)?)?)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Lock>>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(path)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn space(&self, path: &Path) -> io::Result<Space> {
        let stat = statvfs(path)?;
        Ok(Space {
            free_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
            free_files: stat.f_favail,
        })
    }
}
