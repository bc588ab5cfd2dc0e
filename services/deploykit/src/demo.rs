//! `deploykit demo`: the whole pipeline at work on this machine, told and verified.
//!
//! Read: [`source`] (the repository it deploys from), [`story`] (what is done and what must then be true),
//! [`ci`] (its builds), [`checker`] (looking at the disk, not at what anybody says), [`claims`] (the rest), `elsewhere` (a broker of yours).

pub mod checker;
pub mod ci;
pub mod claims;
mod elsewhere;
mod git;
pub mod source;
pub mod story;
mod webhook;

use std::path::{Path, PathBuf};

use chassis::BusSettings;
use tokio::signal::unix::{SignalKind, signal};
use world::World;

use crate::{
    cli,
    failure::Failure,
    layout::{Broker, Layout, durable, web_hosts},
    pipeline::{Pipeline, check_git},
    screen::{BAD, BOLD, DIM, GOOD, paint, say},
};

/// The servers that are played.
const HOSTS: u16 = 3;

/// Runs the demo.
///
/// # Errors
/// When something could not be started, or a step of the story was not true.
pub async fn run(args: &cli::Demo, world: &World) -> Result<(), Failure> {
    check_git(world).await?;
    let began = world.clock.now();
    let id = world.new_id().simple().to_string();
    let id = &id[id.len() - 8..];
    let bus = elsewhere::settings(args, id, world)?;
    let server = match &bus {
        Some(bus) => Some(elsewhere::look(bus, world).await?),
        None => None,
    };
    let folder = temporary_folder(id, world)?;
    let place = Place {
        folder: &folder,
        bus: bus.as_ref(),
        server: server.as_deref(),
    };
    let ended = told(args, &place, began, world).await;
    if matches!(ended, Ok(Told::Untrue(_))) {
        let shown = folder.display();
        say(paint(
            DIM,
            format!("kept for a look: {shown} (logs of the agents are in log/)"),
        ));
    } else {
        world.disk.remove_tree(&folder)?;
    }
    let left = place.leave(world).await;
    match ended? {
        Told::Verified => left,
        Told::Interrupted if args.exit => left.and(Err(Failure::Told)),
        Told::Interrupted => left,
        Told::Untrue(failure) => Err(failure),
    }
}

/// How the story went, once it could begin.
#[derive(Debug)]
enum Told {
    /// Everything was as it must be.
    Verified,
    /// Something was not so; a person will want to look.
    Untrue(Failure),
    /// A person stopped it.
    Interrupted,
}

/// Ctrl-C, or a TERM.
pub async fn interrupted() {
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    tokio::select! { _ = interrupt.recv() => {}, _ = terminate.recv() => {} }
}

/// Where it happens.
#[derive(Debug)]
struct Place<'a> {
    folder: &'a Path,
    /// Another broker than the embedded one,
    bus: Option<&'a BusSettings>,
    /// as it calls itself.
    server: Option<&'a str>,
}

impl Place<'_> {
    /// Leaves another broker as it was found.
    async fn leave(&self, world: &World) -> Result<(), Failure> {
        match self.bus {
            Some(bus) => elsewhere::leave(bus, &durable(&web_hosts(HOSTS), bus), world).await,
            None => Ok(()),
        }
    }
}

fn temporary_folder(id: &str, world: &World) -> Result<PathBuf, Failure> {
    let parent = std::env::temp_dir();
    if !parent.is_dir() {
        return Err(Failure::Settings(format!(
            "{} (TMPDIR) is not a folder",
            parent.display()
        )));
    }
    let folder = parent.join(format!("deploykit-demo-{id}"));
    world.disk.create_folders(&folder, 0o700)?;
    Ok(folder)
}

