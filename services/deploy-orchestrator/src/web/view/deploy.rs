//! One deploy: where it stands and why, wave by wave, each host with its steps.

use std::collections::BTreeMap;

use askama::Template;
use events::message::{StepReport, StepState};

use super::words::{self, Badge, Version, When};
use crate::{
    api::{DeployState, DeployView, HostProgress, OutputView, WaveView},
    deploy::short,
};

#[derive(Debug, Template)]
#[template(path = "deploy.html")]
pub(crate) struct Page {
    view: Deploy,
}

/// The part that follows what happens.
#[derive(Debug, Template)]
#[template(path = "deploy-event.html")]
pub(crate) struct Live {
    view: Deploy,
}

/// What failed steps said, by host and step, for those that are shown at once.
pub(crate) type Outputs = BTreeMap<(String, String), Vec<OutputView>>;

#[derive(Debug)]
struct Deploy {
    id: String,
    short: String,
    project: String,
    environment: String,
    title: String,
    commit: Option<String>,
    badge: Badge,
    ended: bool,
    reason: Option<String>,
    summary: String,
    by: String,
    created: When,
    took: Option<String>,
    controls: &'static [Control],
    waves: Vec<Wave>,
    next: Vec<String>,
}

#[derive(Debug)]
struct Wave {
    number: u32,
    of: usize,
    summary: String,
    hosts: Vec<Host>,
}

#[derive(Debug)]
struct Host {
    name: String,
    badge: Badge,
    before: Option<Version>,
    now: Option<Version>,
    changed: bool,
    detail: Option<String>,
    took: Option<String>,
    steps: Vec<Step>,
    /// True if the steps are unfolded at once: something went wrong in them.
    open: bool,
}

#[derive(Debug)]
struct Step {
    name: String,
    badge: Badge,
    took: Option<String>,
    /// `exit 1, 3 tries`
    exit: Option<String>,
    detail: Option<String>,
    /// True if it ran a script that may have said something.
    speaks: bool,
    /// Shown at once, without asking for it.
    output: Vec<Piece>,
}

/// A button.
#[derive(Debug)]
struct Control {
    word: &'static str,
    label: &'static str,
    says: &'static str,
}

/// A piece of output.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) text: String,
    /// Bytes that are missing before it.
    pub(crate) gap: u64,
    pub(crate) cut: bool,
}

pub(crate) fn page(deploy: &DeployView, outputs: &Outputs) -> Page {
    Page {
        view: of(deploy, outputs),
    }
}

pub(crate) fn live(deploy: &DeployView, outputs: &Outputs) -> Live {
    Live {
        view: of(deploy, outputs),
    }
}

/// The failed steps whose output is worth showing at once: at most `most`.
pub(crate) fn failed_steps(
    deploy: &DeployView,
    most: usize,
) -> Vec<(events::HostName, events::message::Step)> {
    let hosts = deploy.waves.iter().flat_map(|wave| &wave.hosts);
    hosts
        .flat_map(|host| host.steps.iter().map(move |step| (host, step)))
        .filter(|(_, step)| went_wrong(step) && speaks(step))
        .map(|(host, step)| (host.host.clone(), step.step))
        .take(most)
        .collect()
}

fn of(deploy: &DeployView, outputs: &Outputs) -> Deploy {
    let waves = deploy.waves.len();
    Deploy {
        id: deploy.id.to_string(),
        short: short(deploy.id),
        project: deploy.project.to_string(),
        environment: deploy.environment.to_string(),
        title: capital(&words::title(deploy)),
        commit: deploy
            .commit
            .as_ref()
            .map(|commit| commit.short().to_owned()),
        badge: deploy.state.into(),
        ended: deploy.state.is_final(),
        reason: deploy.reason.clone(),
        summary: tally(deploy.waves.iter().flat_map(|wave| &wave.hosts)),
        by: deploy.by.join(", "),
        created: deploy.created.into(),
        took: deploy
            .ended
            .map(|ended| words::between(deploy.created, ended)),
        controls: controls(deploy),
        waves: deploy
            .waves
            .iter()
            .map(|w| wave(w, waves, outputs))
            .collect(),
        next: deploy.next.clone(),
    }
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}

