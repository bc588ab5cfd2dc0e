//! The state of one project on this host: a fold over its journal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use events::{
    CommitId, TagName,
    message::{self, Phase, Running, Step},
};
use jiff::Timestamp;
use uuid::Uuid;

use super::record::{Asked, End, Outcome, Record, Task, What};

/// How many orders are remembered with their answers. Older ones are below the high-water mark and so refused.
pub const REMEMBERED: usize = 64;

/// One project on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The largest sequence of an order so far.
    pub sequence: u64,
    /// The largest epoch of an order so far.
    pub epoch: u64,
    /// What `live` leads to.
    pub live: Option<Running>,
    /// Releases that became live and were good, oldest first. A rollback takes off the end, so it never goes forward.
    pub history: Vec<Running>,
    /// Prepared releases and what they were made from.
    pub releases: BTreeMap<String, CommitId>,
    /// Releases of preparations that did not come to their end.
    pub discard: BTreeSet<String>,
    /// Releases that a rollback left. A deploy of one that is good takes the mark off.
    pub bad: BTreeSet<String>,
    /// Why the project is in a state that a person should see: putting back failed.
    pub stuck: Option<String>,
    /// The release that was prepared last.
    pub newest: Option<String>,
    /// Known orders, oldest first.
    pub orders: VecDeque<Known>,
    /// Accepted orders that are not finished; the first is under way.
    pub queue: VecDeque<Uuid>,
}

/// An order and all that was done for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The order.
    pub asked: Asked,
    /// What it came to; `None` if it was refused.
    pub task: Option<Task>,
    /// When it came.
    pub since: Timestamp,
    /// Counts the records about it: the number of its newest report.
    pub number: u64,
    /// The steps so far, in order.
    pub steps: Vec<Taken>,
    /// What was live when it came.
    pub before: Option<Running>,
    /// Why it shall end early, if it shall.
    pub cut: Option<String>,
    /// Its end.
    pub verdict: Option<Verdict>,
    /// True once the broker has confirmed its final report.
    pub told: bool,
}

/// The end of an order, as it was then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// The final state.
    pub state: message::State,
    /// What was live.
    pub live: Option<Running>,
    /// What a rollback would have made live.
    pub previous: Option<Running>,
}

/// A step that was begun: its newest try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Which step.
    pub step: Step,
    /// Which try it is.
    pub attempt: u32,
    /// How it ended; `None` while it is under way, or if the agent died in it.
    pub outcome: Option<Outcome>,
    /// When that was written.
    pub at: Timestamp,
}

impl Known {
    /// The step, if it was begun.
    #[must_use]
    pub fn step(&self, step: Step) -> Option<&Taken> {
        self.steps.iter().find(|taken| taken.step == step)
    }

    /// The step and try that are under way.
    #[must_use]
    pub fn under_way(&self) -> Option<(Step, u32)> {
        let taken = self.steps.iter().find(|taken| taken.outcome.is_none())?;
        Some((taken.step, taken.attempt))
    }

    /// True once putting back has begun: nothing ends that early.
    #[must_use]
    pub fn going_back(&self) -> bool {
        let back = |taken: &Taken| {
            matches!(
                taken.step,
                Step::BackStop | Step::SwitchBack | Step::BackStart | Step::BackCheck
            )
        };
        self.steps.iter().any(back)
    }

