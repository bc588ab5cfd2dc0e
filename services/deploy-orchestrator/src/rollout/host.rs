//! One host in a rollout: what it was told, and what it said.

use std::collections::BTreeMap;

use events::message::{Phase, Reported, Running, State, Step, StepReport};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    Policy,
    issued::Issued,
    outstanding::{Due, Outstanding},
};
use crate::api::{Action, HostState};

/// What is known of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Where it stands.
    pub state: HostState,
    /// The order whose end is waited for.
    pub order: Option<Outstanding>,
    /// An abort beside it.
    pub abort: Option<Outstanding>,
    /// The orders of each phase as they were issued; one that had expired was followed by a new one.
    #[serde(default)]
    pub issued: BTreeMap<Phase, Vec<Issued>>,
    /// The newest report of each phase: its order, and its number.
    pub heard: BTreeMap<Phase, (Uuid, u64)>,
    /// True if it accepted to activate and then was not heard for too long: nobody knows what it runs.
    pub lost: bool,
    /// True if a rollback of the project took it over: this rollout tells it nothing more.
    pub taken_over: bool,
    /// True if a rollback leaves it on what it has: the deploy that is undone was not activated there.
    #[serde(default)]
    pub left: bool,
    /// What failed or what it waits for.
    pub detail: Option<String>,
    /// What was live before.
    pub before: Option<Running>,
    /// What is live.
    pub now: Option<Running>,
    /// The steps so far, of all its orders.
    pub steps: Vec<StepReport>,
    /// Those of them that belong to orders before the newest one.
    #[serde(default)]
    pub steps_before: Vec<StepReport>,
    /// When its first order was sent.
    pub started: Option<Timestamp>,
    /// When the order to activate (or the rollback that was asked for) was sent.
    pub activated_at: Option<Timestamp>,
    /// When it was reported live.
    pub live_at: Option<Timestamp>,
    /// When its last report came.
    pub updated: Option<Timestamp>,
    /// Seconds from the failure until it was back.
    pub back_after_s: Option<f64>,
}

/// What the passing of time means for a host.
#[derive(Debug, Default)]
pub(super) struct Ticked {
    pub(super) changed: bool,
    pub(super) again: Vec<Phase>,
}

/// Whether a host that was given up while preparing comes back in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Join {
    /// It is waited for again.
    Yes,
    /// If it is prepared before its wave starts.
    WhenPrepared,
    /// It is left behind.
    No,
}

/// How a report is to be taken.
pub(super) struct Hearing {
    pub(super) now: Timestamp,
    pub(super) action: Action,
    /// Whether an unreachable host that answers after all may still take part.
    pub(super) join: Join,
    /// When the rollout stopped, if it did.
    pub(super) failed_at: Option<Timestamp>,
}

impl HostRecord {
    pub(super) fn new(before: Option<Running>) -> Self {
        Self {
            state: HostState::Untouched,
            order: None,
            abort: None,
            issued: BTreeMap::new(),
            heard: BTreeMap::new(),
            lost: false,
            taken_over: false,
            left: false,
            detail: None,
            now: before.clone(),
            before,
            steps: Vec::new(),
            steps_before: Vec::new(),
            started: None,
            activated_at: None,
            live_at: None,
            updated: None,
            back_after_s: None,
        }
    }

    /// The orders whose end is waited for.
    pub(super) fn orders(&self) -> impl Iterator<Item = &Outstanding> {
        self.order.iter().chain(&self.abort)
    }

    /// The bus or the orchestrator was away: its clocks begin anew. Gives the orders that may not have been sent.
    pub(super) fn back(&mut self, now: Timestamp) -> Vec<Phase> {
        let mut unsent = Vec::new();
        for order in self.orders_mut() {
            match &mut order.accepted {
                Some(accepted) => *accepted = now,
                None => {
                    (order.first, order.last) = (now, now);
                    unsent.push(order.phase);
                }
            }
        }
        unsent
    }

    fn orders_mut(&mut self) -> impl Iterator<Item = &mut Outstanding> {
        self.order.iter_mut().chain(&mut self.abort)
    }

