//! The next step of a project: the same function while all goes well, after a failure, and after a crash.

use events::message::{self, Step};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::{
    record::{End, Outcome, Task},
    state::{Known, State, Stuck, Taken},
};
use crate::scripts::Planned;

/// How often a script is run that may be run again after it was interrupted: it may be what takes the host down.
pub const RUNS: u32 = 3;

/// What the decision depends on beside the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// Now.
    pub now: Timestamp,
    /// The settings of the project.
    pub rules: Rules,
}

/// Settings that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// How often a check is tried before it has failed.
    pub check_tries: u32,
    /// How long to wait between two tries of a check.
    pub check_pause: SignedDuration,
    /// How long to wait before a preparation that could not be done is tried again.
    pub retry: SignedDuration,
    /// How many releases are kept.
    pub keep: usize,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Do this try of a step; or, if it was begun, find out how it went.
    Do(Step, u32),
    /// Pass over a step that was done before, and is to be done once.
    Skip(Step),
    /// Nothing before this time, unless an order comes.
    Wait(Timestamp),
    /// The order that is under way ends so.
    Finish(message::State),
    /// Remove these releases.
    Prune(Vec<String>),
    /// Nothing to do.
    Idle,
}

/// The next step.
#[must_use]
pub fn decide(state: &State, facts: &Facts) -> Decision {
    let Some(job) = state.current() else {
        return match prunable(state, facts.rules.keep) {
            releases if releases.is_empty() => Decision::Idle,
            releases => Decision::Prune(releases),
        };
    };
    match &job.task {
        Some(Task::Prepare { release, ready }) => prepare(state, job, facts, release, *ready),
        Some(Task::Activate { refresh, .. }) => activate(state, job, facts, *refresh),
        Some(Task::Rollback { to, .. }) => rollback(state, job, facts, to.as_deref()),
        Some(Task::Abort) => Decision::Finish(aborted(state, job)),
        Some(Task::Clear) => Decision::Finish(message::State::Cleared),
        Some(Task::Same { order }) => Decision::Finish(as_before(state, *order)),
        None => Decision::Idle,
    }
}

/// Releases beyond the newest `keep`; never live, never what a rollback needs, never the one prepared last.
fn prunable(state: &State, keep: usize) -> Vec<String> {
    let live = state.live.as_ref().map(|live| &live.release);
    let previous = state.previous().map(|past| &past.release);
    let needed = [live, previous, state.newest.as_ref()];
    let old = state.releases.keys().rev().skip(keep);
    let unneeded = old.filter(|release| !needed.contains(&Some(release)));
    state.discard.iter().chain(unneeded).cloned().collect()
}

/// Where one step stands.
enum Stand {
    /// Not over.
    Next(Decision),
    /// Over, and the next may begin.
    Passed,
    /// Failed for good.
    Failed(String),
}

fn stand(state: &State, job: &Known, step: Step, facts: &Facts) -> Stand {
    let over = job.step(step).is_some_and(|taken| taken.outcome.is_some());
    if !over && state.was_done(job, step) {
        return Stand::Next(Decision::Skip(step));
    }
    let Some(taken) = job.step(step) else {
        return Stand::Next(Decision::Do(step, 1));
    };
    let Some(outcome) = &taken.outcome else {
        return Stand::Next(Decision::Do(step, taken.attempt));
    };
    match outcome.end {
        End::Ok | End::Skipped => Stand::Passed,
        End::NotYet => not_yet(job, taken, outcome, facts),
        End::Failed | End::TimedOut | End::Interrupted => {
            let checks = matches!(step, Step::Check | Step::BackCheck);
            // Once putting back has begun, what failed before has failed for good.
            let settled = outcome.settled || (step == Step::Check && job.going_back());
            if checks && !settled && taken.attempt < facts.rules.check_tries {
                return again(taken, facts.rules.check_pause, facts.now);
            }
            let rerunnable = |planned: &Planned| planned.rerunnable;
            if outcome.end == End::Interrupted
                && taken.attempt < RUNS
                && state.planned(job, step).is_some_and(rerunnable)
            {
                return Stand::Next(Decision::Do(step, taken.attempt + 1));
            }
            Stand::Failed(reason(taken, outcome))
        }
        End::Ended => Stand::Failed(reason(taken, outcome)),
    }
}

