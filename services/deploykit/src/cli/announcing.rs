//! The arguments of what hooks call. They are texts: what is wrong with one is said, and the hook goes on.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

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
    /// Which build.
    #[must_use]
    pub fn build(&self) -> &BuildArgs {
        match self {
            Self::Started { build } | Self::Succeeded { build } | Self::Failed { build, .. } => {
                build
            }
        }
    }
}

/// Which build it is.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The repository's name on the bus
    #[arg(long)]
    pub repository: String,
    /// What was built: the whole commit id
    #[arg(long)]
    pub commit: String,
    /// The job, with its folders
    #[arg(long)]
    pub job: String,
    /// The number of the build within its job
    #[arg(long)]
    pub number: u64,
    /// The ref that led to it: refs/heads/main
    #[arg(long = "ref", value_name = "REF")]
    pub name: Option<String>,
    /// Which of the repository's projects, where it has several
    #[arg(long)]
    pub project: Option<String>,
    /// Where people see it
    #[arg(long)]
    pub url: Option<String>,
    /// Where it waits.
    #[command(flatten)]
    pub spool: SpoolArgs,
}

/// How a build ended that is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ended {
    /// It failed
    Failure,
    /// It could be built, but tests failed
    Unstable,
    /// It was skipped
    NotBuilt,
    /// Somebody, or a restart, ended it
    Aborted,
}
