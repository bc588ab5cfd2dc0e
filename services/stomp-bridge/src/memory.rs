//! What was carried of late, so that it is known again where it comes back or is told twice. No I/O: the time comes in as an argument.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

/// So long the same is known again.
pub const LASTS: Duration = Duration::from_secs(60);

/// So many things are remembered at most.
const MOST: usize = 10_000;

/// What a message tells: about what, and what of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    /// `shop refs/heads/main`.
    pub about: String,
    /// Where the ref was and where it is.
    pub what: String,
}

/// The newest that was told about each thing. Only the newest: a branch that was moved away and back was moved twice.
#[derive(Debug, Default)]
pub struct Memory {
    newest: BTreeMap<String, (String, Duration)>,
    order: VecDeque<(Duration, String)>,
}

impl Memory {
    /// True if this is the newest that was told about it, and lately.
    #[must_use]
    pub fn knows(&self, told: &Told, now: Duration) -> bool {
        let newest = self.newest.get(&told.about);
        newest.is_some_and(|(what, at)| *what == told.what && now.saturating_sub(*at) < LASTS)
    }

    /// Both sides know it from now on.
    pub fn note(&mut self, told: &Told, now: Duration) {
        let newest = (told.what.clone(), now);
        self.newest.insert(told.about.clone(), newest);
        self.order.push_back((now, told.about.clone()));
        while let Some((at, _)) = self.order.front()
            && (now.saturating_sub(*at) >= LASTS || self.order.len() > MOST)
            && let Some((at, about)) = self.order.pop_front()
        {
            // What was told about it since has an entry of its own behind this one.
            if self.newest.get(&about).is_some_and(|(_, it)| *it == at) {
                self.newest.remove(&about);
            }
        }
    }

    /// How many things are remembered.
    #[must_use]
    pub fn holds(&self) -> usize {
        self.order.len()
    }
}
