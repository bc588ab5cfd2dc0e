//! The arguments of `deploykit tail`.

use clap::Args;
use deploy_orchestrator::feed::Wanted;
use events::{Pattern, ProjectName, message::Level};
use jiff::Timestamp;

use crate::tail::since_when;

/// `deploykit tail`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploykit tail                                the last 20 lines, and each as it is said
  deploykit tail --since 2h --topic 'stomp-*'   what fetchers and the CI bridge said in the last two hours, and say
  deploykit tail --trouble --since today        what went wrong today, and its end
  deploykit tail --host web1 --no-follow -n 50
  deploykit tail --json | jq -r 'select(.event == \"live\") | .record.project'

Times are UTC. --json prints one record a line: id, time, component, host, level, event, line, record (docs/feed.md). A
connection that is lost is made again, and no line is missed or shown twice.

Exit codes:
  0   stopped by Ctrl-C or a closed pipe, or --no-follow and all was shown
  2   the command line was not understood
  3   refused
  69  the orchestrator cannot be reached at the start
  78  the settings must be mended")]
pub struct Tail {
    /// Only what these components say: stomp-git, events.stomp-git, 'stomp-*'; may be repeated
    #[arg(long, value_name = "COMPONENT", value_parser = Wanted::component)]
    pub topic: Vec<Pattern>,
    /// Only what was said on these hosts, or about them: web1, 'web*'; may be repeated
    #[arg(long, value_name = "HOST")]
    pub host: Vec<Pattern>,
    /// Only what is about this project; may be repeated
    #[arg(long, value_name = "PROJECT")]
    pub project: Vec<ProjectName>,
    /// Only lines of this level: info, over, problem, alarm; may be repeated
    #[arg(long, value_name = "LEVEL", value_parser = level)]
    pub level: Vec<Level>,
    /// Only what went wrong, and its end: levels over, problem and alarm
    #[arg(long, conflicts_with = "level")]
    pub trouble: bool,
    /// From then on: 30m, 2h, 1d, today, 2026-11-21, 2026-11-21T09:30:00Z
    #[arg(long, value_name = "TIME", value_parser = a_time)]
    pub since: Option<String>,
    /// So many lines of what was said before; default: 20, with --since all of it, at most 10000
    #[arg(long, short = 'n', value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    pub lines: Option<u32>,
    /// Show what was said, and end
    #[arg(long)]
    pub no_follow: bool,
    /// For machines: one record a line
    #[arg(long)]
    pub json: bool,
}

/// Checked here, so that what is typed wrong ends with 2; how long ago it is, is known later.
fn a_time(text: &str) -> Result<String, String> {
    since_when(text, Timestamp::UNIX_EPOCH)?;
    Ok(text.to_owned())
}

fn level(text: &str) -> Result<Level, String> {
    let known = Level::ALL.into_iter().find(|level| level.word() == text);
    known.ok_or_else(|| {
        format!(
            "a level is one of {}",
            Level::ALL.map(Level::word).join(", ")
        )
    })
}
