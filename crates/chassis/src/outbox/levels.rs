//! The metrics of an outbox.

use std::{fmt, sync::Arc};

use world::{Clock, World};

use super::{stock::Stock, watch};
use crate::{
    Metrics,
    metrics::{
        Collector, ConstGauge, Counter, DescriptorEncoder, EncodeMetric, Family, Label, Unit,
    },
};

/// What is counted.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    refused: Family<Label, Counter>,
    pub(super) put_aside: Counter,
    pub(super) expired: Counter,
}

fn why(why: &str) -> Label {
    [("why", why.to_owned())]
}

impl Default for Counts {
    fn default() -> Self {
        let refused = Family::default();
        for reason in ["full", "disk"] {
            let _shown_from_the_start: Counter = refused.get_or_create_owned(&why(reason));
        }
        Self {
            refused,
            put_aside: Counter::default(),
            expired: Counter::default(),
        }
    }
}

impl Counts {
    pub(super) fn refused(&self, reason: &str, messages: u64) {
        let counter = self.refused.get_or_create_owned(&why(reason));
        counter.inc_by(messages);
    }
}

/// What is worked out when somebody asks.
#[derive(Debug)]
struct Levels {
    stock: Arc<Stock>,
    clock: Arc<dyn Clock>,
}

pub(super) fn add(metrics: &Metrics, stock: &Arc<Stock>, world: &World) {
    metrics.add(
        "outbox_refused",
        "Messages that were not taken",
        stock.counts.refused.clone(),
    );
    metrics.add(
        "outbox_put_aside",
        "Messages that can never be sent",
        stock.counts.put_aside.clone(),
    );
    metrics.add(
        "outbox_expired",
        "Messages that nobody wanted any more when they could be sent, and were dropped",
        stock.counts.expired.clone(),
    );
    metrics.add_collector(Levels {
        stock: Arc::clone(stock),
        clock: Arc::clone(&world.clock),
    });
}

impl Collector for Levels {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (messages, bytes) = self.stock.holds();
        let age = watch::age(&self.stock, self.clock.now()).as_secs_f64();
        let limits = self.stock.limits();
        let counts = [
            (
                "outbox_messages",
                messages,
                "Messages that wait for the broker",
            ),
            (
                "outbox_limit_messages",
                limits.messages,
                "Messages that may wait",
            ),
        ];
        for (name, value, help) in counts {
            let gauge = ConstGauge::new(value as f64);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, None, kind)?)?;
        }
        let levels = [
            ("outbox", Unit::Bytes, bytes as f64, "Their size on disk"),
            (
                "outbox_limit",
                Unit::Bytes,
                limits.bytes as f64,
                "Bytes of them that there may be",
            ),
            (
                "outbox_oldest_age",
                Unit::Seconds,
                age,
                "How long the oldest of them waits",
            ),
        ];
        for (name, unit, value, help) in levels {
            let gauge = ConstGauge::new(value);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, Some(&unit), kind)?)?;
        }
        Ok(())
    }
}
