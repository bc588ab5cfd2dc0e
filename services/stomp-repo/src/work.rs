//! The set of sources to look at again: what is marked, what runs, what waits. No clock and no I/O: `now` is the time
//! since the service started, `chance` a random number from 0 to 1.

use std::{collections::BTreeMap, time::Duration};

use events::{AptSource, PackageVersion};

use crate::plan::{AptName, Want, keep_newest};

/// The longest wait after failures, and for a mirror that lags.
pub const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// The first wait while another apt holds the lock; it doubles up to [`LONGEST_BUSY`].
pub const FIRST_BUSY: Duration = Duration::from_secs(1);
/// The longest wait while another apt holds the lock.
pub const LONGEST_BUSY: Duration = Duration::from_secs(60);
/// So many packages are wanted of a source at most; with more, the source is refreshed in any case.
pub const MOST_WANTS: usize = 512;
/// After the bus has come back, hosts look within this time, or within the splay if that is longer.
const BACK: Duration = Duration::from_secs(10);

/// How often, how long, how many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Between two sweeps, give or take a quarter.
    pub sweep: Duration,
    /// A look is held back for a random part of this.
    pub splay: Duration,
    /// The first wait after a failure, or for a mirror that lags.
    pub retry: Duration,
    /// How often a source is refreshed again for a version that it does not have.
    pub lag_tries: u32,
}

/// Why a source is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Something was announced: it is refreshed only if apt does not know that yet.
    Hint,
    /// The service has started, the bus is back, the slow timer, or the last look failed: it is refreshed in any case.
    Sweep,
}

/// The candidates that were told last, by package.
pub type Told = BTreeMap<AptName, Option<PackageVersion>>;

/// One look at one source, to be done outside of here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Which.
    pub source: AptSource,
    /// Why.
    pub reason: Reason,
    /// What was announced.
    pub wants: BTreeMap<AptName, Want>,
    /// How many looks before this one have failed in a row.
    pub failed: u32,
    /// How often another apt held the lock, in a row.
    pub busy: u32,
    /// What was told so far.
    pub told: Told,
}

/// How a look ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The job, with what has been told by now, and in `wants` what is still to come.
    pub job: Job,
    /// How.
    pub ending: Ending,
}

/// How a look ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Apt knows what the source has.
    Looked,
    /// Another apt holds the lock.
    Busy,
    /// It could not be refreshed or asked.
    Failed,
}

#[derive(Debug)]
struct State {
    /// Set while it is to be looked at: why, and not before when.
    marked: Option<(Reason, Duration)>,
    wants: BTreeMap<AptName, Want>,
    failed: u32,
    busy: u32,
    told: Told,
}

/// All sources of this host. One is looked at at a time: apt's lists have one lock.
#[derive(Debug)]
pub struct Work {
    sources: BTreeMap<AptSource, State>,
    pace: Pace,
    running: bool,
}

impl Work {
    /// Nothing is marked yet: see [`Work::sweep`].
    #[must_use]
    pub fn new(sources: impl IntoIterator<Item = AptSource>, pace: Pace) -> Self {
        let fresh = |name| {
            let state = State {
                marked: None,
                wants: BTreeMap::new(),
                failed: 0,
                busy: 0,
                told: Told::new(),
            };
            (name, state)
        };
        Self {
            sources: sources.into_iter().map(fresh).collect(),
            pace,
            running: false,
        }
    }

    /// These were announced: look within the splay, also if a look is under way (then after it) or waits after a failure.
    pub fn hint(
        &mut self,
        source: &AptSource,
        reason: Reason,
        wants: BTreeMap<AptName, Want>,
        now: Duration,
        chance: f64,
    ) {
        let splay = self.pace.splay;
        if let Some(state) = self.sources.get_mut(source) {
            let full = state.want(wants);
            let reason = if full { Reason::Sweep } else { reason };
            state.mark(reason, now + part(splay, chance));
        }
    }

    /// Look at everything within the splay; what waits after a failure keeps its time.
    pub fn sweep(&mut self, now: Duration, mut chance: impl FnMut() -> f64) {
        for state in self.sources.values_mut() {
            let due = match state.marked {
                Some((_, due)) => due,
                None => now + part(self.pace.splay, chance()),
            };
            state.marked = Some((Reason::Sweep, due));
        }
    }

    /// When to sweep next.
    #[must_use]
    pub fn sweep_after(&self, now: Duration, chance: f64) -> Duration {
        now + self.pace.sweep.mul_f64(0.75 + chance / 2.0)
    }

