//! How many pushes a second an outbox takes, each on disk before its caller is answered, and how long a caller waits.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use bench::{
    machine::Machine,
    run::{block_on, median, outcome, per_second},
};
use chassis::{
    Bus, BusSettings,
    outbox::{Outbox, OutboxSettings},
};
use events::{Envelope, message::Pushed};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use world::World;

const RUNS: usize = 5;

/// Pushes in a run.
const PUSHES: usize = 20_000;

/// How many callers wait at a time: one after the other, and as many as a receiver of webhooks has.
const CALLERS: [usize; 2] = [1, 64];

/// A push with its commits and paths, as it is on the bus.
const PUSH: &str = include_str!("../../../crates/events/tests/golden/git.pushed.v1.json");

fn main() -> ExitCode {
    outcome(measure())
}

fn measure() -> Result<(), String> {
    println!("{}", Machine::this());
    let envelope = Envelope::parse(PUSH.as_bytes()).map_err(|error| error.to_string())?;
    let push: Pushed = envelope.open().map_err(|error| error.to_string())?;
    println!(
        "{PUSHES} pushes of {} bytes, {RUNS} runs",
        envelope.to_bytes().len()
    );
    for callers in CALLERS {
        // One by one each takes a flush of its own.
        let pushes = if callers == 1 { PUSHES / 10 } else { PUSHES };
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            runs.push(block_on(run(push.clone(), callers, pushes))?);
        }
        let middle =
            |of: fn(&Run) -> Duration| median(runs.iter().map(of).collect()).unwrap_or_default();
        let all: Vec<String> = runs.iter().map(|run| rate(pushes, run.took)).collect();
        println!(
            "{callers} callers: {}/s; accepted after {:.1?} (median), {:.1?} (99 of 100); all runs: {}/s",
            rate(pushes, middle(|run| run.took)),
            middle(|run| run.half),
            middle(|run| run.most),
            all.join(", "),
        );
    }
    Ok(())
}

fn rate(pushes: usize, took: Duration) -> String {
    let count = u32::try_from(pushes).unwrap_or(u32::MAX);
    format!("{:.0}", per_second(count, took))
}

/// How long all took, half of the callers at most, and 99 of 100 at most.
#[derive(Debug)]
struct Run {
    took: Duration,
    half: Duration,
    most: Duration,
}

/// Nothing is delivered meanwhile: there is no broker.
async fn run(push: Pushed, callers: usize, pushes: usize) -> Result<Run, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let world = World::real();
    let host = "hub1".parse().expect("a host name");
    let (bus, _connection) = Bus::new("bench", &host, BusSettings::default(), world.clone())
        .map_err(|error| error.to_string())?;
    let settings = OutboxSettings {
        messages: PUSHES,
        ..OutboxSettings::default()
    };
    let opened = Outbox::open(&bus, &world, &settings, folder.path()).await;
    let (outbox, keeper) = opened.map_err(|error| error.to_string())?;
    let stop = CancellationToken::new();
    let calling = async {
        let mut tasks = JoinSet::new();
        let began = Instant::now();
        for _ in 0..callers {
            let (outbox, push) = (outbox.clone(), push.clone());
            tasks.spawn(async move {
                let mut waits = Vec::new();
                for _ in 0..pushes / callers {
                    let asked = Instant::now();
                    outbox
                        .append(&push)
                        .await
                        .map_err(|error| error.to_string())?;
                    waits.push(asked.elapsed());
                }
                Ok::<_, String>(waits)
            });
        }
        let mut waits = Vec::new();
        while let Some(done) = tasks.join_next().await {
            waits.extend(done.map_err(|error| error.to_string())??);
        }
        let took = began.elapsed();
        stop.cancel();
        waits.sort();
        let at = |hundredths: usize| waits[waits.len() * hundredths / 100];
        Ok(Run {
            took,
            half: at(50),
            most: at(99),
        })
    };
    let (run, ()) = tokio::join!(calling, keeper.run(&stop));
    run
}
