//! What was typed and a build step's environment as a message. No I/O. `deploykit announce build` says the same by the same code.

use std::{collections::BTreeMap, fmt, str::FromStr};

use clap::{Args, ValueEnum};
use events::{
    JobName, NameError, RefName,
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

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Started => "started",
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
        })
    }
}

/// How a build ended that is not good, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ended {
    /// It failed
    Failure,
    /// It could be built, but tests failed
    Unstable,
    /// It was skipped
    NotBuilt,
    /// Somebody, or a restart, ended it
    Aborted,
}

impl From<Ended> for BuildResult {
    fn from(ended: Ended) -> Self {
        match ended {
            Ended::Failure => Self::Failure,
            Ended::Unstable => Self::Unstable,
            Ended::NotBuilt => Self::NotBuilt,
            Ended::Aborted => Self::Aborted,
        }
    }
}

/// What was typed; it goes before the environment. Texts: what is wrong with one is said, and the build goes on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Typed {
    /// The repository's name on the bus [default: `DEPLOYKIT_REPOSITORY`, or by `GIT_URL` or job from jenkins-helper's settings]
    #[arg(long, value_name = "NAME")]
    pub repository: Option<String>,
    /// What was built: the whole commit id [default: `GIT_COMMIT`, or `DEPLOYKIT_COMMIT`]
    #[arg(long, value_name = "ID")]
    pub commit: Option<String>,
    /// The ref that led to it: refs/heads/main [default: `DEPLOYKIT_REF`, or from `TAG_NAME`, `BRANCH_NAME`, `GIT_BRANCH`]
    #[arg(long = "ref", value_name = "REF")]
    pub name: Option<String>,
    /// Which of the repository's projects [default: `DEPLOYKIT_PROJECT`]
    #[arg(long, value_name = "NAME")]
    pub project: Option<String>,
    /// The job, with its folders [default: `JOB_NAME`]
    #[arg(long, value_name = "JOB")]
    pub job: Option<String>,
    /// The number of the build within its job [default: `BUILD_NUMBER`]
    #[arg(long, value_name = "N")]
    pub number: Option<String>,
    /// Where people see it [default: `BUILD_URL`]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
}

/// Why an environment is not that of a build.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// A variable is missing, and nothing was typed in its place.
    #[error(
        "{variable} is not set: is this a build step of Jenkins? Elsewhere give it by {option}"
    )]
    Missing {
        /// Which.
        variable: &'static str,
        /// What to type.
        option: &'static str,
    },
    /// A variable or an option holds something else.
    #[error("{from}: {why}")]
    Bad {
        /// Which.
        from: &'static str,
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

/// Reads what was typed, then the environment.
///
/// # Errors
/// See [`Wrong`].
pub fn told(
    word: Word,
    typed: &Typed,
    environment: &BTreeMap<String, String>,
    settings: &Settings,
) -> Result<Told, Wrong> {
    let given = |name: &str| environment.get(name).map(String::as_str);
    let get = |name: &str| given(name).filter(|it| !it.is_empty());
    // The first that is there and not empty, and where it comes from.
    let first = |option: &'static str, typed: &Option<String>, variables: &[&'static str]| {
        let typed = typed.clone().filter(|it| !it.is_empty());
        typed.map(|text| (option, text)).or_else(|| {
            let of = |name: &&'static str| get(name).map(|text| (*name, text.to_owned()));
            variables.iter().find_map(of)
        })
    };
    let need = |option, typed, variable| {
        first(option, typed, &[variable]).ok_or(Wrong::Missing { variable, option })
    };
    let job: JobName = parsed(need("--job", &typed.job, "JOB_NAME")?)?;
    let (from, number) = need("--number", &typed.number, "BUILD_NUMBER")?;
    let number = number.parse().map_err(|_| {
        let text: String = number.chars().take(40).collect();
        let why = format!("{text:?} is no number");
        Wrong::Bad { from, why }
    })?;
    // What was checked out goes before what was asked for.
    let commits = ["GIT_COMMIT", "DEPLOYKIT_COMMIT"];
    let commit = first("--commit", &typed.commit, &commits).ok_or(Wrong::NoCommit)?;
    let commit = parsed(commit)?;
    let repository = first("--repository", &typed.repository, &["DEPLOYKIT_REPOSITORY"]);
    let repository = match repository {
        Some(text) => parsed(text)?,
        None => settings
            .repository(&job, get("GIT_URL"))
            .ok_or_else(|| Wrong::NoRepository(job.clone()))?,
    };
    let project = first("--project", &typed.project, &["DEPLOYKIT_PROJECT"]);
    let name = match first("--ref", &typed.name, &[]) {
        Some(text) => Some(parsed(text)?),
        None => built_ref(get),
    };
    let url = match first("--url", &typed.url, &[]) {
        Some(text) => Some(parsed(text)?),
        // For people; one that is none is left out.
        None => get("BUILD_URL").and_then(|text| text.parse().ok()),
    };
    let build = Built {
        repository,
        name,
        commit,
        project: project.map(parsed).transpose()?,
        job,
        number,
        url,
    };
    Ok(match word {
        Word::Started => Told::Started(CiStarted { build }),
        Word::Succeeded => Told::Succeeded(CiSucceeded { build }),
        Word::Failed(result) => Told::Failed(CiFailed { build, result }),
    })
}

fn parsed<T: FromStr<Err = NameError>>((from, text): (&'static str, String)) -> Result<T, Wrong> {
    text.parse().map_err(|why: NameError| Wrong::Bad {
        from,
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
