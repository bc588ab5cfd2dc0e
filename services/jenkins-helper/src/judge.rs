//! A build, as Jenkins tells it, as messages. No I/O.

use events::{
    CommitId, JobName, RepoName,
    message::{Built, CiFailed, CiStarted, CiSucceeded},
};
use jenkins::Build;

use crate::{settings::Settings, told::Told};

/// What is known of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// What it builds is not known; while it runs, that may still come.
    Nothing(&'static str),
    /// It runs.
    Runs(Told),
    /// It has ended.
    Ended(Told),
}

/// Judges.
#[must_use]
pub fn judge(job: &JobName, build: &Build, settings: &Settings) -> Known {
    let Some(repository) = repository(job, build, settings) else {
        return Known::Nothing(
            "no [repositories] has its job, and DEPLOYKIT_REPOSITORY is not set or not believed (receiver.believe_parameters)",
        );
    };
    let Some(commit) = commit(build, settings) else {
        return Known::Nothing("it does not say which one commit it builds");
    };
    let unstable_is_good = settings.unstable_is_good(&repository);
    let parameter = |name: &str| build.parameters.get(name);
    let named = Built {
        repository,
        name: parameter("DEPLOYKIT_REF").and_then(|it| it.parse().ok()),
        commit,
        project: parameter("DEPLOYKIT_PROJECT").and_then(|it| it.parse().ok()),
        job: job.clone(),
        number: build.number,
        url: build.url.clone(),
    };
    match build.outcome.map(|it| it.verdict(unstable_is_good)) {
        None => Known::Runs(Told::Started(CiStarted { build: named })),
        Some(Ok(())) => Known::Ended(Told::Succeeded(CiSucceeded { build: named })),
        Some(Err(result)) => Known::Ended(Told::Failed(CiFailed {
            build: named,
            result,
        })),
    }
}

fn repository(job: &JobName, build: &Build, settings: &Settings) -> Option<RepoName> {
    let told = || {
        let told = build.parameters.get("DEPLOYKIT_REPOSITORY");
        let told = told.filter(|_| settings.believes_parameters());
        told.and_then(|it| it.parse().ok())
    };
    settings.repository(job, None).or_else(told)
}

/// The commit that it took, if it checked that out, or nothing and is believed; else the only one that it checked out.
fn commit(build: &Build, settings: &Settings) -> Option<CommitId> {
    let took = build.parameters.get("DEPLOYKIT_COMMIT");
    let took: Option<CommitId> = took.and_then(|it| it.parse().ok());
    match (took, &build.commits[..]) {
        (Some(took), []) => settings.believes_parameters().then_some(took),
        (Some(took), all) if all.contains(&took) => Some(took),
        (_, [one]) => Some(one.clone()),
        _ => None,
    }
}
