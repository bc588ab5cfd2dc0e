//! How each record changes the state.

use std::collections::VecDeque;

use events::message::{self, Running, Step};
use jiff::Timestamp;
use uuid::Uuid;

use super::{
    record::{Asked, End, Outcome, Record, Task, What},
    state::{DEPLOYS, Known, ONCE, REMEMBERED, ROLLBACKS, State, Stuck, Taken, Verdict},
};
use crate::scripts::Script;

impl State {
    /// Folds a whole journal.
    #[must_use]
    pub fn replay<'a>(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut state = Self::default();
        for record in records {
            state.apply(record);
        }
        state
    }

    /// Takes one more fact in.
    pub fn apply(&mut self, record: &Record) {
        let at = record.at;
        match &record.what {
            What::Accepted { order, task } => {
                self.cut(order, task);
                self.use_up(order, task);
                self.hold(order, task, at);
                self.raise_marks(order);
                self.queue.push_back(order.order);
                self.remember(order, Some(task.clone()), at);
            }
            What::Refused { order, reason } => {
                let reason = reason.clone();
                self.raise_marks(order);
                self.remember(order, None, at);
                self.end(order.order, message::State::Refused { reason });
            }
            What::Untimely { order, reason } => {
                let reason = reason.clone();
                self.remember(order, None, at);
                self.end(order.order, message::State::Refused { reason });
            }
            What::Began {
                order,
                step,
                attempt,
            } => self.began(*order, *step, *attempt, at),
            What::Ended {
                order,
                step,
                outcome,
                ..
            } => self.ended(*order, *step, outcome, at),
            What::Finished { order, state } => {
                self.queue.retain(|queued| queued != order);
                self.finished(*order, state, at);
                self.end(*order, state.clone());
            }
            What::Told { order } => {
                if let Some(known) = self.known_mut(*order) {
                    known.told = true;
                }
            }
            What::Pruned { releases } => {
                for release in releases {
                    self.releases.remove(release);
                    self.plans.remove(release);
                    self.discard.remove(release);
                    self.bad.remove(release);
                    self.history.retain(|past| past.release != *release);
                }
            }
            What::Seen { live } => self.seen(live, at),
        }
    }

    fn known_mut(&mut self, order: Uuid) -> Option<&mut Known> {
        self.orders
            .iter_mut()
            .find(|known| known.asked.order == order)
    }

    fn raise_marks(&mut self, asked: &Asked) {
        let mark = self.sequences.entry(asked.signer.clone()).or_default();
        *mark = asked.sequence.max(*mark);
        self.epoch = self.epoch.max(asked.epoch);
    }

    fn remember(&mut self, asked: &Asked, task: Option<Task>, at: Timestamp) {
        self.orders.push_back(Known {
            asked: asked.clone(),
            task,
            since: at,
            number: 1,
            steps: Vec::new(),
            before: self.live.clone(),
            cut: None,
            verdict: None,
            told: false,
        });
        while self.orders.len() > REMEMBERED {
            let Some(at) = self.orders.iter().position(|known| known.told) else {
                break;
            };
            self.orders.remove(at);
        }
    }

    /// One grant is for one deploy: what was made live, aborted or taken back under it is not done under it again.
    fn use_up(&mut self, asked: &Asked, task: &Task) {
        match task {
            Task::Rollback { leaves, .. } => {
                let left = leaves.as_ref().and_then(|_| self.left_by_rollback());
                for deploy in asked.undone().into_iter().chain(left) {
                    keep(&mut self.undone, deploy, DEPLOYS);
                }
                if !asked.undo {
                    keep(&mut self.rollbacks, asked.deploy, ROLLBACKS);
                }
            }
            Task::Abort => keep(&mut self.undone, asked.deploy, DEPLOYS),
            Task::Activate { .. } => keep(&mut self.activated, asked.deploy, DEPLOYS),
            Task::Prepare { .. } | Task::Clear | Task::Same { .. } => {}
        }
    }

    fn hold(&mut self, asked: &Asked, task: &Task, at: Timestamp) {
        if let (Some(who), Task::Rollback { .. }) = (&asked.at_host, task) {
            self.lifted = None;
            self.held = Some(message::Held {
                deploy: asked.deploy,
                by: asked.by.join(", "),
                reason: who.reason.clone(),
                since: at,
            });
        }
    }

    /// A deploy that ended a hold is taken back.
    fn hold_again(&mut self, job: &Known) {
        let undone = job.asked.undone();
        let taken_back = |(deploy, _): &mut (Uuid, _)| Some(*deploy) == undone;
        if let Some((_, held)) = self.lifted.take_if(taken_back) {
            self.held = Some(held);
        }
    }

    fn clear(&mut self, asked: &Asked) {
        self.stuck
            .take_if(|stuck| asked.clears.contains(&stuck.deploy));
        self.held
            .take_if(|held| asked.clears.contains(&held.deploy));
    }

    /// The deploy that a rollback leaves: the one that is going live, or that made live what is.
    fn left_by_rollback(&self) -> Option<Uuid> {
        let activates = |known: &&Known| matches!(known.task, Some(Task::Activate { .. }));
        let under_way = self.unfinished().find(activates);
        under_way
            .or_else(|| self.made_live().filter(activates))
            .map(|known| known.asked.deploy)
    }

    /// Ends early what an accepted order takes the place of: the one under way, and preparations that wait behind it.
    fn cut(&mut self, asked: &Asked, task: &Task) {
        let reason = match task {
            Task::Rollback { .. } => "a rollback was ordered",
            Task::Abort => "aborted",
            Task::Prepare { .. } => "another deploy was ordered",
            Task::Activate { .. } | Task::Clear | Task::Same { .. } => return,
        };
        for (place, order) in self.queue.clone().into_iter().enumerate() {
            let Some(job) = self.known_mut(order) else {
                continue;
            };
            let prepares = matches!(job.task, Some(Task::Prepare { .. }));
            let own = job.asked.deploy == asked.deploy;
            let meant = match task {
                Task::Prepare { .. } => prepares && !own,
                Task::Rollback { .. } if !asked.undo => true,
                _ => own,
            };
            if meant && (place == 0 || prepares) && job.cut.is_none() {
                job.cut = Some(reason.to_owned());
                job.number += 1;
            }
        }
    }

    fn began(&mut self, order: Uuid, step: Step, attempt: u32, at: Timestamp) {
        let Some(job) = self.known_mut(order) else {
            return;
        };
        job.number += 1;
        let taken = Taken {
            step,
            attempt,
            outcome: None,
            at,
        };
        match job.steps.iter_mut().find(|known| known.step == step) {
            Some(known) => *known = taken,
            None => job.steps.push(taken),
        }
    }

    fn ended(&mut self, order: Uuid, step: Step, outcome: &Outcome, at: Timestamp) {
        let Some(job) = self.known_mut(order) else {
            return;
        };
        job.number += 1;
        if let Some(taken) = job.steps.iter_mut().find(|taken| taken.step == step) {
            taken.outcome = Some(outcome.clone());
            taken.at = at;
        }
        let job = job.clone();
        if let (Some(Task::Prepare { release, .. }), Some(plan)) = (&job.task, &outcome.scripts) {
            self.plans.insert(release.clone(), plan.clone());
        }
        if outcome.end == End::Ok
            && self.planned(&job, step).is_some_and(|planned| planned.once)
            && let (Some(script), Some(commit)) = (Script::of(step), &job.asked.commit)
        {
            let done = (script, commit.clone());
            self.once.retain(|before| *before != done);
            self.once.push_back(done);
            if self.once.len() > ONCE {
                self.once.pop_front();
            }
        }
        if outcome.end != End::Ok || !matches!(step, Step::Switch | Step::SwitchBack) {
            return;
        }
        self.live = self
            .release_of(&job, step)
            .and_then(|release| self.running(&job, &release, at));
    }

    /// Takes in that a try of a step came to the same as the one before. This alone is in no journal: an agent that starts
    /// anew does not know it, and so tries at once.
    pub fn waits_on(&mut self, order: Uuid, step: Step, at: Timestamp) {
        let job = self.known_mut(order);
        let mut steps = job.into_iter().flat_map(|job| &mut job.steps);
        if let Some(taken) = steps.find(|taken| taken.step == step) {
            taken.at = at;
        }
    }

    fn running(&self, job: &Known, release: &str, at: Timestamp) -> Option<Running> {
        let (revision, tag) = self.identity(job, release);
        Some(Running {
            release: release.to_owned(),
            revision: revision?,
            tag,
            since: at,
        })
    }

    fn finished(&mut self, order: Uuid, state: &message::State, at: Timestamp) {
        let Some(job) = self.known(order).cloned() else {
            return;
        };
        match (&job.task, state) {
            (Some(Task::Prepare { release, .. }), message::State::Prepared { .. }) => {
                if let Some(commit) = &job.asked.commit {
                    self.releases.insert(release.clone(), commit.clone());
                }
                self.newest = Some(release.clone());
            }
            (Some(Task::Prepare { release, .. }), _) if job.step(Step::Layout).is_some() => {
                self.discard.insert(release.clone());
            }
            (Some(Task::Activate { release, .. }), message::State::Live) => {
                self.bad.remove(release);
                let held = self.held.take();
                self.lifted = held.map(|held| (job.asked.deploy, held));
                self.good();
            }
            (Some(Task::Rollback { to, leaves }), message::State::Live) => {
                self.hold_again(&job);
                // There was nothing to do, and nothing was looked at.
                if leaves.is_none() && job.steps.is_empty() {
                    return;
                }
                self.leave(to.as_deref(), leaves.as_deref());
                self.good();
            }
            (Some(Task::Clear), message::State::Cleared) => self.clear(&job.asked),
            (
                Some(Task::Activate { .. }),
                message::State::PutBack { .. }
                | message::State::Failed { .. }
                | message::State::Aborted,
            ) => {
                if matches!(state, message::State::PutBack { .. }) {
                    self.stuck = None;
                }
                if let Some(step) = job.interrupted() {
                    self.stuck = Some(Stuck {
                        reason: format!("{step}: interrupted, and nobody knows how far it came"),
                        deploy: job.asked.deploy,
                        since: at,
                    });
                }
            }
            (
                Some(Task::Activate { .. } | Task::Rollback { .. }),
                message::State::Broken { reason },
            ) => {
                // It came as far as to leave it: the next rollback goes further back.
                if let Some(Task::Rollback { to, leaves }) = &job.task
                    && self.live.as_ref().map(|live| &live.release) == to.as_ref()
                {
                    self.leave(to.as_deref(), leaves.as_deref());
                }
                self.stuck = Some(Stuck {
                    reason: reason.clone(),
                    deploy: job.asked.deploy,
                    since: at,
                });
            }
            _ => {}
        }
    }

    /// A rollback has left a release: no other one goes there, nor to what became live between.
    fn leave(&mut self, to: Option<&str>, leaves: Option<&str>) {
        self.bad.extend(leaves.map(str::to_owned));
        let place = |past: &Running| Some(past.release.as_str()) == to;
        match self.history.iter().rposition(place) {
            Some(place) => self.history.truncate(place + 1),
            None => self
                .history
                .retain(|past| Some(past.release.as_str()) != leaves),
        }
    }

    /// What is live was checked: it is the end of the history.
    fn good(&mut self) {
        self.stuck = None;
        let Some(live) = self.live.clone() else {
            return;
        };
        match self.history.last_mut() {
            Some(last) if last.release == live.release => *last = live,
            _ => self.history.push(live),
        }
    }

    fn seen(&mut self, live: &str, at: Timestamp) {
        if let Some(place) = self.history.iter().rposition(|past| past.release == live) {
            self.history.truncate(place + 1);
            self.live = self.history.last().cloned();
        } else if let Some(revision) = self.releases.get(live) {
            self.live = Some(Running {
                release: live.to_owned(),
                revision: revision.clone(),
                tag: None,
                since: at,
            });
        }
    }

    fn end(&mut self, order: Uuid, state: message::State) {
        let (live, previous) = (self.live.clone(), self.previous().cloned());
        if let Some(known) = self.known_mut(order) {
            known.number += 1;
            known.verdict = Some(Verdict {
                state,
                live,
                previous,
            });
        }
    }
}

/// Keeps the newest of them.
fn keep(kept: &mut VecDeque<Uuid>, deploy: Uuid, most: usize) {
    if !kept.contains(&deploy) {
        kept.push_back(deploy);
    }
    if kept.len() > most {
        kept.pop_front();
    }
}
