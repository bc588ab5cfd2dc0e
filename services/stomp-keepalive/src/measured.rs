//! The metrics of this service.

use chassis::metrics::{Counter, Histogram, Metrics, Unit};

use crate::rounds::Rounds;

/// Seconds up to which round trips are counted together.
const BUCKETS: [f64; 12] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0,
];

/// What is measured of the beats.
#[derive(Debug, Clone)]
pub struct Measured {
    round_trip: Histogram,
    lost: Counter,
    line_ends: Counter,
}

impl Measured {
    /// Adds them to a service's metrics.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let measured = Self {
            round_trip: Histogram::new(BUCKETS),
            lost: Counter::default(),
            line_ends: Counter::default(),
        };
        metrics.add_in(
            Unit::Seconds,
            "bus_round_trip",
            "From sending a beat to hearing it",
            measured.round_trip.clone(),
        );
        metrics.add(
            "bus_beats_lost",
            "Beats that never came back",
            measured.lost.clone(),
        );
        metrics.add(
            "bus_line_ends",
            "Lone line ends that a broker has confirmed",
            measured.line_ends.clone(),
        );
        measured
    }

    /// A beat came back.
    pub(crate) fn heard(&self, rounds: &Rounds) {
        if let Some(took) = rounds.last() {
            self.round_trip.observe(took.as_secs_f64());
        }
        self.looked(rounds);
    }

    pub(crate) fn looked(&self, rounds: &Rounds) {
        self.lost
            .inc_by(rounds.lost().saturating_sub(self.lost.get()));
    }

    pub(crate) fn line_end(&self) {
        self.line_ends.inc();
    }
}
