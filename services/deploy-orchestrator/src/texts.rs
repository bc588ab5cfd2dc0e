//! The words: why a deploy stands where it stands, and what to type next. Pure.

pub mod ci;
mod next;

use events::{
    HostName,
    message::{Held, StepState},
};
use jiff::Timestamp;

use crate::{
    api::{Action, DeployState, DeployView, HostProgress, HostState, WaveView},
    deploy::{Deploy, short},
    rollout::{HostRecord, OnFailure, Outcome, Rollout, Stage, Stopped},
};

/// A deploy as people and programs see it.
#[must_use]
pub fn view(deploy: &Deploy) -> DeployView {
    let Deploy { about, rollout } = deploy;
    let over = rollout.stopped.is_some();
    let waves = rollout
        .waves
        .iter()
        .zip(1..)
        .map(|(hosts, number)| WaveView {
            number,
            hosts: hosts
                .iter()
                .filter_map(|host| Some(progress(host, rollout.hosts.get(host)?, over)))
                .collect(),
        });
    DeployView {
        id: about.id,
        project: about.project.clone(),
        environment: about.environment.clone(),
        action: about.action,
        commit: about.commit.clone(),
        tag: about.tag.clone(),
        state: state(rollout),
        reason: reason(rollout),
        untested: about
            .untested
            .then(|| about.reason.clone().unwrap_or_default()),
        broke_glass: about.broke_glass.clone(),
        by: about.by.clone(),
        created: about.created,
        ended: rollout.ended,
        waves: waves.collect(),
        next: next::next(about, rollout),
    }
}

/// Where a rollout stands, in one word.
#[must_use]
pub fn state(rollout: &Rollout) -> DeployState {
    match rollout.stage {
        Stage::Ended(Outcome::Succeeded) => DeployState::Succeeded,
        Stage::Ended(Outcome::Failed) => DeployState::Failed,
        Stage::Ended(Outcome::Aborted) => DeployState::Aborted,
        Stage::PuttingBack => DeployState::PuttingBack,
        Stage::Stopping => DeployState::Activating,
        _ if rollout.paused => DeployState::Paused,
        Stage::New | Stage::Preparing => DeployState::Preparing,
        Stage::Wave(_) | Stage::Baking { .. } => DeployState::Activating,
    }
}

/// A state in words that follow a title: `shop v2 is preparing`.
#[must_use]
pub fn state_word(state: DeployState) -> &'static str {
    match state {
        DeployState::Preparing => "is preparing",
        DeployState::Activating => "is under way",
        DeployState::Paused => "is paused",
        DeployState::PuttingBack => "is being put back",
        DeployState::Succeeded => "succeeded",
        DeployState::Failed => "failed",
        DeployState::Aborted => "was aborted",
    }
}

/// Once it is over, a release that lies prepared beside the live one is nothing that a person must know of.
fn progress(host: &HostName, record: &HostRecord, over: bool) -> HostProgress {
    HostProgress {
        host: host.clone(),
        state: match record.state {
            HostState::Prepared if over => HostState::Untouched,
            state => state,
        },
        detail: record.detail.clone(),
        before: record.before.clone(),
        now: record.now.clone(),
        steps: record.steps.clone(),
        started: record.started,
        activated_at: record.activated_at,
        live_at: record.live_at,
        updated: record.updated,
        back_after_s: record.back_after_s,
    }
}

