//! What is counted and measured.

use std::fmt;

use chassis::{
    Metrics,
    metrics::{Collector, ConstGauge, Counter, DescriptorEncoder, EncodeMetric, Family, Unit},
};

use crate::body::Room;

/// The source of requests that name none of ours.
pub(crate) const NO_SOURCE: &str = "-";

/// Counters of the service. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    answers: Family<[(&'static str, String); 2], Counter>,
    /// Pushes that were announced before.
    pub(crate) folded: Counter,
    /// Pushes that the sweep found.
    pub(crate) swept: Counter,
    /// Looks of the sweep that came to nothing.
    pub(crate) failed: Counter,
    /// Deliveries that were not kept whole.
    pub(crate) lost: Counter,
}

impl Measured {
    /// Adds them to the metrics of the service, with what `room` holds; each source is there from the start.
    pub fn new<'a>(
        metrics: &Metrics,
        room: &Room,
        sources: impl IntoIterator<Item = &'a str>,
    ) -> Self {
        let measured = Self::default();
        for source in sources {
            let labels = labels(source, 202);
            let _shown_from_the_start: Counter = measured.answers.get_or_create_owned(&labels);
        }
        let counters = [
            (
                "webhooks_folded",
                "Pushes that had been announced before",
                &measured.folded,
            ),
            (
                "webhooks_swept",
                "Pushes whose hook did not come and that the sweep found",
                &measured.swept,
            ),
            (
                "webhooks_sweep_failures",
                "Looks of the sweep that came to nothing",
                &measured.failed,
            ),
            (
                "webhooks_not_kept",
                "Deliveries that cannot be listed, or have no body, because the disk did not take them",
                &measured.lost,
            ),
        ];
        for (name, help, counter) in counters {
            metrics.add(name, help, counter.clone());
        }
        let help = "Answers to hooks";
        metrics.add("webhooks", help, measured.answers.clone());
        metrics.add_collector(Bodies(room.clone()));
        measured
    }

    /// A hook was answered. Only names out of the settings become labels.
    pub(crate) fn answered(&self, source: Option<&str>, status: u16) {
        let labels = labels(source.unwrap_or(NO_SOURCE), status);
        self.answers.get_or_create_owned(&labels).inc();
    }
}

fn labels(source: &str, status: u16) -> [(&'static str, String); 2] {
    [
        ("source", source.to_owned()),
        ("answer", status.to_string()),
    ]
}

#[derive(Debug)]
struct Bodies(Room);

impl Collector for Bodies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let table = [
            (
                "webhooks_bodies",
                self.0.taken(),
                "Bodies of hooks that are not answered yet",
            ),
            ("webhooks_limit_bodies", self.0.bytes(), "Room for them"),
        ];
        for (name, bytes, help) in table {
            let gauge = ConstGauge::new(bytes as f64);
            let kind = gauge.metric_type();
            let encoder = encoder.encode_descriptor(name, help, Some(&Unit::Bytes), kind)?;
            gauge.encode(encoder)?;
        }
        Ok(())
    }
}
