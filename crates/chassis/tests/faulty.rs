//! A disk that fails, or dies, where a test wants it to; else the real one.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Mutex,
};

use world::{Disk, Entry, Lock, LogFile, RealDisk, Space};

/// What a test has become of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is done.
    Done,
    /// It is not done, and says so.
    Fails,
    /// A file is written by half, anything else not at all; then as `Fails`.
    Half,
}

type Fates = dyn FnMut(&str, &Path) -> Fate + Send;

/// Asks before each step. `replace` is the steps that the real one takes: `create`, `rename`, `sync_folder`.
pub(crate) struct Faulty(Mutex<Box<Fates>>);

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl Faulty {
    pub(crate) fn new(fates: impl FnMut(&str, &Path) -> Fate + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(fates)))
    }

    fn step(&self, name: &str, path: &Path) -> Fate {
        self.0.lock().unwrap()(name, path)
    }

    fn call(&self, name: &str, path: &Path) -> io::Result<()> {
        match self.step(name, path) {
            Fate::Done => Ok(()),
            Fate::Fails | Fate::Half => Err(io::Error::other("no space left on device")),
        }
    }
}

macro_rules! calls {
    ($($name:ident($path:ident $(, $arg:ident: $kind:ty)*) -> $out:ty;)*) => {
        $(fn $name(&self, $path: &Path $(, $arg: $kind)*) -> io::Result<$out> {
            self.call(stringify!($name), $path)?;
            RealDisk.$name($path $(, $arg)*)
        })*
    };
}

impl Disk for Faulty {
    fn create(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        match self.step("create", path) {
            Fate::Done => RealDisk.create(path, bytes, mode),
            Fate::Fails => Err(io::Error::other("no space left on device")),
            Fate::Half => {
                RealDisk.create(path, &bytes[..bytes.len() / 2], mode)?;
                Err(io::Error::other("no space left on device"))
            }
        }
    }

    fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let folder = path.parent().unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let beside = folder.join(format!(".{name}.new"));
        RealDisk.remove_file(&beside)?;
        self.create(&beside, bytes, mode)?;
        self.rename(&beside, path)?;
        self.sync_folder(folder)
    }

    calls! {
        read(path) -> Vec<u8>;
        read_at(path, offset: u64, limit: usize) -> Vec<u8>;
        append(path, bytes: &[u8]) -> ();
        open_log(path) -> Box<dyn LogFile>;
        truncate(path, bytes: u64) -> ();
        create_folders(path, mode: u32) -> ();
        symlink(path, link: &Path) -> ();
        read_link(path) -> Option<PathBuf>;
        rename(path, to: &Path) -> ();
        remove_file(path) -> ();
        remove_tree(path) -> ();
        set_mode(path, mode: u32) -> ();
        look(path) -> Option<Entry>;
        list(path) -> Vec<Entry>;
        sync_folder(path) -> ();
        sync_all(path) -> ();
        lock(path) -> Option<Box<dyn Lock>>;
        space(path) -> Space;
    }
}
