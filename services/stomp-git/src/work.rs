//! The set of mirrors to look at again: what is marked, what runs, what waits after a failure. No clock and no I/O: `now`
//! is the time since the service started.

use std::{collections::BTreeMap, time::Duration};

use events::RepoName;
use git::MovedTag;

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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// Tags whose move was alarmed.
    pub moved_tags: Vec<MovedTag>,
    /// Names that were complained of.
    pub unusable: Vec<String>,
    /// True if the last look's result did not reach the bus; it is said after the next one.
    pub unsaid: bool,
}

/// How a look ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Which mirror.
    pub repository: RepoName,
    /// What has now been said about it; `None` when it could not be brought up to date.
    pub told: Option<Told>,
}

#[derive(Debug, Default)]
struct State {
    /// Set while it is to be looked at.
    marked: Option<Reason>,
    /// Somebody pushed after the last look began.
    pushed: bool,
    /// Not before this time.
    due: Duration,
    running: bool,
    failed: u32,
    told: Told,
}

/// All mirrors of this host.
#[derive(Debug)]
pub struct Work {
    mirrors: BTreeMap<RepoName, State>,
    parallel: usize,
}

impl Work {
    /// All of them marked, at most `parallel` at once.
    #[must_use]
    pub fn new(repositories: Vec<RepoName>, parallel: usize) -> Self {
        let marked = |name| {
            let state = State {
                marked: Some(Reason::Sweep),
                ..State::default()
            };
            (name, state)
        };
        Self {
            mirrors: repositories.into_iter().map(marked).collect(),
            parallel,
        }
    }

    /// Somebody pushed: look at once, also if a look is under way (then after it) or waits after a failure.
    pub fn hint(&mut self, repository: &RepoName, now: Duration) {
        if let Some(state) = self.mirrors.get_mut(repository) {
            state.due = match state.marked {
                Some(_) => state.due.min(now),
                None => now,
            };
            state.marked = state.marked.max(Some(Reason::Hint));
            state.pushed = true;
        }
    }

    /// Look at everything; what waits after a failure keeps its time.
    pub fn sweep(&mut self, now: Duration) {
        for state in self.mirrors.values_mut() {
            if state.marked.is_none() {
                state.due = now;
            }
            state.marked = Some(Reason::Sweep);
        }
    }

    /// The next look, if one is due and there is room.
    pub fn next(&mut self, now: Duration) -> Option<Job> {
        if self.running() >= self.parallel {
            return None;
        }
        // The one that waits longest, so that none is left behind.
        let ready = |state: &State| state.marked.is_some() && !state.running && state.due <= now;
        let waiting = self.mirrors.iter_mut().filter(|(_, state)| ready(state));
        let (repository, state) = waiting.min_by_key(|(_, state)| state.due)?;
        state.running = true;
        state.pushed = false;
        Some(Job {
            repository: repository.clone(),
            reason: state.marked.take()?,
            failed: state.failed,
            told: state.told.clone(),
        })
    }

    /// When to ask for the next look; `None` when only an end or a mark can bring one.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        if self.running() >= self.parallel {
            return None;
        }
        let waiting = self
            .mirrors
            .values()
            .filter(|state| state.marked.is_some() && !state.running);
        waiting.map(|state| state.due).min()
    }

    /// A look has ended. After a failure it comes again by itself, later each time; `jitter` is from 0 to 1.
    pub fn ended(&mut self, done: Done, now: Duration, jitter: f64) {
        let Some(state) = self.mirrors.get_mut(&done.repository) else {
            return;
        };
        state.running = false;
        match done.told {
            Some(told) => {
                state.failed = 0;
                state.told = told;
            }
            None => {
                state.failed = state.failed.saturating_add(1);
                state.due = match state.pushed {
                    true => now,
                    false => now + wait(state.failed, jitter),
                };
                state.marked = state.marked.max(Some(Reason::Sweep));
            }
        }
    }

    /// Those whose last look failed.
    pub fn failing(&self) -> impl Iterator<Item = &RepoName> {
        let failing = self.mirrors.iter().filter(|(_, state)| state.failed > 0);
        failing.map(|(name, _)| name)
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

/// Doubling, and a random part of that, at least half.
fn wait(failed: u32, jitter: f64) -> Duration {
    let doublings = failed.saturating_sub(1).min(16);
    let whole = FIRST_WAIT.saturating_mul(1 << doublings).min(LONGEST_WAIT);
    whole.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}