fn again(taken: &Taken, pause: SignedDuration, now: Timestamp) -> Stand {
    let due = taken.at.checked_add(pause).unwrap_or(now);
    if now >= due {
        Stand::Next(Decision::Do(taken.step, taken.attempt + 1))
    } else {
        Stand::Next(Decision::Wait(due))
    }
}

fn not_yet(job: &Known, taken: &Taken, outcome: &Outcome, facts: &Facts) -> Stand {
    if facts.now >= job.asked.expires {
        let detail = outcome.detail.as_deref().unwrap_or("not there yet");
        return Stand::Failed(format!("{}: {detail}, until the order expired", taken.step));
    }
    match again(taken, facts.rules.retry, facts.now) {
        Stand::Next(Decision::Wait(due)) => Stand::Next(Decision::Wait(due.min(job.asked.expires))),
        other => other,
    }
}

/// `check: exit 1, 3 tries: GET /health 500 "no such table"`.
#[must_use]
pub fn reason(taken: &Taken, outcome: &Outcome) -> String {
    let how = match (outcome.end, outcome.exit) {
        (End::TimedOut, _) => Some("ended at its limit of time".to_owned()),
        (End::Interrupted, _) => Some("interrupted".to_owned()),
        (End::Ended, _) => Some("ended by an order".to_owned()),
        (_, Some(code)) => Some(format!("exit {code}")),
        (_, None) => None,
    };
    let tries = (taken.attempt > 1).then(|| format!("{} tries", taken.attempt));
    let facts: Vec<String> = how.into_iter().chain(tries).collect();
    let mut parts = vec![taken.step.to_string()];
    if !facts.is_empty() {
        parts.push(facts.join(", "));
    }
    parts.extend(outcome.detail.clone());
    parts.join(": ")
}

fn prepare(state: &State, job: &Known, facts: &Facts, release: &str, ready: bool) -> Decision {
    let steps = [Step::Objects, Step::Layout, Step::Shared, Step::Build];
    // That the name of the order leads to the commit is looked at also where the release is there.
    let steps = if ready { &steps[..1] } else { &steps[..] };
    match forward(state, job, steps, facts) {
        Course::Next(decision) => decision,
        Course::Through => Decision::Finish(message::State::Prepared {
            release: release.to_owned(),
        }),
        Course::Trouble(_) if job.cut.is_some() => Decision::Finish(message::State::Aborted),
        Course::Trouble(reason) => Decision::Finish(message::State::Failed { reason }),
    }
}

/// Where a sequence of steps stands.
enum Course {
    Next(Decision),
    Through,
    Trouble(String),
}

fn forward(state: &State, job: &Known, steps: &[Step], facts: &Facts) -> Course {
    for step in steps {
        let under_way = job.under_way().is_some_and(|(running, _)| running == *step);
        match (stand(state, job, *step, facts), &job.cut) {
            (Stand::Passed, _) => {}
            (Stand::Next(_), Some(cut)) if !under_way => return Course::Trouble(cut.clone()),
            (Stand::Next(decision), _) => return Course::Next(decision),
            (Stand::Failed(reason), cut) => {
                let ended = job.step(*step).and_then(|taken| taken.outcome.as_ref());
                let by_order = ended.is_some_and(|outcome| outcome.end == End::Ended);
                let cut = cut.clone().filter(|_| by_order);
                return Course::Trouble(cut.unwrap_or(reason));
            }
        }
    }
    Course::Through
}

fn activate(state: &State, job: &Known, facts: &Facts, refresh: bool) -> Decision {
    let mut steps = vec![Step::PreDeploy];
    match (refresh, &job.before) {
        (true, _) => steps.extend([Step::Switch, Step::Refresh]),
        (false, Some(_)) => steps.extend([Step::Stop, Step::Switch, Step::Start]),
        (false, None) => steps.extend([Step::Switch, Step::Start]),
    }
    steps.extend([Step::Check, Step::PostDeploy]);
    match forward(state, job, &steps, facts) {
        Course::Next(decision) => decision,
        Course::Through => Decision::Finish(message::State::Live),
        Course::Trouble(reason) => back(state, job, facts, reason),
    }
}

