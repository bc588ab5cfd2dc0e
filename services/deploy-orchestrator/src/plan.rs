//! From a request to a plan with the grant to sign, or to the reason why not. Pure; nothing is touched by it.
//!
//! Read: [`plan`] (what may be asked for), [`check`] (whether a signed grant is still such a plan), `revision` (which
//! commit a name means), [`undo`] (a rollback while a deploy is under way), `clear` (broken hosts).

mod clear;
mod revision;
mod tested;
pub mod undo;

use std::collections::BTreeSet;

use events::{HostName, ProjectName, TagName};
use orders::{Grant, targets_digest};
use uuid::Uuid;

use crate::{
    api::{Action, Plan, PlanRequest},
    deploy::{About, Deploy, short},
    known::Known,
    plan::tested::Named,
    refused::{Kind, Refused},
    select::{SelectError, select},
    settings::{Project, Settings},
    texts::{clock, names},
    views::Scene,
    waves,
};

/// Everything that a plan depends on.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Settings, what is known, the time.
    pub scene: Scene<'a>,
    /// Deploys under way, of all projects.
    pub running: &'a [&'a Deploy],
    /// The id that the deploy will have.
    pub new_id: Uuid,
}

/// What a request would do.
///
/// # Errors
/// Names what is unknown and what exists, who holds the project, or what cannot be done.
pub fn plan(request: &PlanRequest, context: &Context<'_>) -> Result<Plan, Refused> {
    let Scene {
        settings,
        known,
        now,
    } = context.scene;
    let project = find_project(settings, &request.project)?;
    free(request.action, &request.project, context.running)?;
    let (mut targets, mut warnings) = targets(request, project, context)?;
    let clears = clear::clears(request, &mut targets, context)?;
    warnings.extend(clears.warnings);
    let (commit, tag, branch) = match (request.action, request.revision.as_deref()) {
        (Action::Deploy, Some(revision)) => {
            let hosts = known.project_hosts(project, settings);
            let found = revision::find(revision, project, known, &hosts, &targets)?;
            warnings.extend(found.warnings);
            let named = Named {
                project: &request.project,
                revision,
                commit: &found.commit,
            };
            warnings.extend(tested::allowed(named, project, request, context.scene)?);
            (Some(found.commit), found.tag, found.branch)
        }
        (Action::Rollback | Action::Clear, None) => (None, None, None),
        (Action::Deploy, None) => {
            let error = "a deploy needs a revision: a tag, a branch or a commit id";
            return Err(Refused::new(Kind::NotUnderstood, error)
                .next(format!("deploykit tags {}", request.project)));
        }
        (Action::Rollback | Action::Clear, Some(_)) => {
            let error = "only a deploy takes a revision: in a rollback each host goes back to its own release before";
            let next = format!("deploykit deploy {} REVISION", request.project);
            return Err(Refused::new(Kind::NotUnderstood, error).next(next));
        }
    };
    let targets = match request.action {
        Action::Deploy | Action::Clear => targets,
        Action::Rollback => can_go_back(&request.project, targets, context, &mut warnings)?,
    };
    let undone = undo::undone(&request.project, context.running)
        .filter(|_| request.action == Action::Rollback);
    warnings.extend(undone.map(|undone| undo::warning(&targets, undone)));
    warnings.extend(silent(&targets, context));
    let now_on = |host| {
        let known = context.scene.project_host(&request.project, host);
        match undone {
            Some(undone) => undo::becomes(known, undone),
            None => known,
        }
    };
    let sizes = match request.action {
        Action::Deploy => &project.waves,
        Action::Rollback | Action::Clear => &project.rollback_waves,
    };
    Ok(Plan {
        grant: Grant {
            id: context.new_id,
            project: request.project.clone(),
            environment: project.environment.clone(),
            action: request.action.into(),
            commit,
            tag,
            branch,
            targets: targets_digest(&targets),
            clears: clears.deploys,
            reason: request
                .reason
                .clone()
                .filter(|reason| !reason.trim().is_empty()),
            not_before: now,
            expires: settings.grant_expires(now),
        },
        waves: waves::split(&targets, sizes, &project.canary),
        now: targets.iter().map(now_on).collect(),
        untested: tested::overridden(request),
        targets,
        warnings,
    })
}

