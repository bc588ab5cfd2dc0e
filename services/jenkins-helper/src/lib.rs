#![doc = include_str!("../README.md")]

mod arguments;
mod book;
pub mod build_step;
pub mod judge;
pub mod notice;
mod receiver;
pub mod settings;
pub mod told;
mod work;

use std::process::ExitCode;

use anyhow::Context;
use chassis::{Failure, Start, http, outbox::Outbox};
use world::Listener;

pub use arguments::{is_step, step};
pub use settings::Settings;

/// How long requests under way may take after a stop.
const GRACE: std::time::Duration = std::time::Duration::from_secs(10);

/// The program as a build step, with these arguments; for tests.
pub async fn step_with(
    arguments: &[&str],
    environment: &std::collections::BTreeMap<String, String>,
) -> (ExitCode, String) {
    arguments::step_with(arguments, environment).await
}

/// Delivers what build steps left, and receives notifications where the settings say where Jenkins is, until the stop.
///
/// # Errors
/// When it cannot listen, or the settings name a file or folder that cannot be used.
pub async fn serve(start: Start<Settings>) -> Result<(), Failure> {
    let listener = match &start.settings.receiver {
        None => None,
        Some(receiver) => {
            let listener = start.world.net.listen(&receiver.listen).await;
            Some(listener.with_context(|| format!("cannot listen on {}", receiver.listen))?)
        }
    };
    serve_on(start, listener).await
}

/// Serves on a listener that is there already, until the stop.
///
/// # Errors
/// As [`serve`].
pub async fn serve_on(
    start: Start<Settings>,
    listener: Option<Box<dyn Listener>>,
) -> Result<(), Failure> {
    let Start {
        settings,
        bus,
        world,
        stop,
        status,
        ..
    } = &start;
    let (outbox, keeper) = Outbox::open(bus, world, &settings.outbox, settings::SPOOL)
        .await
        .context("the outbox")?;
    let (Some(receiver), Some(listener)) = (&settings.receiver, listener) else {
        status.ready();
        status.says("delivers what build steps left");
        keeper.run(stop).await;
        return Ok(());
    };
    let work = work::Work::new(&start, receiver, &outbox).await?;
    let router = receiver::router(&start, receiver, work.desk())?;
    let address = listener.local_address().context("where it listens")?;
    tracing::info!(%address, "waits for notifications");
    status.ready();
    status.says(format!("waits for notifications on {address}"));
    tokio::join!(
        http::serve(router, listener, stop, GRACE),
        work.run(),
        keeper.run(stop),
    );
    Ok(())
}
