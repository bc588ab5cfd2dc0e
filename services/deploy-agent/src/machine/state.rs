//! The state of one project on this host: a fold over its journal.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use events::{
    CommitId, TagName,
    message::{self, Running, Step},
};
use jiff::Timestamp;
use orders::Marks;
use uuid::Uuid;

use super::record::{Asked, End, Outcome, Task};
use crate::scripts::{Plan, Planned, Script};

/// How many orders are remembered with their answers. Older ones are below the high-water mark and so refused.
pub const REMEMBERED: usize = 64;

/// How many rollbacks that people asked for are remembered by their deploy, which is their grant's id: a grant that is used
/// up stays so when its order is forgotten.
pub const ROLLBACKS: usize = 256;

/// How many deploys are remembered that were made live here, and as many that were aborted or taken back.
pub const DEPLOYS: usize = 1024;

/// How many scripts are remembered that are done once for a revision.
pub const ONCE: usize = 1024;

/// One project on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// The largest sequence of an order so far, by who signed it. Of before that was kept, it counts for all: under no name.
    pub sequences: BTreeMap<String, u64>,
    /// The largest epoch of an order so far.
    pub epoch: u64,
    /// What `live` leads to.
    pub live: Option<Running>,
    /// Releases that became live and were good, oldest first. A rollback takes off the end, so it never goes forward.
    pub history: Vec<Running>,
    /// Prepared releases and what they were made from.
    pub releases: BTreeMap<String, CommitId>,
    /// The scripts that releases were prepared with.
    pub plans: BTreeMap<String, Plan>,
    /// Releases of preparations that did not come to their end.
    pub discard: BTreeSet<String>,
    /// Releases that a rollback left. A deploy of one that is good takes the mark off.
    pub bad: BTreeSet<String>,
    /// Why the project is in a state that a person should see: putting back failed.
    pub stuck: Option<Stuck>,
    /// A rollback that a person made at the host: nothing moves it on but a person.
    pub held: Option<message::Held>,
    /// The hold that a deploy ended: it is there again if that deploy is taken back.
    pub lifted: Option<(Uuid, message::Held)>,
    /// The release that was prepared last.
    pub newest: Option<String>,
    /// Known orders, oldest first.
    pub orders: VecDeque<Known>,
    /// The deploys of the last rollbacks that people asked for, oldest first.
    pub rollbacks: VecDeque<Uuid>,
    /// The last deploys that an order was taken to make live, oldest first.
    pub activated: VecDeque<Uuid>,
    /// The last deploys that were aborted or taken back here, oldest first.
    pub undone: VecDeque<Uuid>,
    /// Scripts that are not to be run again for these revisions, the last that were done at the end.
    pub once: VecDeque<(Script, CommitId)>,
    /// Accepted orders that are not finished; the first is under way.
    pub queue: VecDeque<Uuid>,
}

