//! Where messages go: topics, and how a site may name them.
//!
//! Names have dots only, so that the same ones work on RabbitMQ, ActiveMQ and Artemis.

use std::{collections::BTreeMap, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{NameError, name::HostName};

/// A topic of the bus, without the site's prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// Pushes: `git.commits`.
    GitCommits,
    /// What a host has fetched: `git.fetched`.
    GitFetched,
    /// Commits to Subversion: `svn.commits`.
    SvnCommits,
    /// Packages that came into an apt repository: `packages.updated`.
    PackagesUpdated,
    /// What a host's apt could install now: `packages.refreshed`.
    PackagesRefreshed,
    /// Builds that began: `ci.started`.
    CiStarted,
    /// Builds that are good: `ci.succeeded`.
    CiSucceeded,
    /// Builds that are not: `ci.failed`.
    CiFailed,
    /// Questions for what CI has found: `ci.asked`.
    CiAsked,
    /// What CI has found of commits: `ci.answered`.
    CiAnswered,
    /// Agents that are there: `agents.presence`.
    AgentsPresence,
    /// Orders to one agent: `deploy.orders.HOST`.
    DeployOrders(HostName),
    /// What agents answer: `deploy.reports`.
    DeployReports,
    /// Output of scripts, live: `deploy.output`.
    DeployOutput,
    /// A beat on the bus: `keepalive`.
    Keepalive,
    /// One line for people and one record for machines: `events.COMPONENT`.
    Events(String),
    /// All of `events.*`, for a reader.
    AllEvents,
    /// What a service could not use: `dead.SERVICE`.
    Dead(String),
}

impl Topic {
    /// The names of all topics, those with a host or component at the end without it.
    pub const STEMS: [&'static str; 17] = [
        "git.commits",
        "git.fetched",
        "svn.commits",
        "packages.updated",
        "packages.refreshed",
        "ci.started",
        "ci.succeeded",
        "ci.failed",
        "ci.asked",
        "ci.answered",
        "agents.presence",
        "deploy.orders",
        "deploy.reports",
        "deploy.output",
        "keepalive",
        "events",
        "dead",
    ];

    /// The name without prefix, host and component.
    #[must_use]
    pub fn stem(&self) -> &'static str {
        match self {
            Self::GitCommits => "git.commits",
            Self::GitFetched => "git.fetched",
            Self::SvnCommits => "svn.commits",
            Self::PackagesUpdated => "packages.updated",
            Self::PackagesRefreshed => "packages.refreshed",
            Self::CiStarted => "ci.started",
            Self::CiSucceeded => "ci.succeeded",
            Self::CiFailed => "ci.failed",
            Self::CiAsked => "ci.asked",
            Self::CiAnswered => "ci.answered",
            Self::AgentsPresence => "agents.presence",
            Self::DeployOrders(_) => "deploy.orders",
            Self::DeployReports => "deploy.reports",
            Self::DeployOutput => "deploy.output",
            Self::Keepalive => "keepalive",
            Self::Events(_) | Self::AllEvents => "events",
            Self::Dead(_) => "dead",
        }
    }

    /// The dotted name without prefix.
    #[must_use]
    pub fn dotted(&self) -> String {
        self.below(self.stem())
    }

    /// `stem` and, where the topic has one, its host or component.
    fn below(&self, stem: &str) -> String {
        match self {
            Self::DeployOrders(host) => format!("{stem}.{}", host.segment()),
            Self::Events(name) | Self::Dead(name) => format!("{stem}.{name}"),
            Self::AllEvents => format!("{stem}.*"),
            Self::GitCommits
            | Self::GitFetched
            | Self::SvnCommits
            | Self::PackagesUpdated
            | Self::PackagesRefreshed
            | Self::CiStarted
            | Self::CiSucceeded
            | Self::CiFailed
            | Self::CiAsked
            | Self::CiAnswered
            | Self::AgentsPresence
            | Self::DeployReports
            | Self::DeployOutput
            | Self::Keepalive => stem.to_owned(),
        }
    }
}

