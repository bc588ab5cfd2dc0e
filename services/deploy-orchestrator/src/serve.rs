//! From the settings to a running orchestrator.

use std::{io, sync::Arc, time::Duration};

use anyhow::{Context as _, anyhow};
use chassis::{Bus, Failure, Listen, Start, causes, http};
use events::{HostName, Topic};
use tokio::{net::UnixListener, sync::mpsc, task::JoinSet};
use world::{Listener, World};

use crate::{
    app::{App, Request},
    feed::{self, Feed, FeedError},
    orchestrator::{Inlets, Orchestrator, Parts},
    relay::{Measured, Relay},
    settings::Settings,
    store::{Store, StoreError},
    trust::Trust,
    web,
};

/// How long requests under way have at a stop.
const GRACE: Duration = Duration::from_secs(2);

/// The service: what `main`, the demo and a simulation compose.
///
/// # Errors
/// When its keys, its folder or its sockets cannot be used, or when something cannot be stored.
pub async fn serve(start: Start<Settings>) -> Result<(), Failure> {
    let Start {
        service,
        host,
        settings,
        bus,
        world,
        stop,
        status,
    } = start;
    let settings = Arc::new(settings);
    let trust = Trust::load(Arc::clone(&settings), &world).await?;
    let store = Store::open(&world, &settings.data, settings.keep_deploys)
        .await
        .map_err(failed)?;
    let loaded = store.load().await.map_err(failed)?;
    let keep = settings.feed.keep();
    let feed = Feed::open(&world, &settings.data, keep)
        .await
        .map_err(|error: FeedError| Failure::Failed(anyhow!(causes(&error))))?;
    let relays = relays(&settings, &feed, &world, &bus)?;
    let page = listen(&world, &settings.listen).await?;
    let socket = bind(&world, &settings).await?;

    let (app, requests, version) = App::new();
    let inlets = inlets(&bus, service, &host, &settings, requests).await;
    let address = page
        .local_address()
        .context("the page's socket has no address")?;
    let mut servers = JoinSet::new();
    let on_page = web::router(app.clone(), feed.clone())
        .merge(crate::http::reading(app.clone(), feed.clone()));
    let on_socket = crate::http::api(app, feed.clone());
    let until = stop.clone();
    servers.spawn(async move { http::serve(on_page, page, &until, GRACE).await });
    let until = stop.clone();
    servers.spawn(async move { http::serve(on_socket, socket, &until, GRACE).await });

    let said = bus.listen(Listen::hints([Topic::AllEvents])).await;
    let (until, on_bus) = (stop.clone(), bus.clone());
    let feeding = feed.clone();
    servers.spawn(async move { feed::take_in(&feeding, said, &on_bus, &until).await });
    for relay in relays {
        let until = stop.clone();
        servers.spawn(async move { relay.run(&until).await });
    }

    tracing::info!(page = %format!("http://{address}/"), socket = %settings.socket.display(), "ready");
    status.ready();
    status.says("nothing under way");
    let parts = Parts {
        settings,
        world,
        bus,
        store,
        trust,
        status,
        version,
    };
    let ended = Orchestrator::new(parts, loaded).run(inlets, &stop).await;
    stop.cancel();
    while let Some(server) = servers.join_next().await {
        if let Err(error) = server {
            tracing::error!(%error, "a task beside the deploys failed");
        }
    }
    ended
}

/// All that it listens to.
async fn inlets(
    bus: &Bus,
    service: &str,
    host: &HostName,
    settings: &Settings,
    requests: mpsc::Receiver<Request>,
) -> Inlets {
    let subscription = bus.names().subscription(service, host);
    let reports = Listen::durable(Topic::DeployReports, subscription)
        .counted_in(&settings.data.join("reports.in-hand"));
    // A result that nobody took down would hold its commit back until somebody builds it again.
    let further = |topic: Topic| {
        let name = bus.names().further_subscription(service, host, &topic);
        let counted = format!("{}.in-hand", topic.stem());
        Listen::durable(topic, name).counted_in(&settings.data.join(counted))
    };
    let hints = [
        Topic::AgentsPresence,
        Topic::GitFetched,
        Topic::CiStarted,
        Topic::CiAsked,
    ];
    Inlets {
        requests,
        reports: bus.listen(reports).await,
        hints: bus.listen(Listen::hints(hints)).await,
        succeeded: bus.listen(further(Topic::CiSucceeded)).await,
        failed: bus.listen(further(Topic::CiFailed)).await,
        output: bus.listen(Listen::hints([Topic::DeployOutput])).await,
    }
}

/// The relays of the settings, with what their files hold.
fn relays(
    settings: &Settings,
    feed: &Feed,
    world: &World,
    bus: &Bus,
) -> Result<Vec<Relay>, Failure> {
    let measured = Measured::new(bus.metrics());
    let relays = settings.relay.iter();
    relays
        .map(|(name, relay)| Relay::new(name, relay, feed, world, &measured))
        .collect::<Result<Vec<Relay>, String>>()
        .map_err(Failure::Settings)
}

fn failed(error: StoreError) -> Failure {
    Failure::Failed(anyhow!(causes(&error)))
}

async fn listen(world: &World, address: &str) -> Result<Box<dyn Listener>, Failure> {
    let listener = world
        .net
        .listen(address)
        .await
        .map_err(|error| in_words("listen", address, &error))?;
    // A name such as localhost can lead elsewhere.
    match listener.local_address() {
        Ok(found) if !found.ip().is_loopback() => Err(Failure::Settings(format!(
            "listen is {address:?}, which is {found} here: the web page has no login yet, so it stays on loopback"
        ))),
        _ => Ok(listener),
    }
}

async fn bind(world: &World, settings: &Settings) -> Result<UnixListener, Failure> {
    let path = settings.socket.clone();
    let shown = path.display().to_string();
    if let Some(folder) = path.parent().map(ToOwned::to_owned) {
        let made = world
            .on_disk(move |disk| disk.create_folders(&folder, 0o755))
            .await;
        made.map_err(|error| in_words("socket", &shown, &error))?;
    }
    http::bind_unix(&path, 0o660)
        .await
        .map_err(|error| in_words("socket", &shown, &error))
}

fn in_words(setting: &str, value: &str, error: &io::Error) -> Failure {
    let cause = match error.kind() {
        io::ErrorKind::AddrInUse => "it is in use by another process".to_owned(),
        _ => error.to_string(),
    };
    Failure::Failed(anyhow!("cannot use {setting} = {value:?}: {cause}"))
}
