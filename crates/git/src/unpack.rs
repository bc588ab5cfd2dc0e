//! An archive laid out as files, whoever made it: nothing outside of the folder is ever touched.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::{self, Read},
    os::unix::ffi::OsStrExt,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use tar::{Archive, Entry, EntryType};
use world::Disk;

use crate::Exported;

/// An entry that is refused, on its way out of the reader.
#[derive(Debug, thiserror::Error)]
#[error("{path:?}: {reason}")]
pub(crate) struct Refusal {
    pub(crate) path: String,
    pub(crate) reason: String,
}

pub(crate) fn refuse<T>(path: &Path, reason: impl Into<String>) -> io::Result<T> {
    Err(io::Error::other(Refusal {
        path: path.display().to_string(),
        reason: reason.into(),
    }))
}

/// The refusal that an error is; else the error.
pub(crate) fn refusal(error: io::Error) -> Result<Refusal, io::Error> {
    error.downcast::<Refusal>()
}

pub(crate) fn is_refusal(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Refusal>())
}

pub(crate) fn folder(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    disk.create_folders(path, 0o755)?;
    disk.set_mode(path, 0o755)
}

/// An archive being laid out in a folder.
#[derive(Debug)]
pub(crate) struct Unpacking {
    disk: Arc<dyn Disk>,
    into: PathBuf,
    /// Those that were made here, so that nothing is ever written through a link.
    folders: BTreeSet<PathBuf>,
    entries: u64,
    most_bytes: u64,
    most_entries: u64,
    done: Exported,
}

impl Unpacking {
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        into: PathBuf,
        most_bytes: u64,
        most_entries: u64,
    ) -> Self {
        Self {
            disk,
            into,
            folders: BTreeSet::new(),
            entries: 0,
            most_bytes,
            most_entries,
            done: Exported::default(),
        }
    }

    /// Beside folders and files that are there already.
    pub(crate) fn beside(&mut self, folders: &[PathBuf], there: Exported) {
        self.folders.extend(folders.iter().cloned());
        self.entries = folders.len() as u64 + there.files;
        self.done = there;
    }

    /// What is there already is not too much.
    pub(crate) fn check(&self) -> io::Result<Exported> {
        let here = Path::new(".");
        if self.entries > self.most_entries {
            let most = self.most_entries;
            return refuse(here, format!("it has more than {most} files and folders"));
        }
        if self.done.bytes > self.most_bytes {
            let most = self.most_bytes;
            return refuse(here, format!("it has more than {most} bytes"));
        }
        Ok(self.done)
    }

    pub(crate) fn done(&self) -> Exported {
        self.done
    }

    pub(crate) fn all(&mut self, tar: &mut dyn Read) -> io::Result<()> {
        for entry in Archive::new(tar).entries()? {
            self.one(&mut entry?)?;
        }
        Ok(())
    }

    fn one(&mut self, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        let kind = entry.header().entry_type();
        if kind == EntryType::XGlobalHeader {
            return Ok(()); // The commit id, as a comment.
        }
        let bytes = entry.path_bytes();
        let path = PathBuf::from(OsStr::from_bytes(&bytes));
        drop(bytes);
        self.entries += 1;
        if self.entries > self.most_entries {
            let most = self.most_entries;
            return refuse(&path, format!("it has more than {most} files and folders"));
        }
        let path = inside(&path)?;
        if kind == EntryType::Directory {
            return self.make_folder(&path);
        }
        if let Some(parent) = path.parent() {
            self.make_folder(parent)?;
        }
        match kind {
            EntryType::Regular | EntryType::Continuous => self.file(&path, entry)?,
            EntryType::Symlink => {
                let target = entry.link_name_bytes().unwrap_or_default();
                let target = PathBuf::from(OsStr::from_bytes(&target));
                stays_inside(&path, &target)?;
                self.disk.symlink(&target, &self.into.join(&path))?;
            }
            other => return refuse(&path, format!("{other:?} is not a file, folder or link")),
        }
        self.done.files += 1;
        Ok(())
    }

    fn file(&mut self, path: &Path, entry: &mut Entry<'_, impl Read>) -> io::Result<()> {
        let size = entry.size();
        if size > self.most_bytes.saturating_sub(self.done.bytes) {
            let most = self.most_bytes;
            return refuse(path, format!("it has more than {most} bytes up to here"));
        }
        let executable = entry.header().mode()? & 0o111 != 0;
        let mode = if executable { 0o755 } else { 0o644 };
        let written = self.disk.create_from(&self.into.join(path), entry, mode)?;
        if written != size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.done.bytes += size;
        Ok(())
    }

    fn make_folder(&mut self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() || self.folders.contains(path) {
            return Ok(());
        }
        if let Some(parent) = path.parent() {
            self.make_folder(parent)?;
        }
        let made = self.into.join(path);
        if self.disk.look(&made)?.is_some() {
            return refuse(path, "a folder and something else have this name");
        }
        folder(&*self.disk, &made)?;
        self.folders.insert(path.to_owned());
        Ok(())
    }
}

/// The path without `.` and `/` at its end; refused when it is not below the root, or in a `.git`.
fn inside(path: &Path) -> io::Result<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) if name.eq_ignore_ascii_case(".git") => {
                return refuse(path, "a tree may not bring a repository of its own");
            }
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return refuse(path, "it leads out of the tree");
            }
        }
    }
    if clean.as_os_str().is_empty() {
        return refuse(path, "it has no name");
    }
    Ok(clean)
}

