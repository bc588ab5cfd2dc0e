//! What CI has said of each commit, and what follows from it. Pure.
//!
//! Of each job only the newest result of a commit counts: that of the build with the highest number. A commit is good if
//! the jobs that count have all succeeded: those that the settings name, or else all that CI reported for it.

use std::collections::{BTreeMap, BTreeSet};

use events::{
    CommitId, JobName, PageUrl, RepoName,
    message::{BuildResult, Built, Verdict},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// What CI said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// A build began.
    Started,
    /// It is good.
    Succeeded,
    /// It is not.
    Failed(BuildResult),
}

/// All that CI has said and that is still kept.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ci {
    repositories: BTreeMap<RepoName, BTreeMap<CommitId, Commit>>,
}

/// What CI has said of one commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    /// When CI last said something.
    pub heard: Timestamp,
    /// Each job that built it.
    pub jobs: BTreeMap<JobName, Job>,
    /// True if there were more jobs than are kept: then nobody knows that all of them are good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crowded: bool,
}

/// What one job has said of a commit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The newest build that is known.
    pub number: u64,
    /// When it was last heard of.
    pub at: Timestamp,
    /// Where people see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<PageUrl>,
    /// The newest result, which may be that of a build before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Ended>,
}

/// A result of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Of which build.
    pub number: u64,
    /// When it was said.
    pub at: Timestamp,
    /// Where people see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<PageUrl>,
    /// How it failed; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<BuildResult>,
}

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Commits of each repository.
    pub commits: usize,
    /// How long after CI last said something of a commit.
    pub time: SignedDuration,
}

/// Jobs of one commit that are kept, beside those that the settings name; of more it is only noted that there are.
pub const MOST_JOBS: usize = 50;
/// Repositories that no settings name: anybody on the bus can make up more.
const MOST_UNNAMED: usize = 100;

impl Ci {
    /// A commit as it was kept.
    pub fn put(&mut self, repository: RepoName, id: CommitId, commit: Commit) {
        self.repositories
            .entry(repository)
            .or_default()
            .insert(id, commit);
    }

    /// Takes in what CI said at `at`. `named`: the jobs of which each is kept. True if anything is different by that.
    pub fn heard(
        &mut self,
        repository: &RepoName,
        build: &Built,
        said: Said,
        at: Timestamp,
        named: &BTreeSet<JobName>,
    ) -> bool {
        let commits = self.repositories.entry(repository.clone()).or_default();
        let commit = commits.entry(build.commit.clone()).or_insert(Commit {
            heard: at,
            jobs: BTreeMap::new(),
            crowded: false,
        });
        let kept = named.contains(&build.job) || commit.jobs.contains_key(&build.job);
        if !kept && commit.jobs.len() >= MOST_JOBS {
            return !std::mem::replace(&mut commit.crowded, true);
        }
        commit.heard = commit.heard.max(at);
        let job = commit.jobs.entry(build.job.clone()).or_default();
        let before = job.clone();
        if build.number >= job.number {
            job.number = build.number;
            job.at = job.at.max(at);
            job.url = build
                .url
                .clone()
                .or(job.url.take().filter(|_| before.number == build.number));
        }
        let failed = match said {
            Said::Started => return *job != before,
            Said::Succeeded => None,
            Said::Failed(result) => Some(result),
        };
        // Two may tell of one build, and not in order: the later word counts.
        let newer = job
            .result
            .as_ref()
            .is_none_or(|known| (build.number, at) > (known.number, known.at));
        if newer {
            job.result = Some(Ended {
                number: build.number,
                at,
                url: build.url.clone(),
                failed,
            });
        }
        *job != before
    }

    /// True if something of this repository is kept, or there is room for one more.
    #[must_use]
    pub fn has_room_for(&self, repository: &RepoName, named: &BTreeSet<&RepoName>) -> bool {
        let unnamed = self
            .repositories
            .keys()
            .filter(|known| !named.contains(known));
        self.repositories.contains_key(repository)
            || named.contains(repository)
            || unnamed.count() < MOST_UNNAMED
    }

