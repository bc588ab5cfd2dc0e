//! `deploykit webhooks`

use std::path::PathBuf;

use clap::{Args, Subcommand, builder::PossibleValuesParser};
use github_stomp::deliveries::Outcome;
use uuid::Uuid;

/// `deploykit webhooks`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploykit webhooks list                      the newest deliveries, and what became of them
  deploykit webhooks list --outcome refused    those that were not let in, and why
  deploykit webhooks show ID --body            what the forge sent
  deploykit webhooks replay ID                 announce it once more

Asks github-stomp on this machine: be root, or the user that it runs as.")]
pub struct Webhooks {
    /// The socket of github-stomp [default: /var/lib/deploykit/github-stomp/socket, or that of `--at` or of your `up`]
    #[arg(long, global = true, value_name = "FILE")]
    pub socket: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub act: Act,
}

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
pub enum Act {
    /// The newest deliveries, newest first
    List {
        /// At most so many
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=10_000))]
        most: u16,
        /// Only of this source
        #[arg(long, value_name = "NAME")]
        source: Option<String>,
        /// Only of which this became
        #[arg(long, value_name = "WORD", value_parser = PossibleValuesParser::new(Outcome::ALL.map(Outcome::word)))]
        outcome: Option<String>,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// One delivery, whole
    Show {
        /// Its id, as `list` shows it
        id: Uuid,
        /// What the forge sent, and nothing else
        #[arg(long, conflicts_with = "json")]
        body: bool,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Announce a delivery once more, under a new id, though it was announced before
    Replay {
        /// Its id, as `list` shows it
        id: Uuid,
        /// For machines
        #[arg(long)]
        json: bool,
    },
}

impl Act {
    /// True if the answer is for a machine.
    pub(super) fn json(&self) -> bool {
        match self {
            Self::List { json, .. } | Self::Show { json, .. } | Self::Replay { json, .. } => *json,
        }
    }
}
