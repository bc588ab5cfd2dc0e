#![doc = include_str!("../README.md")]

mod server;
pub mod settings;
pub mod signature;
pub mod translate;
pub mod webhook;

use std::time::Duration;

use anyhow::Context;
use chassis::{Bus, Failure, Start, http};
use serde_json::Value;
use tokio::sync::mpsc;
use world::Listener;

pub use settings::Settings;

/// How long requests under way may take after a stop: an answer takes at most this long anyway.
const GRACE: Duration = Duration::from_secs(10);

/// Listens where the settings say, and serves until the stop.
///
/// # Errors
/// When it cannot listen, or a secret cannot be read or is empty.
pub async fn serve(start: Start<Settings>) -> Result<(), Failure> {
    let address = start.settings.listen.clone();
    let listener = start.world.net.listen(&address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    serve_on(start, listener).await
}

/// Serves on a listener that is there already, until the stop.
///
/// # Errors
/// When a secret cannot be read or is empty.
pub async fn serve_on(start: Start<Settings>, listener: Box<dyn Listener>) -> Result<(), Failure> {
    let (router, lines) = server::router(&start).await?;
    let address = listener.local_address().context("where it listens")?;
    tracing::info!(%address, sources = start.settings.sources.len(), "waits for hooks");
    start.status.ready();
    start.status.says(format!("waits for hooks on {address}"));
    tokio::join!(
        http::serve(router, listener, &start.stop, GRACE),
        feed(&start.bus, lines)
    );
    Ok(())
}

/// Puts lines on the feed until the last handler is gone.
async fn feed(bus: &Bus, mut lines: mpsc::Receiver<(String, Value)>) {
    while let Some((line, record)) = lines.recv().await {
        bus.line(line, record).await;
    }
}
