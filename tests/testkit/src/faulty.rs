//! A disk that fails where a test wants it to; else the real one.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use world::{Disk, Entry, Lock, LogFile, RealDisk, Space};

/// Says before each call by its name and path whether it fails.
type Faults = dyn FnMut(&str, &Path) -> io::Result<()> + Send;

/// A disk with faults.
pub struct Faulty(Mutex<Box<Faults>>);

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl Faulty {
    /// Asks `faults` before each call, with its name and path.
    #[must_use]
    pub fn new(faults: impl FnMut(&str, &Path) -> io::Result<()> + Send + 'static) -> Self {
        Self(Mutex::new(Box::new(faults)))
    }

    fn call(&self, name: &str, path: &Path) -> io::Result<()> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults(name, path)
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
    calls! {
        read(path) -> Vec<u8>;
        read_at(path, offset: u64, limit: usize) -> Vec<u8>;
        create(path, bytes: &[u8], mode: u32) -> ();
        replace(path, bytes: &[u8], mode: u32) -> ();
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
