//! The folder of one run of a script: the only thing that the agent and the script's runner share.
//!
//! ```text
//! spec.json    what to run; written whole before the runner is started
//! lock         held by the runner as long as it lives
//! started      written before the script starts: from then on it is not started again
//! group        link without a target, which says who the script's process group is: made by the process that becomes the
//!              script, before it does; or by a later runner, and then that process becomes nothing
//! not-started  why that process could not become the script
//! output       standard output and error, byte for byte
//! end          written by the agent to have the script ended
//! status.json  how it went; written whole at the end
//! ```
//!
//! So a restarted agent knows: `status.json` there: over; else `lock` held: under way; else `started` there: its runner was killed, and
//! another one is started, which ends what is left of the group and writes `status.json`; else it never ran, and may be started.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use world::{Disk, User, UserName};

use crate::leftover::Group;

/// What to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// The script.
    pub program: PathBuf,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// The folder it runs in.
    pub folder: PathBuf,
    /// As whom; `None`: as whoever runs this. Another user's `HOME` is theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<UserName>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
    /// After this it gets TERM, with all its children.
    pub limit_s: u64,
    /// And this long after TERM it gets KILL.
    pub grace_s: u64,
    /// True if what it wrote on the file system of `folder` lasts before anybody is told how it went.
    #[serde(default)]
    pub flush: bool,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Status {
    /// The exit code, if it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// True if it was ended at its limit.
    #[serde(default)]
    pub timed_out: bool,
    /// True if it was ended because `end` was there.
    #[serde(default)]
    pub ended: bool,
    /// True if its runner was killed: nobody knows how far it came. What was left of it was ended, unless `error` says otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    /// Why it could not be started, or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long it ran.
    pub duration_ms: u64,
}

/// What a run's folder says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// It is over.
    Over(Status),
    /// Its runner lives.
    UnderWay,
    /// It was started, and its runner is gone without a word; the script may live. A runner that is started anew ends it.
    Left,
    /// It was never started.
    Fresh,
}