/// Up to five names; the others are counted.
#[must_use]
pub fn names(hosts: &[HostName]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = hosts.iter().take(SHOWN).map(HostName::as_str).collect();
    match hosts.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A hold: `held since 12:00:00Z, rolled back by ann (uid 1000) at web1: checkout is broken`.
#[must_use]
pub fn held(held: &Held) -> String {
    let why = held.reason.as_ref();
    let why = why.map_or(String::new(), |why| format!(": {why}"));
    let since = held.since.strftime("%Y-%m-%d %H:%M:%SZ");
    format!("held since {since}, rolled back by {}{why}", held.by)
}

/// A time of day, UTC, to the second.
#[must_use]
pub fn clock(time: Timestamp) -> String {
    time.strftime("%H:%M:%SZ").to_string()
}

/// Why a rollout stands where it stands, in one line.
#[must_use]
pub fn reason(rollout: &Rollout) -> Option<String> {
    match rollout.stage {
        Stage::New => None,
        Stage::Preparing => Some(preparing(rollout)),
        Stage::Wave(wave) => Some(in_wave(rollout, wave)),
        Stage::Baking { wave, until } => Some(baking(rollout, wave, until)),
        Stage::Stopping | Stage::PuttingBack => {
            let waiting = rollout.which(|host| host.order.is_some() || host.abort.is_some());
            let doing = match rollout.stage {
                Stage::PuttingBack => "putting back",
                _ => "waiting for",
            };
            Some(format!("{}; {doing} {}", stopped(rollout), names(&waiting)))
        }
        Stage::Ended(Outcome::Succeeded) => succeeded(rollout),
        Stage::Ended(_) => Some(stopped(rollout) + &left_on_new(rollout)),
    }
}

fn preparing(rollout: &Rollout) -> String {
    let ready = rollout
        .which(|host| host.state == HostState::Prepared)
        .len();
    let waiting = rollout.which(|host| host.order.is_some());
    if rollout.paused {
        return format!(
            "paused before wave 1; {ready} of {} hosts are prepared",
            rollout.hosts.len()
        );
    }
    let why = why_waiting(rollout, &waiting);
    format!(
        "{ready} of {} hosts are prepared; waiting for {}{why}",
        rollout.hosts.len(),
        names(&waiting)
    )
}

/// For one host only: what it does, or what it waits for.
fn why_waiting(rollout: &Rollout, waiting: &[HostName]) -> String {
    let [only] = waiting else {
        return String::new();
    };
    let Some(record) = rollout.hosts.get(only) else {
        return String::new();
    };
    let unheard = record
        .order
        .as_ref()
        .is_some_and(|order| order.accepted.is_none());
    let step = record.steps.last().map(|step| step.step.to_string());
    match record.detail.clone().or(step) {
        _ if unheard => " (its agent has not answered yet)".to_owned(),
        Some(detail) => format!(" ({detail})"),
        None => String::new(),
    }
}

fn of_waves(rollout: &Rollout, wave: usize) -> String {
    format!("wave {} of {}", wave + 1, rollout.waves.len())
}

fn in_wave(rollout: &Rollout, wave: usize) -> String {
    let here = of_waves(rollout, wave);
    let waiting = rollout.which(|host| host.order.is_some());
    match (rollout.paused, waiting.is_empty()) {
        (true, true) => format!("paused after {here}"),
        (true, false) => format!("paused; {here} is still under way on {}", names(&waiting)),
        (false, _) => format!(
            "{here}: waiting for {}{}",
            names(&waiting),
            why_waiting(rollout, &waiting)
        ),
    }
}

fn baking(rollout: &Rollout, wave: usize, until: Timestamp) -> String {
    let here = of_waves(rollout, wave);
    if rollout.paused {
        return format!("paused after {here}, which is good");
    }
    format!("{here} is good; the next one starts at {}", clock(until))
}

fn stopped(rollout: &Rollout) -> String {
    let here = |wave: usize| of_waves(rollout, wave);
    match &rollout.stopped {
        None => "stopped".to_owned(),
        Some(Stopped::CannotPrepare { hosts }) => {
            format!("{} cannot prepare; nothing live was touched", names(hosts))
        }
        Some(Stopped::Unreachable {
            wave,
            hosts,
            allowed,
        }) => {
            let at = wave.map_or(String::new(), |wave| format!("{}: ", here(wave)));
            let allowed = match allowed {
                0 => String::new(),
                allowed => format!(", at most {allowed} may be"),
            };
            let untouched = if wave.is_none() {
                "; nothing live was touched"
            } else {
                ""
            };
            format!("{at}{} unreachable{allowed}{untouched}", names(hosts))
        }
        Some(Stopped::Failures { wave, hosts }) => {
            format!("{}: {}", here(*wave), how_failed(rollout, hosts))
        }
        Some(Stopped::Unproven { wave }) => {
            format!(
                "{}: no host came to run it, so nothing shows that it is good",
                here(*wave)
            )
        }
        Some(Stopped::GrantRunsOut { wave }) => {
            format!(
                "{} was not started: the grant has run out, ask for the deploy again",
                here(*wave)
            )
        }
        Some(Stopped::ByPerson) => "aborted by a person".to_owned(),
        Some(Stopped::ByRollback { by }) => format!("the rollback {} took over", short(*by)),
    }
}

/// `web1 failed its check`, or the names only when they failed in different ways.
fn how_failed(rollout: &Rollout, hosts: &[HostName]) -> String {
    let how = |host: &HostName| -> &'static str {
        match rollout.hosts.get(host).map(|record| record.state) {
            Some(HostState::Refused) => "refused the order",
            Some(HostState::Unreachable) => "accepted the order and was not heard again",
            _ => "failed",
        }
    };
    let step = |host: &HostName| {
        let steps = rollout
            .hosts
            .get(host)
            .map(|record| record.steps.as_slice());
        let failed = |state| matches!(state, StepState::Failed | StepState::TimedOut);
        let step = steps?.iter().find(|step| failed(step.state))?;
        Some(step.step)
    };
    let Some(first) = hosts.first() else {
        return "failed".to_owned();
    };
    let all_alike = hosts
        .iter()
        .all(|host| how(host) == how(first) && step(host) == step(first));
    let their = if hosts.len() == 1 { "its" } else { "their" };
    match (all_alike, how(first), step(first)) {
        (true, "failed", Some(step)) => format!("{} failed {their} {step}", names(hosts)),
        (true, how, _) => format!("{} {how}", names(hosts)),
        (false, ..) => format!("{} failed", names(hosts)),
    }
}

/// Hosts of a deploy that did not succeed which run its release all the same.
fn left_on_new(rollout: &Rollout) -> String {
    if rollout.action != Action::Deploy {
        return String::new();
    }
    let left = rollout.which(|host| host.state == HostState::Live);
    match (left.is_empty(), rollout.policy.on_failure) {
        (true, _) => String::new(),
        (false, OnFailure::Stop) => format!(
            "; {} kept the new release (on_failure = \"stop\")",
            names(&left)
        ),
        (false, OnFailure::Restore) => format!("; {} had it before", names(&left)),
    }
}

fn succeeded(rollout: &Rollout) -> Option<String> {
    let behind = rollout.which(|host| host.state == HostState::Unreachable && !host.lost);
    let failed = rollout.which(HostRecord::failed);
    let left = rollout.which(|host| host.left);
    let parts = [
        (!behind.is_empty()).then(|| format!("left behind, unreachable: {}", names(&behind))),
        (!failed.is_empty()).then(|| {
            format!(
                "within the failure budget: {}",
                how_failed(rollout, &failed)
            )
        }),
        (!left.is_empty()).then(|| format!("left on what they had: {}", names(&left))),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}