    /// When to sweep after the bus has come back: hints may have been missed.
    #[must_use]
    pub fn sweep_when_back(&self, now: Duration, chance: f64) -> Duration {
        now + part(self.pace.splay.max(BACK), chance)
    }

    /// The next look, if one is due and none is under way.
    pub fn next(&mut self, now: Duration) -> Option<Job> {
        if self.running {
            return None;
        }
        let due = |state: &State| state.marked.filter(|(_, due)| *due <= now);
        let ready = self
            .sources
            .iter_mut()
            .filter_map(|(name, state)| due(state).map(|(reason, due)| (due, reason, name, state)));
        let (_, reason, name, state) = ready.min_by_key(|(due, ..)| *due)?;
        state.marked = None;
        self.running = true;
        Some(Job {
            source: name.clone(),
            reason,
            wants: std::mem::take(&mut state.wants),
            failed: state.failed,
            busy: state.busy,
            told: std::mem::take(&mut state.told),
        })
    }

    /// When to ask for the next look; `None` when only an end or a mark can bring one.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        if self.running {
            return None;
        }
        let marked = self.sources.values().filter_map(|state| state.marked);
        marked.map(|(_, due)| due).min()
    }

    /// A look has ended. What failed or is still to come is looked at again by itself, later each time.
    pub fn ended(&mut self, done: Done, now: Duration, chance: f64) {
        self.running = false;
        let Done { job, ending } = done;
        let Some(state) = self.sources.get_mut(&job.source) else {
            return;
        };
        let tries = job.wants.values().map(|want| want.tries).min();
        state.told = job.told;
        let full = state.want(job.wants);
        (state.failed, state.busy) = match ending {
            Ending::Looked => (0, 0),
            Ending::Busy => (job.failed, job.busy.saturating_add(1)),
            Ending::Failed => (job.failed.saturating_add(1), 0),
        };
        let retry = |tries| jittered(doubled(self.pace.retry, tries, LONGEST_WAIT), chance);
        match (ending, tries) {
            (Ending::Busy, _) => {
                let wait = doubled(FIRST_BUSY, state.busy, LONGEST_BUSY);
                state.mark(job.reason, now + jittered(wait, chance));
            }
            (Ending::Failed, _) => {
                let wait = retry(state.failed);
                state.mark(Reason::Sweep, now + wait);
            }
            (Ending::Looked, Some(tries)) => state.mark(Reason::Hint, now + retry(tries)),
            (Ending::Looked, None) => {}
        }
        if full && let Some((reason, _)) = &mut state.marked {
            *reason = Reason::Sweep;
        }
    }

    /// Those whose last look failed.
    pub fn failing(&self) -> impl Iterator<Item = &AptSource> {
        let failing = self.sources.iter().filter(|(_, state)| state.failed > 0);
        failing.map(|(name, _)| name)
    }

    /// How many sources there are.
    #[must_use]
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// How many packages were announced and are not there yet; those of a look under way are not counted.
    #[must_use]
    pub fn awaited(&self) -> usize {
        self.sources.values().map(|state| state.wants.len()).sum()
    }
}

impl State {
    /// Adds what is wanted; true if there was no more room for some.
    fn want(&mut self, wants: BTreeMap<AptName, Want>) -> bool {
        let mut full = false;
        for (name, want) in wants {
            if self.wants.len() < MOST_WANTS || self.wants.contains_key(&name) {
                keep_newest(&mut self.wants, name, want);
            } else {
                full = true;
            }
        }
        full
    }

    /// At the earlier of two times, for the stronger of two reasons.
    fn mark(&mut self, reason: Reason, due: Duration) {
        let (reason, due) = match self.marked {
            Some((there, sooner)) => (there.max(reason), sooner.min(due)),
            None => (reason, due),
        };
        self.marked = Some((reason, due));
    }
}

fn part(of: Duration, chance: f64) -> Duration {
    of.mul_f64(chance.clamp(0.0, 1.0))
}

/// The wait before the try after `failed` (1 or more) failed ones.
fn doubled(first: Duration, failed: u32, longest: Duration) -> Duration {
    let doublings = failed.saturating_sub(1).min(16);
    first.saturating_mul(1 << doublings).min(longest)
}

/// A random part, at least half.
fn jittered(wait: Duration, chance: f64) -> Duration {
    wait.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}
