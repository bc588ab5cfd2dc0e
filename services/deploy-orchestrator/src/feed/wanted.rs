//! Which lines somebody wants. Pure.

use std::collections::BTreeSet;

use events::{Pattern, ProjectName, message::Level};
use jiff::Timestamp;
use serde_json::Value;

use super::store::Kept;

/// A choice of lines. What is empty chooses all.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// Names of components.
    pub components: Vec<Pattern>,
    /// Names of hosts: where it was said, or about which host it is.
    pub hosts: Vec<Pattern>,
    /// Projects; a line that names none is about its repository.
    pub projects: BTreeSet<ProjectName>,
    /// How much it matters.
    pub levels: BTreeSet<Level>,
    /// Words of events.
    pub events: Vec<Pattern>,
    /// Nothing that came earlier.
    pub since: Option<Timestamp>,
}

impl Wanted {
    /// A component, with or without the `events.` of its topic, and with `*` and `?`.
    ///
    /// # Errors
    /// One sentence, for what can be no component.
    pub fn component(text: &str) -> Result<Pattern, String> {
        let name = text.strip_prefix("events.").unwrap_or(text);
        let letter =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '*' | '?');
        if !name.is_empty() && name.chars().all(letter) {
            return name.parse().map_err(|error| format!("{error}"));
        }
        let shown: String = text.chars().take(80).collect();
        Err(format!(
            "{shown:?} is no component: the feed has the topics events.COMPONENT, such as events.stomp-git or events.stomp-*"
        ))
    }

    /// True if it is one of them.
    #[must_use]
    pub fn takes(&self, line: &Kept) -> bool {
        let any = |patterns: &[Pattern], text: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
        };
        let about = line.record.get("about").and_then(Value::as_str);
        any(&self.components, line.component.as_str())
            && (any(&self.hosts, line.host.as_str())
                || about.is_some_and(|about| any(&self.hosts, about)))
            && (self.levels.is_empty() || self.levels.contains(&line.level))
            && any(&self.events, &line.event)
            && (self.projects.is_empty() || self.is_about(&line.record))
            && self.since.is_none_or(|since| line.received >= since)
    }

    fn is_about(&self, record: &Value) -> bool {
        let field = |name: &str| record.get(name).and_then(Value::as_str);
        let Some(about) = field("project").or_else(|| field("repository")) else {
            return false;
        };
        self.projects
            .iter()
            .any(|project| project.as_str() == about)
    }
}
