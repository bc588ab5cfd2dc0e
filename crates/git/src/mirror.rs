//! A bare clone on this host.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use command::Program;
use events::{
    CommitId, RefName, RepoName,
    message::{Commit, RefTip},
};
use serde::{Deserialize, Serialize};
use world::Lock;

use crate::{
    Git, GitError, Origin, OriginError, answer, program,
    refs::{Change, MovedTag, changes, moved},
    stale,
};

/// One mirror. Reading needs no lock; changing it takes the mirror's own, which also holds between processes.
#[derive(Debug, Clone)]
pub struct Mirror {
    folder: PathBuf,
    git: Git,
}

/// A file in a mirror that is as old as its last upkeep.
const MAINTAINED: &str = "deploykit-maintained";

/// Where the mirror of a repository is, below a host's base folder.
#[must_use]
pub fn mirror_folder(base: &Path, repository: &RepoName) -> PathBuf {
    base.join("mirrors").join(format!("{repository}.git"))
}

/// What [`Mirror::ensure`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ensured {
    /// It was there.
    Kept,
    /// It was there and came from somewhere else until now.
    Moved,
    /// It is new, and as its origin is now.
    Cloned,
}

/// What a fetch brought.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fetched {
    /// What is different from before, by name.
    pub changed: Vec<Change>,
    /// Tags that lead somewhere else at the origin than here. They stay as they were until somebody decides.
    pub moved_tags: Vec<MovedTag>,
    /// Refs with names that are refused here (see [`RefName`]), as git lists them.
    pub unusable: Vec<String>,
}

