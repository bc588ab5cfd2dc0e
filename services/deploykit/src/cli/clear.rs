//! `deploykit clear`

use clap::Args;
use events::ProjectName;

use super::Ask;

/// `deploykit clear`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploykit clear shop                     all broken hosts of shop
  deploykit clear shop --on web1 --on db   these, or those of them that are broken
  deploykit clear shop --dry-run           which ones are, and why

A host is broken when a deploy failed there and putting it back failed too. It then takes no deploy until a person has looked
at it; a rollback it always takes. Clearing touches nothing on the host, is signed, and stays in the history.")]
pub struct Clear {
    /// The project
    pub project: ProjectName,
    /// How it is asked for.
    #[command(flatten)]
    pub ask: Ask,
}
