//! The arguments of `deploykit on`.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use events::{EnvironmentName, Pattern, Topic};

/// The longest limit of a command: a day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// `deploykit on`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  deploykit on ci.succeeded --repo shop -- ./warm-cache
  deploykit on git.commits --ref 'refs/tags/*' --name changelog --retries 3 -- ./write-changelog
  deploykit on packages.updated --once -- sh -c 'echo $DEPLOYKIT_REPOSITORY; cat'
  deploykit on ci.succeeded --name warm --forget

The message is on standard input, whole, as one line of JSON. What it says is in variables, as far as it says it: DEPLOYKIT_TOPIC,
_TYPE, _ID, _TIME, _REPOSITORY, _REF, _COMMIT, _BEFORE, _REVISION, _HOST, _PROJECT, _JOB, _NUMBER, _RESULT, _URL, _SUITE,
_COMPONENT, _PACKAGE, _VERSION, _PHASE; each is a checked name. Of your own environment the command has PATH, HOME, LANG, LC_ALL,
TZ and XDG_…. One runs at a time; its output is this command's own.

Exit codes:
  0    stopped, after the command in hand; with --once: the command succeeded
  2    the command line was not understood
  78   the settings must be mended, or the command is not there
  130  stopped twice: the command in hand was ended
  with --once the command's own, 128 and the signal that ended it, 124 at the limit, or 126 if it could not be started

More, and the same in Python and Ruby: docs/side-chains.md")]
pub struct On {
    /// What to wait for: git.commits, ci.succeeded, packages.updated … (docs/bus.md has them all), or `events`
    #[arg(value_name = "TOPIC")]
    pub topic: Topic,
    /// The command and its arguments, after `--`; no shell comes between
    #[arg(
        last = true,
        value_name = "COMMAND",
        required_unless_present = "forget"
    )]
    pub command: Vec<String>,
    /// Only of these repositories; * and ? stand for other text; may be repeated
    #[arg(long = "repo", value_name = "PATTERN")]
    pub repositories: Vec<Pattern>,
    /// Only of these refs, such as 'refs/tags/v*'; may be repeated
    #[arg(long = "ref", value_name = "PATTERN")]
    pub refs: Vec<Pattern>,
    /// Only of these hosts; may be repeated
    #[arg(long = "host", value_name = "PATTERN")]
    pub hosts: Vec<Pattern>,
    /// Only of these projects; may be repeated
    #[arg(long = "project", value_name = "PATTERN")]
    pub projects: Vec<Pattern>,
    /// Miss nothing: the broker keeps what comes while this does not run, under this name, up to 7 days
    #[arg(long, value_name = "NAME")]
    pub name: Option<EnvironmentName>,
    /// End the subscription of that name, with what the broker keeps for it
    #[arg(long, requires = "name", conflicts_with = "command")]
    pub forget: bool,
    /// How long the command may take: 90s, 5m, 2h. Then it and all its children are ended
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = limit)]
    pub limit: Duration,
    /// How often a command that failed is run again, after 1 s, 2 s, 4 s …
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=7))]
    pub retries: u32,
    /// End after the first message
    #[arg(long)]
    pub once: bool,
    /// What is told is one line of JSON each, on standard error
    #[arg(long)]
    pub json: bool,
    /// Settings file [default: the first of /etc/deploykit/on.toml, on.toml below `XDG_CONFIG_HOME`, and that of `deploykit up`]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

fn limit(text: &str) -> Result<Duration, String> {
    let parsed: Result<jiff::SignedDuration, _> = text.parse();
    let limit = parsed.ok().and_then(|it| Duration::try_from(it).ok());
    match limit {
        Some(limit) if (Duration::from_secs(1)..=LONGEST).contains(&limit) => Ok(limit),
        _ => Err("it is a time from 1s to 24h, such as 90s or 5m".to_owned()),
    }
}