/// Where the hosts are: `2 live, 1 put back`.
fn tally<'a>(hosts: impl IntoIterator<Item = &'a HostProgress>) -> String {
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for host in hosts {
        let word = Badge::from(host.state).word;
        match counts.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    let parts: Vec<String> = counts
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    parts.join(", ")
}

const PAUSE: Control = Control {
    word: "pause",
    label: "Pause",
    says: "No further wave starts.",
};
const RESUME: Control = Control {
    word: "resume",
    label: "Resume",
    says: "Goes on with the next wave.",
};
const ABORT: Control = Control {
    word: "abort",
    label: "Abort",
    says: "Ends it; what had changed is put back.",
};

fn controls(deploy: &DeployView) -> &'static [Control] {
    match deploy.state {
        DeployState::Preparing | DeployState::Activating => &[PAUSE, ABORT],
        DeployState::Paused => &[RESUME, ABORT],
        DeployState::PuttingBack
        | DeployState::Succeeded
        | DeployState::Failed
        | DeployState::Aborted => &[],
    }
}

fn wave(wave: &WaveView, of: usize, outputs: &Outputs) -> Wave {
    Wave {
        number: wave.number,
        of,
        summary: tally(&wave.hosts),
        hosts: wave
            .hosts
            .iter()
            .map(|progress| host(progress, outputs))
            .collect(),
    }
}

fn host(host: &HostProgress, outputs: &Outputs) -> Host {
    let revision = |running: &events::message::Running| running.revision.clone();
    Host {
        name: host.host.to_string(),
        badge: host.state.into(),
        before: words::version(host.before.as_ref()),
        now: words::version(host.now.as_ref()),
        changed: host.before.as_ref().map(revision) != host.now.as_ref().map(revision),
        detail: detail(host),
        took: host
            .started
            .zip(host.updated)
            .map(|(from, to)| words::between(from, to)),
        steps: host
            .steps
            .iter()
            .map(|report| step(host, report, outputs))
            .collect(),
        open: host.steps.iter().any(went_wrong),
    }
}

/// What failed, and how it ended.
fn detail(host: &HostProgress) -> Option<String> {
    let back = host.back_after_s.map(|seconds| {
        let version = host.now.as_ref().map_or("what it had", |now| now.label());
        format!("back on {version} after {}", words::duration(seconds))
    });
    match (host.detail.clone(), back) {
        (Some(detail), Some(back)) => Some(format!("{detail}; {back}")),
        (detail, back) => detail.or(back),
    }
}

fn step(host: &HostProgress, report: &StepReport, outputs: &Outputs) -> Step {
    let name = report.step.to_string();
    let running = report.state == StepState::Running;
    let output = outputs.get(&(host.host.to_string(), name.clone()));
    Step {
        badge: report.state.into(),
        took: (!running && report.state != StepState::Skipped).then(|| millis(report.duration_ms)),
        exit: exit(report),
        detail: report.detail.clone(),
        speaks: speaks(report),
        output: output.map_or_else(Vec::new, |pieces| self::pieces(pieces)),
        name,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a step takes less than 10^12 years"
)]
fn millis(duration_ms: u64) -> String {
    words::duration(duration_ms as f64 / 1000.0)
}

fn exit(report: &StepReport) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(
        report
            .exit
            .filter(|exit| *exit != 0)
            .map(|exit| format!("exit {exit}")),
    );
    if report.tries > 1 {
        parts.push(format!("{} tries", report.tries));
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn went_wrong(report: &StepReport) -> bool {
    matches!(report.state, StepState::Failed | StepState::TimedOut)
}

fn speaks(report: &StepReport) -> bool {
    use events::message::Step as S;
    let script = !matches!(
        report.step,
        S::Objects | S::Layout | S::Shared | S::Switch | S::SwitchBack
    );
    script && report.state != StepState::Skipped
}

/// Pieces of output in order, with what is missing between them.
pub(crate) fn pieces(output: &[OutputView]) -> Vec<Piece> {
    let mut at = 0;
    let piece = |output: &OutputView| {
        let gap = output.offset.saturating_sub(at);
        at = output.offset + output.text.len() as u64;
        Piece {
            text: output.text.clone(),
            gap,
            cut: output.cut,
        }
    };
    output.iter().map(piece).collect()
}
