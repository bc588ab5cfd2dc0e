#![doc = include_str!("../README.md")]

mod announce;
pub mod body;
pub mod deliveries;
pub mod fold;
pub mod forge;
pub mod local;
pub mod measured;
mod server;
pub mod settings;
pub mod signature;
pub mod strangers;
pub mod sweep;
pub mod webhook;

use std::{collections::HashMap, sync::Arc, time::Duration};

use anyhow::Context;
use chassis::{Failure, Start, http, outbox::Outbox};
use tokio_util::sync::CancellationToken;
use world::{Listener, World};

use crate::{
    announce::Announcer,
    deliveries::{Clerk, Outcome, Shelf},
    fold::Fold,
    forge::Repositories,
    measured::Measured,
    server::App,
    sweep::run::Sweep,
    webhook::Sources,
};

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
/// When a secret cannot be read or is empty, or a folder or the socket cannot be used.
pub async fn serve_on(start: Start<Settings>, listener: Box<dyn Listener>) -> Result<(), Failure> {
    let Start {
        settings, world, ..
    } = &start;
    let (bus, stop) = (&start.bus, &start.stop);
    let sources = sources(settings, world)?;
    let opened = Outbox::open(bus, world, &settings.outbox, OUTBOX).await;
    let (outbox, keeper) = opened.map_err(|error| Failure::Failed(error.into()))?;
    let room = settings.room();
    let measured = Measured::new(bus.metrics(), &room, sources.names());
    let (shelf, fold) = remembered(settings, world).await?;
    let (notes, clerk) = Clerk::new(shelf, world, measured.lost.clone());
    let announcer = Announcer::new(
        bus,
        outbox,
        world,
        fold,
        settings.answer_within(),
        measured.clone(),
    );
    let origins = settings.origins();
    if !origins.is_empty() {
        tracing::info!(
            repositories = origins.len(),
            "looks for pushes whose hook does not come"
        );
    }
    let sweep = Sweep::new(
        &settings.sweep,
        settings.tips_folder(),
        origins,
        (announcer.clone(), notes.clone()),
        (measured.clone(), world.clone()),
    );
    let strangers = Arc::default();
    let app = App {
        world: world.clone(),
        bus: bus.clone(),
        sources,
        repositories: Arc::new(Repositories::new(&settings.repositories)),
        room,
        announcer,
        notes,
        strangers: Arc::clone(&strangers),
        measured,
    };
    let socket = settings::socket(&settings.data);
    let desk = http::bind_unix(&socket, 0o600).await;
    let desk = desk.with_context(|| format!("cannot serve on {}", socket.display()))?;
    let local = local::router(app.clone(), settings.deliveries_folder());
    let hooks = server::router(app);

    let address = listener.local_address().context("where it listens")?;
    tracing::info!(%address, sources = settings.sources.len(), "waits for hooks");
    start.status.ready();
    start.status.says(format!("waits for hooks on {address}"));
    // The last requests are still taken while the stop is on.
    let answered = CancellationToken::new();
    let serving = async {
        let connections = settings.connections;
        tokio::join!(
            http::serve_at_most(connections, hooks, listener, stop, GRACE),
            http::serve(local, desk, stop, GRACE),
            sweep.run(stop),
        );
        answered.cancel();
    };
    tokio::join!(
        serving,
        keeper.run(&answered),
        clerk.run(),
        server::tell_of_strangers(&strangers, world, &answered),
    );
    Ok(())
}

fn sources(settings: &Settings, world: &World) -> Result<Sources, Failure> {
    let mut sources = HashMap::new();
    for (name, source) in &settings.sources {
        let secrets = source.secrets(name, &*world.disk)?;
        sources.insert(name.clone(), (source.kind, secrets));
    }
    Ok(Sources::new(sources, Arc::clone(&world.clock)))
}

/// The deliveries that are kept, and what they say was announced.
async fn remembered(settings: &Settings, world: &World) -> Result<(Shelf, Fold), Failure> {
    let (folder, bounds) = (settings.deliveries_folder(), settings.deliveries.bounds());
    let mut fold = Fold::new(settings.fold());
    let here = folder.clone();
    let opened = world.on_disk(move |disk| {
        let shelf = Shelf::open(disk, &here, bounds, |delivery| {
            for push in &delivery.became {
                if push.outcome == Outcome::Announced && delivery.replay_of.is_none() {
                    fold.remember(&push.pushed(), delivery.told(), delivery.time, push.id);
                }
            }
        })?;
        Ok((shelf, fold))
    });
    let opened = opened.await;
    Ok(opened.with_context(|| format!("cannot use the deliveries in {}", folder.display()))?)
}
