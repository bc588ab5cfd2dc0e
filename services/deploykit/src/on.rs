//! `deploykit on`: a person's own command for each message that is wanted.
//!
//! Read: [`message`] (what it says; no I/O), [`outcome`] (what becomes of it; no I/O), then this file and `find`. The bus, the
//! acknowledging and the dead letters are those of every service.

mod find;
pub mod message;
pub mod outcome;
mod tell;

use std::{
    collections::BTreeMap,
    path::Path,
    pin::pin,
    process::ExitCode,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use chassis::{Failure as Ended, Handler, Listen, Start, Verdict, compose, consume, environment};
use command::{Limits, Program};
use events::Envelope;
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::World;

use self::{
    message::{Said, is_wanted},
    outcome::{Outcome, verdict},
    tell::Teller,
};
use crate::{cli, demo::interrupted, failure::Failure, home::Folders};

pub use find::{OnSettings, command as find_command, settings as find_settings};

/// From TERM to KILL for a command at its limit.
const GRACE: Duration = Duration::from_secs(10);

/// What a second signal ends with: as a shell says that SIGINT ended it.
const STOPPED_TWICE: u8 = 130;

/// Runs the command for each message until it is told to stop.
///
/// # Errors
/// When the settings are wrong, the command is not there, or the metrics cannot be served.
pub async fn run(
    args: &cli::On,
    at: Option<&Path>,
    folders: &Folders,
    world: &World,
) -> Result<ExitCode, Failure> {
    chassis::start_logs(if args.json { "off" } else { "warn" });
    let variables = environment();
    let mut common = find::settings(
        args.config.as_deref(),
        at,
        folders,
        &*world.disk,
        &variables,
    )?;
    // One at a time: what the broker sent ahead would only wait here, and RabbitMQ waits half an hour for an acknowledgement.
    common.bus.prefetch = 1;
    let service = match &args.name {
        Some(name) => format!("on-{name}"),
        None => format!("on-{}", std::process::id()),
    };
    if args.forget {
        return forget(args, &common, &service, world).await;
    }
    let base = inherited(&variables);
    let path = base.get("PATH").map_or("", String::as_str);
    find::command(&args.command[0], path, &*world.disk)?;
    let (stop, code) = (CancellationToken::new(), AtomicU8::new(0));
    let teller = Teller { json: args.json };
    let serve = |start: Start<OnSettings>| serve(start, args, &base, teller, &code);
    // The name lives as long as the process, which is one subscription.
    let service: &'static str = Box::leak(service.into_boxed_str());
    let composed = compose(
        service,
        common,
        OnSettings {},
        world.clone(),
        stop.clone(),
        serve,
    );
    let mut composed = pin!(composed);
    let ended = tokio::select! {
        ended = composed.as_mut() => ended,
        () = interrupted() => {
            stop.cancel();
            let words = "stops after the command in hand; once more ends that too";
            teller.say(world.clock.now(), "stopping", words);
            tokio::select! {
                ended = composed => ended,
                () = interrupted() => return Ok(ExitCode::from(STOPPED_TWICE)),
            }
        }
    };
    match ended {
        Ok(()) => Ok(ExitCode::from(code.load(Ordering::Relaxed))),
        Err(Ended::Settings(wrong)) => Err(Failure::Settings(wrong)),
        Err(Ended::Failed(error)) => Err(error.into()),
    }
}

async fn forget(
    args: &cli::On,
    common: &chassis::Common,
    service: &str,
    world: &World,
) -> Result<ExitCode, Failure> {
    let host = common
        .host_name()
        .map_err(|wrong| Failure::Settings(format!("host: {wrong}")))?;
    let subscription = common.bus.topics.subscription(service, &host);
    for broker in &common.bus.brokers {
        let forgotten =
            chassis::bus::forget(&common.bus, broker, &args.topic, &subscription, world).await;
        match forgotten {
            Ok(()) => return Ok(ExitCode::SUCCESS),
            Err(why) => tracing::warn!(broker, why, "cannot end {subscription} there"),
        }
    }
    Err(Failure::Unavailable(format!(
        "no broker has ended the subscription {subscription}"
    )))
}

/// What a command has of this program's environment.
fn inherited(variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_one = |name: &str| {
        ["PATH", "HOME", "LANG", "LC_ALL", "TZ"].contains(&name) || name.starts_with("XDG_")
    };
    let mut base: BTreeMap<_, _> = variables
        .clone()
        .into_iter()
        .filter(|(name, _)| is_one(name))
        .collect();
    // A program without LC_ALL would be given one, and LANG would be for nothing.
    if let Some(language) = base.get("LANG").cloned() {
        base.entry("LC_ALL".to_owned()).or_insert(language);
    }
    base
}

async fn serve(
    start: Start<OnSettings>,
    args: &cli::On,
    base: &BTreeMap<String, String>,
    teller: Teller,
    code: &AtomicU8,
) -> Result<(), Ended> {
    let topic = args.topic.clone();
    let listen = match &args.name {
        Some(_) => Listen::durable(
            topic,
            start.bus.names().subscription(start.service, &start.host),
        ),
        None => Listen::hints([topic]),
    };
    let inbox = start.bus.listen(listen).await;
    let over = CancellationToken::new();
    let mut runner = Runner {
        start: &start,
        args,
        base,
        teller,
        code,
        tries: BTreeMap::new(),
    };
    let work = async {
        let ended = consume(&mut runner, inbox, &start.bus, &start.stop).await;
        over.cancel();
        ended
    };
    let (ended, ()) = tokio::join!(
        work,
        watch(&start, args, teller, start.bus.connected(), &over)
    );
    ended
}

/// Tells when there is a bus, and with `--json` when there is none; elsewhere the log does.
async fn watch(
    start: &Start<OnSettings>,
    args: &cli::On,
    teller: Teller,
    mut connected: watch::Receiver<bool>,
    over: &CancellationToken,
) {
    let mut was = None;
    loop {
        let is = *connected.borrow_and_update();
        if was != Some(is) {
            let now = start.world.clock.now();
            match is {
                true => teller.say(
                    now,
                    "listening",
                    &format!("listens to {}", args.topic.dotted()),
                ),
                false if teller.json => {
                    teller.say(now, "away", "not connected to the bus; tries go on")
                }
                false => {}
            }
            was = Some(is);
        }
        tokio::select! {
            () = over.cancelled() => return,
            Ok(()) = connected.changed() => {}
        }
    }
}

struct Runner<'a> {
    start: &'a Start<OnSettings>,
    args: &'a cli::On,
    base: &'a BTreeMap<String, String>,
    teller: Teller,
    code: &'a AtomicU8,
    /// How often the command ran for messages that come again: one, for no other is fetched meanwhile.
    tries: BTreeMap<Uuid, u32>,
}

