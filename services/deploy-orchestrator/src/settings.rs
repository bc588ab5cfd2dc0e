//! What the orchestrator is told.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::PathBuf,
};

use events::{EnvironmentName, GroupName, HostName, JobName, ProjectName, RepoName};
use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    ci, feed,
    relay::RelaySettings,
    rollout::{OnFailure, Policy, after},
    select::Groups,
    waves::{Size, canary_then_all},
};

/// The orchestrator's settings file.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Where its database is.
    pub data: PathBuf,
    /// The unix socket of the HTTP API.
    pub socket: PathBuf,
    /// Where the web page listens; loopback only, since it has no login.
    pub listen: String,
    /// The key that signs orders.
    pub orchestrator_key_file: PathBuf,
    /// The key that signs what is asked for on the web page; without it the page can only be read.
    pub web_key_file: Option<PathBuf>,
    /// Whose signatures count.
    pub allowed_signers: PathBuf,
    /// Who may ask for what.
    pub policy: PathBuf,
    /// An agent that was not heard for so long is shown as away, seconds.
    pub presence_limit_s: u64,
    /// An order that is not accepted is sent again after so many seconds.
    pub resend_s: u64,
    /// A host that has not accepted an order after so many seconds is unreachable.
    pub reach_limit_s: u64,
    /// A host may take so many seconds to prepare, once it accepted to.
    pub prepare_limit_s: u64,
    /// A host may take so many seconds to activate or go back, once it accepted to.
    pub activate_limit_s: u64,
    /// How long a grant is valid, seconds: from the plan to the start of the last wave.
    pub grant_valid_s: u64,
    /// So many deploys of each project are kept in the history.
    pub keep_deploys: usize,
    /// What is kept of the feed.
    pub feed: FeedSettings,
    /// What CI said of a commit is kept so many days after it last said something of it.
    pub ci_keep_days: u32,
    /// So many commits of each repository are kept with what CI said of them.
    pub ci_keep_commits: usize,
    /// Chats that chosen lines of it are posted to, by a name of ours.
    pub relay: BTreeMap<String, RelaySettings>,
    /// Hosts that take part beside those that a project or a group names.
    pub admitted: BTreeSet<HostName>,
    /// Named sets of hosts.
    pub groups: Groups,
    /// What is deployed.
    pub projects: BTreeMap<ProjectName, Project>,
    /// What else is to be known of repositories.
    pub repositories: BTreeMap<RepoName, Repository>,
}

/// A repository: `[repositories.NAME]`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Repository {
    /// The jobs whose success makes a commit good; with none, all that CI reports for it.
    pub ci_jobs: BTreeSet<JobName>,
}

/// `[feed]`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeedSettings {
    /// So many lines are kept.
    pub keep_lines: u64,
    /// Lines are kept for so many days.
    pub keep_days: u32,
}

impl Default for FeedSettings {
    fn default() -> Self {
        Self {
            keep_lines: 100_000,
            keep_days: 30,
        }
    }
}

impl FeedSettings {
    fn check(&self) -> Result<(), String> {
        if !(100..=10_000_000).contains(&self.keep_lines) {
            return Err("feed.keep_lines must be 100 to 10000000".to_owned());
        }
        if !(1..=3650).contains(&self.keep_days) {
            return Err("feed.keep_days must be 1 to 3650".to_owned());
        }
        Ok(())
    }

    /// The same for the store.
    #[must_use]
    pub fn keep(&self) -> feed::Keep {
        feed::Keep {
            lines: self.keep_lines,
            days: self.keep_days,
        }
    }
}

/// One project: `[projects.NAME]`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The repository's name on the bus.
    pub repository: RepoName,
    /// Other names of the same repository.
    #[serde(default)]
    pub aliases: BTreeSet<RepoName>,
    /// Where it is deployed.
    pub environment: EnvironmentName,
    /// Its hosts.
    #[serde(default)]
    pub hosts: BTreeSet<HostName>,
    /// Groups whose hosts are its too.
    #[serde(default)]
    pub groups: BTreeSet<GroupName>,
    /// Only commits that CI has found good are deployed.
    #[serde(default)]
    pub requires_ci: bool,
    /// Hosts that come first, in this order.
    #[serde(default)]
    pub canary: Vec<HostName>,
    /// The sizes of the waves of a deploy.
    #[serde(default = "canary_then_all")]
    pub waves: Vec<Size>,
    /// The sizes of the waves of a rollback.
    #[serde(default = "all_at_once")]
    pub rollback_waves: Vec<Size>,
    /// Seconds between a good wave and the next one.
    #[serde(default)]
    pub bake_s: u64,
    /// How many hosts may be unreachable.
    #[serde(default = "two_percent")]
    pub max_unreachable: Size,
    /// How many hosts may fail.
    #[serde(default)]
    pub failure_budget: u32,
    /// What happens to changed hosts when a deploy fails.
    #[serde(default)]
    pub on_failure: OnFailure,
}

