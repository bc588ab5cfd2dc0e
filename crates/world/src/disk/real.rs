//! The disk of this machine.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, ioctl_ficlone, open, statvfs, syncfs};

use super::{Disk, Entry, Kind, Lock, LogFile, Space, Stamp};

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

fn stamp(meta: &fs::Metadata) -> Stamp {
    let ns = |s: i64, ns: i64| s.saturating_mul(1_000_000_000).saturating_add(ns);
    Stamp {
        kind: kind(meta),
        bytes: meta.len(),
        mode: meta.mode() & 0o7777,
        owner: (meta.uid(), meta.gid()),
        inode: meta.ino(),
        modified_ns: ns(meta.mtime(), meta.mtime_nsec()),
        changed_ns: ns(meta.ctime(), meta.ctime_nsec()),
    }
}

fn kind(meta: &fs::Metadata) -> Kind {
    match meta.file_type() {
        kind if kind.is_file() => Kind::File,
        kind if kind.is_dir() => Kind::Folder,
        kind if kind.is_symlink() => Kind::Link,
        _ => Kind::Other,
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

    fn set_owner(&self, path: &Path, (user, group): (u32, u32)) -> io::Result<()> {
        std::os::unix::fs::lchown(path, Some(user), Some(group))
    }

    fn copy(&self, from: &Path, to: &Path, mode: u32) -> io::Result<Stamp> {
        let quiet = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let mut from = File::from(open(from, OFlags::RDONLY | quiet, Mode::empty())?);
        if !from.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut to = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(to)?;
        to.set_permissions(fs::Permissions::from_mode(mode))?;
        // Another file system, or one that shares nothing: then its bytes.
        if ioctl_ficlone(&to, &from).is_err() {
            io::copy(&mut from, &mut to)?;
        }
        Ok(stamp(&from.metadata()?))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn stamp(&self, path: &Path) -> io::Result<Option<Stamp>> {
        let meta = absent_is_none(fs::symlink_metadata(path))?;
        Ok(meta.as_ref().map(stamp))
    }

    fn look(&self, path: &Path) -> io::Result<Option<Entry>> {
        let Some(meta) = absent_is_none(fs::symlink_metadata(path))? else {
            return Ok(None);
        };
        let path = path.to_owned();
        Ok(Some(Entry {
            path,
            kind: kind(&meta),
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
            free_files: match stat.f_files {
                0 => u64::MAX,
                _ => stat.f_favail,
            },
        })
    }
}
