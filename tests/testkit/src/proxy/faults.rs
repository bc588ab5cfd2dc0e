//! Faults by chance, the same for the same seed.

use std::time::Duration;

use super::{Fault, Way};

/// What the kinds of faults are to chance, of those that each schedule begins with.
const DROP: u64 = 0;
const CUT: u64 = 2;
const BLACK_HOLE: u64 = 6;

/// One fault of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Strike {
    /// It strikes when so many bytes have passed since the one before was over: progress, not time, so that a slow machine
    /// sees the same faults as a fast one.
    pub after_bytes: u64,
    /// What strikes; `None`: new connections are refused.
    pub fault: Option<Fault>,
    /// Which connections it strikes: the n-th oldest when bit n (modulo 64) is set, so all with [`u64::MAX`].
    pub whom: u64,
    /// How long.
    pub lasts: Duration,
}

/// An endless schedule of faults, the same for the same seed: a test that fails prints its seed. It begins with a drop, a
/// cut and a black hole, in an order by chance, on all connections, so that no schedule is without them.
#[derive(Debug, Clone)]
pub struct Faults {
    first: Vec<u64>,
    chance: Chance,
    between_bytes: u64,
    black_hole: Duration,
}

impl Faults {
    /// Faults with `between_bytes` between two of them on average, whose black holes last up to `black_hole`.
    #[must_use]
    pub fn random(seed: u64, between_bytes: u64, black_hole: Duration) -> Self {
        let mut chance = Chance::new(seed);
        let mut first = vec![DROP, CUT, BLACK_HOLE];
        for n in [0, 1] {
            let other = n + usize::from(chance.below(2) == 0);
            first.swap(n, other);
        }
        Self {
            first,
            chance,
            between_bytes,
            black_hole,
        }
    }

    fn way(&mut self) -> Way {
        if self.chance.below(2) == 0 {
            Way::ToBroker
        } else {
            Way::ToClient
        }
    }
}

impl Iterator for Faults {
    type Item = Strike;

    fn next(&mut self) -> Option<Strike> {
        let ms = Duration::from_millis;
        // From half of the average to one and a half.
        let after_bytes = self.between_bytes / 2 + self.chance.below(self.between_bytes.max(1));
        let first = self.first.pop();
        let kind = first.unwrap_or_else(|| self.chance.below(10));
        let (fault, lasts) = match kind {
            DROP | 1 => (Some(Fault::Drop), ms(0)),
            CUT | 3 | 4 => {
                let (way, after_bytes) = (self.way(), self.chance.below(4096));
                // Long enough for the bytes to come.
                (Some(Fault::Cut { way, after_bytes }), ms(500))
            }
            5 => (Some(Fault::HalfClose(self.way())), ms(0)),
            BLACK_HOLE => {
                let way = self.way();
                let hole = [None, Some(way)][usize::from(self.chance.below(2) == 0)];
                let lasts = self.chance.up_to(self.black_hole);
                (Some(Fault::BlackHole(hole)), lasts)
            }
            7 => (None, self.chance.up_to(ms(800))),
            _ => {
                let delay = Fault::Delay {
                    least: ms(1),
                    jitter: self.chance.up_to(ms(10)),
                };
                (Some(delay), self.chance.up_to(ms(500)))
            }
        };
        // All of them, as when a switch fails; or about half, as when one machine does, so that some get far ahead of others.
        let whom = match self.chance.below(2) {
            _ if first.is_some() => u64::MAX,
            0 => u64::MAX,
            _ => self.chance.next(),
        };
        Some(Strike {
            after_bytes,
            fault,
            whom,
            lasts,
        })
    }
}

/// Numbers by chance from a seed: splitmix64.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// 0 to `limit` - 1.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub(super) fn up_to(&mut self, longest: Duration) -> Duration {
        let nanos = u64::try_from(longest.as_nanos()).unwrap_or(u64::MAX - 1);
        Duration::from_nanos(self.below(nanos + 1))
    }
}