/// The project of that name.
///
/// # Errors
/// When there is none; names those that there are.
pub fn find_project<'a>(
    settings: &'a Settings,
    name: &ProjectName,
) -> Result<&'a Project, Refused> {
    settings.projects.get(name).ok_or_else(|| {
        let error = format!("there is no project {:?} here", name.as_str());
        Refused::new(Kind::Unknown, error).exists(settings.projects.keys())
    })
}

/// Whether a signed grant and its targets are still a plan that would be made: hosts, commit, nobody else at it.
/// Signatures and policy are checked elsewhere.
///
/// # Errors
/// As [`plan`]; and when the targets are not those of the grant, or when the grant's time is not now.
pub fn check(
    grant: &Grant,
    targets: &[HostName],
    untested: bool,
    context: &Context<'_>,
) -> Result<(), Refused> {
    let Scene {
        settings,
        known,
        now,
    } = context.scene;
    let project = find_project(settings, &grant.project)?;
    if project.environment != grant.environment {
        let error = format!(
            "{} is deployed to {} here, but the grant is for {}",
            grant.project, project.environment, grant.environment
        );
        return Err(Refused::new(Kind::Impossible, error));
    }
    if targets.is_empty() || targets_digest(targets) != grant.targets {
        return Err(Refused::new(
            Kind::NotUnderstood,
            "the targets are not those that the grant was signed for",
        ));
    }
    if now >= grant.expires {
        let error = format!("the grant expired at {}", grant.expires);
        return Err(Refused::new(Kind::Impossible, error).next("ask for a new plan and sign that"));
    }
    if now < grant.not_before {
        let error = format!("the grant is not valid before {}", grant.not_before);
        return Err(Refused::new(Kind::Impossible, error));
    }
    let hosts = known.project_hosts(project, settings);
    for host in targets {
        if !hosts.contains(host) {
            return Err(unknown_host(host, &grant.project, &hosts));
        }
        admitted(host, known, settings)?;
    }
    let action = Action::from(grant.action);
    clear::still(grant, targets, context)?;
    if let (Some(tag), Some(commit)) = (&grant.tag, &grant.commit) {
        revision::still(tag, commit, project, known, &hosts)?;
    }
    if let (Some(commit), Action::Deploy) = (&grant.commit, action) {
        let revision = grant.tag.as_ref().map_or(commit.short(), TagName::as_str);
        let named = Named {
            project: &grant.project,
            revision,
            commit,
        };
        tested::still(named, project, grant, untested, context.scene)?;
    }
    free(action, &grant.project, context.running)
}

fn unknown_host(host: &HostName, project: &ProjectName, hosts: &BTreeSet<HostName>) -> Refused {
    let error = format!("{host} is not a host of {project}");
    Refused::new(Kind::Unknown, error).exists(hosts)
}

fn admitted(host: &HostName, known: &Known, settings: &Settings) -> Result<(), Refused> {
    if known.is_admitted(host, settings) {
        return Ok(());
    }
    let error = format!("{host} is new: nobody admitted it yet, so it gets nothing");
    Err(Refused::new(Kind::Impossible, error).next(format!("deploykit hosts admit {host}")))
}

/// A deploy waits for nobody; a rollback waits for no deploy, only for another rollback.
fn free(action: Action, project: &ProjectName, running: &[&Deploy]) -> Result<(), Refused> {
    let mut abouts = running.iter().map(|deploy| &deploy.about);
    let stands_in_the_way = |about: &&About| match action {
        Action::Deploy | Action::Clear => about.project == *project,
        Action::Rollback => about.project == *project && about.action == Action::Rollback,
    };
    let Some(about) = abouts.find(stands_in_the_way) else {
        return Ok(());
    };
    let error = format!(
        "{project} is busy since {} with {}, asked for by {}",
        clock(about.created),
        about.title(),
        about.by.join(", ")
    );
    Err(Refused::new(Kind::Busy, error).next(format!("deploykit show {}", short(about.id))))
}

