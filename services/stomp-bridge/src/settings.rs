//! What may be asked for. The shipped file `dist/stomp-bridge.toml` shows every key.

use std::collections::BTreeMap;

use events::{JobName, Names, RepoName, Topic};
use serde::Deserialize;

use crate::{names::OldNames, packages::Place};

/// The keys of `stomp-bridge.toml` that are its own.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Which kinds are carried, and which way.
    pub carry: Carry,
    /// The topics of the older daemons.
    pub topics: Topics,
    /// What repositories were called before.
    pub old_names: OldNames,
    /// Which repository the older builds of a job are of.
    pub jobs: BTreeMap<JobName, RepoName>,
    /// Where the packages of older messages are.
    pub packages: Option<Place>,
}

/// Which way a kind of messages is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Both ways.
    Both,
    /// From deploykit to the older daemons.
    ToOld,
    /// From the older daemons to deploykit.
    FromOld,
    /// Not at all.
    None,
}

impl Way {
    /// To the older daemons too, or only.
    #[must_use]
    pub fn to_old(self) -> bool {
        matches!(self, Self::Both | Self::ToOld)
    }

    /// From the older daemons too, or only.
    #[must_use]
    pub fn from_old(self) -> bool {
        matches!(self, Self::Both | Self::FromOld)
    }
}

/// Which kinds are carried, and which way.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Carry {
    /// Pushes, and revisions of Subversion.
    pub commits: Way,
    /// Ends of builds.
    pub builds: Way,
    /// Packages of an apt repository.
    pub packages: Way,
}

impl Default for Carry {
    fn default() -> Self {
        Self {
            commits: Way::Both,
            builds: Way::ToOld,
            packages: Way::ToOld,
        }
    }
}

/// The topics of the older daemons, without `/topic/`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Topics {
    /// Pushes and revisions.
    pub commits: String,
    /// Good builds.
    pub succeeded: String,
    /// Bad builds.
    pub failed: String,
    /// Packages.
    pub packages: String,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            commits: "future.git.commits".to_owned(),
            succeeded: "future.jenkins.success".to_owned(),
            failed: "future.jenkins.cake".to_owned(),
            packages: "future.package.updates".to_owned(),
        }
    }
}

impl Topics {
    /// The destination of a topic.
    #[must_use]
    pub fn destination(topic: &str) -> String {
        format!("/topic/{topic}")
    }

    /// Each with its key.
    fn all(&self) -> [(&'static str, &str); 4] {
        [
            ("commits", &self.commits),
            ("succeeded", &self.succeeded),
            ("failed", &self.failed),
            ("packages", &self.packages),
        ]
    }

    fn check(&self) -> Result<(), String> {
        let letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        let word = |word: &str| !word.is_empty() && word.chars().all(letter);
        let all = self.all();
        for (index, (key, topic)) in all.iter().enumerate() {
            if !topic.split('.').all(word) {
                return Err(format!(
                    "topics.{key} is {topic:?}: it must be words of letters, digits, _ and - with dots between"
                ));
            }
            if let Some((other, _)) = all[..index].iter().find(|(_, it)| it == topic) {
                return Err(format!(
                    "topics.{other} and topics.{key} are both {topic:?}"
                ));
            }
        }
        Ok(())
    }

    /// Says what is wrong with them beside our own topics, if anything.
    ///
    /// # Errors
    /// When one is also one of ours: there readers of the one form would hear the other.
    pub fn check_beside(&self, names: &Names) -> Result<(), String> {
        let ours = Topic::STEMS.into_iter();
        let ours: Vec<String> = ours
            .filter_map(|stem| stem.parse().ok())
            .map(|topic: Topic| names.destination(&topic))
            .collect();
        let clash = self.all().into_iter().find(|(_, topic)| {
            let destination = Self::destination(topic);
            ours.contains(&destination)
        });
        match clash {
            None => Ok(()),
            Some((key, topic)) => Err(format!(
                "topics.{key} is {topic:?}, which is a topic of ours too: choose another [bus.topics] prefix for all services of deploykit"
            )),
        }
    }
}

impl chassis::Settings for Settings {
    const SHIPPED: &'static str = include_str!("../dist/stomp-bridge.toml");

    fn check(&self) -> Result<(), String> {
        self.old_names.check()?;
        self.topics.check()?;
        if self.carry.builds.from_old() && self.jobs.is_empty() {
            return Err("carry.builds takes builds from older daemons: say in [jobs] which repository each job builds".to_owned());
        }
        if self.carry.packages.from_old() && self.packages.is_none() {
            return Err("carry.packages takes packages from older daemons: say in [packages] where they are".to_owned());
        }
        Ok(())
    }
}