impl Mirror {
    /// The mirror in this folder, whether or not it is there yet.
    #[must_use]
    pub fn at(folder: impl Into<PathBuf>, git: &Git) -> Self {
        Self {
            folder: folder.into(),
            git: git.clone(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn git(&self) -> &Git {
        &self.git
    }

    /// True if it is there. It is made beside and renamed, so it is whole then.
    ///
    /// # Errors
    /// [`GitError::Disk`].
    pub async fn exists(&self) -> Result<bool, GitError> {
        let head = self.folder.join("HEAD");
        let found = self.git.world.on_disk(move |disk| disk.look(&head)).await;
        Ok(found.map_err(GitError::disk(&self.folder))?.is_some())
    }

    pub(crate) async fn must_exist(&self) -> Result<(), GitError> {
        if self.exists().await? {
            return Ok(());
        }
        Err(GitError::NoMirror {
            folder: self.folder.clone(),
        })
    }

    /// Clones it if it is missing, and notes its origin. One that was gated is not any more.
    ///
    /// # Errors
    /// Any of [`GitError`]; nothing half is left at the folder.
    pub async fn ensure(&self, origin: &Origin) -> Result<Ensured, GitError> {
        let clone = |beside: &Path| vec![program::clone(&self.git, origin, beside)];
        self.ensure_as(origin, Some(false), clone).await
    }

    /// `gated`: what it is to be; `None` where the caller does not decide that. `make`: what makes a new one in a folder.
    pub(crate) async fn ensure_as(
        &self,
        origin: &Origin,
        gated: Option<bool>,
        make: impl FnOnce(&Path) -> Vec<Program>,
    ) -> Result<Ensured, GitError> {
        let as_wanted = |settings: &answer::Settings| {
            let kept = settings.origin.as_deref() == Some(origin.as_str());
            (kept, gated.is_none_or(|gated| gated == settings.gated))
        };
        if self.exists().await? && as_wanted(&self.settings().await?) == (true, true) {
            return Ok(Ensured::Kept);
        }
        let _held = self.lock().await?;
        if self.exists().await? {
            self.sweep().await?;
            let (same_origin, same_gate) = as_wanted(&self.settings().await?);
            // The gate first: a new origin is behind it from its first fetch on.
            if let Some(gated) = gated.filter(|_| !same_gate) {
                let program = program::set_gate(&self.git, &self.folder, gated);
                self.git.must(&program, self.git.limits.read).await?;
            }
            if same_origin {
                return Ok(Ensured::Kept);
            }
            let program = program::set_origin(&self.git, &self.folder, origin);
            self.git.must(&program, self.git.limits.read).await?;
            return Ok(Ensured::Moved);
        }
        let beside = self.beside("new");
        let clear = |path: PathBuf| async move {
            let cleared = path.clone();
            let gone = self
                .git
                .world
                .on_disk(move |disk| disk.remove_tree(&cleared));
            gone.await.map_err(GitError::disk(path))
        };
        clear(beside.clone()).await?;
        for program in make(&beside) {
            if let Err(error) = self.git.must(&program, self.git.limits.fetch).await {
                clear(beside).await?;
                return Err(error);
            }
        }
        let (from, to) = (beside, self.folder.clone());
        let renamed = self.git.world.on_disk(move |disk| {
            disk.sync_all(&from)?;
            disk.rename(&from, &to)?;
            disk.sync_folder(to.parent().unwrap_or(Path::new("/")))
        });
        renamed.await.map_err(GitError::disk(&self.folder))?;
        Ok(Ensured::Cloned)
    }

    /// Brings branches and tags to what the origin has: branches follow, new tags come, what is gone there goes here. A
    /// tag that has moved there stays and is reported.
    ///
    /// # Errors
    /// Any of [`GitError`]; what has arrived until then stays. [`GitError::Gated`] where only its keeper may.
    pub async fn fetch(&self) -> Result<Fetched, GitError> {
        self.must_exist().await?;
        let _held = self.lock().await?;
        if self.settings().await?.gated {
            return Err(GitError::Gated {
                folder: self.folder.clone(),
            });
        }
        self.sweep().await?;
        let transport = self.origin().await?.transport();
        let before = self.read_refs(&[]).await?;
        let program = program::fetch(&self.git, &self.folder, transport);
        let output = self.git.run(&program, self.git.limits.fetch).await?;
        let after = self.read_refs(&[]).await?;
        let mut moved_tags = Vec::new();
        if !output.success() {
            // 1 without a word is git's way to say that it refused to move a tag.
            if output.code == Some(1) && !answer::names_an_error(&output.stderr) {
                let program = program::tips_of_origin(&self.git, &self.folder, transport);
                moved_tags = moved(&after, &self.git.read_tips(&program).await?);
            }
            if moved_tags.is_empty() {
                return Err(GitError::failed(&program, &output));
            }
        }
        Ok(Fetched {
            changed: changes(&before.tips, &after.tips),
            moved_tags,
            unusable: after.unusable,
        })
    }

    /// Its branches and tags with the commits they lead to: tags first, newest first.
    ///
    /// # Errors
    /// Any of [`GitError`].
    pub async fn refs(&self) -> Result<Vec<RefTip>, GitError> {
        self.must_exist().await?;
        Ok(self.read_refs(&[]).await?.tips)
    }

    /// The commit that exactly this ref leads to; never one of a similar name.
    ///
    /// # Errors
    /// Any of [`GitError`].
    pub async fn resolve(&self, name: &RefName) -> Result<Option<CommitId>, GitError> {
        self.must_exist().await?;
        let refs = self.read_refs(&[name.as_str()]).await?;
        let tip = refs.tips.into_iter().find(|tip| tip.name == *name);
        Ok(tip.map(|tip| tip.commit))
    }

    /// True if the commit is here, and with it its tree and its history.
    ///
    /// # Errors
    /// Any of [`GitError`].
    pub async fn has(&self, commit: &CommitId) -> Result<bool, GitError> {
        self.must_exist().await?;
        self.yes_or_no(&program::has(&self.git, &self.folder, commit))
            .await
    }

    /// True if `old` is `new` or one of its ancestors. Both must be here.
    ///
    /// # Errors
    /// Any of [`GitError`].
    pub async fn is_ancestor(&self, old: &CommitId, new: &CommitId) -> Result<bool, GitError> {
        self.must_exist().await?;
        self.yes_or_no(&program::is_ancestor(&self.git, &self.folder, old, new))
            .await
    }

    /// What is in `new` and not in `old` (all of `new` without one), newest first, at most `limit`.
    ///
    /// # Errors
    /// Any of [`GitError`].
    pub async fn commits(
        &self,
        old: Option<&CommitId>,
        new: &CommitId,
        limit: usize,
    ) -> Result<Vec<Commit>, GitError> {
        self.must_exist().await?;
        let program = program::commits(&self.git, &self.folder, old, new, limit);
        let output = self.git.must(&program, self.git.limits.read).await?;
        let text = String::from_utf8_lossy(&output.stdout);
        answer::commits(&text).ok_or_else(|| GitError::answer(&program, &text))
    }

    /// Packs what many fetches have brought, where it is worth it, and notes when. For a slow timer: it can take as long
    /// as a clone.
    ///
    /// # Errors
    /// Any of [`GitError`]; the mirror is as usable as before.
    pub async fn maintain(&self) -> Result<(), GitError> {
        self.must_exist().await?;
        let _held = self.lock().await?;
        self.sweep().await?;
        for program in program::upkeep(&self.git, &self.folder) {
            self.git.must(&program, self.git.limits.fetch).await?;
        }
        let note = self.folder.join(MAINTAINED);
        let noted = self
            .git
            .world
            .on_disk(move |disk| disk.replace(&note, b"", 0o644));
        noted.await.map_err(GitError::disk(&self.folder))
    }

    /// When it was last maintained, seconds since 1970.
    ///
    /// # Errors
    /// [`GitError::Disk`].
    pub async fn maintained_s(&self) -> Result<Option<i64>, GitError> {
        let note = self.folder.join(MAINTAINED);
        let found = self.git.world.on_disk(move |disk| disk.look(&note)).await;
        let found = found.map_err(GitError::disk(&self.folder))?;
        Ok(found.map(|note| note.modified_s))
    }

    /// Where it comes from.
    ///
    /// # Errors
    /// [`GitError::Origin`] when that is missing or refused.
    pub async fn origin(&self) -> Result<Origin, GitError> {
        let origin = match self.settings().await?.origin {
            None => Err(OriginError::Missing),
            Some(text) => text.parse(),
        };
        origin.map_err(|source| GitError::Origin {
            folder: self.folder.clone(),
            source,
        })
    }

    pub(crate) async fn settings(&self) -> Result<answer::Settings, GitError> {
        let program = program::settings(&self.git, &self.folder);
        let output = self.git.run(&program, self.git.limits.read).await?;
        // 1 says that there are none. Whatever else went wrong must not read as "not gated".
        if !matches!(output.code, Some(0 | 1)) {
            return Err(GitError::failed(&program, &output));
        }
        Ok(answer::settings(&String::from_utf8_lossy(&output.stdout)))
    }

    async fn yes_or_no(&self, program: &Program) -> Result<bool, GitError> {
        let output = self.git.run(program, self.git.limits.read).await?;
        match output.code {
            Some(0) => Ok(true),
            Some(1) => Ok(false),
            _ => Err(GitError::failed(program, &output)),
        }
    }

    /// A name beside the mirror that no mirror can have, since no repository's name ends in `.git` and more.
    fn beside(&self, ending: &str) -> PathBuf {
        let name = self.folder.file_name().unwrap_or_default();
        let name = format!("{}.{ending}", name.to_string_lossy());
        self.folder.with_file_name(name)
    }

    /// Waits for the mirror's lock.
    pub(crate) async fn lock(&self) -> Result<Box<dyn Lock>, GitError> {
        const PAUSE: Duration = Duration::from_millis(50);
        let path = self.beside("lock");
        let limit = self.git.limits.lock;
        let take = async {
            loop {
                let file = path.clone();
                let taken = self.git.world.on_disk(move |disk| {
                    if let Some(folder) = file.parent() {
                        disk.create_folders(folder, 0o755)?;
                    }
                    disk.lock(&file)
                });
                if let Some(lock) = taken.await.map_err(GitError::disk(&path))? {
                    return Ok(lock);
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(limit, take).await.unwrap_or_else(|_| {
            Err(GitError::Busy {
                folder: self.folder.clone(),
                waited: limit,
            })
        })
    }

    pub(crate) async fn sweep(&self) -> Result<usize, GitError> {
        let stale_s = i64::try_from(self.git.limits.stale.as_secs()).unwrap_or(i64::MAX);
        let now_s = self.git.world.clock.now().as_second();
        let mirror = self.folder.clone();
        let swept = self
            .git
            .world
            .on_disk(move |disk| stale::sweep(disk, &mirror, now_s, stale_s));
        swept.await.map_err(GitError::disk(&self.folder))
    }
}
