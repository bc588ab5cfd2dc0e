//! The arguments of the commands that ask a running orchestrator.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use events::{HostName, ProjectName, message::Step};

/// `deploykit deploy`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploykit deploy shop v2
  deploykit deploy shop v2 --on web1 --on db
  deploykit deploy shop 3f2a91c --reason 'hotfix for the basket'
  deploykit deploy shop v2 --dry-run
  deploykit deploy shop v3 --untested --reason 'CI is down, the shop too'
  deploykit deploy shop v3 --clear --reason 'web2 was full, is not any more'")]
pub struct Deploy {
    /// The project
    pub project: ProjectName,
    /// A tag, a branch or a commit id
    pub revision: String,
    /// Deploy it though CI has not found it good; the history says so, with the reason
    #[arg(long, requires = "reason")]
    pub untested: bool,
    /// Deploy to broken hosts too, once somebody has looked at them; the plan says what it clears
    #[arg(long)]
    pub clear: bool,
    /// How it is asked for.
    #[command(flatten)]
    pub ask: Ask,
}

/// `deploykit rollback`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploykit rollback shop
  deploykit rollback shop --on web1

Each host goes back to the release before, from what it has: no git, no CI, no network. Twice walks further back.")]
pub struct Rollback {
    /// The project
    pub project: ProjectName,
    /// How it is asked for.
    #[command(flatten)]
    pub ask: Ask,
}

/// What deploy and rollback have in common.
#[derive(Debug, Args)]
pub struct Ask {
    /// Only these hosts or groups; may be repeated
    #[arg(long, value_name = "HOST|GROUP")]
    pub on: Vec<String>,
    /// Why, for the history
    #[arg(long)]
    pub reason: Option<String>,
    /// The ssh key to sign with; default: the one that the settings name
    #[arg(long, value_name = "FILE", env = "DEPLOYKIT_KEY")]
    pub key: Option<PathBuf>,
    /// Take a group for the hosts that the plan shows, without a question
    #[arg(long)]
    pub yes: bool,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// For machines: the deploy at its end as JSON
    #[arg(long)]
    pub json: bool,
}

/// `deploykit status`
#[derive(Debug, Args)]
pub struct Status {
    /// Only this project
    pub project: Option<ProjectName>,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// `deploykit hosts`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Hosts {
    /// For machines
    #[arg(long)]
    pub json: bool,
    /// What to do with one.
    #[command(subcommand)]
    pub action: Option<HostAction>,
}

/// What can be done with a host.
#[derive(Debug, Subcommand)]
pub enum HostAction {
    /// Let a new host take part
    Admit {
        /// Its name
        host: HostName,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Say that somebody has looked at what was wrong with its journals
    Looked {
        /// Its name
        host: HostName,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Where its journals ended on the last days: what its history is verified by
    Heads {
        /// Its name
        host: HostName,
        /// For machines
        #[arg(long)]
        json: bool,
    },
}

impl HostAction {
    /// True if what it prints is for machines.
    #[must_use]
    pub fn json(&self) -> bool {
        match self {
            Self::Admit { json, .. } | Self::Looked { json, .. } | Self::Heads { json, .. } => {
                *json
            }
        }
    }
}

/// `deploykit tags`
#[derive(Debug, Args)]
pub struct Tags {
    /// The project
    pub project: ProjectName,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// `deploykit show`
#[derive(Debug, Args)]
pub struct Show {
    /// The deploy: its id or the beginning of it
    pub id: String,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// `deploykit logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// The deploy: its id or the beginning of it
    pub id: String,
    /// Only this host
    #[arg(long)]
    pub host: Option<HostName>,
    /// Only this step, such as `check`
    #[arg(long, value_parser = step)]
    pub step: Option<Step>,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

fn step(text: &str) -> Result<Step, String> {
    let known = "one of objects, layout, shared, build, pre-deploy, stop, switch, start, refresh, check, post-deploy, \
                 switch-back, back-stop, back-start, back-check";
    serde_json::from_value(serde_json::Value::String(text.to_owned()))
        .map_err(|_| format!("a step is {known}"))
}

/// `deploykit history`
#[derive(Debug, Args)]
pub struct History {
    /// Only this project
    pub project: Option<ProjectName>,
    /// How many
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// `deploykit abort`, `pause`, `resume`
#[derive(Debug, Args)]
pub struct Control {
    /// The deploy: its id or the beginning of it
    pub id: String,
    /// For machines
    #[arg(long)]
    pub json: bool,
}
