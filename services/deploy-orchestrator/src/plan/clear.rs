//! Broken hosts: a deploy goes past them only where the person says so, and says so of what is shown to them.

use std::collections::BTreeSet;

use events::{HostName, message::ProjectState};
use uuid::Uuid;

use super::Context;
use crate::{
    api::{Action, PlanRequest},
    refused::{Kind, Refused},
    texts::names,
};

/// What a plan clears.
#[derive(Debug, Default)]
pub(super) struct Clears {
    /// The deploys that left the hosts broken, for the grant.
    pub(super) deploys: Vec<Uuid>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
}

/// Which broken states of the targets the grant is to clear; takes targets out that have nothing to clear, where that is all
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
    let broken = |host: &HostName| {
        let state = known.state(host, &request.project)?;
        Some((host.clone(), state.broken?, why(state)))
    };
    let broken: Vec<_> = targets.iter().filter_map(broken).collect();
    let hosts: Vec<HostName> = broken.iter().map(|(host, ..)| host.clone()).collect();
    let mut clears = Clears::default();
    match request.action {
        Action::Rollback => return Ok(clears),
        Action::Deploy if broken.is_empty() => return Ok(clears),
        Action::Deploy if !request.clear => return Err(not_cleared(request, &broken)),
        Action::Deploy => {}
        Action::Clear if broken.is_empty() => {
            let error = format!(
                "nothing to clear: {} is not known to be broken on {}",
                request.project,
                names(targets)
            );
            let next = format!("deploykit status {}", request.project);
            return Err(Refused::new(Kind::Impossible, error).next(next));
        }
        Action::Clear => targets.retain(|host| hosts.contains(host)),
    }
    let line = |(host, _, why): &(HostName, Uuid, String)| format!("clears {host}, broken: {why}");
    clears.warnings = broken.iter().map(line).collect();
    let deploys: BTreeSet<Uuid> = broken.iter().map(|(_, deploy, _)| *deploy).collect();
    clears.deploys = deploys.into_iter().collect();
    if clears.deploys.len() > orders::MAX_CLEARS {
        let error = format!(
            "{} hosts are broken by {} deploys; one grant clears {}: clear some of them first with --on",
            hosts.len(),
            clears.deploys.len(),
            orders::MAX_CLEARS
        );
        return Err(Refused::new(Kind::Impossible, error));
    }
    Ok(clears)
}

fn why(state: &ProjectState) -> String {
    let why = state.stuck.as_deref();
    why.unwrap_or("putting it back failed").to_owned()
}

fn not_cleared(request: &PlanRequest, broken: &[(HostName, Uuid, String)]) -> Refused {
    let hosts: Vec<HostName> = broken.iter().map(|(host, ..)| host.clone()).collect();
    let reason = broken.first().map_or("", |(_, _, why)| why);
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
