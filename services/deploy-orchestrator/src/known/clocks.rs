//! How far the clocks of hosts are off, from when their presence was made and when it came. Pure.
//!
//! A message takes some time, so each one says at least how far a clock is ahead; the one that took the least time says it best. A clock that is behind
//! cannot be told from messages that are late. That is worth a warning, not a decision: what a host refuses, it refuses by its own clock.

use jiff::{SignedDuration, Timestamp};

use super::HostKnown;

/// So many presences are looked at.
const SEEN: usize = 8;
/// More is worth a word.
const WORD: SignedDuration = SignedDuration::from_secs(10);

impl HostKnown {
    pub(super) fn clock(&mut self, sent: Timestamp, now: Timestamp) {
        let ahead = now.duration_until(sent).as_millis();
        let ahead = i64::try_from(ahead).unwrap_or(i64::MAX);
        self.offsets_ms.push(ahead);
        if self.offsets_ms.len() > SEEN {
            self.offsets_ms.remove(0);
        }
    }

    /// How far its clock is ahead, less what a message takes.
    #[must_use]
    pub fn clock_offset_ms(&self) -> Option<i64> {
        self.offsets_ms.iter().max().copied()
    }

    pub(super) fn clock_trouble(&self) -> Option<String> {
        let offset = SignedDuration::from_millis(self.clock_offset_ms()?);
        let seconds = offset.as_secs().abs();
        match offset {
            _ if offset > WORD => Some(format!("its clock is {seconds} s ahead of this host's")),
            _ if offset < -WORD => Some(format!(
                "its clock is {seconds} s behind this host's, or its messages take so long"
            )),
            _ => None,
        }
    }
}
