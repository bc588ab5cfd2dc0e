//! From `main` to the service and back.

use std::{ffi::OsString, future::Future, io::Write, process::ExitCode, time::Duration};

use anyhow::Context;
use events::HostName;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{
    Bus, Common, Failure, Settings, Status, args, environment::Environment, logs, settings,
    signals::Signals,
};

/// What a service is given.
#[derive(Debug)]
pub struct Start<S> {
    /// The service's name: crate, binary, unit, settings file.
    pub service: &'static str,
    /// This host's name on the bus.
    pub host: HostName,
    /// The service's own settings.
    pub settings: S,
    /// The bus.
    pub bus: Bus,
    /// Everything else outside.
    pub world: World,
    /// Cancelled when the service is to stop.
    pub stop: CancellationToken,
    /// Readiness and one line of status.
    pub status: Status,
}

/// What a program says about itself; made by [`service!`](crate::service!).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// Crate, binary, unit, settings file.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// One line on what it does.
    pub about: &'static str,
}

/// The [`Service`] of the crate that calls it, from its `Cargo.toml`.
#[macro_export]
macro_rules! service {
    () => {
        $crate::Service {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            about: env!("CARGO_PKG_DESCRIPTION"),
        }
    };
}

/// How long the connection to the broker may take to say goodbye; its own limit is shorter.
const GOODBYE: Duration = Duration::from_secs(10);

/// A service as a process: arguments, settings, logs, signals; then [`compose`]. What ends it is logged once, with all causes.
pub async fn run<S, F, Fut>(service: Service, serve: F) -> ExitCode
where
    S: Settings,
    F: FnOnce(Start<S>) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    run_with_args(service, std::env::args_os(), serve).await
}

/// [`run`] with these arguments (the first is the program's name), for a program that is more than one service.
pub async fn run_with_args<S, F, Fut>(
    service: Service,
    args: impl IntoIterator<Item = OsString>,
    serve: F,
) -> ExitCode
where
    S: Settings,
    F: FnOnce(Start<S>) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    let args = match args::parse(service, args) {
        Ok(args) => args,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let world = World::real();
    let environment = Environment::of_process();
    let config = args.config.as_deref();
    let loaded = settings::load::<S>(&*world.disk, service.name, config, environment.all())
        .map_err(|wrong| wrong.to_string())
        .and_then(|(common, own)| {
            logs::check(&environment, common.log.as_deref())?;
            own.check_here(&world)?;
            common.host_name().map_err(|wrong| {
                format!("the system's host name cannot be used, set `host`: {wrong}")
            })?;
            Ok((common, own))
        });
    let log = loaded
        .as_ref()
        .ok()
        .and_then(|(common, _)| common.log.clone());
    logs::start(&environment, log.as_deref());
    let ended = match loaded {
        Err(wrong) => Err(Failure::Settings(wrong)),
        Ok(_) if args.check => {
            say(&format!("{}: the settings are fine", service.name));
            Ok(())
        }
        Ok((common, own)) => process(service, common, own, world, serve).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!(service = service.name, "{failure}");
            failure.exit_code()
        }
    }
}

fn say(line: &str) {
    // Nobody is there to be told that standard output is closed.
    let _ = writeln!(std::io::stdout(), "{line}");
}

async fn process<S, F, Fut>(
    service: Service,
    common: Common,
    settings: S,
    world: World,
    serve: F,
) -> Result<(), Failure>
where
    S: Settings,
    F: FnOnce(Start<S>) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    let signals = Signals::catch().context("cannot catch signals")?;
    let stop = CancellationToken::new();
    let status = Status::systemd();
    let Service { name, version, .. } = service;
    tracing::info!(service = name, version, "starting");
    let served = composed(
        name,
        common,
        settings,
        world,
        stop.clone(),
        status.clone(),
        serve,
    );
    tokio::select! {
        ended = served => ended,
        () = signals.watch(stop.clone()) => Ok(()),
        () = status.watch(stop) => Ok(()),
    }
}

/// A service inside a process, as the demo and a simulation have it, and as [`run`] does after its arguments: connects,
/// serves, and at the stop waits for both.
///
/// # Errors
/// What the service returns, or what is wrong with the settings.
pub async fn compose<S, F, Fut>(
    name: &'static str,
    common: Common,
    settings: S,
    world: World,
    stop: CancellationToken,
    serve: F,
) -> Result<(), Failure>
where
    S: Settings,
    F: FnOnce(Start<S>) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    common.check().map_err(Failure::Settings)?;
    settings.check().map_err(Failure::Settings)?;
    composed(name, common, settings, world, stop, Status::silent(), serve).await
}

async fn composed<S, F, Fut>(
    service: &'static str,
    common: Common,
    settings: S,
    world: World,
    stop: CancellationToken,
    status: Status,
    serve: F,
) -> Result<(), Failure>
where
    F: FnOnce(Start<S>) -> Fut,
    Fut: Future<Output = Result<(), Failure>>,
{
    let host = common
        .host_name()
        .map_err(|wrong| Failure::Settings(format!("host: {wrong}")))?;
    let measured = common.metrics.bind(&world).await?;
    let (bus, connection) = Bus::new(service, &host, common.bus, world.clone())?;
    // The connection outlives the service: what is in hand at a stop is still acknowledged and reported.
    let disconnect = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(connection.run(disconnect.clone()));
    let mut beside = JoinSet::new();
    if let Some(listener) = measured {
        let metrics = bus.metrics().clone();
        beside.spawn(metrics.serve(listener, disconnect.clone()));
    }
    let start = Start {
        service,
        host,
        settings,
        bus,
        world,
        stop,
        status,
    };
    let ended = tokio::select! {
        ended = serve(start) => ended,
        // It runs until it is disconnected, so it can only have failed: nothing would be heard or said any more.
        Some(connection) = tasks.join_next() => {
            let error = connection.err().map_or_else(|| anyhow::anyhow!("it ended"), anyhow::Error::new);
            return Err(error.context("the connection's task failed").into());
        }
    };
    disconnect.cancel();
    match timeout(GOODBYE, tasks.join_next()).await {
        Ok(Some(Err(panic))) => {
            // Without its connection the service came to an end that looks like a good one.
            ended?;
            return Err(anyhow::Error::new(panic)
                .context("the connection's task failed")
                .into());
        }
        Ok(_) => tracing::debug!(service, "disconnected"),
        Err(_) => tracing::warn!(service, "the broker did not answer the goodbye; left"),
    }
    while beside.join_next().await.is_some() {}
    if ended.is_ok() {
        tracing::info!(service, "stopped");
    }
    ended
}