/// The folder of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// The folder at a path; made by [`RunFolder::make`].
    #[must_use]
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the script wrote.
    #[must_use]
    pub fn output(&self) -> PathBuf {
        self.0.join("output")
    }

    /// The file that its runner holds locked.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    fn status(&self) -> PathBuf {
        self.0.join("status.json")
    }

    fn started(&self) -> PathBuf {
        self.0.join("started")
    }

    fn group(&self) -> PathBuf {
        self.0.join("group")
    }

    fn not_started(&self) -> PathBuf {
        self.0.join("not-started")
    }

    fn end(&self) -> PathBuf {
        self.0.join("end")
    }

    /// Makes the folder with its specification; repeatable.
    ///
    /// # Errors
    /// The system's.
    pub fn make(&self, disk: &dyn Disk, spec: &Spec) -> io::Result<()> {
        disk.create_folders(&self.0, 0o750)?;
        // A script that was started is not started again only as long as its folder is there.
        if let Some(steps) = self.0.parent() {
            disk.sync_folder(steps)?;
        }
        let spec = serde_json::to_vec_pretty(spec).map_err(io::Error::other)?;
        disk.replace(&self.0.join("spec.json"), &spec, 0o640)
    }

    /// Lets a user read what their script writes: they come to the folder, and the output is their group's to read.
    ///
    /// # Errors
    /// The system's.
    pub fn show_to(&self, disk: &dyn Disk, user: &User) -> io::Result<()> {
        disk.create(&self.output(), b"", 0o640)?;
        disk.set_owner(&self.output(), (0, user.gid()))?;
        disk.set_mode(&self.0, 0o751)
    }

    /// The specification.
    ///
    /// # Errors
    /// The system's, or that it is not understood.
    pub fn spec(&self, disk: &dyn Disk) -> io::Result<Spec> {
        json(&disk.read(&self.0.join("spec.json"))?)
    }

    /// The specification, if an agent has decided to run it: it may have been started.
    ///
    /// # Errors
    /// The system's, or that it is not understood.
    pub fn begun(&self, disk: &dyn Disk) -> io::Result<Option<Spec>> {
        match self.spec(disk) {
            Ok(spec) => Ok(Some(spec)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the folder says, without its lock: `None` if only the lock can tell.
    ///
    /// # Errors
    /// The system's, or that the outcome is not understood.
    pub fn outcome(&self, disk: &dyn Disk) -> io::Result<Option<Status>> {
        match disk.read(&self.status()) {
            Ok(bytes) => json(&bytes).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What the folder says.
    ///
    /// # Errors
    /// The system's, or that the outcome is not understood.
    pub fn look(&self, disk: &dyn Disk) -> io::Result<Found> {
        if let Some(status) = self.outcome(disk)? {
            return Ok(Found::Over(status));
        }
        if disk.look(&self.0)?.is_none() {
            return Ok(Found::Fresh);
        }
        let Some(_held) = disk.lock(&self.lock())? else {
            return Ok(Found::UnderWay);
        };
        // The runner may have ended between the two looks.
        if let Some(status) = self.outcome(disk)? {
            return Ok(Found::Over(status));
        }
        match disk.look(&self.started())? {
            Some(_) => Ok(Found::Left),
            None => Ok(Found::Fresh),
        }
    }

    /// Makes sure that a script that was not started yet never is. False if it was.
    ///
    /// # Errors
    /// The system's.
    pub fn forbid(&self, disk: &dyn Disk) -> io::Result<bool> {
        if disk.look(&self.0)?.is_none() {
            return Ok(true);
        }
        let Some(_held) = disk.lock(&self.lock())? else {
            return Ok(false);
        };
        match self.begin(disk) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            begun => begun.map(|()| true),
        }
    }

    /// Says that the script starts now. Fails if it was started before.
    ///
    /// # Errors
    /// The system's; `AlreadyExists` if it was started before.
    pub fn begin(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.create(&self.started(), b"", 0o640)?;
        disk.sync_folder(&self.0)
    }

    /// Says which group the script is, before it is. Nothing is flushed: a group does not outlive the power.
    ///
    /// # Errors
    /// The system's; `AlreadyExists` if a later runner has said that it becomes none.
    pub fn claim(&self, disk: &dyn Disk, group: &Group) -> io::Result<()> {
        disk.symlink(Path::new(&group.to_text()), &self.group())
    }

    /// Which group the script was; where that is not said, none is from now on.
    ///
    /// # Errors
    /// The system's.
    pub fn group_or_none(&self, disk: &dyn Disk) -> io::Result<Option<Group>> {
        match disk.symlink(Path::new("none"), &self.group()) {
            Ok(()) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        let said = disk.read_link(&self.group())?;
        Ok(said.and_then(|said| Group::of_text(said.to_str()?)))
    }

    /// Says why the script could not be started.
    ///
    /// # Errors
    /// The system's.
    pub fn refuse(&self, disk: &dyn Disk, why: &str) -> io::Result<()> {
        disk.create(&self.not_started(), why.as_bytes(), 0o640)
    }

    /// Why the script could not be started, if that is so.
    #[must_use]
    pub fn refused(&self, disk: &dyn Disk) -> Option<String> {
        let why = disk.read(&self.not_started()).ok()?;
        Some(String::from_utf8_lossy(&why).into_owned())
    }

    /// Says how it went.
    ///
    /// # Errors
    /// The system's.
    pub fn finish(&self, disk: &dyn Disk, status: &Status) -> io::Result<()> {
        let status = serde_json::to_vec(status).map_err(io::Error::other)?;
        disk.replace(&self.status(), &status, 0o640)
    }

    /// Asks for the script to be ended.
    ///
    /// # Errors
    /// The system's.
    pub fn ask_end(&self, disk: &dyn Disk) -> io::Result<()> {
        disk.replace(&self.end(), b"", 0o640)
    }

    /// True if the script shall be ended.
    #[must_use]
    pub fn end_asked(&self, disk: &dyn Disk) -> bool {
        disk.look(&self.end()).is_ok_and(|entry| entry.is_some())
    }
}

fn json<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    serde_json::from_slice(bytes).map_err(io::Error::other)
}
