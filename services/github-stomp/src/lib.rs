#![doc = include_str!("../README.md")]

pub mod forge;
mod server;
pub mod settings;
pub mod signature;
pub mod webhook;

use std::time::Duration;

use anyhow::Context;
use chassis::{Failure, Start, http, outbox::Outbox};
use tokio_util::sync::CancellationToken;
use world::Listener;

pub use settings::Settings;

/// Where pushes wait for the broker, unless told otherwise.
pub const OUTBOX: &str = "/var/spool/deploykit/github-stomp";

/// How long requests under way may take after a stop: an answer takes at most this long anyway.
const GRACE: Duration = Duration::from_secs(10);

/// Listens where the settings say, and serves until the stop.
///
/// # Errors
/// When it cannot listen, a secret cannot be read or is empty, or the outbox cannot be used.
pub async fn serve(start: Start<Settings>) -> Result<(), Failure> {
    let address = start.settings.listen.clone();
    let listener = start.world.net.listen(&address).await;
    let listener = listener.with_context(|| format!("cannot listen on {address}"))?;
    serve_on(start, listener).await
}

/// Serves on a listener that is there already, until the stop.
///
/// # Errors
/// When a secret cannot be read or is empty, or the outbox cannot be used.
pub async fn serve_on(start: Start<Settings>, listener: Box<dyn Listener>) -> Result<(), Failure> {
    let outbox = &start.settings.outbox;
    let opened = Outbox::open(&start.bus, &start.world, outbox, OUTBOX).await;
    let (outbox, keeper) = opened.map_err(|error| Failure::Failed(error.into()))?;
    let router = server::router(&start, outbox).await?;
    let address = listener.local_address().context("where it listens")?;
    tracing::info!(%address, sources = start.settings.sources.len(), "waits for hooks");
    start.status.ready();
    start.status.says(format!("waits for hooks on {address}"));
    // The last requests are still taken while the stop is on.
    let answered = CancellationToken::new();
    let serving = async {
        http::serve(router, listener, &start.stop, GRACE).await;
        answered.cancel();
    };
    tokio::join!(serving, keeper.run(&answered));
    Ok(())
}
