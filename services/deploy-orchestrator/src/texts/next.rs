//! What to type next.

use events::{HostName, message::Running};

use super::state;
use crate::{
    api::{Action, DeployState, HostState},
    deploy::{About, short},
    rollout::{HostRecord, Rollout},
};

/// Commands that make sense next, as a person would type them.
pub(super) fn next(about: &About, rollout: &Rollout) -> Vec<String> {
    let id = short(about.id);
    match state(rollout) {
        DeployState::Preparing | DeployState::Activating => {
            vec![
                format!("deploykit show {id}"),
                format!("deploykit abort {id}"),
            ]
        }
        DeployState::Paused => vec![
            format!("deploykit resume {id}"),
            format!("deploykit abort {id}"),
        ],
        DeployState::PuttingBack => vec![format!("deploykit show {id}")],
        DeployState::Succeeded => after_success(about, rollout, &id),
        DeployState::Failed | DeployState::Aborted => after_failure(about, rollout, &id),
    }
}

fn after_success(about: &About, rollout: &Rollout, id: &str) -> Vec<String> {
    let behind = rollout.which(|host| host.state == HostState::Unreachable);
    let failed = rollout.which(HostRecord::failed);
    let mut next: Vec<String> = logs(&failed, id);
    if !behind.is_empty() {
        next.push(again(about, &behind));
    }
    if about.action == Action::Deploy {
        next.push(format!("deploykit rollback {}", about.project));
    }
    next
}

fn after_failure(about: &About, rollout: &Rollout, id: &str) -> Vec<String> {
    let with_steps = rollout.which(|host| host.failed() && !host.steps.is_empty());
    let mut next = logs(&with_steps, id);
    let unreachable = rollout.which(|host| host.state == HostState::Unreachable);
    if !unreachable.is_empty() {
        next.push("deploykit hosts".to_owned());
    }
    // A fleet that is not on one release is brought back to what it had by deploying that.
    let elsewhere =
        rollout.which(|host| host.changed() || host.state == HostState::Broken || host.lost);
    if about.action == Action::Deploy && !elsewhere.is_empty() {
        next.extend(common_before(rollout, &elsewhere).map(|before| {
            format!(
                "deploykit deploy {} {before}{}",
                about.project,
                on(&elsewhere)
            )
        }));
    }
    let reachable = rollout.which(|host| host.state != HostState::Unreachable);
    if about.action != Action::Deploy {
        let not_back = rollout.which(|host| !host.good());
        next.push(again(about, &not_back));
    } else if !unreachable.is_empty()
        && !reachable.is_empty()
        && elsewhere.is_empty()
        && with_steps.is_empty()
    {
        next.push(again(about, &reachable));
    }
    if next.is_empty() {
        next.push(format!("deploykit status {}", about.project));
    }
    next
}

fn logs(hosts: &[HostName], id: &str) -> Vec<String> {
    let shown = hosts.iter().take(2);
    shown
        .map(|host| format!("deploykit logs {id} --host {host}"))
        .collect()
}

/// The same once more, on these hosts.
fn again(about: &About, hosts: &[HostName]) -> String {
    match (about.action, about.revision()) {
        (Action::Deploy, Some(revision)) => {
            format!("deploykit deploy {} {revision}{}", about.project, on(hosts))
        }
        (Action::Clear, _) => format!("deploykit clear {}{}", about.project, on(hosts)),
        (Action::Deploy, None) | (Action::Rollback, _) => {
            format!("deploykit rollback {}{}", about.project, on(hosts))
        }
    }
}

fn on(hosts: &[HostName]) -> String {
    hosts.iter().map(|host| format!(" --on {host}")).collect()
}

/// What all of these hosts ran before, if it was the same.
fn common_before(rollout: &Rollout, hosts: &[HostName]) -> Option<String> {
    let before = |host: &HostName| rollout.hosts.get(host)?.before.as_ref();
    let first: &Running = before(hosts.first()?)?;
    let same =
        |host: &HostName| before(host).is_some_and(|before| before.revision == first.revision);
    hosts.iter().all(same).then(|| first.label().to_owned())
}
