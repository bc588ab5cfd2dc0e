//! What CI has said, in words.

use std::collections::BTreeSet;

use events::{CommitId, JobName, PageUrl, message::BuildResult};

use crate::ci::{Commit, MOST_JOBS};

/// How a build ended, in words.
#[must_use]
pub fn result(result: BuildResult) -> &'static str {
    match result {
        BuildResult::Unstable => "tests failed",
        BuildResult::Failure => "failed",
        BuildResult::NotBuilt => "was skipped",
        BuildResult::Aborted => "was aborted",
    }
}

/// Why a commit is not good, in one sentence that names it.
#[must_use]
pub fn not_good(id: &CommitId, commit: Option<&Commit>, jobs: &BTreeSet<JobName>) -> String {
    let id = id.short();
    let Some(commit) = commit else {
        return format!("CI has said nothing of {id}: wait for its build, or have CI build it");
    };
    if let Some((job, ended, failed)) = commit.first_bad(jobs) {
        let number = ended.number;
        let result = result(failed);
        let page = page(ended.url.as_ref());
        return format!("CI found {id} bad: {job} #{number} {result}{page}");
    }
    if jobs.is_empty() && commit.crowded {
        return format!(
            "more than {MOST_JOBS} jobs build {id}, and no more are kept: name those that count as ci_jobs in the orchestrator's settings"
        );
    }
    let waits: Vec<String> = commit
        .without_result(jobs)
        .into_iter()
        .map(|name| match commit.jobs.get(name) {
            Some(job) => format!(
                "{name} #{} has not ended{}",
                job.number,
                page(job.url.as_ref())
            ),
            None => format!("{name} has not begun"),
        })
        .collect();
    if waits.is_empty() {
        return format!("no job that counts has built {id}");
    }
    format!("CI is not done with {id}: {}", waits.join(", "))
}

fn page(url: Option<&PageUrl>) -> String {
    url.map_or_else(String::new, |url| format!(" ({url})"))
}
