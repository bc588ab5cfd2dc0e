//! What may be asked for.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use chassis::outbox::OutboxSettings;
use events::{JobName, Pattern, RepoName};
use jenkins::Access;
use serde::Deserialize;

/// Where messages wait for the broker, if `[outbox] folder` does not say otherwise.
pub const SPOOL: &str = "/var/spool/deploykit/jenkins-helper";

/// The keys of `jenkins-helper.toml` that are its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How long a build step waits for the broker, seconds. What is not delivered then waits in the spool.
    pub deliver_within_s: DeliverWithin,
    /// Receives notifications of Jenkins.
    pub receiver: Option<Receiver>,
    /// Our names for repositories.
    pub repositories: BTreeMap<RepoName, Repository>,
    /// Messages that wait for the broker.
    pub outbox: OutboxSettings,
}

/// Seconds, 5 if nothing else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DeliverWithin(pub u64);

impl Default for DeliverWithin {
    fn default() -> Self {
        Self(5)
    }
}

/// Receives notifications of Jenkins, and asks it whether they are true.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receiver {
    /// Where it listens.
    #[serde(default = "listen")]
    pub listen: String,
    /// The folder in which notifications are kept until they are told.
    pub state: PathBuf,
    /// File with a word that the path must end in: `POST /notify/WORD`. Without it: `POST /notify`.
    #[serde(default)]
    pub word_file: Option<PathBuf>,
    /// What a build was told as `DEPLOYKIT_REPOSITORY` and `DEPLOYKIT_COMMIT` counts where `[repositories]` does not have its job, or it checked
    /// out nothing: whoever may start a job then speaks for any repository.
    #[serde(default)]
    pub believe_parameters: bool,
    /// How long Jenkins is asked about a notification, seconds.
    #[serde(default = "ask_limit_s")]
    pub ask_limit_s: u64,
    /// First pause between two questions about a build, milliseconds. It grows by half each time.
    #[serde(default = "poll_first_ms")]
    pub poll_first_ms: u64,
    /// Longest pause, milliseconds.
    #[serde(default = "poll_longest_ms")]
    pub poll_longest_ms: u64,
    /// Notifications that may wait; further ones are answered with 503.
    #[serde(default = "waiting")]
    pub waiting: usize,
    /// Where Jenkins is, and who we are there.
    pub jenkins: Access,
}

fn listen() -> String {
    "127.0.0.1:8092".to_owned()
}

fn ask_limit_s() -> u64 {
    3600
}

fn poll_first_ms() -> u64 {
    500
}

fn poll_longest_ms() -> u64 {
    30_000
}

fn waiting() -> usize {
    1000
}

/// How a repository is known from its builds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Repository {
    /// Its addresses, as `GIT_URL` has them.
    pub aliases: Vec<String>,
    /// Jobs that build it.
    pub jobs: Vec<Pattern>,
    /// An unstable build is a good one.
    pub unstable_is_good: bool,
}

impl Settings {
    /// The repository that a job builds, or that lies at this address.
    #[must_use]
    pub fn repository(&self, job: &JobName, url: Option<&str>) -> Option<RepoName> {
        let plain = |text: &str| text.strip_suffix(".git").unwrap_or(text).to_owned();
        let by_url = url.and_then(|url| {
            let url = plain(url);
            let has = |it: &Repository| it.aliases.iter().any(|alias| plain(alias) == url);
            self.repositories.iter().find(|(_, it)| has(it))
        });
        let by_job = || {
            let fits = |it: &Repository| it.jobs.iter().any(|jobs| jobs.matches(job.as_str()));
            self.repositories.iter().find(|(_, it)| fits(it))
        };
        by_url.or_else(by_job).map(|(name, _)| name.clone())
    }

    /// True if an unstable build of it is a good one.
    #[must_use]
    pub fn unstable_is_good(&self, repository: &RepoName) -> bool {
        let found = self.repositories.get(repository);
        found.is_some_and(|it| it.unstable_is_good)
    }

    /// True if the receiver takes a build's parameters for what it built.
    #[must_use]
    pub fn believes_parameters(&self) -> bool {
        let receiver = self.receiver.as_ref();
        receiver.is_some_and(|it| it.believe_parameters)
    }

    pub(crate) fn deliver_within(&self) -> Duration {
        Duration::from_secs(self.deliver_within_s.0)
    }
}

impl chassis::Settings for Settings {
    const SHIPPED: &'static str = include_str!("../dist/jenkins-helper.toml");

    fn check(&self) -> Result<(), String> {
        self.outbox.check()?;
        if self.deliver_within_s.0 > 600 {
            return Err("deliver_within_s must be 0 to 600".to_owned());
        }
        let Some(receiver) = &self.receiver else {
            return Ok(());
        };
        receiver
            .jenkins
            .check()
            .map_err(|wrong| format!("receiver.{wrong}"))?;
        if !receiver.state.is_absolute() {
            let state = receiver.state.display();
            return Err(format!("receiver.state: {state} is no absolute path"));
        }
        let ranges = [
            ("ask_limit_s", receiver.ask_limit_s, 604_800),
            ("poll_first_ms", receiver.poll_first_ms, 60_000),
            ("poll_longest_ms", receiver.poll_longest_ms, 600_000),
            ("waiting", receiver.waiting as u64, 100_000),
        ];
        for (key, value, most) in ranges {
            if !(1..=most).contains(&value) {
                return Err(format!("receiver.{key} is {value}: it must be 1 to {most}"));
            }
        }
        Ok(())
    }
}
