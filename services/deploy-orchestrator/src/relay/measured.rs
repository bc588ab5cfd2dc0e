//! What is counted of relays.

use chassis::{
    Metrics,
    metrics::{Counter, Family, Gauge, Label},
};

use super::Post;

/// The counts of all relays. Clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    posted: Family<Label, Counter>,
    folded: Family<Label, Counter>,
    dropped: Family<Label, Counter>,
    waiting: Family<Label, Gauge>,
}

fn relay(name: &str) -> Label {
    [("relay", name.to_owned())]
}

impl Measured {
    /// Shows them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let all = Self::default();
        let it = all.clone();
        metrics.add(
            "relay_lines_posted",
            "Lines that a chat has confirmed, folded ones too",
            it.posted,
        );
        metrics.add(
            "relay_lines_folded",
            "Those of them that were only counted in a post",
            it.folded,
        );
        metrics.add(
            "relay_lines_dropped",
            "Lines that were given up or forgotten before a chat took them",
            it.dropped,
        );
        metrics.add(
            "relay_lines_waiting",
            "Lines that wait for a chat",
            it.waiting,
        );
        all
    }

    /// Shows a relay from its start on.
    pub fn show(&self, name: &str) {
        let label = relay(name);
        for family in [&self.posted, &self.folded, &self.dropped] {
            let _shown = family.get_or_create_owned(&label);
        }
        self.waiting.get_or_create(&label).set(0);
    }

    pub(super) fn waiting(&self, name: &str, lines: u64) {
        let lines = i64::try_from(lines).unwrap_or(i64::MAX);
        self.waiting.get_or_create(&relay(name)).set(lines);
    }

    pub(super) fn posted(&self, name: &str, post: &Post) {
        let label = relay(name);
        self.posted.get_or_create(&label).inc_by(post.count());
        self.folded.get_or_create(&label).inc_by(post.more);
        self.dropped.get_or_create(&label).inc_by(post.forgotten);
    }

    pub(super) fn given_up(&self, name: &str, lines: u64) {
        self.dropped.get_or_create(&relay(name)).inc_by(lines);
    }
}
