//! A rollout: what happens next, decided from what was heard. Pure: no clock, no I/O.
//!
//! [`Rollout::step`] takes one [`Input`] and gives what is to be done, in order. The same inputs at the same times give the
//! same outputs, so that a rollout can be replayed, simulated, and gone on with after a crash from its stored form.
//!
//! What it keeps, whatever is reported:
//! * No host is told to activate before all hosts are prepared or given up as unreachable within the allowance.
//! * No wave starts unless the one before is proven good: a host of it is live, and failures are within the budget.
//! * A host that was not told to activate gets nothing but `prepare` and `abort`.
//! * When it stops, hosts that it changed are put back (unless the policy says otherwise), and no others.
//!
//! Read: this file (inputs, outputs), `stage` and [`policy`], [`host`] (one host's reports) with `outstanding` (its orders
//! and their limits) and `issued` (their ids), `advance` (what follows from them).

mod advance;
pub mod host;
mod issued;
mod judged;
mod outstanding;
pub mod policy;
mod stage;

use std::collections::{BTreeMap, BTreeSet};

use events::{
    HostName,
    message::{Phase, Reported, Running},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::api::{Action, HostState};
pub use host::HostRecord;
pub use issued::Issued;
pub use outstanding::Outstanding;
pub use policy::{OnFailure, Policy};
pub use stage::{Outcome, Stage, Stopped};

/// A deploy or a rollback under way, or ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// The deploy that it is of.
    pub deploy: Uuid,
    /// What was asked for.
    pub action: Action,
    /// The rules, as they were when it was asked for.
    pub policy: Policy,
    /// Where it stands.
    pub stage: Stage,
    /// True while a person holds it.
    pub paused: bool,
    /// Its hosts in waves. A host may stand in for a wave whose own hosts are all unreachable.
    pub waves: Vec<Vec<HostName>>,
    /// What is known of each host.
    pub hosts: BTreeMap<HostName, HostRecord>,
    /// Why it stopped early, if it did.
    pub stopped: Option<Stopped>,
    /// When it stopped early.
    pub stopped_at: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// What a rollout is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// The deploy's id.
    pub deploy: Uuid,
    /// What was asked for.
    pub action: Action,
    /// The rules.
    pub policy: Policy,
    /// The targets in waves.
    pub waves: Vec<Vec<HostName>>,
    /// What runs on each target, as far as it is known.
    pub before: BTreeMap<HostName, Running>,
    /// Targets of a rollback that it leaves on what they have, each with the reason.
    pub left: BTreeMap<HostName, String>,
}

/// What can happen to a rollout.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Start.
    Begin,
    /// A host says how an order stands.
    Report(Box<Reported>),
    /// Time has passed: see [`Rollout::next_wake`].
    Tick,
    /// The orchestrator or the bus was away: limits of time begin anew, and what may not have been sent is sent again.
    Back,
    /// A person holds it: no further wave starts.
    Pause,
    /// A person lets it go on.
    Resume,
    /// A person ends it; what changed is put back.
    Abort,
    /// A rollback takes these hosts over; the others are put back.
    TakenOver {
        /// The rollback's deploy id.
        by: Uuid,
        /// Its targets.
        hosts: BTreeSet<HostName>,
    },
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this order: a new one the first time, the same one again after that.
    Order {
        /// To whom.
        host: HostName,
        /// What it asks for. There is one order per deploy, host and phase.
        phase: Phase,
    },
    /// Something that a view shows has changed.
    Changed,
    /// It has ended; comes once.
    Ended,
}

impl Rollout {
    /// A rollout that has not begun.
    #[must_use]
    pub fn new(spec: Spec) -> Self {
        let mut before = spec.before;
        let record = |host: &HostName| (host.clone(), HostRecord::new(before.remove(host)));
        let mut hosts: BTreeMap<_, _> = spec.waves.iter().flatten().map(record).collect();
        for (host, why) in spec.left {
            if let Some(record) = hosts.get_mut(&host) {
                record.state = HostState::Live;
                record.left = true;
                record.detail = Some(why);
            }
        }
        Self {
            deploy: spec.deploy,
            action: spec.action,
            policy: spec.policy,
            stage: Stage::New,
            paused: false,
            waves: spec.waves,
            hosts,
            stopped: None,
            stopped_at: None,
            ended: None,
        }
    }

    /// True if nothing more happens.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }

    /// Takes in what happened, and says what is to be done, in order.
    pub fn step(&mut self, now: Timestamp, input: Input) -> Vec<Output> {
        let was = (self.stage, self.paused);
        let ended_before = self.is_ended();
        let mut out = Vec::new();
        let heard = match input {
            Input::Report(report) => self.hear(now, &report),
            _ if ended_before => return out,
            Input::Begin => {
                self.begin(now, &mut out);
                true
            }
            Input::Tick => self.tick(now, &mut out),
            Input::Back => {
                self.back(now, &mut out);
                false
            }
            Input::Pause | Input::Resume => {
                self.paused = input == Input::Pause;
                false
            }
            Input::Abort => {
                self.stop(now, Stopped::ByPerson, &mut out);
                true
            }
            Input::TakenOver { by, hosts } => {
                self.hand_over(now, by, &hosts, &mut out);
                true
            }
        };
        if !ended_before {
            self.advance(now, &mut out);
        }
        if heard || was != (self.stage, self.paused) || !out.is_empty() {
            out.push(Output::Changed);
        }
        if self.is_ended() && !ended_before {
            self.ended = Some(now);
            out.push(Output::Ended);
        }
        out
    }

