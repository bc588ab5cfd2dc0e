//! The real disk, which notes each change or kills its own process at one, by the plan.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use rustix::{
    fs::{FlockOperation, flock},
    process::{Signal, getpid, kill_process},
};
use world::{Disk, Entry, Lock, LogFile, RealDisk, Space, Stamp, World};

use crate::{Change, Fired, Kill, Logged, Plan, When, change::Found};

/// The part of a host's folder that is simulated: what the agent keeps.
pub const BASE: &str = "base";
/// Where scripts write down that they ran. It is no part of the simulated disk.
pub const LEDGER: &str = "ledger";
/// Where changes are noted.
pub const LOG: &str = "changes.jsonl";

/// The disk of one process.
#[derive(Clone)]
pub struct Dying(Arc<Inner>);

struct Inner {
    host: PathBuf,
    role: String,
    plan: Plan,
    /// How often each label was seen in this process.
    seen: Mutex<BTreeMap<String, u32>>,
}

impl fmt::Debug for Dying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dying").field("role", &self.0.role).finish()
    }
}

impl Dying {
    fn world(host: &Path, role: &str) -> World {
        let disk = Self(Arc::new(Inner {
            host: host.to_owned(),
            role: role.to_owned(),
            plan: Plan::read(host),
            seen: Mutex::default(),
        }));
        let mut world = World::real();
        world.disk = Arc::new(disk);
        world
    }

    /// The world of an agent.
    #[must_use]
    pub fn world_of_agent(host: &Path) -> World {
        Self::world(host, "agent")
    }

    /// The world of what runs one script.
    #[must_use]
    pub fn world_of_step(host: &Path, folder: &Path) -> World {
        // ORDER-STEP-TRY: an id has five parts.
        let run = folder.file_name().unwrap_or_default().to_string_lossy();
        let step: Vec<&str> = run.splitn(6, '-').collect();
        Self::world(host, step.last().copied().unwrap_or_default())
    }

    /// Does a change as the plan says.
    fn make<T>(
        &self,
        change: impl FnOnce() -> Change,
        real: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match &self.0.plan {
            Plan::Nothing => real(),
            Plan::Record => self.record(&change(), real),
            Plan::Kill(kill) => {
                let change = change();
                // Once: the same change is made again by who goes on.
                let meant = self.name(&change) == kill.name && !Fired::is_there(&self.0.host);
                if meant {
                    self.die_before(kill, &change);
                }
                let done = real();
                if meant && kill.when == When::After {
                    die(&self.0.host);
                }
                done
            }
        }
    }

    /// One at a time over all processes, so that the notes have the order of what happened.
    fn record<T>(&self, change: &Change, real: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let host = &self.0.host;
        let log = OpenOptions::new()
            .append(true)
            .create(true)
            .open(host.join(LOG))?;
        flock(&log, FlockOperation::LockExclusive)?;
        let ledger_bytes = fs::metadata(host.join(LEDGER)).map_or(0, |ledger| ledger.len());
        let done = real()?;
        let logged = Logged {
            name: self.name(change),
            change: change.clone(),
            ledger_bytes,
        };
        let mut line = serde_json::to_vec(&logged).map_err(io::Error::other)?;
        line.push(b'\n');
        (&log).write_all(&line)?;
        Ok(done)
    }

    /// The name of a change: who makes it, what it is, and the how many-th of its kind in this process it is.
    fn name(&self, change: &Change) -> String {
        let label = format!("{}: {}", self.0.role, change.label());
        let mut seen: MutexGuard<'_, _> =
            self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let count = seen.entry(label.clone()).or_default();
        *count += 1;
        format!("{label} #{count}")
    }

    fn die_before(&self, kill: &Kill, change: &Change) {
        match kill.when {
            When::Before => die(&self.0.host),
            When::Within => {
                // What it comes to does not matter: it may fail as a disk fails.
                let _part = self.part(change);
                die(&self.0.host)
            }
            When::After => {}
        }
    }

    /// Does the first half of a change.
    fn part(&self, change: &Change) -> io::Result<()> {
        let host = &self.0.host;
        let half = |path: &Path, bytes: &[u8]| {
            let mut file = OpenOptions::new().append(true).create(true).open(path)?;
            file.write_all(&bytes[..bytes.len() / 2])
        };
        match change {
            Change::Create(path, bytes, _)
            | Change::CreateFrom(path, bytes, _)
            | Change::Append(path, bytes)
            | Change::AppendLog(path, bytes) => half(&host.join(path), bytes),
            Change::Replace(path, bytes, _) => {
                let path = host.join(path);
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                half(&path.with_file_name(format!(".{name}.new")), bytes)
            }
            Change::CreateFolders(path, _) => {
                let path = host.join(path);
                let missing = path.ancestors().filter(|above| !above.exists()).last();
                missing.map_or(Ok(()), fs::create_dir)
            }
            Change::RemoveTree(path) => {
                let mut files = Vec::new();
                walk(&host.join(path), &mut files)?;
                let half = files.len().div_ceil(2);
                files.iter().take(half).try_for_each(fs::remove_file)
            }
            _ => Ok(()),
        }
    }

    fn below(&self, path: &Path) -> PathBuf {
        let below = path.strip_prefix(&self.0.host);
        below.unwrap_or(path).to_owned()
    }

