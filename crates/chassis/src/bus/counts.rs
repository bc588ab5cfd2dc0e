//! What is counted about the bus.

use super::PublishError;
use crate::metrics::{Counter, Family, Gauge, Label, Metrics};

#[derive(Debug, Clone, Default)]
pub(crate) struct Counts {
    connected: Family<Label, Gauge>,
    connections: Family<Label, Counter>,
    published: Counter,
    failed: Family<Label, Counter>,
    pub(crate) duplicates: Counter,
    pub(crate) dead_letters: Counter,
    pub(crate) lines_left_out: Counter,
}

fn broker(name: &str) -> Label {
    [("broker", name.to_owned())]
}

/// The kinds of failures, all of them shown from the start.
const KINDS: [&str; 5] = [
    "not_confirmed",
    "refused",
    "unsendable",
    "stopped",
    "expired",
];

fn kind(error: &PublishError) -> &'static str {
    match error {
        PublishError::NotConfirmed { .. } => KINDS[0],
        PublishError::Refused(_) => KINDS[1],
        PublishError::Unsendable(_) => KINDS[2],
        PublishError::Stopped => KINDS[3],
        PublishError::Expired => KINDS[4],
    }
}

impl Counts {
    pub(super) fn new(metrics: &Metrics, brokers: &[String]) -> Self {
        let counts = Self::default();
        for name in brokers {
            counts.connected.get_or_create(&broker(name)).set(0);
            let _shown_from_the_start = counts.connections.get_or_create_owned(&broker(name));
        }
        for kind in KINDS {
            let _shown_too = counts
                .failed
                .get_or_create_owned(&[("kind", kind.to_owned())]);
        }
        let all = counts.clone();
        metrics.add(
            "bus_connected",
            "1 for the broker that is used, 0 for the others",
            all.connected,
        );
        metrics.add("bus_connections", "Connections made", all.connections);
        metrics.add(
            "bus_published",
            "Messages that a broker has confirmed",
            all.published,
        );
        metrics.add(
            "bus_publish_failures",
            "Messages that were given up, or refused and are tried again",
            all.failed,
        );
        metrics.add(
            "bus_duplicates",
            "Messages that came again and were folded by their id",
            all.duplicates,
        );
        metrics.add(
            "bus_dead_letters",
            "Messages that were put aside as dead letters",
            all.dead_letters,
        );
        metrics.add(
            "bus_lines_left_out",
            "Lines for the feed that were not kept because too many waited",
            all.lines_left_out,
        );
        counts
    }

    /// This broker is used from now on.
    pub(super) fn connected_to(&self, brokers: &[String], used: usize) {
        self.disconnected(brokers);
        let used = broker(&brokers[used]);
        self.connected.get_or_create(&used).set(1);
        self.connections.get_or_create(&used).inc();
    }

    pub(super) fn disconnected(&self, brokers: &[String]) {
        for name in brokers {
            self.connected.get_or_create(&broker(name)).set(0);
        }
    }

    pub(super) fn published(&self, outcome: &Result<(), PublishError>) {
        match outcome {
            Ok(()) => {
                self.published.inc();
            }
            Err(error) => self.failed(error),
        }
    }

    pub(super) fn failed(&self, error: &PublishError) {
        self.failed_by(kind(error));
    }

    pub(super) fn refused(&self) {
        self.failed_by(KINDS[1]);
    }

    fn failed_by(&self, kind: &'static str) {
        self.failed
            .get_or_create(&[("kind", kind.to_owned())])
            .inc();
    }
}