fn targets(
    request: &PlanRequest,
    project: &Project,
    context: &Context<'_>,
) -> Result<(Vec<HostName>, Vec<String>), Refused> {
    let Scene {
        settings, known, ..
    } = context.scene;
    let hosts = known.project_hosts(project, settings);
    let chosen = select(&hosts, &known.groups(settings), request.on.as_deref())
        .map_err(|error| cannot_select(&error, &request.project))?;
    let named = |host: &HostName| {
        request
            .on
            .iter()
            .flatten()
            .any(|name| name == host.as_str())
    };
    let (new, targets): (Vec<_>, Vec<_>) = chosen
        .into_iter()
        .partition(|host| !known.is_admitted(host, settings));
    if let Some(host) = new
        .iter()
        .find(|host| named(host))
        .or(new.first().filter(|_| targets.is_empty()))
    {
        admitted(host, known, settings)?;
    }
    let left_out = (!new.is_empty()).then(|| {
        format!(
            "left out, since nobody admitted them yet: {} (`deploykit hosts admit HOST`)",
            names(&new)
        )
    });
    Ok((targets, left_out.into_iter().collect()))
}

fn cannot_select(error: &SelectError, project: &ProjectName) -> Refused {
    match error {
        SelectError::Empty => Refused::new(Kind::NotUnderstood, error),
        SelectError::Unknown { exists, .. } | SelectError::EmptyGroup { exists, .. } => {
            Refused::new(Kind::Unknown, error).exists(exists)
        }
        SelectError::NoHosts => Refused::new(Kind::Impossible, format!("{project}: {error}")).next(
            "name its hosts in deploy-orchestrator.toml, or start agents that name its group",
        ),
    }
}

/// The targets that have, or may have, a release before.
fn can_go_back(
    project: &ProjectName,
    targets: Vec<HostName>,
    context: &Context<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<HostName>, Refused> {
    let known = context.scene.known;
    let under_way = context
        .running
        .iter()
        .any(|deploy| deploy.about.project == *project);
    let nothing = |host: &HostName| {
        let state = known.state(host, project);
        !under_way && state.is_some_and(|state| state.previous.is_none())
    };
    let (stay, go): (Vec<_>, Vec<_>) = targets.into_iter().partition(nothing);
    if go.is_empty() {
        let error = format!(
            "nothing to roll back: {project} has no release before on {}; one that a rollback left is bad until it is deployed again",
            names(&stay)
        );
        return Err(Refused::new(Kind::Impossible, error).next(format!("deploykit tags {project}")));
    }
    if !stay.is_empty() {
        warnings.push(format!(
            "left out, since there is no release before: {}",
            names(&stay)
        ));
    }
    Ok(go)
}

fn silent(targets: &[HostName], context: &Context<'_>) -> Vec<String> {
    let Scene { known, now, .. } = context.scene;
    let limit = context.scene.limit();
    let away: Vec<HostName> = targets
        .iter()
        .filter(|host| !known.is_present(host, now, limit))
        .cloned()
        .collect();
    let heard = |host: &HostName| {
        known
            .hosts
            .get(host)
            .is_some_and(|known| known.seen.is_some())
    };
    let (away, never): (Vec<_>, Vec<_>) = away.into_iter().partition(heard);
    let line = |hosts: &[HostName], what: &str| {
        (!hosts.is_empty()).then(|| format!("{what}: {}", names(hosts)))
    };
    let lines = [
        line(&never, "agent never heard"),
        line(&away, "agent not heard lately"),
    ];
    lines.into_iter().flatten().collect()
}