impl Handler for Runner<'_> {
    async fn handle(&mut self, envelope: &Envelope) -> Verdict {
        let clock = &self.start.world.clock;
        let said = match Said::read(&self.args.topic, envelope) {
            Ok(said) => said,
            Err(wrong) => {
                let words = format!("a message is passed over: {wrong}");
                self.teller.say(clock.now(), "unusable", &words);
                return match self.args.name {
                    Some(_) => Verdict::Poison(wrong.to_string()),
                    None => Verdict::Done,
                };
            }
        };
        if !is_wanted(&said, self.args) {
            return Verdict::Done;
        }
        self.teller.runs(clock.now(), &said);
        let began = Instant::now();
        let limits = Limits {
            grace: GRACE,
            ..Limits::of(self.args.limit)
        };
        let program = self.program(&said, envelope);
        let ran = self.start.world.processes.run_shown(&program, limits).await;
        let outcome = Outcome::from(ran);
        let tries = self.tries.remove(&envelope.id).unwrap_or_default() + 1;
        let verdict = verdict(&outcome, tries, self.args.retries, self.args.name.is_some());
        let next = match &verdict {
            Verdict::Done if outcome.is_good() => "done",
            Verdict::Done => "given up",
            Verdict::Again(_) => "again later",
            Verdict::Poison(_) => "put aside as a dead letter",
        };
        self.teller
            .ran(clock.now(), &said, &outcome, began.elapsed(), next);
        if matches!(verdict, Verdict::Again(_)) {
            self.tries.insert(envelope.id, tries);
        } else if self.args.once {
            self.code.store(outcome.exit_code(), Ordering::Relaxed);
            self.start.stop.cancel();
        }
        verdict
    }
}

impl Runner<'_> {
    fn program(&self, said: &Said, envelope: &Envelope) -> Program {
        let (name, arguments) = self
            .args
            .command
            .split_first()
            .expect("clap asks for a command");
        let mut line = envelope.to_bytes();
        line.push(b'\n');
        let mut program = Program::new(name).args(arguments.to_vec()).stdin(line);
        for (name, value) in self.base {
            program = program.env(name, value);
        }
        for (name, value) in said.variables() {
            program = program.env(format!("DEPLOYKIT_{name}"), value);
        }
        program
    }
}