    /// Forgets what is too old or too much, and says what that was. The commits of a repository that CI heard of last stay.
    pub fn forget(&mut self, now: Timestamp, keep: Keep) -> Vec<(RepoName, CommitId)> {
        let mut gone = Vec::new();
        for (repository, commits) in &mut self.repositories {
            let old = |commit: &Commit| now.duration_since(commit.heard) > keep.time;
            let mut by_age: Vec<(Timestamp, CommitId)> = Vec::new();
            if commits.len() > keep.commits {
                by_age.extend(
                    commits
                        .iter()
                        .map(|(id, commit)| (commit.heard, id.clone())),
                );
                by_age.sort_unstable();
                by_age.truncate(commits.len() - keep.commits);
            }
            let surplus: BTreeSet<CommitId> = by_age.into_iter().map(|(_, id)| id).collect();
            commits.retain(|id, commit| {
                let stays = !old(commit) && !surplus.contains(id);
                if !stays {
                    gone.push((repository.clone(), id.clone()));
                }
                stays
            });
        }
        self.repositories.retain(|_, commits| !commits.is_empty());
        gone
    }

    /// What CI has said of a commit.
    #[must_use]
    pub fn commit(&self, repository: &RepoName, id: &CommitId) -> Option<&Commit> {
        self.repositories.get(repository)?.get(id)
    }

    /// Commits of a repository, the one that CI heard of last first.
    #[must_use]
    pub fn newest(&self, repository: &RepoName, limit: usize) -> Vec<(&CommitId, &Commit)> {
        let mut all: Vec<_> = self
            .repositories
            .get(repository)
            .into_iter()
            .flatten()
            .collect();
        all.sort_by_key(|(_, commit)| std::cmp::Reverse(commit.heard));
        all.truncate(limit);
        all
    }

    /// Commits whose ids begin so.
    pub fn beginning<'a>(
        &'a self,
        repository: &RepoName,
        prefix: &'a str,
    ) -> impl Iterator<Item = &'a CommitId> {
        let commits = self.repositories.get(repository).into_iter().flatten();
        commits
            .map(|(id, _)| id)
            .filter(move |id| id.as_str().starts_with(prefix))
    }

    /// Whether a commit may be used. `jobs`: those that count; with none, all that CI reported.
    #[must_use]
    pub fn verdict(
        &self,
        repository: &RepoName,
        id: &CommitId,
        jobs: &BTreeSet<JobName>,
    ) -> Verdict {
        match self.commit(repository, id) {
            None => Verdict::Unknown,
            Some(commit) => commit.verdict(jobs),
        }
    }
}

impl Commit {
    /// Whether it may be used. `jobs`: those that count; with none, all that CI reported.
    #[must_use]
    pub fn verdict(&self, jobs: &BTreeSet<JobName>) -> Verdict {
        if self.first_bad(jobs).is_some() {
            return Verdict::Bad;
        }
        let has_result = |name: &JobName| {
            let job = self.jobs.get(name);
            job.is_some_and(|job| job.result.is_some())
        };
        let counted = || {
            self.jobs
                .keys()
                .filter(|name| jobs.is_empty() || jobs.contains(name))
        };
        if counted().next().is_none() || (jobs.is_empty() && self.crowded) {
            return Verdict::Unknown;
        }
        if counted().chain(jobs).all(has_result) {
            Verdict::Good
        } else {
            Verdict::Building
        }
    }

    /// The first job that counts and whose newest result is no success.
    #[must_use]
    pub fn first_bad(&self, jobs: &BTreeSet<JobName>) -> Option<(&JobName, &Ended, BuildResult)> {
        let counts = |name: &JobName| jobs.is_empty() || jobs.contains(name);
        let mut counted = self.jobs.iter().filter(|(name, _)| counts(name));
        counted.find_map(|(name, job)| {
            let ended = job.result.as_ref()?;
            Some((name, ended, ended.failed?))
        })
    }

    /// Jobs that count and have no result yet.
    #[must_use]
    pub fn without_result<'a>(&'a self, jobs: &'a BTreeSet<JobName>) -> Vec<&'a JobName> {
        let counts = |name: &JobName| jobs.is_empty() || jobs.contains(name);
        let known = self.jobs.iter();
        let known = known.filter(|(name, job)| counts(name) && job.result.is_none());
        known
            .map(|(name, _)| name)
            .chain(jobs.iter().filter(|name| !self.jobs.contains_key(*name)))
            .collect()
    }
}
