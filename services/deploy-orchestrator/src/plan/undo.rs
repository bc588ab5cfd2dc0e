//! A rollback while a deploy of the project is under way: it undoes that deploy, and goes no release further.

use std::collections::BTreeMap;

use events::{HostName, ProjectName};

use crate::{
    api::{Action, HostState, ProjectHost},
    deploy::Deploy,
    rollout::HostRecord,
    texts::names,
};

/// The deploy that a rollback of the project would undo.
#[must_use]
pub fn undone<'a>(project: &ProjectName, running: &[&'a Deploy]) -> Option<&'a Deploy> {
    let undone = |deploy: &&&Deploy| {
        deploy.about.project == *project && deploy.about.action == Action::Deploy
    };
    running.iter().find(undone).copied()
}

/// True if the undoing of its deploy has something to do on a host: the release is live, or may become so.
#[must_use]
pub fn is_activated(record: &HostRecord) -> bool {
    let live = match record.state {
        HostState::Activating => true,
        HostState::Live | HostState::Broken => record.changed(),
        HostState::Unreachable => record.lost,
        _ => false,
    };
    live && record.activated_at.is_some() && !record.taken_over
}

/// The targets that a rollback leaves on what they have, since the deploy was not activated there; each with the reason.
#[must_use]
pub fn left(targets: &[HostName], undone: &Deploy) -> BTreeMap<HostName, String> {
    let title = undone.about.title();
    let why = |host: &HostName| {
        let why = match undone.rollout.hosts.get(host) {
            None => format!("{title} is not for this host"),
            Some(record) if is_activated(record) => return None,
            Some(record) if record.taken_over => {
                format!("a rollback took it over from {title} before")
            }
            Some(record) if record.activated_at.is_some() => format!("{title} puts it back itself"),
            Some(_) => format!("{title} was not activated here"),
        };
        Some((host.clone(), format!("left on what it has: {why}")))
    };
    targets.iter().filter_map(why).collect()
}

/// What the rollback makes live on a host, in place of the release before the live one.
pub(super) fn becomes(known: ProjectHost, undone: &Deploy) -> ProjectHost {
    let record = undone.rollout.hosts.get(&known.host);
    let previous = match record.filter(|record| is_activated(record)) {
        Some(record) => record.before.clone(),
        None => known.live.clone(),
    };
    ProjectHost { previous, ..known }
}

/// What a person should know of it.
pub(super) fn warning(targets: &[HostName], undone: &Deploy) -> String {
    let left: Vec<HostName> = left(targets, undone).into_keys().collect();
    let mut back = targets.to_vec();
    back.retain(|host| !left.contains(host));
    let takes_over = format!(
        "this takes over from {}, which is under way, and undoes it",
        undone.about.title()
    );
    match (back.is_empty(), left.is_empty()) {
        (_, true) => takes_over,
        (true, false) => {
            format!("{takes_over}; it is not live anywhere yet, so all are left on what they have")
        }
        (false, false) => format!(
            "{takes_over} on {}; left on what they have, since it is not live there: {}",
            names(&back),
            names(&left)
        ),
    }
}