fn all_at_once() -> Vec<Size> {
    vec![Size::Percent(100)]
}

fn two_percent() -> Size {
    Size::Percent(2)
}

impl Default for Settings {
    fn default() -> Self {
        let etc = |name: &str| PathBuf::from("/etc/deploykit").join(name);
        Self {
            data: PathBuf::from("/var/lib/deploykit/orchestrator"),
            socket: PathBuf::from("/run/deploykit/orchestrator.sock"),
            listen: "127.0.0.1:7700".to_owned(),
            orchestrator_key_file: etc("keys/orchestrator"),
            web_key_file: None,
            allowed_signers: etc("allowed_signers"),
            policy: etc("policy.toml"),
            presence_limit_s: 90,
            resend_s: 5,
            reach_limit_s: 60,
            prepare_limit_s: 900,
            activate_limit_s: 3600,
            grant_valid_s: 4 * 3600,
            keep_deploys: 1000,
            feed: FeedSettings::default(),
            ci_keep_days: 365,
            ci_keep_commits: 5000,
            relay: BTreeMap::new(),
            admitted: BTreeSet::new(),
            groups: Groups::new(),
            projects: BTreeMap::new(),
            repositories: BTreeMap::new(),
        }
    }
}

impl chassis::Settings for Settings {
    const SHIPPED: &'static str = include_str!("../dist/deploy-orchestrator.toml");

    fn check(&self) -> Result<(), String> {
        check_loopback(&self.listen)?;
        let seconds = [
            ("presence_limit_s", self.presence_limit_s, 1),
            ("resend_s", self.resend_s, 1),
            ("reach_limit_s", self.reach_limit_s, 2),
            ("prepare_limit_s", self.prepare_limit_s, 1),
            ("activate_limit_s", self.activate_limit_s, 1),
            ("grant_valid_s", self.grant_valid_s, 60),
        ];
        for (key, value, least) in seconds {
            // A week is longer than any rollout that somebody watches.
            if !(least..=604_800).contains(&value) {
                return Err(format!("{key} must be {least} to 604800"));
            }
        }
        if self.reach_limit_s < self.resend_s {
            return Err("reach_limit_s must not be less than resend_s".to_owned());
        }
        self.feed.check()?;
        if !(1..=36_500).contains(&self.ci_keep_days) {
            return Err("ci_keep_days must be 1 to 36500".to_owned());
        }
        if !(1..=100_000).contains(&self.ci_keep_commits) {
            return Err("ci_keep_commits must be 1 to 100000".to_owned());
        }
        for name in self.repositories.keys() {
            let own = self.repository(name);
            if own != name {
                return Err(format!(
                    "repositories.{name}: here that repository is called {own}, so write repositories.{own}"
                ));
            }
        }
        let mut relays = self.relay.iter();
        relays.try_for_each(|(name, relay)| relay.check(name))?;
        let mut projects = self.projects.iter();
        projects.try_for_each(|(name, project)| self.check_project(name, project))
    }
}

fn check_loopback(listen: &str) -> Result<(), String> {
    let (host, _port) = listen
        .rsplit_once(':')
        .filter(|(_, port)| port.parse::<u16>().is_ok())
        .ok_or_else(|| format!("listen is {listen:?}, which is not ADDRESS:PORT"))?;
    let address = listen.parse::<SocketAddr>().map(|address| address.ip());
    let loopback = match address {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host == "localhost",
    };
    if loopback {
        return Ok(());
    }
    Err(format!(
        "listen is {listen:?}, but the web page has no login yet: take a loopback address such as \"127.0.0.1:7700\" \
         and reach it from elsewhere with `ssh -L 7700:localhost:7700`"
    ))
}