    pub(super) fn ordered(&mut self, now: Timestamp, phase: Phase, state: HostState) {
        self.started = self.started.or(Some(now));
        self.state = state;
        if state == HostState::Activating && phase != Phase::Abort {
            self.activated_at = Some(now);
        }
        let outstanding = Some(Outstanding::new(now, phase));
        if phase == Phase::Abort {
            self.abort = outstanding;
        } else {
            self.order = outstanding;
            self.detail = None;
            self.steps_before.clone_from(&self.steps);
        }
    }

    pub(super) fn hand_over(&mut self, by: Uuid) {
        if self.order.take().is_some() {
            self.detail = Some(format!("taken over by the rollback {by}"));
        }
        self.abort = None;
        self.taken_over = true;
    }

    pub(super) fn tick(&mut self, now: Timestamp, policy: &Policy) -> Ticked {
        let mut ticked = Ticked::default();
        match self.abort.as_ref().map(|abort| abort.is_due(now, policy)) {
            Some(Due::Again) => ticked.again.push(Phase::Abort),
            Some(Due::Unreachable | Due::Overdue) => {
                self.abort = None;
                ticked.changed = true;
            }
            Some(Due::No) | None => {}
        }
        let Some(order) = self.order.clone() else {
            return self.sent_again(now, ticked);
        };
        match order.is_due(now, policy) {
            Due::No => {}
            Due::Again => ticked.again.push(order.phase),
            Due::Unreachable => {
                ticked.changed = true;
                self.give_up(&order, policy.reach_limit_s);
                if order.phase == Phase::Activate {
                    // It may yet read the order; the abort behind it in the same queue undoes that.
                    self.abort = Some(Outstanding::new(now, Phase::Abort));
                    ticked.again.push(Phase::Abort);
                }
            }
            Due::Overdue => {
                ticked.changed = true;
                self.give_up_accepted(&order, order.finish_limit_s(policy));
            }
        }
        self.sent_again(now, ticked)
    }

    fn sent_again(&mut self, now: Timestamp, ticked: Ticked) -> Ticked {
        for order in self.orders_mut() {
            if ticked.again.contains(&order.phase) {
                order.last = now;
            }
        }
        ticked
    }

    fn give_up(&mut self, order: &Outstanding, limit_s: u64) {
        self.order = None;
        self.state = HostState::Unreachable;
        self.detail = Some(format!(
            "order to {} not accepted within {limit_s} s",
            order.phase
        ));
    }

    fn give_up_accepted(&mut self, order: &Outstanding, limit_s: u64) {
        self.order = None;
        let last = self
            .detail
            .take()
            .map_or(String::new(), |detail| format!(": {detail}"));
        if order.phase == Phase::Prepare {
            self.state = HostState::Failed;
            self.detail = Some(format!("not prepared within {limit_s} s{last}"));
        } else {
            self.state = HostState::Unreachable;
            self.lost = true;
            self.detail = Some(format!(
                "accepted to {} and did not finish within {limit_s} s{last}",
                order.phase
            ));
        }
    }

    /// Takes in a report; true if it says something new.
    pub(super) fn hear(&mut self, hearing: &Hearing, report: &Reported) -> bool {
        let Some(place) = self.place(report.phase, report.order) else {
            return false;
        };
        let number = (report.order, report.number);
        let known = self.heard.get(&report.phase);
        let known = known.map(|&(order, number)| (self.place(report.phase, order), number));
        if known.is_some_and(|known| (Some(place), report.number) <= known)
            || self.is_past(report.phase)
            || self.is_idle_refusal(hearing.now, report)
        {
            return false;
        }
        if report.phase == Phase::Prepare && self.state == HostState::Unreachable {
            let prepared = matches!(report.state, State::Prepared { .. });
            match hearing.join {
                Join::Yes => {}
                Join::WhenPrepared if prepared => {}
                Join::WhenPrepared | Join::No => return false,
            }
        }
        self.heard.insert(report.phase, number);
        self.updated = Some(hearing.now);
        if report.phase != Phase::Abort {
            self.steps = [&*self.steps_before, &report.steps].concat();
        }
        if report.phase == Phase::Prepare {
            self.before.clone_from(&report.live);
        }
        self.now.clone_from(&report.live);
        if report.state.is_final() {
            self.finish(hearing, report);
        } else {
            self.go_on(hearing, report);
        }
        true
    }

    /// True if a later phase has said something already.
    fn is_past(&self, phase: Phase) -> bool {
        let mut heard = self.heard.keys().filter(|&&heard| heard != Phase::Abort);
        phase != Phase::Abort && heard.any(|&heard| heard > phase)
    }