    /// True if the script that is under way shall be ended.
    #[must_use]
    pub fn ends_script(&self) -> bool {
        let can_be_cut = matches!(
            self.task,
            Some(Task::Prepare { .. } | Task::Activate { .. })
        );
        self.cut.is_some() && can_be_cut && !self.going_back()
    }
}

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

    /// The order that is under way.
    #[must_use]
    pub fn current(&self) -> Option<&Known> {
        self.known(*self.queue.front()?)
    }

    /// An order that was seen before.
    #[must_use]
    pub fn known(&self, order: Uuid) -> Option<&Known> {
        self.orders.iter().find(|known| known.asked.order == order)
    }

    /// What a rollback would make live: the newest release in the history that is neither live nor marked bad.
    #[must_use]
    pub fn previous(&self) -> Option<&Running> {
        let live = self.live.as_ref().map(|live| live.release.as_str());
        self.history
            .iter()
            .rev()
            .find(|past| Some(past.release.as_str()) != live && !self.bad.contains(&past.release))
    }

    /// The newest prepared release of a commit.
    #[must_use]
    pub fn prepared(&self, commit: &CommitId) -> Option<&str> {
        let made_from = |(_, from): &(&String, &CommitId)| *from == commit;
        self.releases
            .iter()
            .rev()
            .find(made_from)
            .map(|(name, _)| name.as_str())
    }

    /// The release in whose folder a script of this step is, for the order that is under way.
    #[must_use]
    pub fn release_of(&self, job: &Known, step: Step) -> Option<String> {
        let live = || self.live.as_ref().map(|live| live.release.clone());
        match (job.task.as_ref()?, step) {
            (_, Step::Stop) => live(),
            (Task::Prepare { release, .. }, _) => Some(release.clone()),
            (Task::Activate { .. }, Step::SwitchBack | Step::BackStart | Step::BackCheck) => {
                job.before.as_ref().map(|before| before.release.clone())
            }
            (Task::Activate { release, .. }, _) => Some(release.clone()),
            (Task::Rollback { to, .. }, _) => to.clone(),
            (Task::Abort, _) => None,
        }
    }

    /// Takes one more fact in.
    pub fn apply(&mut self, record: &Record) {
        let at = record.at;
        match &record.what {
            What::Accepted { order, task } => {
                self.cut_current(order, task);
                self.queue.push_back(order.order);
                self.remember(order, Some(task.clone()), at);
            }
            What::Refused { order, reason } => {
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
                self.finished(*order, state);
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

    fn remember(&mut self, asked: &Asked, task: Option<Task>, at: Timestamp) {
        self.sequence = self.sequence.max(asked.sequence);
        self.epoch = self.epoch.max(asked.epoch);
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

    fn cut_current(&mut self, asked: &Asked, task: &Task) {
        let reason = match task {
            Task::Rollback { .. } => "a rollback was ordered",
            Task::Abort => "aborted",
            Task::Prepare { .. } | Task::Activate { .. } => return,
        };
        let Some(front) = self.queue.front().copied() else {
            return;
        };
        let deploy = asked.deploy;
        if let Some(job) = self.known_mut(front) {
            let any = matches!(task, Task::Rollback { .. }) && !asked.undo;
            let meant = any || job.asked.deploy == deploy;
            if meant && job.cut.is_none() {
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
        if outcome.end != End::Ok || !matches!(step, Step::Switch | Step::SwitchBack) {
            return;
        }
        let job = job.clone();
        self.live = self
            .release_of(&job, step)
            .and_then(|release| self.running(&job, &release, at));
    }

    /// What is known of a release in the light of an order: what it was made from, and by which tag it was asked for.
    #[must_use]
    pub fn identity(&self, job: &Known, release: &str) -> (Option<CommitId>, Option<TagName>) {
        if let Some(Task::Prepare { release: own, .. } | Task::Activate { release: own, .. }) =
            &job.task
            && own == release
        {
            return (job.asked.commit.clone(), job.asked.tag.clone());
        }
        match self.past(job, release) {
            Some(past) => (Some(past.revision.clone()), past.tag.clone()),
            None => (self.releases.get(release).cloned(), None),
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

    fn past<'a>(&'a self, job: &'a Known, release: &str) -> Option<&'a Running> {
        let named = |past: &&Running| past.release == release;
        self.history
            .iter()
            .rev()
            .find(named)
            .or_else(|| job.before.as_ref().filter(named))
    }

    fn finished(&mut self, order: Uuid, state: &message::State) {
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
            (
                Some(Task::Prepare {
                    release,
                    ready: false,
                }),
                _,
            ) => {
                self.discard.insert(release.clone());
            }
            (Some(Task::Activate { release, .. }), message::State::Live) => {
                self.bad.remove(release);
                self.good();
            }
            (Some(Task::Rollback { to, leaves }), message::State::Live) => {
                self.bad.extend(leaves.clone());
                while let Some(last) = self.history.last() {
                    if Some(&last.release) == to.as_ref() {
                        break;
                    }
                    self.history.pop();
                }
                self.good();
            }
            (_, message::State::PutBack { .. }) => self.stuck = None,
            (_, message::State::Broken { reason }) => self.stuck = Some(reason.clone()),
            _ => {}
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
            self.good();
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

    /// The newest activation of a deploy.
    #[must_use]
    pub fn activation(&self, deploy: Uuid) -> Option<&Known> {
        let of_it = |known: &&Known| {
            known.asked.deploy == deploy
                && known.asked.phase == Phase::Activate
                && known.task.is_some()
        };
        self.orders.iter().rev().find(of_it)
    }
}