impl Settings {
    fn check_project(&self, name: &ProjectName, project: &Project) -> Result<(), String> {
        let key = |key: &str| format!("projects.{name}.{key}");
        if project.waves.is_empty() || project.rollback_waves.is_empty() {
            return Err(format!(
                "{} names no wave: leave it out for the default",
                key("waves")
            ));
        }
        if project.bake_s > 604_800 {
            return Err(format!("{} must be at most 604800", key("bake_s")));
        }
        if let Some(group) = project
            .groups
            .iter()
            .find(|group| !self.groups.contains_key(*group))
        {
            return Err(format!(
                "{} has {group}, which [groups] does not; a group that only agents name stands there as []",
                key("groups")
            ));
        }
        let others = self.projects.iter().filter(|(other, _)| *other != name);
        for (other, settings) in others {
            let ours = |repo: &&RepoName| {
                project.is_from(repo) && settings.repository != project.repository
            };
            let theirs = std::iter::once(&settings.repository).chain(&settings.aliases);
            if let Some(repo) = { theirs }.find(ours) {
                return Err(format!(
                    "{} and project {other} both claim the repository name {repo}",
                    key("aliases")
                ));
            }
        }
        Ok(())
    }

    /// Hosts that take part because these settings name them.
    #[must_use]
    pub fn names(&self, host: &HostName) -> bool {
        self.admitted.contains(host)
            || self.groups.values().any(|hosts| hosts.contains(host))
            || self
                .projects
                .values()
                .any(|project| project.hosts.contains(host))
    }

    /// The name that a repository has here: its own, whatever alias it came by.
    #[must_use]
    pub fn repository<'a>(&'a self, name: &'a RepoName) -> &'a RepoName {
        let project = self.projects.values().find(|project| project.is_from(name));
        project.map_or(name, |project| &project.repository)
    }

    /// The jobs of a repository that count; none means all that CI reports. By its own name.
    #[must_use]
    pub fn ci_jobs(&self, repository: &RepoName) -> &BTreeSet<JobName> {
        static ALL: BTreeSet<JobName> = BTreeSet::new();
        let found = self.repositories.get(repository);
        found.map_or(&ALL, |repository| &repository.ci_jobs)
    }

    /// How much of what CI said is kept.
    #[must_use]
    pub fn ci_keep(&self) -> ci::Keep {
        ci::Keep {
            commits: self.ci_keep_commits,
            time: jiff::SignedDuration::from_hours(24 * i64::from(self.ci_keep_days)),
        }
    }

    /// The rules of a rollout of this project under a grant that ends then.
    #[must_use]
    pub fn rules(&self, project: &Project, now: Timestamp, expires: Timestamp) -> Policy {
        // An order that is under way when the grant ends is still taken, but one that starts just before might not be.
        let margin = self.reach_limit_s.min(self.grant_valid_s / 4);
        let margin = jiff::SignedDuration::from_secs(i64::try_from(margin).unwrap_or_default());
        Policy {
            resend_s: self.resend_s,
            reach_limit_s: self.reach_limit_s,
            prepare_limit_s: self.prepare_limit_s,
            activate_limit_s: self.activate_limit_s,
            bake_s: project.bake_s,
            max_unreachable: project.max_unreachable,
            failure_budget: project.failure_budget,
            on_failure: project.on_failure,
            no_wave_after: expires.checked_sub(margin).unwrap_or(expires).max(now),
        }
    }

    /// When a grant that is made now ends.
    #[must_use]
    pub fn grant_expires(&self, now: Timestamp) -> Timestamp {
        after(now, self.grant_valid_s)
    }
}

impl Project {
    /// A project with the default rules and no hosts yet.
    #[must_use]
    pub fn new(repository: RepoName, environment: EnvironmentName) -> Self {
        Self {
            repository,
            aliases: BTreeSet::new(),
            environment,
            hosts: BTreeSet::new(),
            groups: BTreeSet::new(),
            requires_ci: false,
            canary: Vec::new(),
            waves: canary_then_all(),
            rollback_waves: all_at_once(),
            bake_s: 0,
            max_unreachable: two_percent(),
            failure_budget: 0,
            on_failure: OnFailure::Restore,
        }
    }

    /// True if this project is deployed from that repository.
    #[must_use]
    pub fn is_from(&self, repository: &RepoName) -> bool {
        self.repository == *repository || self.aliases.contains(repository)
    }
}
