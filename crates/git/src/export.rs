//! The tree of a commit, laid out as files.

use std::{
    io::{BufReader, Read},
    path::Path,
    sync::Arc,
};

use command::RunError;
use events::CommitId;

use crate::{
    GitError, Mirror,
    error::shortened,
    program,
    unpack::{self, Refusal, Unpacking},
};

/// What a pipe holds.
const PIPE: usize = 64 << 10;

/// The largest `.gitattributes` that is looked into.
pub(crate) const GITATTRIBUTES_MOST: u64 = 1 << 20;

/// What was laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Files and links.
    pub files: u64,
    /// Bytes in files.
    pub bytes: u64,
}

impl Mirror {
    /// Lays out the tree of a commit in the new folder `into`, as `git archive` gives it: with the attributes
    /// `export-ignore`, `export-subst` and line ends of the tree's own `.gitattributes`, without submodules. Files are 0644
    /// or 0755, folders 0755, whatever the umask. Links stay inside the tree or the export is refused.
    ///
    /// Nothing is flushed: a caller to whom it must last says `Disk::sync_all` before it counts on the tree.
    ///
    /// # Errors
    /// [`GitError::NoCommit`] when it is not here yet, [`GitError::Exists`], [`GitError::Refused`] with the path; in each
    /// case, and in all others, `into` is not there afterwards (or as it was).
    pub async fn export(&self, commit: &CommitId, into: &Path) -> Result<Exported, GitError> {
        if !self.has(commit).await? {
            return Err(GitError::NoCommit {
                commit: commit.clone(),
                folder: self.folder().to_owned(),
            });
        }
        self.export_known(commit, into, None).await
    }

    /// The same for a commit that is here; `owner` is whose it will be.
    pub(crate) async fn export_known(
        &self,
        commit: &CommitId,
        into: &Path,
        owner: Option<(u32, u32)>,
    ) -> Result<Exported, GitError> {
        self.make_fresh(into, owner).await?;
        let limits = self.git().limits;
        let unpacking = Unpacking::new(
            Arc::clone(&self.git().world.disk),
            into.to_owned(),
            limits.export_bytes,
            limits.export_files,
        );
        let exported = self.unpack(commit, &[], into, unpacking).await;
        if exported.is_err() {
            let made = into.to_owned();
            let gone = self
                .git()
                .world
                .on_disk(move |disk| disk.remove_tree(&made));
            gone.await.map_err(GitError::disk(into))?;
        }
        exported
    }

    /// Makes the folder, which nobody else can enter if it will be another's.
    pub(crate) async fn make_fresh(
        &self,
        into: &Path,
        owner: Option<(u32, u32)>,
    ) -> Result<(), GitError> {
        let made = into.to_owned();
        let fresh = self.git().world.on_disk(move |disk| {
            if disk.look(&made)?.is_some() {
                return Ok(false);
            }
            match owner {
                Some(_) => {
                    disk.create_folders(&made, 0o700)?;
                    disk.set_mode(&made, 0o700)?;
                }
                None => unpack::folder(disk, &made)?,
            }
            Ok(true)
        });
        match fresh.await.map_err(GitError::disk(into))? {
            true => Ok(()),
            false => Err(GitError::Exists {
                into: into.to_owned(),
            }),
        }
    }

    /// Unpacks these paths of a commit, or all.
    pub(crate) async fn unpack(
        &self,
        commit: &CommitId,
        paths: &[&str],
        into: &Path,
        mut unpacking: Unpacking,
    ) -> Result<Exported, GitError> {
        let git = self.git();
        let program = program::archive(git, self.folder(), commit, paths);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let consumer = Box::new(move |tar: &mut dyn Read| {
            // Headers are small; without this each is read from the pipe alone.
            let mut tar = BufReader::with_capacity(PIPE, tar);
            let (refusal, outcome) = match unpacking.all(&mut tar) {
                Ok(()) => (Ok(()), Ok(unpacking.done())),
                // No need to read on: git is ended by the closed pipe.
                Err(error) if unpack::is_refusal(&error) => (Err(error), Ok(Exported::default())),
                // The rest is read, so that git can say whether the fault is its own.
                Err(error) => (Ok(()), Err(error)),
            };
            // Nobody waits any more when the run was ended.
            let _nobody = sender.send(outcome);
            refusal
        });
        let limits = command::Limits::of(git.limits.export);
        let ran = git.world.processes.pipe(&program, limits, consumer).await;
        let output = ran.map_err(|error| unwrap_refusal(shortened(error, &program), into))?;
        if !output.success() {
            return Err(GitError::failed(&program, &output));
        }
        let outcome = receiver
            .await
            .map_err(|_| GitError::answer(&program, "half an archive"))?;
        outcome.map_err(GitError::disk(into))
    }
}

pub(crate) fn unwrap_refusal(error: RunError, into: &Path) -> GitError {
    match error {
        RunError::Output { source, .. } => match source.downcast::<Refusal>() {
            Ok(Refusal { path, reason }) => GitError::Refused { path, reason },
            Err(source) => GitError::disk(into)(source),
        },
        error => GitError::Run(error),
    }
}
