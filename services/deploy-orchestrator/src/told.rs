//! What the feed is told of deploys: one line for each thing that happened. Pure.

use events::{
    HostName,
    message::{Level, Reported, Said},
};

use crate::{
    api::{Action, HostState},
    deploy::{About, Deploy},
    rollout::{Outcome, Rollout, Stage, Stopped},
    texts,
};

/// Hosts that a record names; of more it has the number.
const HOSTS: usize = 20;

/// Where a rollout stood, as far as the feed goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stood {
    stage: Stage,
    paused: bool,
}

impl Stood {
    /// Where it stands now.
    #[must_use]
    pub fn of(rollout: &Rollout) -> Self {
        let &Rollout { stage, paused, .. } = rollout;
        Self { stage, paused }
    }
}

fn say(deploy: &Deploy, event: &'static str, text: &str) -> Said {
    of(&deploy.about, event, text)
}

fn of(about: &About, event: &'static str, text: &str) -> Said {
    Said::new(event, format!("{} {text}", about.title()))
        .with("deploy", about.id)
        .with("project", &about.project)
        .with("environment", &about.environment)
        .with("action", about.action)
        .with("tag", &about.tag)
        .with("commit", &about.commit)
        .with("by", &about.by)
}

fn with_hosts(said: Said, hosts: &[HostName]) -> Said {
    let named: Vec<&HostName> = hosts.iter().take(HOSTS).collect();
    said.with("hosts", named).with("hosts_total", hosts.len())
}

/// Somebody asked for it, and it begins.
#[must_use]
pub fn asked(deploy: &Deploy) -> Said {
    let Deploy { about, rollout } = deploy;
    let counted = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        many => format!("{many} {noun}s"),
    };
    let why = about.reason.as_ref();
    let text = format!(
        "asked for by {}, {} in {}{}",
        about.by.join(", "),
        counted(about.targets.len(), "host"),
        counted(rollout.waves.len(), "wave"),
        why.map_or_else(String::new, |why| format!(": {why}")),
    );
    let said = say(deploy, "asked", &text)
        .with("reason", why)
        .with("waves", rollout.waves.len());
    with_hosts(said, &about.targets)
}

/// It goes past CI: who wants that, and why.
#[must_use]
pub fn untested(about: &About) -> Said {
    let reason = about.reason.as_deref().unwrap_or_default();
    let text = format!("goes past CI, by {}: {reason}", about.by.join(", "));
    of(about, "untested", &text)
        .level(Level::Alarm)
        .with("reason", &about.reason)
}

/// The glass was broken for it: by whom, why, and what was gone past.
#[must_use]
pub fn broke_glass(about: &About, past: &str) -> Said {
    let reason = about.reason.as_deref().unwrap_or_default();
    let text = format!("by {}: {reason}; it goes past: {past}", about.by.join(", "));
    of(about, "broke-glass", &text)
        .level(Level::Alarm)
        .with("reason", &about.reason)
        .with("past", past)
}

/// A host's journal is not what it was.
#[must_use]
pub fn journal(report: &Reported, trouble: &str) -> Said {
    Said::new("journal-changed", trouble)
        .level(Level::Alarm)
        .with("on", &report.host)
        .with("project", &report.project)
        .with("head", report.head.as_ref().map(ToString::to_string))
}

/// A host was sent a message with an order that is not what was sent from here.
#[must_use]
pub fn forged(report: &Reported) -> Said {
    let text = format!(
        "{} was sent a forged order for {}; it did not believe it",
        report.host, report.project
    );
    Said::new("forged-order", text)
        .level(Level::Alarm)
        .with("on", &report.host)
        .with("project", &report.project)
        .with("order", report.order)
}

/// What happened to it since it stood there.
#[must_use]
pub fn went_on(stood: Stood, deploy: &Deploy) -> Vec<Said> {
    let rollout = &deploy.rollout;
    let stands = Stood::of(rollout);
    let mut said = Vec::new();
    if stood.paused != stands.paused && !rollout.is_ended() {
        said.push(match stands.paused {
            true => say(deploy, "paused", "is paused"),
            false => say(deploy, "resumed", "goes on"),
        });
    }
    if stood.stage == stands.stage {
        return said;
    }
    if let (Stage::Wave(good), Stage::Wave(_) | Stage::Baking { .. }) = (stood.stage, stands.stage)
    {
        let then = match stands.stage {
            Stage::Baking { until, .. } => {
                format!("; the next one starts at {}", texts::clock(until))
            }
            _ => String::new(),
        };
        said.push(of_wave(
            deploy,
            "wave-good",
            good,
            &format!("is good{then}"),
        ));
    }
    match stands.stage {
        Stage::Wave(begun) => {
            let hosts = rollout.waves.get(begun).map_or(&[][..], Vec::as_slice);
            let text = format!("begins on {}", texts::names(hosts));
            let line = of_wave(deploy, "wave-begun", begun, &text);
            said.push(with_hosts(line, hosts));
        }
        Stage::Stopping | Stage::PuttingBack => said.push(stopped(deploy)),
        Stage::Ended(outcome) => said.push(ended(deploy, outcome)),
        Stage::New | Stage::Preparing | Stage::Baking { .. } => {}
    }
    said
}

fn of_wave(deploy: &Deploy, event: &'static str, wave: usize, text: &str) -> Said {
    let waves = deploy.rollout.waves.len();
    let text = format!("wave {} of {waves} {text}", wave + 1);
    say(deploy, event, &text)
        .with("wave", wave + 1)
        .with("waves", waves)
}

/// True if it was people who ended it.
fn is_wanted(rollout: &Rollout) -> bool {
    let stopped = rollout.stopped.as_ref();
    matches!(
        stopped,
        Some(Stopped::ByPerson | Stopped::ByRollback { .. })
    )
}

fn stopped(deploy: &Deploy) -> Said {
    let rollout = &deploy.rollout;
    let event = match rollout.stage {
        Stage::PuttingBack => "putting-back",
        _ => "stopping",
    };
    let level = match is_wanted(rollout) {
        true => Level::Info,
        false => Level::Problem,
    };
    with_reason(deploy, event).level(level)
}

fn ended(deploy: &Deploy, outcome: Outcome) -> Said {
    let rollout = &deploy.rollout;
    let broken = rollout.which(|host| host.state == HostState::Broken);
    let event = match (outcome, rollout.action) {
        (Outcome::Succeeded, Action::Deploy) => "succeeded",
        (Outcome::Succeeded, Action::Rollback) => "rolled-back",
        (Outcome::Succeeded, Action::Clear) => "cleared",
        (Outcome::Failed, _) => "failed",
        (Outcome::Aborted, _) => "aborted",
    };
    let level = match outcome {
        _ if !broken.is_empty() => Level::Alarm,
        Outcome::Failed => Level::Problem,
        Outcome::Succeeded | Outcome::Aborted => Level::Info,
    };
    with_reason(deploy, event).level(level)
}

fn with_reason(deploy: &Deploy, event: &'static str) -> Said {
    let rollout = &deploy.rollout;
    let state = match rollout.stage {
        Stage::Stopping => "is stopping",
        _ => texts::state_word(texts::state(rollout)),
    };
    let reason = texts::reason(rollout);
    let why = reason.as_ref().map(|reason| format!(": {reason}"));
    let text = format!("{state}{}", why.unwrap_or_default());
    say(deploy, event, &text).with("reason", reason)
}

/// A host may take part from now on.
#[must_use]
pub fn admitted(host: &HostName) -> Said {
    Said::new("admitted", format!("{host} is admitted")).with("about", host)
}
