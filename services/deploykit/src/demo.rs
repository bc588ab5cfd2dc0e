//! `deploykit demo`: the whole pipeline at work on this machine, told and verified.
//!
//! Read: [`source`] (the repository it deploys from), [`story`] (what is done and what must then be true),
//! [`checker`] (looking at the disk, not at what anybody says), [`claims`] (the rest).

pub mod checker;
pub mod claims;
pub mod source;
pub mod story;
mod webhook;

use std::path::{Path, PathBuf};

use tokio::signal::unix::{SignalKind, signal};
use world::World;

use crate::{
    cli,
    failure::Failure,
    layout::{Layout, web_hosts},
    pipeline::{Pipeline, check_git},
    screen::{BAD, BOLD, DIM, GOOD, paint, say},
};

/// Runs the demo.
///
/// # Errors
/// When something could not be started, or a step of the story was not true.
pub async fn run(args: &cli::Demo, world: &World) -> Result<(), Failure> {
    check_git(world).await?;
    let began = world.clock.now();
    let folder = temporary_folder(world)?;
    let ended = told(args, &folder, began, world).await;
    if matches!(ended, Ok(Told::Untrue(_))) {
        let shown = folder.display();
        say(paint(
            DIM,
            format!("kept for a look: {shown} (logs of the agents are in log/)"),
        ));
    } else {
        world.disk.remove_tree(&folder)?;
    }
    match ended? {
        Told::Verified => Ok(()),
        Told::Interrupted if args.exit => Err(Failure::Told),
        Told::Interrupted => Ok(()),
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

fn temporary_folder(world: &World) -> Result<PathBuf, Failure> {
    let id = world.new_id().simple().to_string();
    let parent = std::env::temp_dir();
    if !parent.is_dir() {
        return Err(Failure::Settings(format!(
            "{} (TMPDIR) is not a folder",
            parent.display()
        )));
    }
    let folder = parent.join(format!("deploykit-demo-{}", &id[id.len() - 8..]));
    world.disk.create_folders(&folder, 0o700)?;
    Ok(folder)
}

async fn told(
    args: &cli::Demo,
    folder: &Path,
    began: jiff::Timestamp,
    world: &World,
) -> Result<Told, Failure> {
    say(format!(
        "{} three servers on this machine, in {}",
        paint(BOLD, "deploykit demo:"),
        folder.display()
    ));
    let started = async {
        let source = source::Source::make(folder, args.repo.as_deref(), world).await?;
        let layout = layout(folder, &source, args);
        let pipeline = Pipeline::start(layout, "you", world).await?;
        Ok::<_, Failure>((source, pipeline))
    };
    let (source, mut pipeline) = tokio::select! {
        started = started => started?,
        () = interrupted() => return Ok(Told::Interrupted),
    };
    introduce(&pipeline);
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

fn layout(folder: &Path, source: &source::Source, args: &cli::Demo) -> Layout {
    Layout {
        data: folder.to_owned(),
        project: source.project.clone(),
        environment: "demo".parse().expect("it is one word"),
        repository: source.repository.clone(),
        aliases: vec![webhook::full_name(&source.repository)],
        origin: source.origin.display().to_string(),
        hosts: web_hosts(3),
        page: args.listen.clone(),
        webhooks: "127.0.0.1:0".to_owned(),
        broker: "127.0.0.1:0".to_owned(),
        shared: source.shared.clone(),
    }
}

fn introduce(pipeline: &Pipeline) {
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
            format!("{} (embedded; STOMP over TCP)", pipeline.broker),
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
