//! What has to be done with a repository's files, as a value: done here, or by a process of the user whose files they are.

use std::path::PathBuf;

use chassis::causes;
use events::{RepoName, message::RefTip};
use git::{Ensured, Fetched, Git, Limits, Mirror, Origin, SshFiles};
use serde::{Deserialize, Serialize};
use world::World;

use crate::checkouts::{CheckedOut, Checkouts, check_out};

/// One thing to do, with all that it needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Errand {
    pub(crate) site: Site,
    pub(crate) task: Task,
}

/// A repository's files on this host.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Site {
    pub(crate) repository: RepoName,
    pub(crate) origin: Origin,
    pub(crate) mirror: PathBuf,
    /// True if the settings name the mirror's folder: it may be somebody else's.
    pub(crate) named: bool,
    pub(crate) checkouts: Option<Checkouts>,
    pub(crate) home: Option<PathBuf>,
    pub(crate) key_file: Option<PathBuf>,
    pub(crate) known_hosts_file: Option<PathBuf>,
    pub(crate) limits: Limits,
}

/// What to do.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Task {
    /// Clone or fetch.
    Fetch,
    /// Bring the folders to what the mirror has.
    CheckOut,
    /// Pack the mirror, if that was not done since then (seconds since 1970).
    Maintain {
        /// The moment.
        since_s: i64,
    },
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Outcome {
    Fetched(Brought),
    CheckedOut(CheckedOut),
    /// True if there was something to do.
    Maintained(bool),
}

/// What a fetch found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Brought {
    pub(crate) ensured: Ensured,
    pub(crate) fetched: Fetched,
    pub(crate) refs: Vec<RefTip>,
}

impl Errand {
    /// Does it, in this process.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) async fn run(&self, world: &World) -> Result<Outcome, String> {
        let site = &self.site;
        let mirror = site.mirror(world)?;
        match self.task {
            Task::Fetch => site.fetch(&mirror).await.map(Outcome::Fetched),
            Task::CheckOut => {
                let there = mirror.exists().await.map_err(|error| causes(&error))?;
                let done = match &site.checkouts {
                    Some(wanted) if there => {
                        check_out(&mirror, world, &site.repository, wanted).await
                    }
                    Some(_) | None => CheckedOut::default(),
                };
                Ok(Outcome::CheckedOut(done))
            }
            Task::Maintain { since_s } => {
                let last = mirror.maintained_s().await;
                let due = last.map(|last| last.is_none_or(|last| last < since_s));
                if !due.map_err(|error| causes(&error))? {
                    return Ok(Outcome::Maintained(false));
                }
                let done = mirror.maintain().await.map_err(|error| causes(&error));
                done.map(|()| Outcome::Maintained(true))
            }
        }
    }
}

impl Site {
    fn mirror(&self, world: &World) -> Result<Mirror, String> {
        let files = SshFiles::new(self.key_file.as_ref(), self.known_hosts_file.as_ref())?;
        let mut git = Git::new(world).with_limits(self.limits).with_ssh(files);
        if let Some(home) = &self.home {
            git = git.with_home(home);
        }
        Ok(Mirror::at(&self.mirror, &git))
    }

    /// Clones or fetches, and reads what is there then.
    async fn fetch(&self, mirror: &Mirror) -> Result<Brought, String> {
        let failed = |error| causes(&error);
        if self.named && mirror.exists().await.map_err(failed)? {
            let origin = mirror.origin().await.ok();
            if origin.as_ref() != Some(&self.origin) {
                let is = origin.map_or_else(|| "none".to_owned(), |origin| origin.to_string());
                return Err(format!(
                    "{} is a repository that is no mirror of this origin (its origin: {is}), and a fetch would overwrite \
                     its branches: name another folder, or move it away",
                    self.mirror.display()
                ));
            }
        }
        let ensured = mirror.ensure(&self.origin).await.map_err(failed)?;
        let fetched = match ensured {
            Ensured::Cloned => Fetched::default(),
            Ensured::Kept | Ensured::Moved => mirror.fetch().await.map_err(failed)?,
        };
        let refs = mirror.refs().await.map_err(failed)?;
        Ok(Brought {
            ensured,
            fetched,
            refs,
        })
    }
}
