//! Whether CI has found a commit good, where its project asks for that. Rollbacks are never asked.

use events::{CommitId, ProjectName, message::Verdict};
use orders::Grant;

use crate::{
    api::{Action, PlanRequest},
    refused::{Kind, Refused},
    settings::Project,
    texts::ci as texts,
    views::Scene,
};

/// What is to be deployed, as a person types it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) project: &'a ProjectName,
    pub(super) revision: &'a str,
    pub(super) commit: &'a CommitId,
}

/// True if the request goes past CI.
pub(super) fn overridden(request: &PlanRequest) -> bool {
    request.untested && request.action == Action::Deploy
}

/// The warnings of a plan of this commit.
pub(super) fn allowed(
    named: Named<'_>,
    project: &Project,
    request: &PlanRequest,
    scene: Scene<'_>,
) -> Result<Option<String>, Refused> {
    if request.untested {
        reason_is_given(request.reason.as_deref(), named)?;
    }
    let refused = match good(named, project, scene) {
        Ok(()) => return Ok(None),
        Err(refused) => refused,
    };
    if request.untested {
        Ok(Some(format!("goes out UNTESTED: {refused}")))
    } else {
        Err(refused)
    }
}

/// The same when the signed grant comes back: CI may have said something else meanwhile.
pub(super) fn still(
    named: Named<'_>,
    project: &Project,
    grant: &Grant,
    untested: bool,
    scene: Scene<'_>,
) -> Result<(), Refused> {
    if untested {
        return reason_is_given(grant.reason.as_deref(), named);
    }
    good(named, project, scene)
}

fn reason_is_given(reason: Option<&str>, named: Named<'_>) -> Result<(), Refused> {
    if reason.is_some_and(|reason| !reason.trim().is_empty()) {
        return Ok(());
    }
    let error = "a deploy that goes past CI needs a reason, for the history";
    Err(Refused::new(Kind::NotUnderstood, error).next(past(named)))
}

fn past(
    Named {
        project, revision, ..
    }: Named<'_>,
) -> String {
    format!("deploykit deploy {project} {revision} --untested --reason TEXT")
}

fn good(named: Named<'_>, project: &Project, scene: Scene<'_>) -> Result<(), Refused> {
    let Named {
        commit, revision, ..
    } = named;
    if !project.requires_ci {
        return Ok(());
    }
    let jobs = scene.settings.ci_jobs(&project.repository);
    let ci = &scene.known.ci;
    if ci.verdict(&project.repository, commit, jobs) == Verdict::Good {
        return Ok(());
    }
    let why = texts::not_good(commit, ci.commit(&project.repository, commit), jobs);
    let error = format!("{} {revision} is not to be deployed: {why}", named.project);
    Err(Refused::new(Kind::Impossible, error).next(format!(
        "deploykit ci {} {revision}; to go past CI: {}",
        project.repository,
        past(named)
    )))
}
