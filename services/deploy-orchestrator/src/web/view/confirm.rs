//! What a deploy would do, before anybody has said yes to it.

use askama::Template;
use events::HostName;
use sha2::{Digest, Sha256};

use super::words::{self, Version};
use crate::api::{Action, Plan, PlanRequest, ProjectHost};

#[derive(Debug, Template)]
#[template(path = "confirm.html")]
pub(crate) struct Page {
    project: String,
    environment: String,
    rollback: bool,
    /// `Deploy v3 to 3 servers`
    title: String,
    /// The commit, where it is the same for all.
    commit: Option<String>,
    targets: Vec<String>,
    changes: usize,
    waves: Vec<Wave>,
    warnings: Vec<String>,
    /// What the form sends again.
    revision: Option<String>,
    reason: Option<String>,
    untested: bool,
    seen: String,
    /// True if the plan is not the one that was said yes to.
    changed: bool,
}

#[derive(Debug)]
struct Wave {
    number: usize,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    host: String,
    now: Option<Version>,
    then: Then,
}

/// What a host runs after the deploy.
#[derive(Debug)]
enum Then {
    Becomes {
        label: String,
        commit: String,
    },
    Same,
    /// A rollback on a host without an earlier release.
    NothingBefore,
}

pub(crate) fn page(plan: &Plan, request: &PlanRequest, changed: bool) -> Page {
    let wave = |(index, hosts): (usize, &Vec<HostName>)| Wave {
        number: index + 1,
        rows: hosts
            .iter()
            .map(|host| row(plan, request.action, host))
            .collect(),
    };
    let waves: Vec<Wave> = plan.waves.iter().enumerate().map(wave).collect();
    let rows = || waves.iter().flat_map(|wave| &wave.rows);
    Page {
        project: request.project.to_string(),
        environment: plan.grant.environment.to_string(),
        rollback: request.action == Action::Rollback,
        title: title(plan, request.action),
        commit: plan
            .grant
            .commit
            .as_ref()
            .map(|commit| commit.short().to_owned()),
        targets: plan.targets.iter().map(ToString::to_string).collect(),
        changes: rows()
            .filter(|row| matches!(row.then, Then::Becomes { .. }))
            .count(),
        waves,
        warnings: plan.warnings.clone(),
        revision: request.revision.clone(),
        reason: request.reason.clone(),
        untested: plan.untested,
        seen: seen(plan),
        changed,
    }
}

fn title(plan: &Plan, action: Action) -> String {
    let servers = words::count(plan.targets.len(), "server");
    match action {
        Action::Rollback => format!("Roll back {} on {servers}", plan.grant.project),
        Action::Clear => format!("Clear {} on {servers}", plan.grant.project),
        Action::Deploy => format!("Deploy {} to {servers}", label(plan).unwrap_or_default()),
    }
}

fn label(plan: &Plan) -> Option<String> {
    let commit = || {
        plan.grant
            .commit
            .as_ref()
            .map(|commit| commit.short().to_owned())
    };
    plan.grant
        .tag
        .as_ref()
        .map(ToString::to_string)
        .or_else(commit)
}

fn row(plan: &Plan, action: Action, host: &HostName) -> Row {
    let now = plan.now.iter().find(|now| now.host == *host);
    let live = now.and_then(|now| now.live.as_ref());
    let then = match action {
        Action::Rollback => back(now),
        Action::Clear => Then::Same,
        Action::Deploy if live.map(|live| &live.revision) == plan.grant.commit.as_ref() => {
            Then::Same
        }
        Action::Deploy => Then::Becomes {
            label: label(plan).unwrap_or_default(),
            commit: plan
                .grant
                .commit
                .as_ref()
                .map_or_else(String::new, |c| c.short().to_owned()),
        },
    };
    Row {
        host: host.to_string(),
        now: words::version(live),
        then,
    }
}

fn back(now: Option<&ProjectHost>) -> Then {
    if now.is_some_and(|now| now.live.is_some() && now.live == now.previous) {
        return Then::Same;
    }
    now.and_then(|now| now.previous.as_ref())
        .map_or(Then::NothingBefore, |previous| Then::Becomes {
            label: previous.label().to_owned(),
            commit: previous.revision.short().to_owned(),
        })
}

/// A digest of all that the page shows of a plan. The form sends it back; if a new plan has another one, a tag was moved,
/// a server came or went, or somebody else deployed meanwhile, and the person is asked again.
pub(crate) fn seen(plan: &Plan) -> String {
    let releases = |host: &ProjectHost| {
        let revision = |running: &events::message::Running| running.revision.to_string();
        (
            host.host.to_string(),
            host.live.as_ref().map(revision),
            host.previous.as_ref().map(revision),
        )
    };
    let now: Vec<_> = plan.now.iter().map(releases).collect();
    let shown = (
        &plan.grant.commit,
        &plan.grant.tag,
        &plan.targets,
        &plan.waves,
        now,
        plan.untested,
        &plan
            .warnings
            .iter()
            .find(|warning| warning.contains("UNTESTED")),
    );
    let bytes = serde_json::to_vec(&shown).expect("names, lists and options are always JSON");
    format!("{:x}", Sha256::digest(bytes))
}
