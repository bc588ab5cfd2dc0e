//! What people at the host read: plain lines, never coloured. Pure.

use events::message::{Reported, Running, State, StepState};
use jiff::Timestamp;

use super::{Entry, Standing, Status, Verified};
use crate::tell::sentence;

/// How everything here stands.
#[must_use]
pub fn status(status: &Status) -> Vec<String> {
    let agent = match (status.running, status.connected) {
        (true, true) => "running, connected",
        (true, false) => "running, NO BROKER",
        (false, _) => "NOT RUNNING",
    };
    let mut lines = vec![format!(
        "{}  deploy-agent {} {agent}",
        status.host, status.version
    )];
    for standing in &status.projects {
        lines.extend(project(standing));
    }
    if status.projects.is_empty() {
        lines.push("no project is deployed here".to_owned());
    }
    lines
}

fn project(standing: &Standing) -> Vec<String> {
    let Standing {
        environment,
        state,
        doing,
    } = standing;
    let name = &state.project;
    let live = match &state.live {
        Some(live) => format!("{} since {}", live.label(), when(live.since)),
        None => "nothing is live".to_owned(),
    };
    let previous = state.previous.as_ref();
    let previous = previous.map_or(String::new(), |past| {
        format!("; a rollback goes to {}", past.label())
    });
    let mut lines = vec![format!("{name} ({environment})  {live}{previous}")];
    if let Some(why) = &state.stuck {
        let mend = match state.broken {
            Some(_) => format!("; look at it, then deploy-agent clear {name}"),
            None => String::new(),
        };
        lines.push(format!("  NEEDS A PERSON: {why}{mend}"));
    }
    if let Some(held) = &state.held {
        let why = held.reason.as_ref();
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        lines.push(format!(
            "  HELD since {}, rolled back by {}{why}; the next deploy ends that, or deploy-agent clear {name}",
            when(held.since),
            held.by
        ));
    }
    lines.extend(
        doing
            .as_ref()
            .map(|doing| format!("  now: {}", about(doing))),
    );
    lines
}

/// The newest orders, newest first.
#[must_use]
pub fn history(entries: &[Entry]) -> Vec<String> {
    if entries.is_empty() {
        return vec!["nothing was ordered yet".to_owned()];
    }
    entries.iter().map(about).collect()
}

/// What became of histories.
#[must_use]
pub fn verified(projects: &[Verified]) -> Vec<String> {
    let line = |it: &Verified| match (&it.finding, &it.head) {
        (Some(finding), _) => format!("{}  NOT AS IT WAS WRITTEN: {finding}", it.project),
        (None, Some(head)) => format!("{}  as it was written, up to {head}", it.project),
        (None, None) => format!("{}  empty", it.project),
    };
    projects.iter().map(line).collect()
}

/// `2026-11-21 11:54:15Z  activate v2  live (deploy 0e2d4c62), by ann`
fn about(entry: &Entry) -> String {
    let report = &entry.report;
    let what = entry.tag.as_ref().map(ToString::to_string);
    let what = what.or(entry
        .commit
        .as_ref()
        .map(|commit| commit.short().to_owned()));
    let what = what.map_or(String::new(), |what| format!(" {what}"));
    let why = entry.reason.as_ref();
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    format!(
        "{}  {}{what}  {} (deploy {}), by {}{why}",
        when(entry.since),
        report.phase,
        state(&report.state),
        report.deploy,
        entry.by.join(", ")
    )
}

fn state(state: &State) -> String {
    match state {
        State::Accepted => "accepted".to_owned(),
        State::Refused { reason } => format!("refused: {reason}"),
        State::Waiting { reason } => format!("waits: {reason}"),
        State::Working { step } => format!("at {step}"),
        State::Prepared { .. } => "prepared".to_owned(),
        State::Live => "live".to_owned(),
        State::PutBack { reason } => format!("put back: {reason}"),
        State::Failed { reason } => format!("failed, nothing touched: {reason}"),
        State::Broken { reason } => format!("BROKEN: {reason}"),
        State::Aborted => "aborted".to_owned(),
        State::Cleared => "cleared".to_owned(),
    }
}

/// The steps that ended since so many had: a line each.
#[must_use]
pub fn steps(report: &Reported, told: usize) -> Vec<String> {
    let ended = report
        .steps
        .iter()
        .filter(|step| step.state != StepState::Running);
    let line = |step: &events::message::StepReport| {
        let detail = step.detail.as_ref();
        let detail = detail.map_or(String::new(), |detail| format!(": {detail}"));
        let how = match step.state {
            StepState::Failed => " FAILED",
            StepState::TimedOut => " TIMED OUT",
            StepState::Skipped => " (nothing to do)",
            StepState::Running | StepState::Ok => "",
        };
        format!("  {} {} ms{how}{detail}", step.step, step.duration_ms)
    };
    ended.skip(told).map(line).collect()
}

/// How it ended: `shop v1 is live`.
#[must_use]
pub fn end(report: &Reported) -> String {
    let (_, _, text) = sentence(report);
    let live = report.live.as_ref().map_or("nothing", Running::label);
    match report.state {
        State::Cleared => format!(
            "{} is cleared and on {live}: it takes deploys again",
            report.project
        ),
        _ => format!("{} {text}", report.project),
    }
}

fn when(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}
