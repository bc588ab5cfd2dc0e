//! What a host's mirror of a repository holds now.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::{CommitId, HostName, MAX_FRAME_BYTES, Payload, RefName, RepoName, Topic};

/// A hint from `stomp-git`, after a fetch and slowly again: these refs are on this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetched {
    /// Where.
    pub host: HostName,
    /// Which repository.
    pub repository: RepoName,
    /// Tags and branches, tags first, newest first; cut to fit a frame ([`Fetched::cut_to_frame`]).
    pub refs: Vec<RefTip>,
    /// How many there are in all.
    pub refs_total: usize,
}

/// A ref and the commit that it leads to (annotated tags are followed).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RefTip {
    /// The full ref.
    pub name: RefName,
    /// The commit.
    pub commit: CommitId,
    /// When that commit was made, seconds since 1970 UTC.
    pub committed_s: i64,
}

impl Fetched {
    /// What the refs may take up; the rest of a frame is for the envelope and the names.
    const REFS_BYTES: usize = MAX_FRAME_BYTES - 4 * 1024;

    /// Leaves out the refs with the oldest commits, tags and branches alike, until the message fits a frame.
    /// The order of the others stays; `refs_total` counts them all.
    #[must_use]
    pub fn cut_to_frame(mut self) -> Self {
        self.refs_total = self.refs_total.max(self.refs.len());
        let mut newest: Vec<usize> = (0..self.refs.len()).collect();
        newest.sort_by_key(|&at| Reverse(self.refs[at].committed_s));
        let mut keep = vec![false; self.refs.len()];
        let mut bytes = 0;
        for at in newest {
            bytes += self.refs[at].json_bytes();
            if bytes > Self::REFS_BYTES {
                break;
            }
            keep[at] = true;
        }
        let mut keep = keep.into_iter();
        self.refs.retain(|_| keep.next().unwrap_or_default());
        self
    }
}

impl RefTip {
    /// Its size in the message, with the comma after it.
    fn json_bytes(&self) -> usize {
        let text = serde_json::to_vec(self).expect("a ref is plain JSON");
        text.len() + 1
    }
}

impl Payload for Fetched {
    const TYPE: &'static str = "deploykit.git.fetched.v1";
    fn topic(&self) -> Topic {
        Topic::GitFetched
    }
    fn subject(&self) -> String {
        format!("{} on {}", self.repository, self.host)
    }
}
