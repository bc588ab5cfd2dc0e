//! The tree of a commit, laid out as files.

use std::{io::Read, path::Path, sync::Arc};

use command::RunError;
use events::CommitId;

use crate::{
    GitError, Mirror,
    error::shortened,
    program,
    unpack::{self, Refusal, Unpacking},
};

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
        let world = &self.git().world;
        let made = into.to_owned();
        let fresh = world.on_disk(move |disk| {
            if disk.look(&made)?.is_some() {
                return Ok(false);
            }
            unpack::folder(disk, &made)?;
            Ok(true)
        });
        if !fresh.await.map_err(GitError::disk(into))? {
            return Err(GitError::Exists {
                into: into.to_owned(),
            });
        }
        let exported = self.unpack(commit, into).await;
        if exported.is_err() {
            let made = into.to_owned();
            let gone = world.on_disk(move |disk| disk.remove_tree(&made));
            gone.await.map_err(GitError::disk(into))?;
        }
        exported
    }

    async fn unpack(&self, commit: &CommitId, into: &Path) -> Result<Exported, GitError> {
        let git = self.git();
        let program = program::archive(git, self.folder(), commit);
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let mut unpacking = Unpacking::new(
            Arc::clone(&git.world.disk),
            into.to_owned(),
            git.limits.export_bytes,
            git.limits.export_files,
        );
        let consumer = Box::new(move |tar: &mut dyn Read| {
            let (refusal, outcome) = match unpacking.all(tar) {
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

fn unwrap_refusal(error: RunError, into: &Path) -> GitError {
    match error {
        RunError::Output { source, .. } => match source.downcast::<Refusal>() {
            Ok(Refusal { path, reason }) => GitError::Refused { path, reason },
            Err(source) => GitError::disk(into)(source),
        },
        error => GitError::Run(error),
    }
}
