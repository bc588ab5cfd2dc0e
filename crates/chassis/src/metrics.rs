//! What a service counts and measures, as text for Prometheus on `GET /metrics` of `[metrics] listen`.
//!
//! Names begin with `deploykit_` and end in their unit; docs/metrics.md has them all.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use axum::{Router, extract::State, http::header, response::IntoResponse, routing::get};
use prometheus_client::{
    encoding::text::encode,
    metrics::info::Info,
    registry::{Metric, Registry},
};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use world::{Listener, World};

pub use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::Unit,
};

use crate::{Failure, http, settings::is_address};

/// How long a scrape under way may take after a stop.
const GRACE: Duration = Duration::from_secs(1);

/// One label and its value.
pub type Label = [(&'static str, String); 1];

/// `[metrics]`: where the metrics of this service are read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// `host:port`; nothing listens where it is not set. There is no login: loopback, or a network that may see it.
    pub listen: Option<String>,
}

impl MetricsSettings {
    pub(crate) fn check(&self) -> Result<(), String> {
        match &self.listen {
            Some(listen) if !is_address(listen) => Err(format!(
                "listen is {listen:?}, which is not host:port, such as \"127.0.0.1:9550\""
            )),
            _ => Ok(()),
        }
    }

    pub(crate) async fn bind(&self, world: &World) -> Result<Option<Box<dyn Listener>>, Failure> {
        let Some(listen) = &self.listen else {
            return Ok(None);
        };
        let listener = world.net.listen(listen).await;
        let listener =
            listener.with_context(|| format!("cannot listen on {listen}, metrics.listen"))?;
        Ok(Some(listener))
    }
}

/// The metrics of one service. Clones are the same ones.
#[derive(Clone)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// Those of a service with nothing but its name and version.
    pub(crate) fn new(service: &str) -> Self {
        let mut registry = Registry::with_prefix("deploykit");
        let labels = [
            ("name", service.to_owned()),
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ];
        registry.register("service", "The service that runs", Info::new(labels));
        Self(Arc::new(Mutex::new(registry)))
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        // A panic elsewhere leaves a whole list behind.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a metric under `deploykit_<name>`; `help` is a sentence without its full stop. A counter's name gets `_total`.
    pub fn add(&self, name: &str, help: &str, metric: impl Metric) {
        self.registry().register(name, help, metric);
    }

    /// Adds a metric whose name ends in its unit: `deploykit_<name>_seconds`.
    pub fn add_in(&self, unit: Unit, name: &str, help: &str, metric: impl Metric) {
        self.registry().register_with_unit(name, help, unit, metric);
    }

    /// Adds metrics that are worked out when somebody asks.
    pub fn add_collector(&self, collector: impl Collector) {
        self.registry().register_collector(Box::new(collector));
    }

    /// All of them now, in the text format `OpenMetrics` 1.0.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry()).expect("a text takes everything");
        text
    }

    /// Serves them until the stop.
    pub(crate) async fn serve(self, listener: Box<dyn Listener>, stop: CancellationToken) {
        if let Ok(address) = listener.local_address() {
            tracing::info!(%address, "metrics are served");
        }
        http::serve(self.router(), listener, &stop, GRACE).await;
    }

    /// `GET /metrics`, for a service that listens anyway.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/metrics", get(answer))
            .with_state(self.clone())
    }
}

async fn answer(State(metrics): State<Metrics>) -> impl IntoResponse {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], metrics.text())
}
