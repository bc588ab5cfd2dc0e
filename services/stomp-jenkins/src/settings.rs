//! What may be asked for.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use chassis::outbox::OutboxSettings;
use events::{Pattern, ProjectName};
use jenkins::Access;
use serde::Deserialize;

/// The keys of `stomp-jenkins.toml` that are its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The folder in which builds under way are kept.
    pub state: PathBuf,
    /// Where Jenkins is, and who we are there.
    pub jenkins: Access,
    /// What is built by which job; each rule that fits has its build.
    pub rules: Vec<Rule>,
    /// Names of people and machines whose pushes are never built: the ones that builds push as.
    #[serde(default)]
    pub ignore_pushers: Vec<String>,
    /// A push is not built if the first line of its newest commit's message holds one of these texts.
    #[serde(default)]
    pub ignore_titles: Vec<String>,
    /// Builds that are followed at once; further ones wait for their turn.
    #[serde(default = "at_once")]
    pub at_once: usize,
    /// Builds that may wait for their turn.
    #[serde(default = "waiting")]
    pub waiting: usize,
    /// Requests to Jenkins at once.
    #[serde(default = "requests_at_once")]
    pub requests_at_once: usize,
    /// First pause between two looks at a queue item or build, milliseconds. It grows by half each time.
    #[serde(default = "poll_first_ms")]
    pub poll_first_ms: u64,
    /// Longest pause between two looks, and between two tries after a trouble, milliseconds.
    #[serde(default = "poll_longest_ms")]
    pub poll_longest_ms: u64,
    /// How long triggering is tried, seconds.
    #[serde(default = "trigger_limit_s")]
    pub trigger_limit_s: u64,
    /// How long a build may wait in Jenkins' queue, seconds.
    #[serde(default = "day_s")]
    pub queue_limit_s: u64,
    /// How long a build may run, seconds.
    #[serde(default = "day_s")]
    pub build_limit_s: u64,
    /// How often a build that vanished is triggered again.
    #[serde(default = "again")]
    pub again: u32,
    /// How long the end of a build is remembered, so that the commit is not built twice, days.
    #[serde(default = "remember_days")]
    pub remember_days: u32,
    /// Messages that wait for the broker.
    #[serde(default)]
    pub outbox: OutboxSettings,
}

/// What is built by which job.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which repositories.
    pub repository: Pattern,
    /// Which refs.
    #[serde(default = "branches")]
    pub refs: Vec<Pattern>,
    /// Which of these not.
    #[serde(default)]
    pub ignore_refs: Vec<Pattern>,
    /// Only if one of these paths changed. Default: whatever changed.
    #[serde(default)]
    pub paths: Vec<Pattern>,
    /// The job, with its folders; may have `{repository}` and `{branch}`.
    pub job: String,
    /// Which of the repository's projects it builds.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// Parameters beside the ones that every build is given.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// An unstable build is a good one.
    #[serde(default)]
    pub unstable_is_good: bool,
}

fn branches() -> Vec<Pattern> {
    vec!["refs/heads/*".parse().expect("it is a pattern")]
}

fn at_once() -> usize {
    100
}

fn waiting() -> usize {
    10_000
}

fn requests_at_once() -> usize {
    8
}

fn poll_first_ms() -> u64 {
    1000
}

fn poll_longest_ms() -> u64 {
    30_000
}

fn trigger_limit_s() -> u64 {
    3600
}

fn day_s() -> u64 {
    86_400
}

fn again() -> u32 {
    2
}

fn remember_days() -> u32 {
    7
}

/// How long things may take; the part of the settings that [`crate::follow`] decides by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Triggering.
    pub trigger: Duration,
    /// In Jenkins' queue.
    pub queue: Duration,
    /// Building.
    pub build: Duration,
    /// How often a build that vanished is triggered again.
    pub again: u32,
}

impl Settings {
    /// Where messages wait for the broker.
    #[must_use]
    pub fn outbox_folder(&self) -> PathBuf {
        self.outbox.folder_or(self.state.join("outbox"))
    }

    /// How long things may take.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            trigger: Duration::from_secs(self.trigger_limit_s),
            queue: Duration::from_secs(self.queue_limit_s),
            build: Duration::from_secs(self.build_limit_s),
            again: self.again,
        }
    }

    pub(crate) fn remembered(&self) -> Duration {
        Duration::from_secs(u64::from(self.remember_days) * 86_400)
    }
}

impl chassis::Settings for Settings {
    const SHIPPED: &'static str = include_str!("../dist/stomp-jenkins.toml");

    fn check(&self) -> Result<(), String> {
        self.jenkins.check()?;
        self.outbox.check()?;
        if !self.state.is_absolute() {
            return Err(format!(
                "state: {} is no absolute path",
                self.state.display()
            ));
        }
        if self.rules.is_empty() {
            return Err("rules is empty: write at least one [[rules]]".to_owned());
        }
        let year_s = 31_536_000;
        let ranges = [
            ("at_once", self.at_once as u64, 1000),
            ("waiting", self.waiting as u64, 100_000),
            ("requests_at_once", self.requests_at_once as u64, 100),
            ("poll_first_ms", self.poll_first_ms, 60_000),
            ("poll_longest_ms", self.poll_longest_ms, 600_000),
            ("trigger_limit_s", self.trigger_limit_s, year_s),
            ("queue_limit_s", self.queue_limit_s, year_s),
            ("build_limit_s", self.build_limit_s, year_s),
            ("remember_days", u64::from(self.remember_days), 365),
        ];
        for (key, value, most) in ranges {
            if !(1..=most).contains(&value) {
                return Err(format!("{key} is {value}: it must be 1 to {most}"));
            }
        }
        if self.again > 10 {
            return Err(format!("again is {}: it must be 0 to 10", self.again));
        }
        for (index, rule) in self.rules.iter().enumerate() {
            rule.check()
                .map_err(|wrong| format!("rules, number {}: {wrong}", index + 1))?;
        }
        Ok(())
    }
}

impl Rule {
    fn check(&self) -> Result<(), String> {
        let filled = self
            .job
            .replace("{repository}", "r")
            .replace("{branch}", "b");
        filled
            .parse::<events::JobName>()
            .map_err(|wrong| format!("job: {wrong}"))?;
        if self.refs.is_empty() {
            return Err("refs is empty: it would never build anything".to_owned());
        }
        let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        for name in self.parameters.keys() {
            if name.is_empty() || !name.chars().all(word) {
                return Err(format!(
                    "parameters.{name}: use letters, digits, _, . and -"
                ));
            }
            if name.starts_with("DEPLOYKIT_") {
                return Err(format!(
                    "parameters.{name}: names with DEPLOYKIT_ are ours, choose another"
                ));
            }
        }
        Ok(())
    }
}
