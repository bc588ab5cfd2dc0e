//! What a beat means. No I/O: the time comes in as an argument.

use std::{collections::BTreeMap, fmt, time::Duration};

use events::message::Beat;
use tokio::time::Instant;

/// A beat that is out for longer, and for longer than twice the limit, is lost: it is not waited for any more.
pub const LOST_AFTER: Duration = Duration::from_secs(60);

/// How the bus does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// No beat has come back yet.
    Unknown,
    /// The last beat came back in time.
    Well(Duration),
    /// The last beat took longer than the limit.
    Slow(Duration),
    /// A beat did not come back within the limit; so long none has been back that was sent.
    Missing(Duration),
    /// The same, and one of them is lost.
    Lost(Duration),
}

impl Pace {
    /// True for `Slow`, `Missing` and `Lost`.
    #[must_use]
    pub fn is_bad(self) -> bool {
        self.rank() > 0
    }

    /// The word for the feed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown | Self::Well(_) => "well",
            Self::Slow(_) | Self::Missing(_) => "slow",
            Self::Lost(_) => "lost",
        }
    }

    /// What was measured.
    #[must_use]
    pub fn time(self) -> Option<Duration> {
        match self {
            Self::Unknown => None,
            Self::Well(time) | Self::Slow(time) | Self::Missing(time) | Self::Lost(time) => {
                Some(time)
            }
        }
    }

    fn rank(self) -> u8 {
        match self {
            Self::Unknown | Self::Well(_) => 0,
            Self::Slow(_) | Self::Missing(_) => 1,
            Self::Lost(_) => 2,
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("no beat is back yet"),
            Self::Well(took) => write!(f, "round trip {} ms", took.as_millis()),
            Self::Slow(took) => write!(f, "slow: round trip {} ms", took.as_millis()),
            Self::Missing(out) => write!(f, "slow: no beat is back for {} ms", out.as_millis()),
            Self::Lost(out) => write!(f, "lost: no beat is back for {} s", out.as_secs()),
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
    /// When the first beat was sent that is not back, since the last one that is.
    silent_since: Option<Instant>,
    last: Option<Duration>,
    lost: u64,
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
            silent_since: None,
            last: None,
            lost: 0,
            pace: Pace::Unknown,
        }
    }

    /// The next beat, sent now.
    pub fn next(&mut self, now: Instant) -> Beat {
        self.number += 1;
        self.out.insert(self.number, now);
        self.silent_since.get_or_insert(now);
        let millis = |took: Duration| u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        Beat {
            from: self.from.clone(),
            number: self.number,
            last_round_trip_ms: self.last.map(millis),
        }
    }

    /// A beat was heard. Those sent before it are lost. Says what has changed for better or worse.
    pub fn hear(&mut self, beat: &Beat, now: Instant) -> Option<Pace> {
        if beat.from != self.from {
            return None;
        }
        let took = now - self.out.remove(&beat.number)?;
        let later = self.out.split_off(&beat.number);
        self.lost += self.out.len() as u64;
        self.out = later;
        self.silent_since = self.out.values().next().copied();
        self.last = Some(took);
        self.change(if took > self.limit {
            Pace::Slow(took)
        } else {
            Pace::Well(took)
        })
    }

    /// Looks for beats that should be back. Says what has changed for better or worse.
    pub fn look(&mut self, now: Instant) -> Option<Pace> {
        let before = self.out.len();
        // Slow comes before lost, whatever the limit.
        let lost_after = LOST_AFTER.max(self.limit * 2);
        self.out.retain(|_, sent| now - *sent <= lost_after);
        let gone = before - self.out.len();
        self.lost += gone as u64;
        let out = now - self.silent_since?;
        if out <= self.limit {
            return None;
        }
        let lost = gone > 0 || matches!(self.pace, Pace::Lost(_));
        self.change(if lost {
            Pace::Lost(out)
        } else {
            Pace::Missing(out)
        })
    }

    /// How the bus does.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace
    }

    /// The round trip of the last beat that came back.
    #[must_use]
    pub fn last(&self) -> Option<Duration> {
        self.last
    }

    /// How many beats are out.
    #[must_use]
    pub fn outstanding(&self) -> usize {
        self.out.len()
    }

    /// How many beats never came back.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost
    }

    fn change(&mut self, pace: Pace) -> Option<Pace> {
        let was = std::mem::replace(&mut self.pace, pace);
        let worse = was.rank() < pace.rank();
        let well_again = was.is_bad() && !pace.is_bad();
        (worse || well_again).then_some(pace)
    }
}
