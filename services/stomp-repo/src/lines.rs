//! What is said about a look: lines for people, with records of the same. Pure.

use events::{
    AptSource, PackageVersion,
    message::{Candidate, Level, Said},
};

use crate::plan::{AptName, Want};

/// More changes than this at once are counted.
const CHANGES: usize = 20;

/// Where this is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) source: &'a AptSource,
}

impl Place<'_> {
    fn say(self, event: &'static str, text: impl Into<String>) -> Said {
        Said::new(event, text).with("source", self.source)
    }

    /// One line for each of the first, and one for the number of the others.
    pub(crate) fn changed(self, changes: &[Candidate]) -> Vec<Said> {
        let (said, counted) = changes.split_at(changes.len().min(CHANGES));
        let mut lines: Vec<Said> = said.iter().map(|change| self.change(change)).collect();
        if !counted.is_empty() {
            let more = counted.len();
            let text = format!("and {more} more packages of {}", self.source);
            lines.push(self.say("changed", text).with("more", more));
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
        self.say("changed", text)
            .with("package", &change.name)
            .with("architecture", &change.architecture)
            .with("installed", &change.installed)
            .with("before", &change.before)
            .with("after", &change.after)
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
        self.say("given-up", text)
            .level(Level::Problem)
            .with("package", name.to_string())
            .with("announced", &want.version)
            .with("candidate", candidate)
            .with("refreshes", want.tries)
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
        self.say("pinned", text)
            .with("package", name.to_string())
            .with("announced", &want.version)
            .with("candidate", candidate)
    }

    pub(crate) fn problem(self, cause: &str) -> Said {
        let text = format!("{} cannot be refreshed: {cause}", self.source);
        self.say("problem", text)
            .level(Level::Problem)
            .with("cause", cause)
    }

    pub(crate) fn again(self, failed: u32) -> Said {
        let text = format!("{} refreshed again after {failed} failures", self.source);
        self.say("again", text)
            .level(Level::Over)
            .with("failures", failed)
    }
}
