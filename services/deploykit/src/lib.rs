#![doc = include_str!("../README.md")]

pub mod agents;
pub mod announce;
pub mod ask;
pub mod broker_alone;
pub mod cli;
pub mod client;
pub mod consent;
pub mod demo;
pub mod doctor;
pub mod failure;
pub mod home;
pub mod layout;
pub mod listening;
pub mod on;
pub mod pipeline;
pub mod screen;
pub mod setup;
pub mod table;
pub mod tail;
pub mod trust;
pub mod up;
pub mod webhooks;
pub mod words;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{CommandFactory, Parser};
use world::World;

use crate::{
    ask::Session,
    cli::{Announce, Cli, Command},
    failure::Failure,
    home::{Folders, Home},
    screen::complain,
};

/// The agent as a child of this program.
const AGENT: chassis::Service = chassis::Service {
    name: "deploy-agent",
    version: env!("CARGO_PKG_VERSION"),
    about: "One host's agent, as a child of `up` and `demo`",
};

/// What delivers the spool of the hooks.
const ANNOUNCE: chassis::Service = chassis::Service {
    name: announce::NAME,
    version: env!("CARGO_PKG_VERSION"),
    about: "Delivers what hooks left in the spool",
};

/// Does what was typed.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    match &cli.command {
        Command::Agent { config } => {
            end_with_parent();
            let args = [
                "deploy-agent".into(),
                "--config".into(),
                config.clone().into_os_string(),
            ];
            chassis::run_with_args(AGENT, args, deploy_agent::serve).await
        }
        Command::Announce(Announce::Deliver { config, check }) => {
            let mut args: Vec<OsString> = vec![ANNOUNCE.name.into()];
            args.extend(check.then(|| "--check".into()));
            if let Some(config) = config {
                args.extend(["--config".into(), config.into()]);
            }
            chassis::run_with_args(ANNOUNCE, args, announce::serve).await
        }
        Command::Step { words } => match &words[..] {
            [folder] => {
                let itself = ["/proc/self/exe", "step"];
                deploy_agent::step(&World::real(), Path::new(folder), &itself).await
            }
            [folder, script @ ..] => {
                deploy_agent::enter(&World::real(), Path::new(folder), script).await
            }
            [] => ExitCode::from(2),
        },
        Command::On(args) => {
            let world = World::real();
            let ended = on::run(args, cli.at.as_deref(), &Folders::of_user(), &world).await;
            ended.unwrap_or_else(|failure| {
                complain(&failure);
                failure.exit_code()
            })
        }
        Command::Announce(Announce::Git {
            repository,
            pusher,
            spool,
        }) => {
            announce::hooks::git(repository, pusher.clone(), spool).await;
            ExitCode::SUCCESS
        }
        Command::Announce(Announce::Package { repository, spool }) => {
            announce::hooks::package(repository, spool);
            ExitCode::SUCCESS
        }
        Command::Announce(Announce::Svn {
            repository,
            revision,
            spool,
        }) => {
            announce::hooks::subversion(repository, *revision, spool);
            ExitCode::SUCCESS
        }
        Command::Announce(Announce::Build(says)) => {
            announce::hooks::a_build(says);
            ExitCode::SUCCESS
        }
        Command::Announce(Announce::Refreshed {
            packages,
            spool,
            apt_config,
        }) => {
            announce::hooks::refreshed(packages, spool, apt_config.clone()).await;
            ExitCode::SUCCESS
        }
        _ => match carry_out(&cli).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                let typed = own_name(cli.at.as_deref());
                ask::tell_failure(&failure, &typed, cli.command.json());
                failure.exit_code()
            }
        },
    }
}

async fn carry_out(cli: &Cli) -> Result<(), Failure> {
    let world = World::real();
    let folders = Folders::of_user();
    let session = || {
        Session::new(
            Home::find(cli.at.as_deref(), &folders, &*world.disk)?,
            cli.at.as_deref(),
            &world,
        )
    };
    match &cli.command {
        Command::Demo(args) => {
            chassis::start_logs("error");
            demo::run(args, &world).await
        }
        Command::Up(args) => {
            chassis::start_logs("warn");
            up::run(args, &folders, &world).await
        }
        Command::Broker(args) => {
            chassis::start_logs("info");
            broker_alone::run(args, &world).await
        }
        Command::Setup(args) => setup::run(args, &folders, &world).await,
        Command::Doctor(args) => doctor::run(args, &folders, &world).await,
        Command::Deploy(args) => session()?.deploy(args).await,
        Command::Rollback(args) => session()?.rollback(args).await,
        Command::Clear(args) => session()?.clear(args).await,
        Command::Status(args) => session()?.status(args).await,
        Command::Hosts(args) => session()?.hosts(args).await,
        Command::Tags(args) => session()?.tags(args).await,
        Command::Ci(args) => session()?.ci(args).await,
        Command::Show(args) => session()?.show(args).await,
        Command::Logs(args) => session()?.logs(args).await,
        Command::Tail(args) => {
            let home = Home::find(cli.at.as_deref(), &folders, &*world.disk)?;
            tail::run(&client::Client::new(&home)?, args, &world).await
        }
        Command::History(args) => session()?.history(args).await,
        Command::Abort(args) => session()?.control("abort", args).await,
        Command::Pause(args) => session()?.control("pause", args).await,
        Command::Resume(args) => session()?.control("resume", args).await,
        Command::Webhooks(args) => webhooks::run(args, cli.at.as_deref(), &folders, &world).await,
        Command::Completions { shell } => {
            clap_complete::generate(
                *shell,
                &mut Cli::command(),
                "deploykit",
                &mut std::io::stdout(),
            );
            Ok(())
        }
        Command::Man { folder } => {
            clap_mangen::generate_to(Cli::command(), folder).map_err(|error| {
                Failure::Failed(format!("cannot write to {}: {error}", folder.display()))
            })
        }
        Command::Announce(Announce::Hook { hook }) => {
            screen::say(announce::hook(hook).unwrap_or_default().trim_end());
            Ok(())
        }
        Command::Agent { .. } | Command::Step { .. } | Command::On(_) | Command::Announce(_) => {
            Ok(())
        }
    }
}

/// A child must not outlive the pipeline that it is a part of, whatever ends that.
fn end_with_parent() {
    let parent = rustix::process::getppid();
    let asked =
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    if asked.is_err() || rustix::process::getppid() != parent {
        complain("the pipeline that this agent belongs to is gone");
    }
}

/// This machine's name, as far as it is a host name.
fn host_name() -> events::HostName {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .to_lowercase();
    name.parse()
        .unwrap_or_else(|_| "localhost".parse().expect("it is a host name"))
}

fn person_name() -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that asks who is at the keyboard"
    )]
    let name = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    name("USER").or_else(|| name("LOGNAME"))
}

/// Who is at the keyboard: `user@host`.
#[must_use]
pub fn person() -> String {
    let name =
        person_name().unwrap_or_else(|| format!("uid{}", rustix::process::getuid().as_raw()));
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let name: String = name.chars().filter(|c| inner(*c)).collect();
    format!("{name}@{}", host_name())
}

/// How this program was started, as it can be typed again to reach the same pipeline.
#[must_use]
pub fn own_name(at: Option<&Path>) -> String {
    let name = std::env::args().next().filter(|name| !name.is_empty());
    let name = name.unwrap_or_else(|| "deploykit".to_owned());
    match at {
        Some(folder) => format!("{name} --at {}", folder.display()),
        None => name,
    }
}
