//! Broken and held hosts: a deploy goes past broken ones only where the person says so, and says so of what is shown to them.

use std::collections::BTreeSet;

use events::{HostName, message::ProjectState};
use uuid::Uuid;

use super::Context;
use crate::{
    api::{Action, PlanRequest},
    refused::{Kind, Refused},
    texts::{self, names},
};

/// What a plan clears.
#[derive(Debug, Default)]
pub(super) struct Clears {
    /// The deploys that left the hosts broken, for the grant.
    pub(super) deploys: Vec<Uuid>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
}

/// What keeps deploys from a host, or what a person wanted there.
struct Found {
    host: HostName,
    deploy: Uuid,
    broken: bool,
    why: String,
}

impl Found {
    fn on(host: &HostName, state: &ProjectState) -> Vec<Self> {
        let found = |deploy, broken, why| Self {
            host: host.clone(),
            deploy,
            broken,
            why,
        };
        let broken = state.broken.map(|deploy| found(deploy, true, why(state)));
        let held = state.held.as_ref();
        let held = held.map(|held| found(held.deploy, false, texts::held(held)));
        broken.into_iter().chain(held).collect()
    }

    fn line(&self, then: &str) -> String {
        let Self { host, why, .. } = self;
        match self.broken {
            true => format!("{then} {host}, broken: {why}"),
            false => format!("{then} {host}, {why}"),
        }
    }
}

/// Which states of the targets the grant is to clear; takes targets out that have nothing to clear, where that is all
/// that was asked for.
///
/// # Errors
/// When a target is broken and nobody said that this is to be cleared, or when there is nothing to clear.
pub(super) fn clears(
    request: &PlanRequest,
    targets: &mut Vec<HostName>,
    context: &Context<'_>,
) -> Result<Clears, Refused> {
    let known = context.scene.known;
    let on = |host: &HostName| {
        let state = known.state(host, &request.project);
        state.map_or(Vec::new(), |state| Found::on(host, state))
    };
    let found: Vec<Found> = targets.iter().flat_map(on).collect();
    let (broken, held): (Vec<_>, Vec<_>) = found.iter().partition(|found| found.broken);
    let mut clears = Clears::default();
    let cleared: Vec<&Found> = match request.action {
        Action::Rollback => return Ok(clears),
        Action::Deploy if !broken.is_empty() && !request.clear => {
            return Err(not_cleared(request, &broken));
        }
        Action::Deploy => {
            let ends = held.iter().map(|held| held.line("ends the hold of"));
            clears.warnings.extend(ends);
            broken
        }
        Action::Clear if found.is_empty() => return Err(nothing(request, targets)),
        Action::Clear => {
            targets.retain(|host| found.iter().any(|found| found.host == *host));
            found.iter().collect()
        }
    };
    let lines = cleared.iter().map(|found| found.line("clears"));
    clears.warnings.extend(lines);
    let deploys: BTreeSet<Uuid> = cleared.iter().map(|found| found.deploy).collect();
    if deploys.len() > orders::MAX_CLEARS {
        let (count, most) = (deploys.len(), orders::MAX_CLEARS);
        let error = format!(
            "this clears what {count} deploys left, one grant clears {most}: name some with --on"
        );
        return Err(Refused::new(Kind::Impossible, error));
    }
    clears.deploys = deploys.into_iter().collect();
    Ok(clears)
}

fn nothing(request: &PlanRequest, targets: &[HostName]) -> Refused {
    let error = format!(
        "nothing to clear: {} is neither broken nor held on {}, as far as is known",
        request.project,
        names(targets)
    );
    let next = format!("deploykit status {}", request.project);
    Refused::new(Kind::Impossible, error).next(next)
}

fn why(state: &ProjectState) -> String {
    let why = state.stuck.as_deref();
    why.unwrap_or("putting it back failed").to_owned()
}

fn not_cleared(request: &PlanRequest, broken: &[&Found]) -> Refused {
    let hosts: Vec<HostName> = broken.iter().map(|found| found.host.clone()).collect();
    let reason = broken.first().map_or("", |found| &found.why);
    let (are, look) = match hosts.len() {
        1 => ("is broken and takes", "look at it"),
        _ => ("are broken and take", "look at them"),
    };
    let error = format!(
        "{} {are} no deploy until a person says so: {reason}",
        names(&hosts)
    );
    let on = request.on.iter().flatten();
    let on: String = on.map(|name| format!(" --on {name}")).collect();
    let next = format!(
        "{look}; then deploykit deploy {} {}{on} --clear, or deploykit rollback {}",
        request.project,
        request.revision.as_deref().unwrap_or_default(),
        request.project
    );
    Refused::new(Kind::Impossible, error).next(next)
}

/// The same when the signed grant comes back: a host may have broken meanwhile.
pub(super) fn still(
    grant: &orders::Grant,
    targets: &[HostName],
    context: &Context<'_>,
) -> Result<(), Refused> {
    if grant.action != orders::Action::Deploy {
        return Ok(());
    }
    let not_named = |host: &&HostName| {
        let state = context.scene.known.state(host, &grant.project);
        let broken = state.and_then(|state| state.broken);
        broken.is_some_and(|deploy| !grant.clears.contains(&deploy))
    };
    match targets.iter().find(not_named) {
        None => Ok(()),
        Some(host) => {
            let error = format!("{host} has broken since, which the grant does not clear");
            Err(Refused::new(Kind::Impossible, error).next("ask for a new plan and sign that"))
        }
    }
}
