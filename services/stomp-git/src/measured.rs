//! The metrics of this service.

use std::time::Duration;

use chassis::metrics::{Counter, Family, Gauge, Histogram, Label, Metrics, Unit};

use crate::work::Told;

/// Seconds up to which fetches are counted together.
const BUCKETS: [f64; 10] = [0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 300.0, 1800.0];

/// What is measured of mirrors and checkouts.
#[derive(Debug, Clone)]
pub struct Measured {
    fetches: Family<Label, Counter>,
    took: Histogram,
    failing: Gauge,
    moved_tags: Gauge,
    troubles: Gauge,
}

impl Measured {
    /// Adds them to a service's metrics.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let measured = Self {
            fetches: Family::default(),
            took: Histogram::new(BUCKETS),
            failing: Gauge::default(),
            moved_tags: Gauge::default(),
            troubles: Gauge::default(),
        };
        for outcome in ["good", "failed"] {
            let label = [("outcome", outcome.to_owned())];
            // Both are there from the start.
            measured.fetches.get_or_create(&label).inc_by(0);
        }
        metrics.add(
            "mirror_fetches",
            "Looks at an origin",
            measured.fetches.clone(),
        );
        metrics.add_in(
            Unit::Seconds,
            "mirror_fetch",
            "From asking an origin to having what it has",
            measured.took.clone(),
        );
        metrics.add(
            "mirrors_failing",
            "Mirrors whose last look failed",
            measured.failing.clone(),
        );
        metrics.add(
            "mirror_moved_tags",
            "Tags that lead elsewhere at their origin, and stay here",
            measured.moved_tags.clone(),
        );
        metrics.add(
            "checkout_troubles",
            "Things that keep folders from being what they are to be",
            measured.troubles.clone(),
        );
        measured
    }

    pub(crate) fn fetched(&self, took: Duration, good: bool) {
        let outcome = if good { "good" } else { "failed" };
        let label = [("outcome", outcome.to_owned())];
        self.fetches.get_or_create(&label).inc();
        if good {
            self.took.observe(took.as_secs_f64());
        }
    }

    /// How it stands with all of them now.
    pub(crate) fn stand<'a>(&self, failing: usize, told: impl Iterator<Item = &'a Told>) {
        let (mut tags, mut troubles) = (0, 0);
        for told in told {
            tags += told.moved_tags.len();
            troubles += told.troubles.len();
        }
        let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.failing.set(number(failing));
        self.moved_tags.set(number(tags));
        self.troubles.set(number(troubles));
    }
}
