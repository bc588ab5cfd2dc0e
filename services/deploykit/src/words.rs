//! What people read: the same words for the command line's every answer. Pure.

pub mod ci;
mod plan;

use deploy_orchestrator::api::{
    Action, DeployState, DeployView, HeadView, HostProgress, HostState, HostView, OutputView,
    Status, TagView,
};
use deploy_orchestrator::texts;
use events::message::{Running, Step, StepState};
use jiff::Timestamp;
use uuid::Uuid;

pub use plan::plan;

use crate::table::Table;

/// The end of an id, which is the random part and so the shortest that tells two apart.
#[must_use]
pub fn short(id: Uuid) -> String {
    let text = id.to_string();
    text[text.len() - 8..].to_owned()
}

/// A release as people name it.
#[must_use]
pub fn label(running: Option<&Running>) -> &str {
    running.map_or("nothing", Running::label)
}

/// What a deploy is about: `shop v2`, `rollback of shop`.
#[must_use]
pub fn about(view: &DeployView) -> String {
    let untested = if view.untested.is_some() {
        " UNTESTED"
    } else {
        ""
    };
    let about = match (view.action, &view.tag, &view.commit) {
        (Action::Rollback, _, _) => format!("rollback of {}", view.project),
        (Action::Clear, _, _) => format!("clearing of {}", view.project),
        (Action::Deploy, Some(tag), _) => format!("{} {tag}{untested}", view.project),
        (Action::Deploy, None, Some(commit)) => {
            format!("{} {}{untested}", view.project, commit.short())
        }
        (Action::Deploy, None, None) => view.project.to_string(),
    };
    match view.broke_glass {
        Some(_) => format!("{about} GLASS BROKEN"),
        None => about,
    }
}

/// A state in one word.
#[must_use]
pub fn state(state: DeployState) -> &'static str {
    match state {
        DeployState::Preparing => "preparing",
        DeployState::Activating => "activating",
        DeployState::Paused => "paused",
        DeployState::PuttingBack => "putting back",
        DeployState::Succeeded => "succeeded",
        DeployState::Failed => "failed",
        DeployState::Aborted => "aborted",
    }
}

/// How one host stands, in one line without its name.
#[must_use]
pub fn host(progress: &HostProgress) -> String {
    let now = label(progress.now.as_ref());
    let detail = progress.detail.as_deref();
    let step = progress.steps.last().map(|step| step.step);
    match progress.state {
        HostState::Untouched => format!("untouched ({now})"),
        HostState::Preparing => match (detail, step) {
            (Some(detail), _) => format!("preparing: {detail}"),
            (None, Some(step)) => format!("preparing: {step}"),
            (None, None) => "preparing".to_owned(),
        },
        HostState::Prepared => match progress.now {
            Some(_) => format!("prepared, still on {now}"),
            None => "prepared".to_owned(),
        },
        HostState::Activating => match step {
            Some(step) if step >= Step::PreDeploy => format!("activating: {step}"),
            _ => "activating".to_owned(),
        },
        HostState::Live => format!("live on {now}"),
        HostState::PutBack => {
            let after = progress
                .back_after_s
                .map_or(String::new(), |s| format!(" after {}", seconds(s)));
            format!("{}; back on {now}{after}", detail.unwrap_or("put back"))
        }
        HostState::PuttingBack => "going back".to_owned(),
        HostState::Failed => format!(
            "{}; nothing live was touched ({now})",
            detail.unwrap_or("failed")
        ),
        HostState::Broken => format!(
            "BROKEN, needs a person: {}",
            detail.unwrap_or("putting it back failed")
        ),
        HostState::Unreachable => format!(
            "unreachable: {}",
            detail.unwrap_or("its agent did not answer")
        ),
        HostState::Refused => format!("refused: {}", detail.unwrap_or("no reason given")),
        HostState::Cleared => format!("cleared ({now}); it takes deploys again"),
    }
}

/// Seconds as a person says them: `40 ms`, `1.4 s`, `12 s`.
#[must_use]
pub fn seconds(s: f64) -> String {
    match s {
        _ if s < 0.9995 => format!("{:.0} ms", s * 1000.0),
        _ if s < 9.95 => format!("{s:.1} s"),
        _ => format!("{s:.0} s"),
    }
}

