#![doc = include_str!("../README.md")]

mod answer;
mod error;
mod exact;
mod export;
mod laid;
mod laying;
mod mirror;
mod origin;
mod program;
mod refs;
mod ssh;
mod stale;
mod tips;
mod tree;
mod unpack;
mod users;

use std::{path::PathBuf, time::Duration};

use command::{Output, Program};
use serde::{Deserialize, Serialize};
use world::World;

pub use answer::GitVersion;
pub use error::GitError;
pub use export::Exported;
pub use laid::Laid;
pub use laying::{LaidOut, Laying};
pub use mirror::{Ensured, Fetched, Mirror, mirror_folder};
pub use origin::{Origin, OriginError, Transport};
pub use refs::{Change, MovedTag};
pub use ssh::SshFiles;
pub use tips::{Tip, Tips};
pub use tree::{Tree, TreeEntry, TreeKind};

/// The most that is kept of an answer. A mirror with 100,000 refs answers with about 20 MB.
const OUTPUT_BYTES: usize = 64 << 20;

/// What bounds each call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// A fetch or a clone. Default 10 minutes.
    pub fetch: Duration,
    /// A question to an origin: which branches and tags it has. Default 1 minute.
    pub ask: Duration,
    /// A question to the mirror itself. Default 1 minute.
    pub read: Duration,
    /// An export. Default 10 minutes.
    pub export: Duration,
    /// How long to wait for somebody else who fetches into the same mirror. Default 10 minutes.
    pub lock: Duration,
    /// From this age on a lock file or a half pack that git left in a mirror is nobody's. Default 30 minutes.
    pub stale: Duration,
    /// The most bytes that an exported tree may have. Default `16 << 30`.
    pub export_bytes: u64,
    /// The most files, links and folders that an exported tree may have. Default 1 million.
    pub export_files: u64,
    /// The most memory that the list of what is in a tree may take, whoever made it. Default `256 << 20`: a million paths of 100 bytes.
    pub export_list_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const MINUTE: Duration = Duration::from_secs(60);
        Self {
            fetch: 10 * MINUTE,
            ask: MINUTE,
            read: MINUTE,
            export: 10 * MINUTE,
            lock: 10 * MINUTE,
            stale: 30 * MINUTE,
            export_bytes: 16 << 30,
            export_files: 1_000_000,
            export_list_bytes: 256 << 20,
        }
    }
}

/// The git program of this machine.
#[derive(Debug, Clone)]
pub struct Git {
    world: World,
    program: PathBuf,
    home: Option<PathBuf>,
    ssh: SshFiles,
    limits: Limits,
}

impl Git {
    /// The `git` in the system's usual folders (`command` gives programs a fixed `PATH`).
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self {
            world: world.clone(),
            program: PathBuf::from("git"),
            home: None,
            ssh: SshFiles::default(),
            limits: Limits::default(),
        }
    }

    /// Another git than the one on `PATH`.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// The home folder whose `.netrc` and `.gitconfig` (credential helpers, proxies) count when talking to an origin.
    /// Without one there is none. `ssh` does not look there: see [`Git::with_ssh`].
    #[must_use]
    pub fn with_home(mut self, home: impl Into<PathBuf>) -> Self {
        self.home = Some(home.into());
        self
    }

    /// The key and the host keys that ssh uses. Without them it goes by its own settings, and those of the home folder
    /// that the system's list of users names; `HOME` does not count for it.
    #[must_use]
    pub fn with_ssh(mut self, files: SshFiles) -> Self {
        self.ssh = files;
        self
    }

    /// Other limits.
    #[must_use]
    pub fn with_limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// What bounds its calls.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Asks git for its version, once at start.
    ///
    /// # Errors
    /// [`GitError::TooOld`] below [`GitVersion::OLDEST`]; [`GitError::Run`] when there is no git.
    pub async fn version(&self) -> Result<GitVersion, GitError> {
        let program = program::version(self);
        let output = self.run(&program, self.limits.read).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        let found = answer::version(&text).ok_or_else(|| GitError::answer(&program, &text))?;
        if found < GitVersion::OLDEST {
            return Err(GitError::TooOld { found });
        }
        Ok(found)
    }

    async fn run(&self, program: &Program, time: Duration) -> Result<Output, GitError> {
        let limits = command::Limits {
            output_bytes: OUTPUT_BYTES,
            ..command::Limits::of(time)
        };
        let ran = self.world.processes.run(program, limits).await;
        ran.map_err(|error| GitError::Run(error::shortened(error, program)))
    }

    /// Runs a program that is expected to succeed.
    async fn must(&self, program: &Program, time: Duration) -> Result<Output, GitError> {
        let output = self.run(program, time).await?;
        if output.success() {
            Ok(output)
        } else {
            Err(GitError::failed(program, &output))
        }
    }
}