/// Puts back what a failed or ended activation has changed.
fn back(state: &State, job: &Known, facts: &Facts, reason: String) -> Decision {
    let began = |step| job.step(step).is_some();
    let mut steps = Vec::new();
    if began(Step::Switch) {
        if began(Step::Start) || began(Step::Refresh) {
            steps.push(Step::BackStop);
        }
        steps.push(Step::SwitchBack);
    } else if !began(Step::Stop) {
        return Decision::Finish(match job.cut {
            Some(_) => message::State::Aborted,
            None => message::State::Failed { reason },
        });
    }
    if job.before.is_some() {
        steps.extend([Step::BackStart, Step::BackCheck]);
    }
    for step in steps {
        match stand(state, job, step, facts) {
            Stand::Passed => {}
            Stand::Next(decision) => return decision,
            // What it left is replaced by what follows.
            Stand::Failed(_) if step == Step::BackStop => {}
            Stand::Failed(then) => {
                let reason = format!("{reason}; then {then}");
                return Decision::Finish(message::State::Broken { reason });
            }
        }
    }
    let reason = match job.before {
        Some(_) => reason,
        None => format!("{reason}; nothing was live before"),
    };
    Decision::Finish(message::State::PutBack { reason })
}

fn rollback(state: &State, job: &Known, facts: &Facts, to: Option<&str>) -> Decision {
    let live = state.live.as_ref().map(|live| live.release.as_str());
    if job.steps.is_empty() {
        if live == to && !repairs(state, job) {
            return Decision::Finish(message::State::Live);
        }
        if job.cut.is_some() {
            return Decision::Finish(message::State::Aborted);
        }
    }
    let mut steps = Vec::new();
    let stops = job.step(Step::Stop).is_some() || (job.steps.is_empty() && live.is_some());
    // From the switch on another release is live, which has a `stop` of its own.
    if stops && job.step(Step::Switch).is_none() {
        steps.push(Step::Stop);
    }
    steps.push(Step::Switch);
    if to.is_some() {
        steps.extend([Step::Start, Step::Check]);
    }
    for step in steps {
        match stand(state, job, step, facts) {
            Stand::Passed => {}
            Stand::Next(decision) => return decision,
            // It is recorded; whoever rolls back wants the other release, not this one's good end.
            Stand::Failed(_) if step == Step::Stop => {}
            Stand::Failed(reason) => return Decision::Finish(message::State::Broken { reason }),
        }
    }
    Decision::Finish(message::State::Live)
}

/// True if a rollback starts and checks again what is live already: what it takes back has left that broken.
fn repairs(state: &State, job: &Known) -> bool {
    let leaves = matches!(
        job.task,
        Some(Task::Rollback {
            leaves: Some(_),
            ..
        })
    );
    let broke = |stuck: &Stuck| leaves || job.asked.undone() == Some(stuck.deploy);
    state.stuck.as_ref().is_some_and(broke)
}

/// How an order ended that is not done again. It was before this one in the queue.
fn as_before(state: &State, order: Uuid) -> message::State {
    let verdict = state.known(order).and_then(|known| known.verdict.as_ref());
    match verdict {
        Some(end) => end.state.clone(),
        None => message::State::Aborted,
    }
}

/// What an abort says: how the orders of its deploy ended here.
fn aborted(state: &State, abort: &Known) -> message::State {
    let of_it = |known: &&Known| {
        known.asked.deploy == abort.asked.deploy && known.asked.order != abort.asked.order
    };
    let last = state.orders.iter().rev().filter(of_it).find_map(|known| {
        known.task.as_ref()?;
        Some(known.verdict.as_ref()?.state.clone())
    });
    match last {
        None | Some(message::State::Prepared { .. }) => message::State::Aborted,
        Some(state) => state,
    }
}