/// A topic by its dotted name, as people type it; `events` is all of `events.*`.
impl FromStr for Topic {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        let refuse = |rule| NameError {
            kind: "topic",
            input: text.chars().take(80).collect(),
            rule,
        };
        let plain = [
            Self::GitCommits,
            Self::GitFetched,
            Self::SvnCommits,
            Self::PackagesUpdated,
            Self::PackagesRefreshed,
            Self::CiStarted,
            Self::CiSucceeded,
            Self::CiFailed,
            Self::CiAsked,
            Self::CiAnswered,
            Self::AgentsPresence,
            Self::DeployReports,
            Self::DeployOutput,
            Self::Keepalive,
            Self::AllEvents,
        ];
        if let Some(topic) = plain.into_iter().find(|it| it.dotted() == text) {
            return Ok(topic);
        }
        if text == Self::AllEvents.stem() {
            return Ok(Self::AllEvents);
        }
        if let Some(host) = text.strip_prefix("deploy.orders.") {
            return HostName::from_segment(host)
                .map(Self::DeployOrders)
                .map_err(|_| refuse("after deploy.orders. comes a host, with _ for each dot"));
        }
        let component = |text: &str| {
            let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            (!text.is_empty() && text.chars().all(inner)).then(|| text.to_owned())
        };
        let of = |stem: &str| text.strip_prefix(stem).and_then(component);
        of("events.")
            .map(Self::Events)
            .or_else(|| of("dead.").map(Self::Dead))
            .ok_or_else(|| refuse("the topics are in docs/bus.md, such as git.commits, ci.succeeded, events.stomp-git or events"))
    }
}

/// How this site names its topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Names {
    /// First segments of every topic and durable subscription. Default `deploykit`.
    pub prefix: String,
    /// Topics under another name: one of [`Topic::STEMS`] → full dotted name. Host or component still follow it.
    pub rename: BTreeMap<String, String>,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            prefix: "deploykit".to_owned(),
            rename: BTreeMap::new(),
        }
    }
}

impl Names {
    /// The STOMP destination of a topic: `/topic/deploykit.git.commits`.
    #[must_use]
    pub fn destination(&self, topic: &Topic) -> String {
        match self.rename.get(topic.stem()) {
            Some(name) => format!("/topic/{}", topic.below(name)),
            None => format!("/topic/{}.{}", self.prefix, topic.dotted()),
        }
    }

    /// The name of a durable subscription, which is also its client-id and queue: `deploykit.deploy-agent.web1`.
    #[must_use]
    pub fn subscription(&self, service: &str, host: &HostName) -> String {
        format!("{}.{service}.{}", self.prefix, host.segment())
    }

    /// The name of a service's further durable subscription, to this topic: `deploykit.deploy-orchestrator.hub1-ci-failed`.
    #[must_use]
    pub fn further_subscription(&self, service: &str, host: &HostName, topic: &Topic) -> String {
        let topic = topic.stem().replace('.', "-");
        format!("{}-{topic}", self.subscription(service, host))
    }

    /// Says what is wrong with these settings, if anything.
    ///
    /// # Errors
    /// When a name holds anything but dot-separated words of letters, digits, `_` and `-`, when a topic that does not
    /// exist is renamed, and when two topics would be one.
    pub fn check(&self) -> Result<(), String> {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let word = |word: &str| !word.is_empty() && word.chars().all(letter);
        for name in std::iter::once(&self.prefix).chain(self.rename.values()) {
            if !name.split('.').all(word) {
                return Err(format!(
                    "topic name {name:?} must be words of letters, digits, _ and - with dots between"
                ));
            }
        }
        let known = |key: &String| Topic::STEMS.contains(&key.as_str());
        if let Some(topic) = self.rename.keys().find(|key| !known(key)) {
            return Err(format!(
                "there is no topic {topic:?} to rename; there are {}",
                Topic::STEMS.join(", ")
            ));
        }
        let mut taken = BTreeMap::new();
        for stem in Topic::STEMS {
            let plain = || format!("{}.{stem}", self.prefix);
            let name = self.rename.get(stem).cloned().unwrap_or_else(plain);
            if let Some(other) = taken.insert(name.clone(), stem) {
                return Err(format!(
                    "the topics {other} and {stem} would both be {name:?}"
                ));
            }
        }
        Ok(())
    }
}
