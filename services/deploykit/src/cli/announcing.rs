//! The arguments of what hooks call. They are texts: what is wrong with one is said, and the hook goes on.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jenkins_helper::build_step::{Ended, Typed, Word};

/// Where messages wait, and how many may.
#[derive(Debug, Args)]
pub struct SpoolArgs {
    /// The spool folder; default: `[outbox] folder` of the settings, or `/var/spool/deploykit`
    #[arg(long, value_name = "DIR")]
    pub spool: Option<PathBuf>,
    /// The settings of what delivers it, for how much it may hold; default: `/etc/deploykit/announce.toml`, if it is there
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// `deploykit announce build`
#[derive(Debug, Subcommand)]
pub enum BuildSays {
    /// It began
    Started {
        /// Which.
        #[command(flatten)]
        build: BuildArgs,
    },
    /// It ended well: the commit is good
    Succeeded {
        /// Which.
        #[command(flatten)]
        build: BuildArgs,
    },
    /// It ended otherwise: the commit is not good
    Failed {
        /// Which.
        #[command(flatten)]
        build: BuildArgs,
        /// How it ended
        #[arg(long, value_enum, default_value_t = Ended::Failure)]
        result: Ended,
    },
}

impl BuildSays {
    /// What it says, and of which build.
    #[must_use]
    pub fn word(&self) -> (Word, &BuildArgs) {
        match self {
            Self::Started { build } => (Word::Started, build),
            Self::Succeeded { build } => (Word::Succeeded, build),
            Self::Failed { build, result } => (Word::Failed((*result).into()), build),
        }
    }
}

/// Which build it is, and where that waits.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Which.
    #[command(flatten)]
    pub typed: Typed,
    /// Where it waits.
    #[command(flatten)]
    pub spool: SpoolArgs,
}
