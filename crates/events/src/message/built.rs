//! CI began a build, or has a verdict on a commit.

use serde::{Deserialize, Serialize};

use crate::{CommitId, JobName, PageUrl, Payload, ProjectName, RefName, RepoName, Topic};

/// A build, as all three messages name it. The commit is the one that CI says it built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    /// Which repository.
    pub repository: RepoName,
    /// The ref that led to the build, where known. A verdict is about the commit.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub name: Option<RefName>,
    /// What was built.
    pub commit: CommitId,
    /// Which of the repository's projects, where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// The job, with its folders.
    pub job: JobName,
    /// The number of the build within its job.
    pub number: u64,
    /// Where people see it; absent where CI does not know its own address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<PageUrl>,
}

impl Built {
    fn subject(&self) -> String {
        let Self {
            repository, commit, ..
        } = self;
        format!("{repository} {}", commit.short())
    }

    /// The same for everybody who tells of this build, whatever they know of its ref and address.
    fn dedupkey(&self, what: &str) -> Option<String> {
        let Self {
            repository,
            commit,
            job,
            number,
            ..
        } = self;
        Some(format!("{repository} {commit} {job} {number} {what}"))
    }
}

/// A build began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiStarted {
    /// Which.
    #[serde(flatten)]
    pub build: Built,
}

/// A commit is good: its build ended well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiSucceeded {
    /// Which.
    #[serde(flatten)]
    pub build: Built,
}

/// A commit is not good: its build ended otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiFailed {
    /// Which.
    #[serde(flatten)]
    pub build: Built,
    /// How it ended.
    pub result: BuildResult,
}

/// How a build ended that is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BuildResult {
    /// It could be built, but tests failed.
    Unstable,
    /// It failed.
    Failure,
    /// It was skipped.
    NotBuilt,
    /// Somebody, or a restart, ended it.
    Aborted,
}

impl Payload for CiStarted {
    const TYPE: &'static str = "deploykit.ci.started.v1";
    fn topic(&self) -> Topic {
        Topic::CiStarted
    }
    fn subject(&self) -> String {
        self.build.subject()
    }
    fn dedupkey(&self) -> Option<String> {
        self.build.dedupkey("started")
    }
}

impl Payload for CiSucceeded {
    const TYPE: &'static str = "deploykit.ci.succeeded.v1";
    fn topic(&self) -> Topic {
        Topic::CiSucceeded
    }
    fn subject(&self) -> String {
        self.build.subject()
    }
    fn dedupkey(&self) -> Option<String> {
        self.build.dedupkey("succeeded")
    }
}

impl Payload for CiFailed {
    const TYPE: &'static str = "deploykit.ci.failed.v1";
    fn topic(&self) -> Topic {
        Topic::CiFailed
    }
    fn subject(&self) -> String {
        self.build.subject()
    }
    fn dedupkey(&self) -> Option<String> {
        self.build.dedupkey("failed")
    }
}
