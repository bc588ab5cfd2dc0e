//! What a beat means. No I/O: the time comes in as an argument.

use std::{collections::BTreeMap, fmt, time::Duration};

use events::message::Beat;
use tokio::time::Instant;

/// How the bus does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// No beat has come back yet.
    Unknown,
    /// The last beat came back in time.
    Well(Duration),
    /// The last beat took longer than the limit.
    Slow(Duration),
    /// A beat did not come back within the limit; so long it has been out.
    Missing(Duration),
}

impl Pace {
    /// True for `Slow` and `Missing`.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Slow(_) | Self::Missing(_))
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no beat is back yet"),
            Self::Well(took) => write!(f, "round trip {} ms", took.as_millis()),
            Self::Slow(took) => write!(f, "slow: round trip {} ms", took.as_millis()),
            Self::Missing(out) => write!(f, "slow: no beat is back for {} ms", out.as_millis()),
        }
    }
}

/// The beats that are out, and how the last one did.
#[derive(Debug)]
pub struct Rounds {
    from: String,
    limit: Duration,
    number: u64,
    out: BTreeMap<u64, Instant>,
    last: Option<Duration>,
    pace: Pace,
}

impl Rounds {
    /// `from` is this instance and no other; a round trip over `limit` is slow.
    #[must_use]
    pub fn new(from: String, limit: Duration) -> Self {
        Self {
            from,
            limit,
            number: 0,
            out: BTreeMap::new(),
            last: None,
            pace: Pace::Unknown,
        }
    }

    /// The next beat, sent now.
    pub fn next(&mut self, now: Instant) -> Beat {
        self.number += 1;
        self.out.insert(self.number, now);
        let millis = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Beat {
            from: self.from.clone(),
            number: self.number,
            last_round_trip_ms: self.last.map(millis),
        }
    }

    /// A beat was heard. Those sent before it are not waited for any more. Says what has changed for better or worse.
    pub fn hear(&mut self, beat: &Beat, now: Instant) -> Option<Pace> {
        if beat.from != self.from {
            return None;
        }
        let took = now - self.out.remove(&beat.number)?;
        self.out = self.out.split_off(&beat.number);
        self.last = Some(took);
        self.change(if took > self.limit {
            Pace::Slow(took)
        } else {
            Pace::Well(took)
        })
    }

    /// Looks for beats that should be back. Says what has changed for better or worse.
    pub fn look(&mut self, now: Instant) -> Option<Pace> {
        let (_, sent) = self.out.first_key_value()?;
        let out = now - *sent;
        if out <= self.limit {
            return None;
        }
        self.change(Pace::Missing(out))
    }

    /// How the bus does.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    fn change(&mut self, pace: Pace) -> Option<Pace> {
        let was = std::mem::replace(&mut self.pace, pace);
        (was.is_bad() != pace.is_bad()).then_some(pace)
    }
}
