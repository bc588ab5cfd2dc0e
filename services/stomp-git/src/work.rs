//! The set of mirrors to look at again: what is marked, what runs, what waits after a failure. No clock and no chance: `now`
//! is the time since the service started, `chance` a number from 0 to 1.

use std::{collections::BTreeMap, time::Duration};

use events::RepoName;
use git::MovedTag;
use serde::{Deserialize, Serialize};

use crate::gate::Waits;

/// The wait after a first failure; it doubles up to [`LONGEST_WAIT`].
pub const FIRST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait after failures.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Why a mirror is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Somebody pushed.
    Hint,
    /// The service has started, the bus is back, or the slow timer: what is found is said even if nothing changed.
    Sweep,
}

/// How often, and how spread over a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How many looks at once.
    pub parallel: usize,
    /// Between two sweeps of a mirror, give or take a quarter.
    pub sweep: Duration,
    /// A look at the start or after a push begins within this.
    pub splay: Duration,
    /// A look after the bus has come back begins within this.
    pub back: Duration,
}

/// One look at one mirror, to be done outside of here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Which.
    pub repository: RepoName,
    /// Why.
    pub reason: Reason,
    /// How many looks before this one have failed in a row.
    pub failed: u32,
    /// What has been said about it so far.
    pub told: Told,
}

/// What has been said about a mirror, so that it is said once.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Told {
    /// Why it cannot be fetched.
    pub cause: Option<String>,
    /// Tags whose move was alarmed.
    pub moved_tags: Vec<MovedTag>,
    /// Names that were complained of.
    pub unusable: Vec<String>,
    /// What does not pass the gate; the first ones.
    pub waiting: Vec<Waits>,
    /// Folders that cannot be had, and other such.
    pub troubles: Vec<String>,
    /// True if the last look's result did not reach the bus; it is said after the next one.
    pub unsaid: bool,
}

/// How a look ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Which mirror.
    pub repository: RepoName,
    /// False if it is to be looked at again soon.
    pub good: bool,
    /// What has now been said about it; `None` where that is as before.
    pub told: Option<Told>,
}

#[derive(Debug, Default)]
struct State {
    /// Set while it is to be looked at.
    marked: Option<Reason>,
    /// Somebody pushed, or the bus came back, after the last look began.
    anew: bool,
    /// Not before this time.
    due: Duration,
    /// The slow timer marks it then.
    sweep_at: Duration,
    running: bool,
    failed: u32,
    told: Told,
}

impl State {
    /// Marks it. What waits after a failure keeps its time, unless somebody pushed.
    fn mark(&mut self, reason: Reason, due: Duration) {
        self.due = match self.marked {
            Some(_) if reason == Reason::Sweep => self.due,
            Some(_) => self.due.min(due),
            None => due,
        };
        self.marked = self.marked.max(Some(reason));
    }
}

/// All mirrors of this host.
#[derive(Debug)]
pub struct Work {
    mirrors: BTreeMap<RepoName, State>,
    pace: Pace,
}

impl Work {
    /// All of them marked, each at its own time within the splay.
    #[must_use]
    pub fn new(repositories: Vec<RepoName>, pace: Pace, mut chance: impl FnMut() -> f64) -> Self {
        let mut marked = |name| {
            let state = State {
                marked: Some(Reason::Sweep),
                due: pace.splay.mul_f64(chance()),
                sweep_at: pace.sweep_after(chance()),
                ..State::default()
            };
            (name, state)
        };
        Self {
            mirrors: repositories.into_iter().map(&mut marked).collect(),
            pace,
        }
    }

    /// Somebody pushed: look soon, also if a look is under way (then after it) or waits after a failure.
    pub fn hint(&mut self, repository: &RepoName, now: Duration, chance: f64) {
        let due = now + self.pace.splay.mul_f64(chance);
        if let Some(state) = self.mirrors.get_mut(repository) {
            state.mark(Reason::Hint, due);
            state.anew = true;
        }
    }

    /// The bus is back, so pushes may have been missed: look at everything, each at its own time. Also at what waits after a
    /// failure, and again at what is under way: both may fail for want of the bus.
    pub fn back(&mut self, now: Duration, mut chance: impl FnMut() -> f64) {
        let within = self.pace.back.max(self.pace.splay);
        for state in self.mirrors.values_mut() {
            let soon = now + within.mul_f64(chance());
            state.due = match state.marked {
                Some(_) => state.due.min(soon),
                None => soon,
            };
            state.marked = Some(Reason::Sweep);
            state.anew = true;
        }
    }

    /// Marks what the slow timer brings.
    pub fn tick(&mut self, now: Duration, mut chance: impl FnMut() -> f64) {
        for state in self.mirrors.values_mut() {
            if state.sweep_at <= now {
                state.mark(Reason::Sweep, now);
                state.sweep_at = now + self.pace.sweep_after(chance());
            }
        }
    }

    /// The next look, if one is due and there is room.
    pub fn next(&mut self, now: Duration) -> Option<Job> {
        if self.running() >= self.pace.parallel {
            return None;
        }
        // The one that waits longest, so that none is left behind.
        let ready = |state: &State| state.marked.is_some() && !state.running && state.due <= now;
        let waiting = self.mirrors.iter_mut().filter(|(_, state)| ready(state));
        let (repository, state) = waiting.min_by_key(|(_, state)| state.due)?;
        state.running = true;
        state.anew = false;
        Some(Job {
            repository: repository.clone(),
            reason: state.marked.take()?,
            failed: state.failed,
            told: state.told.clone(),
        })
    }

    /// When to [`Work::tick`] and ask for the next look; `None` when only an end or a mark can bring one.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let sweeps = self.mirrors.values().map(|state| state.sweep_at);
        let full = self.running() >= self.pace.parallel;
        let waiting = self
            .mirrors
            .values()
            .filter(|state| !full && state.marked.is_some() && !state.running);
        sweeps.chain(waiting.map(|state| state.due)).min()
    }

    /// A look has ended. After a failure it comes again by itself, later each time.
    pub fn ended(&mut self, done: Done, now: Duration, chance: f64) {
        let Some(state) = self.mirrors.get_mut(&done.repository) else {
            return;
        };
        state.running = false;
        if let Some(told) = done.told {
            state.told = told;
        }
        if done.good {
            state.failed = 0;
            return;
        }
        state.failed = state.failed.saturating_add(1);
        if !state.anew {
            state.due = now + wait(state.failed, chance);
        }
        state.marked = state.marked.max(Some(Reason::Sweep));
    }

    /// Those whose last look failed.
    pub fn failing(&self) -> impl Iterator<Item = &RepoName> {
        let failing = self.mirrors.iter().filter(|(_, state)| state.failed > 0);
        failing.map(|(name, _)| name)
    }

    /// What was said about each.
    pub fn told(&self) -> impl Iterator<Item = &Told> {
        self.mirrors.values().map(|state| &state.told)
    }

    /// How many mirrors there are.
    #[must_use]
    pub fn mirrors(&self) -> usize {
        self.mirrors.len()
    }

    /// How many looks are under way.
    #[must_use]
    pub fn running(&self) -> usize {
        self.mirrors.values().filter(|state| state.running).count()
    }
}

impl Pace {
    /// From three quarters of the whole to five.
    fn sweep_after(self, chance: f64) -> Duration {
        self.sweep.mul_f64(0.75 + chance.clamp(0.0, 1.0) / 2.0)
    }
}

/// Doubling, and a random part of that, at least half.
fn wait(failed: u32, chance: f64) -> Duration {
    let doublings = failed.saturating_sub(1).min(16);
    let whole = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}