/// How a deploy ended, and what to type next: what is needed at 3 a.m., and no more.
///
/// `typed` is how this program was started: the commands to type next begin with it.
#[must_use]
pub fn outcome(view: &DeployView, typed: &str) -> Vec<String> {
    let reason = view
        .reason
        .as_ref()
        .map_or(String::new(), |reason| format!(": {reason}"));
    let mut lines = vec![format!("{} {}{reason}", about(view), state(view.state))];
    lines.extend({ view.untested.iter() }.map(|why| format!("  went past CI: {why}")));
    lines.extend({ view.broke_glass.iter() }.map(|past| format!("  the glass was broken: {past}")));
    let mut table = Table::new();
    for (names, words) in hosts_by_words(view) {
        table.row([format!("  {names}"), words]);
    }
    lines.extend(table.lines());
    for (index, command) in view.next.iter().enumerate() {
        let command = typed_as(command, typed);
        lines.push(format!(
            "{} {command}",
            if index == 0 { "next:" } else { "     " }
        ));
    }
    lines
}

/// A proposed command as this program was started: the orchestrator says `deploykit …`.
#[must_use]
pub fn typed_as(command: &str, typed: &str) -> String {
    match command.strip_prefix("deploykit ") {
        Some(rest) => format!("{typed} {rest}"),
        None => command.to_owned(),
    }
}

/// Hosts that have the same to say share a line.
fn hosts_by_words(view: &DeployView) -> Vec<(String, String)> {
    let mut rows: Vec<(Vec<&str>, String)> = Vec::new();
    for progress in view.waves.iter().flat_map(|wave| &wave.hosts) {
        let words = host(progress);
        match rows.iter_mut().find(|(_, known)| *known == words) {
            Some((names, _)) => names.push(progress.host.as_str()),
            None => rows.push((vec![progress.host.as_str()], words)),
        }
    }
    rows.into_iter()
        .map(|(names, words)| (names.join(", "), words))
        .collect()
}

/// The steps of one host: `web1  objects 3 ms, layout 12 ms, check failed (3 tries)`.
#[must_use]
pub fn steps(progress: &HostProgress) -> String {
    let steps = progress
        .steps
        .iter()
        .filter(|step| step.state != StepState::Skipped)
        .map(|step| {
            let tries = if step.tries > 1 {
                format!(" ({} tries)", step.tries)
            } else {
                String::new()
            };
            match step.state {
                StepState::Ok => format!("{} {} ms{tries}", step.step, step.duration_ms),
                StepState::Running => format!("{} …", step.step),
                StepState::Failed => format!("{} failed{tries}", step.step),
                StepState::TimedOut => format!("{} timed out{tries}", step.step),
                StepState::Skipped => String::new(),
            }
        });
    format!(
        "  {}  {}",
        progress.host,
        steps.collect::<Vec<_>>().join(", ")
    )
}

/// What scripts wrote, with a heading per host and step.
#[must_use]
pub fn output(pieces: &[OutputView]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut heading = None;
    for piece in pieces {
        let about = (&piece.host, piece.step);
        if heading != Some(about) {
            lines.push(format!("--- {} {}", piece.host, piece.step));
            heading = Some(about);
        }
        lines.extend(piece.text.lines().map(str::to_owned));
        if piece.cut {
            lines.push(format!(
                "--- {} {}: the rest is on the host",
                piece.host, piece.step
            ));
        }
    }
    if lines.is_empty() {
        lines.push("no script of this deploy wrote anything".to_owned());
    }
    lines
}

/// `1 host`, `2 hosts`.
fn plural(count: usize, word: &str) -> String {
    if count == 1 {
        word.to_owned()
    } else {
        format!("{word}s")
    }
}

