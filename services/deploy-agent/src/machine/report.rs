//! What is told about an order: always the whole state of it.

use events::{
    HostName, ProjectName,
    message::{self, PREPARED, Prepared, ProjectState, Reported, StepReport, StepState},
};
use uuid::Uuid;

use super::{
    record::{End, Outcome, cut},
    state::{Known, State, Taken},
};

/// Whose report it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// The host.
    pub host: HostName,
    /// The project.
    pub project: ProjectName,
}

/// The report of a known order.
#[must_use]
pub fn report(state: &State, known: &Known, whose: &Whose) -> Reported {
    let (stands, live, previous) = match &known.verdict {
        Some(end) => (end.state.clone(), end.live.clone(), end.previous.clone()),
        None => (
            stands(state, known),
            state.live.clone(),
            state.previous().cloned(),
        ),
    };
    Reported {
        host: whose.host.clone(),
        project: whose.project.clone(),
        order: known.asked.order,
        deploy: known.asked.deploy,
        phase: known.asked.phase,
        number: known.number,
        state: stands,
        steps: known.steps.iter().map(step).collect(),
        live,
        previous,
        broke_glass: known.asked.broke_glass.clone(),
        head: None,
        unbelieved: None,
    }
}

/// Final reports that nobody has confirmed.
#[must_use]
pub fn untold(state: &State, whose: &Whose) -> Vec<Reported> {
    let open = |known: &&Known| known.verdict.is_some() && !known.told;
    state
        .orders
        .iter()
        .filter(open)
        .map(|known| report(state, known, whose))
        .collect()
}

/// What presence says about a project.
#[must_use]
pub fn presence(state: &State, project: &ProjectName) -> ProjectState {
    ProjectState {
        project: project.clone(),
        live: state.live.clone(),
        previous: state.previous().cloned(),
        busy: state.current().map(|job| job.asked.deploy),
        stuck: state.stuck.as_ref().map(|stuck| stuck.reason.clone()),
        broken: state.stuck.as_ref().map(|stuck| stuck.deploy),
        held: state.held.clone(),
        prepared: prepared(state),
    }
}

/// Complete releases beside the live one, newest first.
fn prepared(state: &State) -> Vec<Prepared> {
    let live = state.live.as_ref().map(|live| &live.release);
    let beside = state.releases.iter().rev();
    beside
        .filter(|(release, _)| Some(*release) != live)
        .take(PREPARED)
        .map(|(release, revision)| Prepared {
            release: release.clone(),
            revision: revision.clone(),
        })
        .collect()
}

fn stands(state: &State, known: &Known) -> message::State {
    if state.queue.front() != Some(&known.asked.order) {
        let first: Option<Uuid> = state.current().map(|job| job.asked.deploy);
        let reason = match first {
            Some(deploy) => format!("for deploy {deploy} to end here"),
            None => "for its turn".to_owned(),
        };
        return message::State::Waiting { reason };
    }
    let Some(last) = known.steps.last() else {
        return message::State::Accepted;
    };
    match &last.outcome {
        Some(outcome) if outcome.end == End::NotYet => message::State::Waiting {
            reason: outcome.detail.clone().unwrap_or_default(),
        },
        _ => message::State::Working { step: last.step },
    }
}

fn step(taken: &Taken) -> StepReport {
    let outcome = taken.outcome.as_ref();
    StepReport {
        step: taken.step,
        state: outcome.map_or(StepState::Running, step_state),
        exit: outcome.and_then(|outcome| outcome.exit),
        tries: taken.attempt,
        duration_ms: outcome.map_or(0, |outcome| outcome.duration_ms),
        detail: outcome.and_then(detail),
    }
}

fn step_state(outcome: &Outcome) -> StepState {
    match outcome.end {
        End::Ok => StepState::Ok,
        End::Skipped => StepState::Skipped,
        End::Failed | End::Interrupted | End::Ended => StepState::Failed,
        End::TimedOut => StepState::TimedOut,
        End::NotYet => StepState::Running,
    }
}

fn detail(outcome: &Outcome) -> Option<String> {
    let how = match outcome.end {
        End::Interrupted => Some("interrupted"),
        End::Ended => Some("ended by an order"),
        _ => None,
    };
    let parts: Vec<&str> = how.into_iter().chain(outcome.detail.as_deref()).collect();
    (!parts.is_empty()).then(|| cut(parts.join(": ")))
}