    fn go_on(&mut self, hearing: &Hearing, report: &Reported) {
        let slot = match report.phase {
            Phase::Abort => &mut self.abort,
            Phase::Prepare | Phase::Activate | Phase::Rollback | Phase::Clear => &mut self.order,
        };
        let order = slot.get_or_insert_with(|| Outstanding::new(hearing.now, report.phase));
        order.accepted = order.accepted.or(Some(hearing.now));
        if report.phase == Phase::Abort {
            return;
        }
        self.lost = false;
        self.state = match (report.phase, hearing.action) {
            (Phase::Prepare, _) => HostState::Preparing,
            (Phase::Rollback, Action::Deploy) => HostState::PuttingBack,
            (Phase::Activate | Phase::Rollback | Phase::Abort | Phase::Clear, _) => {
                HostState::Activating
            }
        };
        self.detail = match &report.state {
            State::Waiting { reason } => Some(reason.clone()),
            _ => None,
        };
    }

    fn finish(&mut self, hearing: &Hearing, report: &Reported) {
        let accepted = self
            .order
            .as_ref()
            .is_some_and(|order| order.accepted.is_some());
        match (report.phase, &report.state) {
            (Phase::Abort, state) => {
                self.abort = None;
                // A refused abort, or one that found nothing to do, leaves the order's own report to be waited for.
                let ends = !matches!(
                    state,
                    State::Refused { .. } | State::Live | State::Prepared { .. }
                );
                if ends && (self.order.take().is_some() || self.lost) {
                    self.end(report, state);
                }
            }
            // An order that was accepted and is refused when sent again runs on.
            (_, State::Refused { .. }) if accepted => {}
            (Phase::Rollback, state) if hearing.action == Action::Deploy => {
                self.order = None;
                self.put_back(hearing, state);
            }
            (_, state) => {
                self.order = None;
                self.end(report, state);
            }
        }
    }

    /// The last report of a prepare or activate order, or of the rollback that was asked for.
    fn end(&mut self, report: &Reported, state: &State) {
        self.lost = false;
        let (state, detail) = match state {
            State::Prepared { .. } => (HostState::Prepared, None),
            State::Live => (HostState::Live, None),
            State::Cleared => (HostState::Cleared, None),
            State::PutBack { reason } => (HostState::PutBack, Some(reason.clone())),
            State::Failed { reason } => (HostState::Failed, Some(reason.clone())),
            State::Broken { reason } => (HostState::Broken, Some(reason.clone())),
            State::Refused { reason } => (HostState::Refused, Some(reason.clone())),
            State::Aborted if self.state == HostState::Preparing => (HostState::Untouched, None),
            State::Aborted => (HostState::Failed, Some("aborted".to_owned())),
            State::Accepted | State::Waiting { .. } | State::Working { .. } => return,
        };
        if state == HostState::Live {
            self.live_at = self.updated;
        }
        if state == HostState::PutBack {
            self.back_after_s = Some(seconds_back(&report.steps));
        }
        self.state = state;
        self.detail = detail;
    }

    /// The last report of a rollback that undoes this deploy.
    fn put_back(&mut self, hearing: &Hearing, state: &State) {
        self.lost = false;
        let failed = match state {
            State::Live => {
                let failed_at = hearing.failed_at.unwrap_or(hearing.now);
                let back_after = hearing.now.duration_since(failed_at);
                self.state = HostState::PutBack;
                self.detail = None;
                self.back_after_s = Some(back_after.max(SignedDuration::ZERO).as_secs_f64());
                return;
            }
            State::PutBack { reason } | State::Failed { reason } | State::Broken { reason } => {
                reason.as_str()
            }
            State::Refused { reason } => reason.as_str(),
            _ => "aborted",
        };
        self.state = HostState::Broken;
        self.detail = Some(format!("cannot be put back: {failed}"));
    }
}

/// How long the steps took that put a host back, in seconds.
fn seconds_back(steps: &[StepReport]) -> f64 {
    let back = steps.iter().filter(|step| step.step >= Step::SwitchBack);
    let millis: u64 = back.map(|step| step.duration_ms).sum();
    std::time::Duration::from_millis(millis).as_secs_f64()
}