async fn told(
    args: &cli::Demo,
    place: &Place<'_>,
    began: jiff::Timestamp,
    world: &World,
) -> Result<Told, Failure> {
    let folder = place.folder;
    say(format!(
        "{} three servers on this machine, in {}",
        paint(BOLD, "deploykit demo:"),
        folder.display()
    ));
    let source = tokio::select! {
        source = source::Source::make(folder, args.repo.as_deref(), world) => source?,
        () = interrupted() => return Ok(Told::Interrupted),
    };
    let Some(mut pipeline) = started(layout(place, &source, args), world).await? else {
        return Ok(Told::Interrupted);
    };
    introduce(&pipeline, place.server);
    let told = tokio::select! {
        told = story::tell(&pipeline, &source, world) => told.map(Some),
        () = interrupted() => Ok(None),
    };
    let seconds = world.clock.now().duration_since(began).as_secs_f64();
    say_result(&told, seconds);
    let mut ended = Ok(());
    if matches!(told, Ok(Some(_))) && !args.exit {
        say_what_next(&pipeline, &source, folder);
        ended = tokio::select! {
            () = interrupted() => Ok(()),
            failure = pipeline.failed() => Err(failure),
        };
    }
    let stopped = pipeline.stop().await;
    match told {
        Ok(Some(_)) => ended.and(stopped).map(|()| Told::Verified),
        Ok(None) => stopped.map(|()| Told::Interrupted),
        Err(failure) => Ok(Told::Untrue(failure)),
    }
}

/// Starts everything; `None` after an interruption, which lets the start end first, so that all of it is stopped in order.
async fn started(layout: Layout, world: &World) -> Result<Option<Pipeline>, Failure> {
    let starting = Pipeline::start(layout, "you", world);
    tokio::pin!(starting);
    tokio::select! {
        started = &mut starting => started.map(Some),
        () = interrupted() => {
            starting.await?.stop().await?;
            Ok(None)
        }
    }
}

/// How the story went: `None` is one that was interrupted.
fn say_result(result: &Result<Option<usize>, Failure>, seconds: f64) {
    let line = match result {
        Ok(Some(steps)) => paint(
            GOOD,
            format!("All {steps} steps were verified, in {seconds:.1} s."),
        ),
        Ok(None) => "Stopped in the middle.".to_owned(),
        Err(_) => paint(BAD, "The demo failed."),
    };
    say(format!("\n{line}"));
}

fn layout(place: &Place<'_>, source: &source::Source, args: &cli::Demo) -> Layout {
    let elsewhere = |bus: &BusSettings| Broker::Elsewhere(Box::new(bus.clone()));
    let embedded = || Broker::Embedded("127.0.0.1:0".to_owned());
    Layout {
        data: place.folder.to_owned(),
        project: source.project.clone(),
        environment: "demo".parse().expect("it is one word"),
        repository: source.repository.clone(),
        aliases: vec![webhook::full_name(&source.repository)],
        origin: source.origin.display().to_string(),
        hosts: web_hosts(HOSTS),
        page: args.listen.clone(),
        webhooks: "127.0.0.1:0".to_owned(),
        broker: place.bus.map_or_else(embedded, elsewhere),
        shared: source.shared.clone(),
        requires_ci: true,
    }
}

fn introduce(pipeline: &Pipeline, server: Option<&str>) {
    let agents: Vec<String> = pipeline
        .agents
        .pids()
        .borrow()
        .iter()
        .map(|(host, pid)| format!("{host}: process {pid}"))
        .collect();
    let rows = [
        (
            "broker",
            match server {
                Some(server) => format!("{server}; topics {}.*", pipeline.bus.topics.prefix),
                None => format!("{} (embedded; STOMP over TCP)", pipeline.bus.brokers[0]),
            },
        ),
        (
            "github-stomp",
            format!("http://{}/hook/github", pipeline.webhooks),
        ),
        ("deploy-orchestrator", format!("http://{}/", pipeline.page)),
        ("stomp-git", "one for each of web1, web2, web3".to_owned()),
        ("deploy-agent", agents.join(", ")),
    ];
    for (name, text) in rows {
        say(paint(DIM, format!("  {name:<20} {text}")));
    }
}

fn say_what_next(pipeline: &Pipeline, source: &source::Source, folder: &Path) {
    let command = crate::own_name(Some(folder));
    let project = &pipeline.layout.project;
    say(format!(
        "\nIt stays up. The page: {}",
        paint(BOLD, format!("http://{}/", pipeline.page))
    ));
    say("Try in another shell:");
    for rest in [
        "status".to_owned(),
        format!("tags {project}"),
        format!("deploy {project} {}", source.second.tag),
        "history".to_owned(),
    ] {
        say(format!("  {command} {rest}"));
    }
    say("Ctrl-C ends it and removes the folder.");
}
