//! What has to be done with a repository's files, as a value: done here, or by a process of the user whose files they are.

use std::{collections::BTreeSet, path::PathBuf};

use chassis::causes;
use events::{RefName, RepoName, message::RefTip};
use git::{Ensured, Fetched, Git, Limits, Mirror, Origin, SshFiles, Tips};
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
    /// See what the origin has and what is here; nothing is fetched.
    Look,
    /// Bring exactly these refs to what was seen at the origin.
    FetchExactly {
        /// What was seen.
        there: Tips,
        /// Which of it may come.
        admitted: BTreeSet<RefName>,
    },
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
    Looked(Looked),
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

/// What the origin of a gated mirror has, and what is here.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Looked {
    pub(crate) ensured: Ensured,
    pub(crate) there: Tips,
    pub(crate) here: Vec<RefTip>,
}

impl Errand {
    /// Does it, in this process.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) async fn run(&self, world: &World) -> Result<Outcome, String> {
        let site = &self.site;
        let mirror = site.mirror(world)?;
        match &self.task {
            Task::Fetch => site.fetch(&mirror).await.map(Outcome::Fetched),
            Task::Look => site.look(&mirror, world).await.map(Outcome::Looked),
            Task::FetchExactly { there, admitted } => {
                let brought = site.fetch_exactly(&mirror, there, admitted).await;
                brought.map(Outcome::Fetched)
            }
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
                let due = last.map(|last| last.is_none_or(|last| last < *since_s));
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
        Ok(Mirror::at(&self.mirror, &self.git(world)?))
    }

    fn git(&self, world: &World) -> Result<Git, String> {
        let files = SshFiles::new(self.key_file.as_ref(), self.known_hosts_file.as_ref())?;
        let mut git = Git::new(world).with_limits(self.limits).with_ssh(files);
        if let Some(home) = &self.home {
            git = git.with_home(home);
        }
        Ok(git)
    }

    /// Nobody else's repository is made a mirror of this one.
    async fn check_owner(&self, mirror: &Mirror) -> Result<(), String> {
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
        Ok(())
    }

    async fn look(&self, mirror: &Mirror, world: &World) -> Result<Looked, String> {
        let failed = |error| causes(&error);
        self.check_owner(mirror).await?;
        let there = self.git(world)?.tips(&self.origin).await.map_err(failed)?;
        // Marked as gated before anybody asks what may come, so that the agent keeps to it too.
        let ensured = match there.tips.first() {
            Some(tip) => mirror.ensure_gated(&self.origin, &tip.commit).await,
            None => Ok(Ensured::Kept),
        };
        let ensured = ensured.map_err(failed)?;
        let here = match mirror.exists().await.map_err(failed)? {
            true => mirror.refs().await.map_err(failed)?,
            false => Vec::new(),
        };
        Ok(Looked {
            ensured,
            there,
            here,
        })
    }

    async fn fetch_exactly(
        &self,
        mirror: &Mirror,
        there: &Tips,
        admitted: &BTreeSet<RefName>,
    ) -> Result<Brought, String> {
        let failed = |error| causes(&error);
        let mut brought = Brought {
            ensured: Ensured::Kept,
            fetched: Fetched::default(),
            refs: Vec::new(),
        };
        // The origin has nothing, and never had.
        if there.tips.is_empty() && !mirror.exists().await.map_err(failed)? {
            return Ok(brought);
        }
        let fetched = mirror.fetch_exactly(there, admitted).await;
        brought.fetched = fetched.map_err(failed)?;
        brought.refs = mirror.refs().await.map_err(failed)?;
        Ok(brought)
    }

    /// Clones or fetches, and reads what is there then.
    async fn fetch(&self, mirror: &Mirror) -> Result<Brought, String> {
        let failed = |error| causes(&error);
        self.check_owner(mirror).await?;
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
