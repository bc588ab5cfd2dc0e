//! Why something could not be done with git.

use std::{io, path::PathBuf, time::Duration};

use command::{Output, Program, RunError};
use events::{CommitId, RefName};

use crate::{GitVersion, OriginError, answer};

/// One variant per thing that somebody would do differently.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// Install a newer git.
    #[error("git {found} is too old: {} or newer is needed", GitVersion::OLDEST)]
    TooOld {
        /// The version that is there.
        found: GitVersion,
    },
    /// No git, or it was ended at its limit.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Git ran and said no: look at what it said.
    #[error("{program}: {ending}: {said}")]
    Failed {
        /// What was run: `git fetch`.
        program: String,
        /// How it ended: `exit 128`.
        ending: String,
        /// What it said, cut.
        said: String,
    },
    /// Git answered something that is not understood here.
    #[error("{program} answered {answer:?}, which is not understood")]
    Answer {
        /// What was run: `git for-each-ref`.
        program: String,
        /// What it answered, cut.
        answer: String,
    },
    /// An answer that is cut would say that the rest is gone.
    #[error("{program} answered more than {most_bytes} bytes")]
    TooMuch {
        /// What was run, as text.
        program: String,
        /// What it may answer.
        most_bytes: usize,
    },
    /// Only its keeper brings something in: use [`crate::Mirror::fetch_commit`] for what somebody else has admitted.
    #[error("the mirror {} is gated: it takes only what CI has found good", folder.display())]
    Gated {
        /// The mirror.
        folder: PathBuf,
    },
    /// The origin gave something else than it had said: ask who runs it.
    #[error(
        "the origin said that {name} leads to {said}, and what it gave does not: nothing new of it is taken"
    )]
    Untrue {
        /// The ref.
        name: RefName,
        /// Where it was to lead.
        said: CommitId,
    },
    /// There is no mirror (yet): clone it with [`crate::Mirror::ensure`].
    #[error("there is no mirror at {}", folder.display())]
    NoMirror {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The mirror does not know where it comes from, or that is refused.
    #[error("the mirror {} has an origin that cannot be used", folder.display())]
    Origin {
        /// The mirror.
        folder: PathBuf,
        /// What is wrong with it.
        source: OriginError,
    },
    /// Somebody else is fetching into it; try again later.
    #[error("the mirror {} was in use by somebody else for {} s", folder.display(), waited.as_secs())]
    Busy {
        /// The mirror.
        folder: PathBuf,
        /// How long this one waited.
        waited: Duration,
    },
    /// The commit is not in the mirror: fetch, then try again.
    #[error("commit {commit} is not in the mirror {}", folder.display())]
    NoCommit {
        /// The commit.
        commit: CommitId,
        /// The mirror.
        folder: PathBuf,
    },
    /// The folder to export into is already there.
    #[error("{} is already there", into.display())]
    Exists {
        /// The folder.
        into: PathBuf,
    },
    /// The tree of the commit holds something that is not laid out on a server.
    #[error("the tree has {path:?}: {reason}")]
    Refused {
        /// The path inside the tree.
        path: String,
        /// Why it is refused.
        reason: String,
    },
    /// The disk said no.
    #[error("cannot use {}", path.display())]
    Disk {
        /// Where.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

impl GitError {
    pub(crate) fn failed(program: &Program, output: &Output) -> Self {
        Self::Failed {
            program: short(program),
            ending: output.ending(),
            said: answer::said(&output.stderr),
        }
    }

    pub(crate) fn answer(program: &Program, answer: &str) -> Self {
        Self::Answer {
            program: short(program),
            answer: answer.chars().take(200).collect(),
        }
    }

    pub(crate) fn disk(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        |source| Self::Disk { path, source }
    }
}

/// `git fetch`: without the settings and folders, which no person needs in order to mend what is wrong.
fn short(program: &Program) -> String {
    let mut words = program.arguments().iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-c" => drop(words.next()),
            word if word.starts_with("--git-dir=") => {}
            word => return format!("git {word}"),
        }
    }
    program.to_string()
}

/// The same error with the program in short.
pub(crate) fn shortened(error: RunError, program: &Program) -> RunError {
    let program = short(program);
    match error {
        RunError::Limit { limit, .. } => RunError::Limit { program, limit },
        RunError::Ended { .. } => RunError::Ended { program },
        RunError::Output { source, .. } => RunError::Output { program, source },
        error => error,
    }
}
