//! What CI has found of commits: the question, and the answer of who keeps all verdicts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{CommitId, HostName, Payload, RepoName, Topic};

/// `stomp-git` asks whether commits are good, because its mirror takes no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiAsked {
    /// Who asks.
    pub host: HostName,
    /// Which repository.
    pub repository: RepoName,
    /// Which commits, at most [`CiAsked::MOST`].
    pub commits: Vec<CommitId>,
}

/// The orchestrator says what CI has found: to whoever asked, and by itself when a commit was found good or bad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiAnswered {
    /// Which repository, by the name that was asked for.
    pub repository: RepoName,
    /// One per commit, at most [`CiAsked::MOST`].
    pub verdicts: Vec<CommitVerdict>,
}

/// What CI has found of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitVerdict {
    /// Which.
    pub commit: CommitId,
    /// What is known of it.
    pub verdict: Verdict,
}

/// Whether a commit may be used, as far as CI has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every job that counts has succeeded.
    Good,
    /// The newest result of a job is another one.
    Bad,
    /// A job is at it, or has not come to it yet.
    Building,
    /// CI has said nothing.
    Unknown,
}

impl CiAsked {
    /// Commits in one message, so that a frame holds the answer too, also with the longest ids.
    pub const MOST: usize = 1000;
}

impl Payload for CiAsked {
    const TYPE: &'static str = "deploykit.ci.asked.v1";
    const PERSISTENT: bool = false;
    // Who asked has asked again by then.
    const TIME_TO_LIVE: Option<Duration> = Some(Duration::from_secs(60));
    fn topic(&self) -> Topic {
        Topic::CiAsked
    }
    fn subject(&self) -> String {
        format!("{} on {}", self.repository, self.host)
    }
}

impl Payload for CiAnswered {
    const TYPE: &'static str = "deploykit.ci.answered.v1";
    const PERSISTENT: bool = false;
    // An old one may not be true any more.
    const TIME_TO_LIVE: Option<Duration> = Some(Duration::from_secs(300));
    fn topic(&self) -> Topic {
        Topic::CiAnswered
    }
    fn subject(&self) -> String {
        self.repository.to_string()
    }
}
