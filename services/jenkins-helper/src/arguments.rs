//! The program as a build step: what can be typed, and telling it at once, or leaving it in the spool.

use std::{collections::BTreeMap, io::Write, path::PathBuf, process::ExitCode, time::Duration};

use chassis::{
    Bus, Common, causes,
    outbox::{Outbox, Waiting, drop_off},
    settings,
};
use clap::{Args, Parser, Subcommand};
use events::HostName;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{
    build_step::{Ended, Typed, Word, told},
    settings::{SPOOL, Settings},
};

const NAME: &str = "jenkins-helper";

/// How often it is looked whether everything is delivered.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long the connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);

/// Tells the bus how a build goes.
#[derive(Debug, Parser)]
#[command(name = NAME, version, after_help = "\
Example, at the end of a Jenkinsfile:
  post { success { sh 'jenkins-helper succeeded' } }

It ends with 0 whatever happens, so that a build never fails for it, and says in one line what was not told; with --strict
it ends with 1 then. Only a word or an option that it does not know ends it with 2. A broker that is away is no such thing: the message waits in the spool.
Without a word it is the receiver for Jenkins' Notification plugin.")]
struct Cli {
    #[command(subcommand)]
    word: WordTyped,
}

#[derive(Debug, Subcommand)]
enum WordTyped {
    /// The build began
    Started(Options),
    /// The commit is good
    Succeeded(Options),
    /// The commit is not good
    Failed {
        /// How it ended
        #[arg(long, value_enum, default_value_t = Ended::Failure)]
        result: Ended,
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Debug, Args)]
struct Options {
    #[command(flatten)]
    typed: Typed,
    /// Settings file [default: /etc/deploykit/jenkins-helper.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// End with 1 if it could not be told
    #[arg(long)]
    strict: bool,
}

/// True if this first argument makes the program a build step.
#[must_use]
pub fn is_step(word: &str) -> bool {
    matches!(word, "started" | "succeeded" | "failed" | "help")
}

/// The program as a build step.
pub async fn step() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    chassis::start_logs("error");
    let (code, text) = carry_out(cli, &chassis::environment()).await;
    // Nobody is there to be told that standard error is closed.
    let _ = writeln!(std::io::stderr(), "{NAME}: {text}");
    code
}

pub(crate) async fn step_with(
    arguments: &[&str],
    environment: &BTreeMap<String, String>,
) -> (ExitCode, String) {
    let words = std::iter::once(&NAME).chain(arguments);
    match Cli::try_parse_from(words) {
        Ok(cli) => carry_out(cli, environment).await,
        Err(error) => (ExitCode::from(2), error.to_string()),
    }
}

async fn carry_out(cli: Cli, environment: &BTreeMap<String, String>) -> (ExitCode, String) {
    let (word, options) = match cli.word {
        WordTyped::Started(options) => (Word::Started, options),
        WordTyped::Succeeded(options) => (Word::Succeeded, options),
        WordTyped::Failed { result, options } => (Word::Failed(result.into()), options),
    };
    let strict = options.strict;
    match tell(word, options, environment).await {
        Ok(text) => (ExitCode::SUCCESS, text),
        Err(error) => {
            let code = ExitCode::from(u8::from(strict));
            (code, format!("the bus was not told: {error:#}"))
        }
    }
}

/// Into the spool, so that it lasts; then to the broker, if that is there in time.
async fn tell(
    word: Word,
    options: Options,
    environment: &BTreeMap<String, String>,
) -> anyhow::Result<String> {
    let world = World::real();
    let config = options.config.as_deref();
    // A build has many variables; only ours are settings.
    let (common, own) = settings::load::<Settings>(&*world.disk, NAME, config, environment)?;
    let told = told(word, &options.typed, environment, &own)?;
    let host = common.host_name()?;
    let message = told.sealed(NAME, &host, &world)?;
    let folder = own.outbox.folder.clone().unwrap_or_else(|| SPOOL.into());
    let messages: [Waiting; 1] = [message];
    drop_off(&world, &folder, own.outbox.limits(), &messages)?;
    let line = told.line();
    let waits = match delivered(&own, common, &host, &world).await {
        Ok(()) => return Ok(line),
        Err(waits) => waits,
    };
    Ok(format!(
        "{line}; it waits in {} ({waits})",
        folder.display()
    ))
}

/// Delivers everything that is in the spool; the error says why not all of it is.
async fn delivered(
    own: &Settings,
    common: Common,
    host: &HostName,
    world: &World,
) -> Result<(), String> {
    if own.deliver_within().is_zero() {
        return Err("deliver_within_s is 0".to_owned());
    }
    // A name of its own: several builds of a host may end at once.
    let name = format!("{NAME}-{}", std::process::id());
    let bus = Bus::new(&name, host, common.bus, world.clone());
    let (bus, connection) = bus.map_err(|error| error.to_string())?;
    let opened = Outbox::open(&bus, world, &own.outbox, SPOOL).await;
    let (outbox, keeper) = opened.map_err(|error| causes(&error))?;
    let (stop, disconnect) = (CancellationToken::new(), CancellationToken::new());
    let wait = async {
        let empty = async {
            while outbox.holds().0 > 0 {
                sleep(LOOK_EVERY).await;
            }
        };
        let outcome = timeout(own.deliver_within(), empty).await;
        stop.cancel();
        outcome.map_err(|_| {
            let limit = own.deliver_within_s.0;
            format!("no broker confirmed it within {limit} s (deliver_within_s)")
        })
    };
    let keep = async {
        keeper.run(&stop).await;
        disconnect.cancel();
    };
    let connect = connection.run(disconnect.clone());
    let goodbye = async {
        disconnect.cancelled().await;
        sleep(GOODBYE).await;
    };
    let talk = async {
        tokio::select! {
            () = connect => {}
            () = goodbye => {}
        }
    };
    let (outcome, (), ()) = tokio::join!(wait, keep, talk);
    outcome
}
