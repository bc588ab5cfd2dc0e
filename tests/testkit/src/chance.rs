//! Time and chance that a test decides.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use world::{Clock, Entropy};

/// A clock that stands until it is moved.
#[derive(Debug)]
pub struct HandClock(Mutex<Timestamp>);

impl HandClock {
    /// Stands at this time.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves on, or back if `by` is negative.
    ///
    /// # Panics
    /// Beyond the end of time.
    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *now = now.checked_add(by).expect("the time can be told");
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes that count up from 0: never the same twice in a row, the same in every run.
#[derive(Debug, Default)]
pub struct CountedBytes(Mutex<u64>);

impl Entropy for CountedBytes {
    fn fill(&self, bytes: &mut [u8]) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for chunk in bytes.rchunks_mut(8) {
            let number = count.to_be_bytes();
            chunk.copy_from_slice(&number[8 - chunk.len()..]);
            *count += 1;
        }
    }
}
