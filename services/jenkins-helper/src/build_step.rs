//! A build step's environment as a message. No I/O.

use std::collections::BTreeMap;

use events::{
    CommitId, JobName, NameError, ProjectName, RefName, RepoName,
    message::{BuildResult, Built, CiFailed, CiStarted, CiSucceeded},
};

use crate::{settings::Settings, told::Told};

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// `started`
    Started,
    /// `succeeded`
    Succeeded,
    /// `failed`
    Failed(BuildResult),
}

/// What was typed; it goes before the environment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Typed {
    /// `--repository`
    pub repository: Option<RepoName>,
    /// `--commit`
    pub commit: Option<CommitId>,
    /// `--ref`
    pub name: Option<RefName>,
    /// `--project`
    pub project: Option<ProjectName>,
}

/// Why an environment is not that of a build.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A variable is missing.
    #[error("{0} is not set: is this a build step of Jenkins?")]
    Missing(&'static str),
    /// A variable holds something else.
    #[error("{variable}: {why}")]
    Bad {
        /// Which.
        variable: &'static str,
        /// Why.
        why: String,
    },
    /// Nothing says which commit is built.
    #[error(
        "which commit was built is not known: neither GIT_COMMIT nor DEPLOYKIT_COMMIT is set; give it by --commit"
    )]
    NoCommit,
    /// Nothing says which repository it is.
    #[error(
        "which repository {0} builds is not known: give it by --repository, or name the job or GIT_URL in [repositories]"
    )]
    NoRepository(JobName),
}

/// Reads the environment.
///
/// # Errors
/// See [`Wrong`].
pub fn told(
    word: Word,
    typed: &Typed,
    environment: &BTreeMap<String, String>,
    settings: &Settings,
) -> Result<Told, Wrong> {
    let get = |name: &str| {
        environment
            .get(name)
            .map(String::as_str)
            .filter(|it| !it.is_empty())
    };
    let need = |name: &'static str| get(name).ok_or(Wrong::Missing(name));
    let job: JobName = parsed("JOB_NAME", need("JOB_NAME")?)?;
    let number = need("BUILD_NUMBER")?;
    let number = number.parse().map_err(|_| Wrong::Bad {
        variable: "BUILD_NUMBER",
        why: format!(
            "{:?} is no number",
            number.chars().take(40).collect::<String>()
        ),
    })?;
    // What was checked out goes before what was asked for.
    let commit = match (&typed.commit, get("GIT_COMMIT"), get("DEPLOYKIT_COMMIT")) {
        (Some(commit), _, _) => commit.clone(),
        (None, Some(text), _) => parsed("GIT_COMMIT", text)?,
        (None, None, Some(text)) => parsed("DEPLOYKIT_COMMIT", text)?,
        (None, None, None) => return Err(Wrong::NoCommit),
    };
    let repository = match (&typed.repository, get("DEPLOYKIT_REPOSITORY")) {
        (Some(repository), _) => repository.clone(),
        (None, Some(text)) => parsed("DEPLOYKIT_REPOSITORY", text)?,
        (None, None) => settings
            .repository(&job, get("GIT_URL"))
            .ok_or_else(|| Wrong::NoRepository(job.clone()))?,
    };
    let project = match (&typed.project, get("DEPLOYKIT_PROJECT")) {
        (Some(project), _) => Some(project.clone()),
        (None, Some(text)) => Some(parsed("DEPLOYKIT_PROJECT", text)?),
        (None, None) => None,
    };
    let build = Built {
        repository,
        name: typed.name.clone().or_else(|| built_ref(get)),
        commit,
        project,
        job,
        number,
        // For people; one that is none is left out.
        url: get("BUILD_URL").and_then(|text| text.parse().ok()),
    };
    Ok(match word {
        Word::Started => Told::Started(CiStarted { build }),
        Word::Succeeded => Told::Succeeded(CiSucceeded { build }),
        Word::Failed(result) => Told::Failed(CiFailed { build, result }),
    })
}

fn parsed<T: std::str::FromStr<Err = NameError>>(
    variable: &'static str,
    text: &str,
) -> Result<T, Wrong> {
    text.parse().map_err(|why: NameError| Wrong::Bad {
        variable,
        why: why.to_string(),
    })
}

/// The ref, where the environment has one. `GIT_BRANCH` is `origin/main`, or `main`, or `detached`.
fn built_ref<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Option<RefName> {
    if let Some(name) = get("DEPLOYKIT_REF").and_then(|text| text.parse().ok()) {
        return Some(name);
    }
    if let Some(tag) = get("TAG_NAME").and_then(|text| text.parse().ok()) {
        return Some(RefName::tag(&tag));
    }
    let local = get("BRANCH_NAME").or_else(|| {
        let branch = get("GIT_BRANCH")?;
        let bare = branch.strip_prefix("origin/").unwrap_or(branch);
        (!matches!(bare, "HEAD" | "detached")).then_some(bare)
    })?;
    local.parse().ok().map(|name| RefName::branch(&name))
}
