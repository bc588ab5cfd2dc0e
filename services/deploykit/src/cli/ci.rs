//! `deploykit ci`

use clap::Args;
use events::RepoName;

/// `deploykit ci`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploykit ci shop              what CI said last
  deploykit ci shop v2           why v2 can be deployed, or cannot
  deploykit ci group/shop 3f2a91c --json")]
pub struct Ci {
    /// The repository, or a project that is deployed from it
    pub repository: RepoName,
    /// A tag, a branch or a commit id
    pub revision: Option<String>,
    /// How many commits
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
    /// For machines
    #[arg(long)]
    pub json: bool,
}