    /// All files below a path, as they are.
    fn found(&self, path: &Path) -> Vec<Found> {
        let mut files = Vec::new();
        let _gone = walk(path, &mut files);
        let read = |file: &PathBuf| {
            Some(Found {
                path: self.below(file),
                mode: fs::symlink_metadata(file).ok()?.permissions().mode() & 0o7777,
                bytes: fs::read(file).ok()?,
            })
        };
        files
            .iter()
            .filter(|file| !file.is_symlink())
            .filter_map(read)
            .collect()
    }
}

/// `kill -9`, by itself: nothing of this process runs after it.
fn die(host: &Path) -> ! {
    Fired::leave(host);
    let _sent = kill_process(getpid(), Signal::KILL);
    loop {
        thread::park();
    }
}

/// All files and links below a path.
fn walk(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(())
}

#[derive(Debug)]
struct DyingLog {
    disk: Dying,
    path: PathBuf,
    log: Box<dyn LogFile>,
}

impl LogFile for DyingLog {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let change = || Change::AppendLog(self.path.clone(), bytes.to_vec());
        self.disk.make(change, || self.log.append(bytes))
    }

    fn sync(&self) -> io::Result<()> {
        let change = || Change::SyncLog(self.path.clone());
        self.disk.make(change, || self.log.sync())
    }

    fn read_at(&self, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.log.read_at(offset, bytes)
    }
}

/// What only looks changes nothing, so that no crash is at it; a lock is gone with its process, and its file is empty.
macro_rules! looks {
    ($($name:ident($path:ident $(, $arg:ident: $kind:ty)*) -> $out:ty;)*) => {
        $(fn $name(&self, $path: &Path $(, $arg: $kind)*) -> io::Result<$out> {
            RealDisk.$name($path $(, $arg)*)
        })*
    };
}

impl Disk for Dying {
    looks! {
        read(path) -> Vec<u8>;
        read_at(path, offset: u64, limit: usize) -> Vec<u8>;
        read_link(path) -> Option<PathBuf>;
        look(path) -> Option<Entry>;
        list(path) -> Vec<Entry>;
        lock(path) -> Option<Box<dyn Lock>>;
        space(path) -> Space;
        stamp(path) -> Option<Stamp>;
    }

    fn create(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let change = || Change::Create(self.below(path), bytes.to_vec(), mode);
        self.make(change, || RealDisk.create(path, bytes, mode))
    }

    fn create_from(&self, path: &Path, from: &mut dyn Read, mode: u32) -> io::Result<u64> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        let change = || Change::CreateFrom(self.below(path), bytes.clone(), mode);
        self.make(change, || {
            RealDisk.create_from(path, &mut bytes.as_slice(), mode)
        })
    }

    fn copy(&self, from: &Path, to: &Path, mode: u32) -> io::Result<Stamp> {
        let bytes = fs::read(from)?;
        let change = || Change::CreateFrom(self.below(to), bytes, mode);
        self.make(change, || RealDisk.copy(from, to, mode))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let change = || Change::HardLink(self.below(from), self.below(to));
        self.make(change, || RealDisk.hard_link(from, to))
    }

    fn set_owner(&self, path: &Path, owner: (u32, u32)) -> io::Result<()> {
        let change = || Change::SetOwner(self.below(path));
        self.make(change, || RealDisk.set_owner(path, owner))
    }

    fn replace(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        let change = || Change::Replace(self.below(path), bytes.to_vec(), mode);
        self.make(change, || RealDisk.replace(path, bytes, mode))
    }

    fn append(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let change = || Change::Append(self.below(path), bytes.to_vec());
        self.make(change, || RealDisk.append(path, bytes))
    }

    fn open_log(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let change = || Change::OpenLog(self.below(path));
        let log = self.make(change, || RealDisk.open_log(path))?;
        Ok(Box::new(DyingLog {
            disk: self.clone(),
            path: self.below(path),
            log,
        }))
    }

    fn truncate(&self, path: &Path, bytes: u64) -> io::Result<()> {
        let change = || Change::Truncate(self.below(path), bytes);
        self.make(change, || RealDisk.truncate(path, bytes))
    }

    fn create_folders(&self, path: &Path, mode: u32) -> io::Result<()> {
        let change = || Change::CreateFolders(self.below(path), mode);
        self.make(change, || RealDisk.create_folders(path, mode))
    }

    fn symlink(&self, target: &Path, link: &Path) -> io::Result<()> {
        let change = || Change::Symlink(target.to_owned(), self.below(link));
        self.make(change, || RealDisk.symlink(target, link))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let change = || Change::Rename(self.below(from), self.below(to));
        self.make(change, || RealDisk.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let change = || Change::RemoveFile(self.below(path));
        self.make(change, || RealDisk.remove_file(path))
    }

    fn remove_tree(&self, path: &Path) -> io::Result<()> {
        let change = || Change::RemoveTree(self.below(path));
        self.make(change, || RealDisk.remove_tree(path))
    }

    fn set_mode(&self, path: &Path, mode: u32) -> io::Result<()> {
        let change = || Change::SetMode(self.below(path), mode);
        self.make(change, || RealDisk.set_mode(path, mode))
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let change = || Change::SyncFolder(self.below(folder));
        self.make(change, || RealDisk.sync_folder(folder))
    }

    fn sync_all(&self, path: &Path) -> io::Result<()> {
        let change = || Change::SyncAll(self.below(path), self.found(path));
        self.make(change, || RealDisk.sync_all(path))
    }
}