/// A deploy or a rollback that failed, and then putting it back failed too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stuck {
    /// What failed, and what failed in putting back.
    pub reason: String,
    /// The deploy that left it so: what clears this names it.
    pub deploy: Uuid,
    /// Since when.
    pub since: Timestamp,
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

    /// True if a try of a step came to the same as the one before: not yet, for the same reason. That is no new fact: it
    /// is not written down, see [`State::waits_on`].
    #[must_use]
    pub fn waits_as_before(&self, step: Step, outcome: &Outcome) -> bool {
        let before = self.step(step).and_then(|taken| taken.outcome.as_ref());
        before.is_some_and(|before| {
            let not_yet = before.end == End::NotYet && outcome.end == End::NotYet;
            not_yet && before.detail == outcome.detail
        })
    }

    /// True if a step is waited for, so that its next try is written down only once it came to something new. What can
    /// be waited for finds out by itself how far it came.
    #[must_use]
    pub fn waits_for(&self, step: Step) -> bool {
        let outcome = self.step(step).and_then(|taken| taken.outcome.as_ref());
        outcome.is_some_and(|outcome| outcome.end == End::NotYet)
    }

    /// The step and try that are under way.
    #[must_use]
    pub fn under_way(&self) -> Option<(Step, u32)> {
        let taken = self.steps.iter().find(|taken| taken.outcome.is_none())?;
        Some((taken.step, taken.attempt))
    }

    /// The first step of an activation whose script was interrupted and was not run again. A check only looks.
    #[must_use]
    pub fn interrupted(&self) -> Option<Step> {
        let interrupted = |taken: &&Taken| {
            let end = taken.outcome.as_ref().map(|outcome| outcome.end);
            let looks = matches!(taken.step, Step::Check | Step::BackCheck);
            end == Some(End::Interrupted) && !looks
        };
        Some(self.steps.iter().find(interrupted)?.step)
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
    /// What an order of this signer has to be above. One that is new here may be a known one with another name: it begins
    /// above all others, so that nothing is taken from it again.
    #[must_use]
    pub fn marks(&self, signer: &str) -> Marks {
        let of = |name: &str| self.sequences.get(name).copied();
        let highest = || self.sequences.values().copied().max();
        let own = of(signer).or_else(highest).unwrap_or_default();
        Marks {
            sequence: own.max(of("").unwrap_or_default()),
            epoch: self.epoch,
        }
    }

    /// The order that is under way.
    #[must_use]
    pub fn current(&self) -> Option<&Known> {
        self.known(*self.queue.front()?)
    }

    /// The orders that are not finished: the one under way, then those that wait for it.
    pub fn unfinished(&self) -> impl Iterator<Item = &Known> {
        self.queue.iter().filter_map(|order| self.known(*order))
    }

    /// What a clearing names that clears all that there is.
    #[must_use]
    pub fn clearable(&self) -> Vec<Uuid> {
        let stuck = self.stuck.as_ref().map(|stuck| stuck.deploy);
        let held = self.held.as_ref().map(|held| held.deploy);
        stuck.into_iter().chain(held).collect()
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

    /// True if a preparation of this deploy came to its end here.
    #[must_use]
    pub fn was_prepared_for(&self, deploy: Uuid) -> bool {
        self.orders.iter().any(|known| {
            let verdict = known.verdict.as_ref().map(|verdict| &verdict.state);
            known.asked.deploy == deploy && matches!(verdict, Some(message::State::Prepared { .. }))
        })
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
            (Task::Abort | Task::Clear | Task::Same { .. }, _) => None,
        }
    }

    /// What a step's script was declared to be when its release was prepared.
    #[must_use]
    pub fn planned(&self, job: &Known, step: Step) -> Option<&Planned> {
        let plan = self.plans.get(&self.release_of(job, step)?)?;
        plan.get(&Script::of(step)?)
    }

    /// True if the script of a step was done before for the revision of this order, and is to be done once.
    #[must_use]
    pub fn was_done(&self, job: &Known, step: Step) -> bool {
        let once = self.planned(job, step).is_some_and(|planned| planned.once);
        let done = || Some((Script::of(step)?, job.asked.commit.clone()?));
        once && done().is_some_and(|done| self.once.contains(&done))
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

    fn past<'a>(&'a self, job: &'a Known, release: &str) -> Option<&'a Running> {
        let named = |past: &&Running| past.release == release;
        self.history
            .iter()
            .rev()
            .find(named)
            .or_else(|| job.before.as_ref().filter(named))
    }

    /// The order that made live what is live: the newest one that has switched, and not back.
    #[must_use]
    pub fn made_live(&self) -> Option<&Known> {
        self.orders.iter().rev().find(|known| {
            let done = |step| {
                let outcome = known.step(step).and_then(|taken| taken.outcome.as_ref());
                outcome.is_some_and(|outcome| outcome.end == End::Ok)
            };
            done(Step::Switch) && !done(Step::SwitchBack)
        })
    }

    /// The newest activation of a deploy.
    #[must_use]
    pub fn activation(&self, deploy: Uuid) -> Option<&Known> {
        let of_it = |known: &&Known| {
            known.asked.deploy == deploy && matches!(known.task, Some(Task::Activate { .. }))
        };
        self.orders.iter().rev().find(of_it)
    }
}
