//! The memory of the embedded broker: for each idle connection, and with a large backlog.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{fs, process::ExitCode, time::Duration};

use bench::{
    broker::{Served, connect, measured_beside},
    machine::Machine,
    run::{block_on, median},
};
use bytes::Bytes;
use stomp::{Message, Subscription};
use tokio::{task::JoinSet, time::sleep};

const RUNS: usize = 5;
const CONNECTIONS: u64 = 1000;
const BACKLOG: u64 = 100_000;
const BODY_BYTES: usize = 1000;
/// Of the whole process with the backlog, at most.
const MOST_WITH_BACKLOG: u64 = 64_000_000;

fn main() -> ExitCode {
    measured_beside(measure)
}

fn measure() -> Result<(), String> {
    println!("{}", Machine::this());
    let (mut empty, mut idle) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let [before, each] = block_on(idle_connections())?;
        empty.push(before);
        idle.push(each);
    }
    let (empty, idle) = (
        median(empty).unwrap_or_default(),
        median(idle).unwrap_or_default(),
    );
    println!(
        "resident with one connection: {:.1} MB; for each of {CONNECTIONS} more, subscribed and idle: {:.1} kB",
        megabytes(empty),
        megabytes(idle) * 1e3
    );
    let mut full = Vec::new();
    for _ in 0..RUNS {
        full.push(block_on(backlog())?);
    }
    let full = median(full).unwrap_or_default();
    println!(
        "resident with {BACKLOG} waiting messages of {BODY_BYTES} bytes: {:.1} MB",
        megabytes(full)
    );
    if full > MOST_WITH_BACKLOG {
        let limit = megabytes(MOST_WITH_BACKLOG);
        return Err(format!("too much memory: the limit is {limit:.1} MB"));
    }
    Ok(())
}

fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1e6
}

fn resident(pid: u32) -> Result<u64, String> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kib.map(|kib| kib * 1024)
        .ok_or_else(|| format!("{path} has no VmRSS"))
}

fn subscription(durable: Option<&str>) -> Subscription {
    Subscription {
        destination: "/topic/bench.idle".to_owned(),
        durable: durable.map(str::to_owned),
        prefetch: 100,
    }
}

/// With one connection, and what each further one takes.
async fn idle_connections() -> Result<[u64; 2], String> {
    let broker = Served::start(None)?;
    let mut drivers = JoinSet::new();
    let mut kept = Vec::new();
    let mut before = 0;
    for number in 0..=CONNECTIONS {
        let client_id = format!("idle-{number}");
        let client = connect(broker.address(), &client_id, 1, &mut drivers).await?;
        let subscribed = client.subscribe(subscription(None)).await;
        kept.push((client, subscribed.map_err(|error| error.to_string())?));
        if number == 0 {
            before = resident(broker.pid())?;
        }
    }
    let after = resident(broker.pid())?;
    Ok([before, after.saturating_sub(before) / CONNECTIONS])
}

/// With many messages that wait for somebody who is away.
async fn backlog() -> Result<u64, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let broker = Served::start(Some(folder.path()))?;
    let mut drivers = JoinSet::new();
    let away = connect(broker.address(), "away", 1, &mut drivers).await?;
    let subscribed = away.subscribe(subscription(Some("away"))).await;
    drop(subscribed.map_err(|error| error.to_string())?);
    drivers.shutdown().await;
    let client = connect(broker.address(), "publisher", 1024, &mut drivers).await?;
    let mut senders = JoinSet::new();
    for _ in 0..1000 {
        let client = client.clone();
        senders.spawn(async move {
            for _ in 0..BACKLOG / 1000 {
                let message = Message {
                    destination: "/topic/bench.idle".to_owned(),
                    headers: Vec::new(),
                    body: Bytes::from(vec![b'x'; BODY_BYTES]),
                    persistent: true,
                    confirm: true,
                    expires: None,
                };
                client.send(message).await?;
            }
            Ok::<(), stomp::SendError>(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
    }
    // waits for what the last frames took to be given back.
    sleep(Duration::from_secs(1)).await;
    resident(broker.pid())
}
