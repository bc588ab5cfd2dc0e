//! A disk that fails where a test wants it to; else the real one.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use world::{Disk, Entry, Lock, LogFile, RealDisk, Space, Stamp};

/// Says before each call by its name and path whether it fails.
type Faults = dyn Fn(&str, &Path) -> io::Result<()> + Send + Sync;

/// A disk with faults.
#[derive(Clone)]
pub struct Faulty(Arc<Faults>);

/// A file that it holds open.
#[derive(Debug)]
struct FaultyLog {
    disk: Faulty,
    path: PathBuf,
    log: Box<dyn LogFile>,
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

impl Faulty {
    /// Asks `faults` before each call, with its name and path: one call after the other.
    #[must_use]
    pub fn new(faults: impl FnMut(&str, &Path) -> io::Result<()> + Send + 'static) -> Self {
        let faults = Mutex::new(faults);
        Self::at_once(move |name, path| {
            let mut faults = faults.lock().unwrap_or_else(PoisonError::into_inner);
            faults(name, path)
        })
    }

    /// The same for `faults` that may be asked several times at once: those that make a call wait hold up no other.
    #[must_use]
    pub fn at_once(faults: impl Fn(&str, &Path) -> io::Result<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(faults))
    }

    fn call(&self, name: &str, path: &Path) -> io::Result<()> {
        (self.0)(name, path)
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

/// Its calls are `append_log` and `sync_log`.
impl LogFile for FaultyLog {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.disk.call("append_log", &self.path)?;
        self.log.append(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.disk.call("sync_log", &self.path)?;
        self.log.sync()
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.log.read_at(offset, bytes)
    }
}

impl Disk for Faulty {
    fn open_log(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        self.call("open_log", path)?;
        Ok(Box::new(FaultyLog {
            disk: self.clone(),
            path: path.to_owned(),
            log: RealDisk.open_log(path)?,
        }))
    }

    calls! {
        read(path) -> Vec<u8>;
        read_at(path, offset: u64, limit: usize) -> Vec<u8>;
        create(path, bytes: &[u8], mode: u32) -> ();
        replace(path, bytes: &[u8], mode: u32) -> ();
        append(path, bytes: &[u8]) -> ();
        truncate(path, bytes: u64) -> ();
        create_folders(path, mode: u32) -> ();
        symlink(path, link: &Path) -> ();
        read_link(path) -> Option<PathBuf>;
        rename(path, to: &Path) -> ();
        remove_file(path) -> ();
        remove_tree(path) -> ();
        set_mode(path, mode: u32) -> ();
        set_owner(path, owner: (u32, u32)) -> ();
        copy(path, to: &Path, mode: u32) -> Stamp;
        hard_link(path, to: &Path) -> ();
        stamp(path) -> Option<Stamp>;
        look(path) -> Option<Entry>;
        list(path) -> Vec<Entry>;
        sync_folder(path) -> ();
        sync_all(path) -> ();
        lock(path) -> Option<Box<dyn Lock>>;
        space(path) -> Space;
    }
}
