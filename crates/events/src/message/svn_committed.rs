//! Somebody committed to Subversion.

use serde::{Deserialize, Serialize};

use super::frame;
use crate::{Payload, RepoName, SvnPath, Topic};

/// A hint from the hook of a Subversion repository: it has this revision now.
///
/// No [`Pushed`](super::Pushed): a revision is a number of the whole repository, not an id of content, and moves any
/// number of branches, or none, since a branch is a folder by convention only. A reader of git's commits could do nothing with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SvnCommitted {
    /// Which repository.
    pub repository: RepoName,
    /// Its newest revision.
    pub revision: u64,
    /// Who committed; absent where Subversion knows nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The first line of the log message, cut to 200 characters.
    pub title: String,
    /// The folders below which something has changed and that are a trunk, a branch or a tag by convention:
    /// `trunk`, `shop/branches/fix`, `tags/v1`. The first [`SvnCommitted::MAX_BRANCHES`].
    pub branches: Vec<SvnPath>,
    /// What has changed, as svnlook tells it, cut to fit a frame ([`SvnCommitted::cut_to_frame`]).
    pub paths: Vec<ChangedPath>,
    /// How many paths have changed in all.
    pub paths_total: usize,
}

/// A path that a commit changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedPath {
    /// How.
    pub change: PathChange,
    /// Where; folders end in `/`.
    pub path: SvnPath,
}

/// How a commit changed a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PathChange {
    /// It is new, maybe a copy: with a folder, all that is below it.
    Added,
    /// It is gone, with all that was below it.
    Deleted,
    /// Its content has changed.
    Changed,
    /// Only its properties have changed.
    Properties,
}

impl SvnCommitted {
    /// How many branches are named.
    pub const MAX_BRANCHES: usize = 20;
    /// How many paths are named.
    pub const MAX_PATHS: usize = 200;
    /// What the branches may take up.
    const BRANCHES_BYTES: usize = 8 * 1024;

    /// Leaves out paths from the end until the message fits a frame; `paths_total` counts them all.
    #[must_use]
    pub fn cut_to_frame(mut self) -> Self {
        self.paths_total = self.paths_total.max(self.paths.len());
        self.branches.truncate(Self::MAX_BRANCHES);
        self.paths.truncate(Self::MAX_PATHS);
        frame::cut(&mut self.branches, Self::BRANCHES_BYTES);
        frame::cut(&mut self.paths, frame::LIST_BYTES);
        self
    }
}

impl Payload for SvnCommitted {
    const TYPE: &'static str = "deploykit.svn.committed.v1";
    fn topic(&self) -> Topic {
        Topic::SvnCommits
    }
    fn subject(&self) -> String {
        format!("{} r{}", self.repository, self.revision)
    }
    fn dedupkey(&self) -> Option<String> {
        Some(self.subject())
    }
}
