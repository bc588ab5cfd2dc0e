//! `[relay.NAME]`: where lines are posted, and which.

use std::{collections::BTreeSet, path::PathBuf};

use events::{Pattern, ProjectName, message::Level};
use serde::Deserialize;

use crate::feed::Wanted;

/// One relay.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RelaySettings {
    /// The file with the address of the webhook, which is a secret.
    pub url_file: PathBuf,
    /// How a post is written.
    pub form: Form,
    /// The authorities that may have signed the certificate of its host; default: the system's.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// Only what these components say; `*` and `?` are any text and any character.
    #[serde(default)]
    pub components: Vec<Pattern>,
    /// Only what was said on these hosts, or about them.
    #[serde(default)]
    pub hosts: Vec<Pattern>,
    /// Only what is about these projects.
    #[serde(default)]
    pub projects: BTreeSet<ProjectName>,
    /// Only lines of these levels.
    #[serde(default)]
    pub levels: BTreeSet<Level>,
    /// Only these events.
    #[serde(default)]
    pub events: Vec<Pattern>,
    /// Posts in a minute at most.
    #[serde(default = "per_minute")]
    pub per_minute: u32,
    /// Lines in a post; the others are counted in it.
    #[serde(default = "lines_per_post")]
    pub lines_per_post: usize,
}

fn per_minute() -> u32 {
    20
}

fn lines_per_post() -> usize {
    10
}

/// How a post is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// The lines with their records, for a program.
    Json,
    /// As Slack's incoming webhooks take it, and what is compatible with them.
    Slack,
    /// As Mattermost's incoming webhooks take it.
    Mattermost,
}

impl RelaySettings {
    pub(crate) fn check(&self, name: &str) -> Result<(), String> {
        let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if name.is_empty() || name.len() > 40 || !name.chars().all(word) {
            return Err(format!(
                "relay.{name:?}: a relay's name is of a-z, 0-9 and -, at most 40 characters"
            ));
        }
        if !(1..=600).contains(&self.per_minute) {
            return Err(format!("relay.{name}.per_minute must be 1 to 600"));
        }
        if !(1..=50).contains(&self.lines_per_post) {
            return Err(format!("relay.{name}.lines_per_post must be 1 to 50"));
        }
        Ok(())
    }

    /// Which lines it posts.
    #[must_use]
    pub fn wanted(&self) -> Wanted {
        Wanted {
            components: self.components.clone(),
            hosts: self.hosts.clone(),
            projects: self.projects.clone(),
            levels: self.levels.clone(),
            events: self.events.clone(),
            since: None,
        }
    }
}
