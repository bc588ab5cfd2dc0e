//! When to look again, whatever else comes in meanwhile. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The longest pause; a clock that is set is noticed after it.
const LONGEST: SignedDuration = SignedDuration::from_secs(60);
/// The shortest, so that what stays due does not keep a core busy.
const SHORTEST: Duration = Duration::from_millis(1);

/// The earliest of all that was said to be due since the last look.
#[derive(Debug)]
pub(super) struct Deadline(Timestamp);

impl Deadline {
    pub(super) fn new(now: Timestamp) -> Self {
        Self(now.checked_add(LONGEST).unwrap_or(Timestamp::MAX))
    }

    /// Takes in what is due next by now. What was due before counts although it is no longer said: a host that has just
    /// fallen silent is due at no later time.
    pub(super) fn note(&mut self, next: Option<Timestamp>) {
        self.0 = next.map_or(self.0, |next| next.min(self.0));
    }

    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        self.0 <= now
    }

    /// So much time has passed, whatever a clock says that was set back.
    pub(super) fn pass(&mut self) {
        self.0 = Timestamp::MIN;
    }

    pub(super) fn pause(&self, now: Timestamp) -> Duration {
        let pause = Duration::try_from(now.duration_until(self.0)).unwrap_or_default();
        pause.clamp(SHORTEST, LONGEST.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
    }

    #[test]
    fn what_was_due_stays_due_until_somebody_looks() {
        let mut deadline = Deadline::new(at(0));
        deadline.note(Some(at(5)));
        assert_eq!(deadline.pause(at(0)), Duration::from_secs(5));
        // Messages come all the time, and what is due next moves on with them.
        for second in 1..5 {
            deadline.note(Some(at(second + 90)));
            assert!(!deadline.is_due(at(second)));
        }
        assert!(deadline.is_due(at(5)));
        assert_eq!(deadline.pause(at(9)), SHORTEST);
    }

    #[test]
    fn a_clock_that_is_set_back_holds_it_up_for_the_longest_pause_at_most() {
        let mut deadline = Deadline::new(at(0));
        assert_eq!(deadline.pause(at(-9999)), LONGEST.unsigned_abs());
        deadline.pass();
        assert!(deadline.is_due(at(-9999)));
    }
}
