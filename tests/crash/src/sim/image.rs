//! What is on a disk, as a value.

use std::{
    collections::{BTreeMap, hash_map::DefaultHasher},
    fs,
    hash::{Hash, Hasher},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
    path::{Path, PathBuf},
};

/// One thing on a disk.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Thing {
    /// With its permission bits.
    Folder(u32),
    /// Its bytes and permission bits.
    File(Vec<u8>, u32),
    /// Its target.
    Link(PathBuf),
}

/// All things below a folder, those above first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Image(BTreeMap<PathBuf, Thing>);

impl Image {
    /// What is below `root`, in the folder `part` of it; links are not followed, `passed_over` is left out.
    ///
    /// # Panics
    /// It cannot be read.
    #[must_use]
    pub fn of(root: &Path, part: &str, passed_over: &[&str]) -> Self {
        let mut image = Self::default();
        image.add(Path::new(part), Thing::Folder(0o755));
        let taken = image.take(root, Path::new(part), passed_over);
        taken.unwrap_or_else(|error| panic!("{}: {error}", root.display()));
        image
    }

    fn take(&mut self, root: &Path, path: &Path, passed_over: &[&str]) -> io::Result<()> {
        for entry in fs::read_dir(root.join(path))? {
            let entry = entry?;
            let name = entry.file_name();
            if passed_over.iter().any(|other| name == **other) {
                continue;
            }
            let (at, path) = (entry.path(), path.join(&name));
            let meta = fs::symlink_metadata(&at)?;
            let mode = meta.permissions().mode() & 0o7777;
            if meta.is_dir() {
                self.add(&path, Thing::Folder(mode));
                self.take(root, &path, passed_over)?;
            } else if meta.is_symlink() {
                self.add(&path, Thing::Link(fs::read_link(&at)?));
            } else if meta.is_file() {
                self.add(&path, Thing::File(fs::read(&at)?, mode));
            }
            // Anything else is a socket: nobody listens there after a crash.
        }
        Ok(())
    }

    /// Adds a thing.
    pub fn add(&mut self, path: &Path, thing: Thing) {
        self.0.insert(path.to_owned(), thing);
    }

    /// All things.
    #[must_use]
    pub fn things(&self) -> &BTreeMap<PathBuf, Thing> {
        &self.0
    }

    /// A number that is another one for another image.
    #[must_use]
    pub fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// The same with another folder's name in its files, as long as the old one: what a process has written down of where it
    /// is, is then true there too.
    ///
    /// # Panics
    /// The names are not of one length, so a torn file could not be told from a whole one.
    #[must_use]
    pub fn moved(&self, from: &Path, to: &Path) -> Self {
        let (from, to) = (from.as_os_str().as_bytes(), to.as_os_str().as_bytes());
        assert_eq!(
            from.len(),
            to.len(),
            "temporary folders have names of one length"
        );
        let mut moved = self.clone();
        for thing in moved.0.values_mut() {
            let Thing::File(bytes, _) = thing else {
                continue;
            };
            let places: Vec<usize> = bytes
                .windows(from.len())
                .enumerate()
                .filter(|(_, part)| *part == from)
                .map(|(place, _)| place)
                .collect();
            for place in places {
                bytes[place..place + to.len()].copy_from_slice(to);
            }
        }
        moved
    }

    /// Makes all of it below `root`.
    ///
    /// # Panics
    /// It cannot.
    pub fn make(&self, root: &Path) {
        for (path, thing) in &self.0 {
            let made = make(&root.join(path), thing);
            made.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

fn make(path: &Path, thing: &Thing) -> io::Result<()> {
    match thing {
        Thing::Folder(mode) => {
            fs::create_dir_all(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))
        }
        Thing::File(bytes, mode) => {
            fs::write(path, bytes)?;
            fs::set_permissions(path, fs::Permissions::from_mode(*mode))
        }
        Thing::Link(target) => symlink(target, path),
    }
}
