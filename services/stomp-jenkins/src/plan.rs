//! What to build for a push. No I/O.

use std::collections::BTreeMap;

use events::{
    CommitId, JobName, NameError, Pattern, ProjectName, RefKind, RefName, RepoName, message::Pushed,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::settings::{Rule, Settings};

/// The parameter by which a build is found again.
pub const ID: &str = "DEPLOYKIT_ID";

/// A build that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wanted {
    /// The same for the same commit, job and project, so that a commit is built once.
    pub id: String,
    /// The repository.
    pub repository: RepoName,
    /// The ref that was pushed.
    #[serde(rename = "ref")]
    pub name: RefName,
    /// What is to be built.
    pub commit: CommitId,
    /// Which project of the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<ProjectName>,
    /// By which job.
    pub job: JobName,
    /// What the job is told, and [`ID`] once it is followed.
    pub parameters: BTreeMap<String, String>,
    /// An unstable build is a good one.
    #[serde(default)]
    pub unstable_is_good: bool,
}

/// What a push leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Plan {
    /// Nothing.
    Skip(Skip),
    /// These builds.
    Build(Vec<Wanted>),
}

/// Why nothing is built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// No rule names the repository.
    #[error("no rule is for {0}")]
    Repository(RepoName),
    /// The ref is gone.
    #[error("{0} was deleted")]
    Deleted(RefName),
    /// Rules name the repository, but not the ref.
    #[error("no rule for {repository} is for {name}")]
    Ref {
        /// The repository.
        repository: RepoName,
        /// The ref.
        name: RefName,
    },
    /// Nothing that a rule names has changed.
    #[error("nothing changed in {0} that a rule names")]
    Paths(RepoName),
    /// A build itself pushed it.
    #[error("pushes of {0:?} are not built (ignore_pushers)")]
    Pusher(String),
    /// The message asks for no build.
    #[error("its newest commit has {0:?} in its title (ignore_titles)")]
    Title(String),
    /// The job's name, filled in, is none.
    #[error("the job of a rule cannot be named for it")]
    Job(#[source] NameError),
}

/// Decides.
#[must_use]
pub fn plan(pushed: &Pushed, settings: &Settings) -> Plan {
    let repository = &pushed.repository;
    let rules = settings.rules.iter();
    let mine: Vec<&Rule> = rules
        .filter(|it| it.repository.matches(repository.as_str()))
        .collect();
    if mine.is_empty() {
        return Plan::Skip(Skip::Repository(repository.clone()));
    }
    let Some(commit) = pushed.commit() else {
        return Plan::Skip(Skip::Deleted(pushed.name.clone()));
    };
    if let Some(skip) = ignored(pushed, settings) {
        return Plan::Skip(skip);
    }
    let mut why = Skip::Ref {
        repository: repository.clone(),
        name: pushed.name.clone(),
    };
    let mut builds: Vec<Wanted> = Vec::new();
    for rule in mine.into_iter().filter(|rule| for_ref(rule, &pushed.name)) {
        if !for_paths(rule, pushed.paths.as_deref()) {
            why = Skip::Paths(repository.clone());
            continue;
        }
        match wanted(rule, pushed, commit) {
            Ok(wanted) if builds.iter().any(|it| it.id == wanted.id) => {}
            Ok(wanted) => builds.push(wanted),
            Err(error) => why = Skip::Job(error),
        }
    }
    if builds.is_empty() {
        Plan::Skip(why)
    } else {
        Plan::Build(builds)
    }
}

fn ignored(pushed: &Pushed, settings: &Settings) -> Option<Skip> {
    let pusher = pushed.pusher.as_ref();
    if let Some(pusher) = pusher.filter(|it| settings.ignore_pushers.contains(it)) {
        return Some(Skip::Pusher(pusher.clone()));
    }
    let title = &pushed.commits.last()?.title;
    let mut texts = settings.ignore_titles.iter();
    let found = texts.find(|text| title.contains(*text))?;
    Some(Skip::Title(found.clone()))
}

fn any(patterns: &[Pattern], text: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(text))
}

fn for_ref(rule: &Rule, name: &RefName) -> bool {
    any(&rule.refs, name.as_str()) && !any(&rule.ignore_refs, name.as_str())
}

/// Paths that are not known count as changed: a build too many is better than one too few.
fn for_paths(rule: &Rule, changed: Option<&[String]>) -> bool {
    match changed {
        Some(changed) if !rule.paths.is_empty() => changed.iter().any(|it| any(&rule.paths, it)),
        _ => true,
    }
}

fn wanted(rule: &Rule, pushed: &Pushed, commit: &CommitId) -> Result<Wanted, NameError> {
    let Pushed {
        repository, name, ..
    } = pushed;
    let branch = match name.kind() {
        RefKind::Branch(branch) | RefKind::Tag(branch) | RefKind::Other(branch) => branch,
    };
    let job = rule.job.replace("{repository}", repository.as_str());
    // As a multibranch project names the jobs of its branches.
    let job = job.replace("{branch}", &branch.replace('/', "%2F"));
    let job: JobName = job.parse()?;
    let id = id(repository, commit, &job, rule.project.as_ref());
    let mut parameters = rule.parameters.clone();
    let project = rule.project.as_ref().map(ToString::to_string);
    parameters.extend([
        ("DEPLOYKIT_REPOSITORY".to_owned(), repository.to_string()),
        ("DEPLOYKIT_REF".to_owned(), name.to_string()),
        ("DEPLOYKIT_COMMIT".to_owned(), commit.to_string()),
        ("DEPLOYKIT_PROJECT".to_owned(), project.unwrap_or_default()),
    ]);
    Ok(Wanted {
        id,
        repository: repository.clone(),
        name: name.clone(),
        commit: commit.clone(),
        project: rule.project.clone(),
        job,
        parameters,
        unstable_is_good: rule.unstable_is_good,
    })
}

/// The ref is not in it: the same commit under another name is the same build.
fn id(
    repository: &RepoName,
    commit: &CommitId,
    job: &JobName,
    project: Option<&ProjectName>,
) -> String {
    let project = project.map(ProjectName::as_str).unwrap_or_default();
    let text = format!("{repository}\n{commit}\n{job}\n{project}");
    hex::encode(&Sha256::digest(text)[..12])
}
