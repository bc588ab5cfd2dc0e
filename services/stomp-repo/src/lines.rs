//! What is said about a look: lines for people, with records of the same. Pure.

use events::{AptSource, HostName, PackageVersion, message::Candidate};
use serde_json::{Value, json};

use crate::plan::{AptName, Want};

/// One line, and the same as fields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub(crate) line: String,
    pub(crate) record: Value,
}

/// More changes than this at once are counted.
const CHANGES: usize = 20;

/// Where this is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) host: &'a HostName,
    pub(crate) source: &'a AptSource,
}

impl Place<'_> {
    fn say(self, event: &str, text: &str, fields: Value) -> Said {
        let Self { host, source } = self;
        let mut record = json!({ "event": event, "host": host, "source": source });
        if let (Some(record), Value::Object(fields)) = (record.as_object_mut(), fields) {
            record.extend(fields);
        }
        let line = format!("{host} {text}");
        Said { line, record }
    }

    /// One line for each of the first, and one for the number of the others.
    pub(crate) fn changed(self, changes: &[Candidate]) -> Vec<Said> {
        let (said, counted) = changes.split_at(changes.len().min(CHANGES));
        let mut lines: Vec<Said> = said.iter().map(|change| self.change(change)).collect();
        if !counted.is_empty() {
            let more = counted.len();
            let text = format!("and {more} more packages of {}", self.source);
            lines.push(self.say("changed", &text, json!({ "more": more })));
        }
        lines
    }

    fn change(self, change: &Candidate) -> Said {
        let name = AptName {
            name: change.name.clone(),
            architecture: change.architecture.clone(),
        };
        let version = |version: &Option<PackageVersion>| {
            version
                .as_ref()
                .map_or("none", |version| version.as_str())
                .to_owned()
        };
        let installed = version(&change.installed);
        let text = match (&change.before, &change.after) {
            (_, None) => format!("{name} can no more be installed from {}", self.source),
            (None, Some(after)) => {
                format!("{name} {after} can be installed (installed: {installed})")
            }
            (Some(before), Some(after)) => {
                format!("{name} {after} can be installed, before {before} (installed: {installed})")
            }
        };
        self.say("changed", &text, json!({ "package": change }))
    }

    /// What was announced has not come.
    pub(crate) fn given_up(
        self,
        name: &AptName,
        want: &Want,
        candidate: Option<&PackageVersion>,
    ) -> Said {
        let has = candidate.map_or("none", |version| version.as_str());
        let text = format!(
            "{name} {} was announced by {} and is not in {} after {} refreshes; apt has {has}",
            want.version, want.repository, self.source, want.tries
        );
        let fields = json!({
            "package": name.to_string(), "announced": want.version, "candidate": candidate, "refreshes": want.tries,
        });
        self.say("given-up", &text, fields)
    }

    /// What was announced has come, and apt prefers another version.
    pub(crate) fn pinned(
        self,
        name: &AptName,
        want: &Want,
        candidate: Option<&PackageVersion>,
    ) -> Said {
        let has = candidate.map_or("none", |version| version.as_str());
        let text = format!(
            "{name} {} is there, but apt is set to prefer {has}",
            want.version
        );
        let fields = json!({ "package": name.to_string(), "announced": want.version, "candidate": candidate });
        self.say("pinned", &text, fields)
    }

    pub(crate) fn problem(self, cause: &str) -> Said {
        let text = format!("{} cannot be refreshed: {cause}", self.source);
        self.say("problem", &text, json!({ "cause": cause }))
    }

    pub(crate) fn again(self, failed: u32) -> Said {
        let text = format!("{} refreshed again after {failed} failures", self.source);
        self.say("again", &text, json!({ "failures": failed }))
    }
}