/// What runs where.
#[must_use]
pub fn status(status: &Status) -> Vec<String> {
    let mut lines = Vec::new();
    for project in &status.projects {
        lines.push(format!(
            "{} ({}, from {})",
            project.project, project.environment, project.repository
        ));
        let mut table = Table::new();
        for host in &project.hosts {
            let since = host
                .live
                .as_ref()
                .map_or(String::new(), |live| format!("since {}", when(live.since)));
            let heard = match (host.present, host.seen) {
                (true, _) => String::new(),
                (false, Some(seen)) => format!("agent not heard since {}", when(seen)),
                (false, None) => "agent never heard".to_owned(),
            };
            let held = host.held.as_ref().map(texts::held);
            let trouble = host.stuck.clone().or(held).unwrap_or(heard);
            table.row([
                format!("  {}", host.host),
                label(host.live.as_ref()).to_owned(),
                since,
                trouble,
            ]);
        }
        lines.extend(table.lines());
        if let Some(deploy) = &project.deploy {
            let reason = deploy
                .reason
                .as_ref()
                .map_or(String::new(), |reason| format!(": {reason}"));
            lines.push(format!(
                "  {} {}{reason} ({})",
                about(deploy),
                state(deploy.state),
                short(deploy.id)
            ));
        }
    }
    if lines.is_empty() {
        lines.push("no project is set up here: see `deploykit up --help`".to_owned());
    }
    lines
}

/// The servers.
#[must_use]
pub fn hosts(hosts: &[HostView]) -> Vec<String> {
    let mut table = Table::new();
    table.row(["HOST", "AGENT", "GROUPS", "RUNS", ""].map(str::to_owned));
    for host in hosts {
        let agent = match (&host.version, host.present) {
            (Some(version), true) => version.clone(),
            (Some(version), false) => format!("{version}, not heard"),
            (None, _) => "never heard".to_owned(),
        };
        let runs = host
            .projects
            .iter()
            .map(|known| format!("{} {}", known.project, label(known.live.as_ref())));
        let new = (!host.admitted).then(|| format!("new: deploykit hosts admit {}", host.host));
        let groups: Vec<&str> = host.groups.iter().map(events::GroupName::as_str).collect();
        table.row([
            host.host.to_string(),
            agent,
            groups.join(", "),
            runs.collect::<Vec<_>>().join(", "),
            host.trouble.clone().or(new).unwrap_or_default(),
        ]);
    }
    table.lines()
}

/// Where journals ended.
#[must_use]
pub fn heads(heads: &[HeadView]) -> Vec<String> {
    if heads.is_empty() {
        return vec!["it has not said yet where a journal ended".to_owned()];
    }
    let mut table = Table::new();
    table.row(["PROJECT", "HEARD", "ENDED AT"].map(str::to_owned));
    for known in heads {
        let heard = when(known.heard);
        table.row([known.project.to_string(), heard, known.head.clone()]);
    }
    table.lines()
}

/// What can be deployed.
#[must_use]
pub fn tags(tags: &[TagView]) -> Vec<String> {
    if tags.is_empty() {
        return vec!["no tag has reached the hosts yet".to_owned()];
    }
    let mut table = Table::new();
    for tag in tags {
        let missing: Vec<&str> = tag.missing.iter().map(events::HostName::as_str).collect();
        let mark = match (tag.moved, missing.is_empty()) {
            (true, _) => "! moved: hosts disagree about its commit".to_owned(),
            (false, false) => format!("* not on {}", missing.join(", ")),
            (false, true) => String::new(),
        };
        table.row([
            tag.tag.to_string(),
            tag.commit.short().to_owned(),
            when(tag.committed),
            [tag.ci.map_or("", ci::in_a_list), &mark]
                .join("  ")
                .trim()
                .to_owned(),
        ]);
    }
    table.lines()
}

/// Deploys, newest first.
#[must_use]
pub fn history(deploys: &[DeployView]) -> Vec<String> {
    if deploys.is_empty() {
        return vec!["nothing was deployed yet".to_owned()];
    }
    let mut table = Table::new();
    for view in deploys {
        let reason = view.reason.clone().unwrap_or_default();
        table.row([
            short(view.id),
            when(view.created),
            about(view),
            state(view.state).to_owned(),
            view.by.join(", "),
            reason,
        ]);
    }
    table.lines()
}

/// A time with its zone, to the second.
#[must_use]
pub fn when(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