    /// An order that was asked for has this id now. Reports on orders that were never issued count for nothing.
    pub fn issued(&mut self, host: &HostName, phase: Phase, issued: Issued) {
        if let Some(record) = self.hosts.get_mut(host) {
            record.issued(phase, issued);
        }
    }

    /// When [`Input::Tick`] is due; `None` when only a report or a person can move it on.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        if self.is_ended() {
            return None;
        }
        let orders = self.hosts.values().flat_map(HostRecord::orders);
        let due = orders.map(|order| order.next_due(&self.policy));
        let bake = match self.stage {
            Stage::Baking { wave, until } if !self.paused && !self.is_under_way(wave) => {
                Some(until)
            }
            _ => None,
        };
        due.chain(bake).min()
    }

    /// The wave of a host, from 1 on.
    #[must_use]
    pub fn wave_of(&self, host: &HostName) -> Option<u32> {
        let index = self.waves.iter().position(|wave| wave.contains(host))?;
        u32::try_from(index + 1).ok()
    }

    /// The hosts in wave order for which `is` holds.
    pub fn which(&self, is: impl Fn(&HostRecord) -> bool) -> Vec<HostName> {
        let hosts = self.waves.iter().flatten();
        hosts
            .filter(|host| self.hosts.get(*host).is_some_and(&is))
            .cloned()
            .collect()
    }

    /// How many hosts may be unreachable.
    #[must_use]
    pub fn allowed_unreachable(&self) -> usize {
        self.policy.max_unreachable.tolerated_of(self.hosts.len())
    }

    fn begin(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        if self.stage != Stage::New {
            return;
        }
        match self.action {
            Action::Deploy => {
                self.stage = Stage::Preparing;
                for host in self.which(|_| true) {
                    self.order(now, &host, Phase::Prepare, HostState::Preparing, out);
                }
            }
            Action::Rollback | Action::Clear => {
                let first = self.next_wave(None).unwrap_or(0);
                self.start_wave(now, first, out);
            }
        }
    }

    /// True if the report says something new.
    fn hear(&mut self, now: Timestamp, report: &Reported) -> bool {
        if report.deploy != self.deploy {
            return false;
        }
        let join = match self.stage {
            Stage::Preparing => host::Join::Yes,
            Stage::Wave(index) | Stage::Baking { wave: index, .. } => {
                let later = self
                    .wave_of(&report.host)
                    .is_some_and(|wave| wave as usize > index + 1);
                if later {
                    host::Join::WhenPrepared
                } else {
                    host::Join::No
                }
            }
            Stage::New | Stage::Stopping | Stage::PuttingBack | Stage::Ended(_) => host::Join::No,
        };
        let heard = host::Hearing {
            now,
            action: self.action,
            join,
            failed_at: self.stopped_at,
        };
        match self.hosts.get_mut(&report.host) {
            Some(record) => record.hear(&heard, report),
            None => false,
        }
    }

    fn order(
        &mut self,
        now: Timestamp,
        host: &HostName,
        phase: Phase,
        state: HostState,
        out: &mut Vec<Output>,
    ) {
        if let Some(record) = self.hosts.get_mut(host) {
            record.ordered(now, phase, state);
            let host = host.clone();
            out.push(Output::Order { host, phase });
        }
    }

    fn tick(&mut self, now: Timestamp, out: &mut Vec<Output>) -> bool {
        let mut changed = false;
        for host in self.which(|_| true) {
            let Some(record) = self.hosts.get_mut(&host) else {
                continue;
            };
            let due = record.tick(now, &self.policy);
            changed |= due.changed;
            let again = due.again.into_iter();
            out.extend(again.map(|phase| Output::Order {
                host: host.clone(),
                phase,
            }));
        }
        changed
    }

    fn back(&mut self, now: Timestamp, out: &mut Vec<Output>) {
        for host in self.which(|_| true) {
            let unsent = self.hosts.get_mut(&host).map(|record| record.back(now));
            let again = unsent.into_iter().flatten();
            out.extend(again.map(|phase| Output::Order {
                host: host.clone(),
                phase,
            }));
        }
    }

    fn hand_over(
        &mut self,
        now: Timestamp,
        by: Uuid,
        hosts: &BTreeSet<HostName>,
        out: &mut Vec<Output>,
    ) {
        for host in hosts {
            if let Some(record) = self.hosts.get_mut(host) {
                record.hand_over(by);
            }
        }
        self.stop(now, Stopped::ByRollback { by }, out);
    }
}

/// A time so many seconds after another.
#[must_use]
pub fn after(time: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    time.checked_add(SignedDuration::from_secs(seconds))
        .unwrap_or(Timestamp::MAX)
}
