//! Somebody pushed.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{CommitId, Payload, RefName, RepoName, Topic};

/// A hint from a hook or a forge: this ref of this repository has moved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pushed {
    /// Which repository.
    pub repository: RepoName,
    /// Which ref.
    #[serde(rename = "ref")]
    pub name: RefName,
    /// What it named; absent for a new ref, and for a deleted one where the forge does not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<CommitId>,
    /// What it names, as git tells its hooks: a commit, or an annotated tag itself; absent for a deleted ref.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<CommitId>,
    /// The commit of an annotated tag, where the sender knows it; see [`Pushed::commit`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// Who pushed, as the forge or the hook names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pusher: Option<String>,
    /// The newest commits of the push, newest last; cut to 20.
    #[serde(default)]
    pub commits: Vec<Commit>,
    /// How many commits there are in all; 0 where that is not known.
    #[serde(default)]
    pub commits_total: usize,
    /// Paths in the repository that the push changed, sorted, each once; absent where the sender does not know them all or
    /// they are too many. For matching against patterns, never for opening a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paths: Option<Vec<String>>,
}

impl Pushed {
    /// What all paths together may take up in the message, bytes.
    const PATHS_BYTES: usize = 32 * 1024;

    /// A ref that has moved, of which nothing else is known.
    #[must_use]
    pub fn of(
        repository: RepoName,
        name: RefName,
        before: Option<CommitId>,
        after: Option<CommitId>,
    ) -> Self {
        Self {
            repository,
            name,
            before,
            after,
            commit: None,
            pusher: None,
            commits: Vec::new(),
            commits_total: 0,
            paths: None,
        }
    }

    /// The same, leading to this commit: it is told only where the ref names something else, an annotated tag.
    #[must_use]
    pub fn leading_to(self, commit: Option<CommitId>) -> Self {
        let commit = commit.filter(|commit| self.after.as_ref().is_some_and(|it| it != commit));
        Self { commit, ..self }
    }

    /// What there is to build: the commit that the ref leads to. For an annotated tag of a sender that does not know its
    /// commit, the tag.
    #[must_use]
    pub fn commit(&self) -> Option<&CommitId> {
        let after = self.after.as_ref()?;
        Some(self.commit.as_ref().unwrap_or(after))
    }

    /// Paths as they travel: sorted, each once; none when they would take up more than `32 KiB`.
    #[must_use]
    pub fn paths(all: impl IntoIterator<Item = String>) -> Option<Vec<String>> {
        let mut paths = BTreeSet::new();
        let mut bytes = 0;
        for path in all {
            // A control character takes six bytes in JSON; a path with one is nothing to match.
            let plain = !path.is_empty() && !path.chars().any(char::is_control);
            bytes += 2 * path.len() + 3;
            if !plain || bytes > 2 * Self::PATHS_BYTES {
                return None;
            }
            paths.insert(path);
        }
        let paths: Vec<String> = paths.into_iter().collect();
        let text = serde_json::to_vec(&paths).ok()?;
        (text.len() <= Self::PATHS_BYTES).then_some(paths)
    }
}

/// A commit of a push.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Its id.
    pub id: CommitId,
    /// Who wrote it.
    pub author: String,
    /// The first line of its message, cut to 200 characters.
    pub title: String,
}

impl Payload for Pushed {
    const TYPE: &'static str = "deploykit.git.pushed.v1";
    fn topic(&self) -> Topic {
        Topic::GitCommits
    }
    fn subject(&self) -> String {
        format!("{} {}", self.repository, self.name)
    }
    fn dedupkey(&self) -> Option<String> {
        let id = |commit: &Option<CommitId>| commit.as_ref().map_or("-", |c| c.as_str()).to_owned();
        Some(format!(
            "{} {} {} {}",
            self.repository,
            self.name,
            id(&self.before),
            id(&self.after)
        ))
    }
}