/// Refused when the path is not below the root, in a `.git`, or could be written shorter.
pub(crate) fn exactly_inside(path: &Path) -> io::Result<()> {
    match inside(path)?.as_os_str() == path.as_os_str() {
        true => Ok(()),
        false => refuse(path, "it has an empty name or one that is . in it"),
    }
}

/// A link may climb with `..` only at the beginning of its target: there each one leads to the real folder above. After
/// a name it could leave the folder that another link leads to, which may be outside.
fn stays_inside(link: &Path, target: &Path) -> io::Result<()> {
    let mut depth = link.components().count() - 1;
    let mut named = false;
    for component in target.components() {
        match component {
            Component::RootDir | Component::Prefix(_) => {
                let target = target.display();
                return refuse(
                    link,
                    format!("it is a link to {target}, outside of the tree"),
                );
            }
            Component::ParentDir if named => {
                let target = target.display();
                return refuse(
                    link,
                    format!("it is a link to {target}, with .. after a name"),
                );
            }
            Component::ParentDir if depth == 0 => {
                let target = target.display();
                return refuse(
                    link,
                    format!("it is a link to {target}, outside of the tree"),
                );
            }
            Component::ParentDir => depth -= 1,
            Component::CurDir => {}
            Component::Normal(_) => named = true,
        }
    }
    if target.as_os_str().is_empty() {
        return refuse(link, "it is a link to nothing");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use tar::{Builder, Header};
    use world::RealDisk;

    use super::*;

    fn entry(kind: EntryType, path: &str, target: &str, text: &str, mode: u32) -> Vec<u8> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(text.len() as u64);
        // Written past the crate's own checks.
        let old = header.as_old_mut();
        old.name[..path.len()].copy_from_slice(path.as_bytes());
        old.linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_cksum();
        let mut tar = Builder::new(Vec::new());
        tar.append(&header, text.as_bytes()).unwrap();
        let mut bytes = tar.into_inner().unwrap();
        bytes.truncate(bytes.len() - 1024); // No end yet.
        bytes
    }

    fn file(path: &str) -> Vec<u8> {
        entry(EntryType::Regular, path, "", "x", 0o644)
    }

    fn link(path: &str, target: &str) -> Vec<u8> {
        entry(EntryType::Symlink, path, target, "", 0o777)
    }

    fn unpack(entries: &[Vec<u8>]) -> (tempfile::TempDir, io::Result<()>) {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("tree");
        RealDisk.create_folders(&into, 0o755).unwrap();
        let mut unpacking = Unpacking::new(Arc::new(RealDisk), into, 100, 100);
        let mut bytes = entries.concat();
        bytes.extend([0; 1024]);
        let outcome = unpacking.all(&mut &bytes[..]);
        (folder, outcome)
    }

    #[test]
    fn what_would_leave_the_folder_or_is_no_plain_file_is_refused_by_name() {
        use EntryType::{Block, Char, Fifo, Link};
        let table = [
            vec![file("../x")],
            vec![file("/x")],
            vec![file("a/../../x")],
            vec![file("a/../x")],
            vec![file(".")],
            vec![file(".git/config")],
            vec![file("sub/.GIT")],
            vec![link("l", "/etc/passwd")],
            vec![link("l", "../x")],
            vec![link("l", "a/../../x")],
            vec![link("b/up", ".."), link("b/l", "up/../x")],
            vec![entry(Link, "l", "/etc/passwd", "", 0o644)],
            vec![entry(Fifo, "l", "", "", 0o644)],
            vec![entry(Char, "l", "", "", 0o644)],
            vec![entry(Block, "l", "", "", 0o644)],
            vec![link("l", "sub"), file("l/x")],
            vec![
                link("l", "sub"),
                entry(EntryType::Directory, "l", "", "", 0o755),
            ],
        ];
        for entries in table {
            let (folder, outcome) = unpack(&entries);
            let error = outcome.expect_err("refused");
            assert!(is_refusal(&error), "{error}");
            let outside = RealDisk.list(folder.path()).unwrap();
            assert_eq!(outside.len(), 1, "{error}");
        }
    }

    #[test]
    fn a_name_that_comes_twice_is_an_error() {
        for entries in [
            [file("x"), file("x")],
            [link("x", "y"), file("x")],
            [file("x"), file("x/y")],
        ] {
            assert!(unpack(&entries).1.is_err());
        }
    }

    #[test]
    fn modes_are_sane_whatever_the_archive_says() {
        for (given, kept) in [
            (0o4777, 0o755),
            (0o6666, 0o644),
            (0o600, 0o644),
            (0o100, 0o755),
        ] {
            let (folder, outcome) = unpack(&[entry(EntryType::Regular, "d/x", "", "x", given)]);
            outcome.unwrap();
            let path = folder.path().join("tree/d/x");
            assert_eq!(RealDisk.look(&path).unwrap().unwrap().mode, kept);
            let parent = RealDisk.look(path.parent().unwrap()).unwrap().unwrap();
            assert_eq!(parent.mode, 0o755);
        }
    }

    #[test]
    fn an_archive_that_is_cut_off_is_an_error_and_no_refusal() {
        let whole = file("x");
        let folder = tempfile::tempdir().unwrap();
        let mut unpacking = Unpacking::new(Arc::new(RealDisk), folder.path().into(), 100, 100);
        let error = unpacking.all(&mut &whole[..512]).expect_err("cut off");
        assert!(!is_refusal(&error), "{error}");
    }
}
