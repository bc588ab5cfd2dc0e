//! How many persistent, confirmed messages a second go into a durable subscription of the embedded broker, beside a
//! plain file that takes the same bytes.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{
    fs::{self, OpenOptions},
    io::Write,
    path::Path,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use bench::{
    broker::{Served, connect, measured_beside},
    cpu,
    machine::Machine,
    run::{block_on, median, per_second},
};
use bytes::Bytes;
use stomp::{Client, Command, Frame, Message, Subscription};
use tokio::task::JoinSet;

const RUNS: usize = 5;
const MESSAGES: u32 = 60_000;
const BODY_BYTES: usize = 1000;
/// Receipts that may be outstanding; also the messages of one flush of the plain file.
const WINDOW: u32 = 64;
const TOPIC: &str = "/topic/bench.embedded";
/// Messages a second, at least.
const LEAST: f64 = 25_000.0;
/// Of what the plain file takes, at least.
const LEAST_SHARE: f64 = 0.5;

fn main() -> ExitCode {
    measured_beside(measure)
}

#[derive(Clone, Copy)]
enum Subscriber {
    Absent,
    Live,
}

fn measure() -> Result<(), String> {
    println!("{}", Machine::this());
    println!("{MESSAGES} messages of {BODY_BYTES} bytes, window {WINDOW}, medians of {RUNS}");
    let (mut plain, mut absent, mut live) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..RUNS {
        plain.push(plain_file(WINDOW)?);
        for (runs, subscriber) in [
            (&mut absent, Subscriber::Absent),
            (&mut live, Subscriber::Live),
        ] {
            let run = published(subscriber)?;
            let same = plain_file(run.group())?;
            runs.push((run, same));
        }
    }
    let rate = |times: Vec<Duration>| {
        let middle = median(times).unwrap_or_default();
        per_second(MESSAGES, middle)
    };
    let plain = rate(plain);
    println!("plain file, fdatasync for every {WINDOW}: {plain:.0}/s");
    let mut good = true;
    for (what, runs) in [
        ("absent subscriber", absent),
        ("live, acknowledging subscriber", live),
    ] {
        let cpu = median(runs.iter().map(|(run, _)| run.cpu).collect()).unwrap_or_default();
        let mut groups: Vec<u32> = runs.iter().map(|(run, _)| run.group()).collect();
        groups.sort_unstable();
        let group = groups[groups.len() / 2];
        let same = rate(runs.iter().map(|(_, same)| *same).collect());
        let rate = rate(runs.into_iter().map(|(run, _)| run.took).collect());
        let share = rate / plain;
        println!(
            "{what}: {rate:.0}/s, {share:.2} of the plain file; the broker's CPU {:.1} µs a message",
            cpu.as_secs_f64() * 1e6 / f64::from(MESSAGES)
        );
        println!(
            "  {group} messages a commit; {:.2} of a plain file with fdatasync for as many: {same:.0}/s",
            rate / same
        );
        good &= rate >= LEAST && share >= LEAST_SHARE;
    }
    if good {
        Ok(())
    } else {
        Err(format!(
            "too slow: the limits are {LEAST}/s and {LEAST_SHARE} of the plain file"
        ))
    }
}

/// The same bytes without a broker, with one fdatasync for `group` messages.
fn plain_file(group: u32) -> Result<Duration, String> {
    append(group).map_err(|error| error.to_string())
}

fn append(group: u32) -> std::io::Result<Duration> {
    let folder = tempfile::tempdir()?;
    let frame = Frame::new(Command::Send)
        .with("destination", TOPIC)
        .with("persistent", "true");
    let mut one = bytes::BytesMut::new();
    stomp::encode(&frame.with_body(body()), &mut one).map_err(std::io::Error::other)?;
    let bytes = one.repeat(group as usize);
    let mut file = OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(folder.path().join("plain"))?;
    let start = Instant::now();
    for _ in 0..MESSAGES.div_ceil(group) {
        file.write_all(&bytes)?;
        file.sync_data()?;
    }
    Ok(start.elapsed())
}

fn body() -> Bytes {
    Bytes::from(vec![b'x'; BODY_BYTES])
}

struct Run {
    /// Until the last receipt, and until the last message was acknowledged.
    took: Duration,
    /// The broker's.
    cpu: Duration,
    commits: u32,
}

impl Run {
    /// Messages a commit, rounded.
    fn group(&self) -> u32 {
        let commits = self.commits.max(1);
        ((MESSAGES + commits / 2) / commits).max(1)
    }
}

fn published(subscriber: Subscriber) -> Result<Run, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let broker = Served::start(Some(folder.path()))?;
    block_on(subscribe(broker.address(), false))?;
    let consumer = match subscriber {
        Subscriber::Absent => None,
        Subscriber::Live => Some(thread::spawn({
            let address = broker.address().to_owned();
            move || block_on(subscribe(&address, true))
        })),
    };
    block_on(published_one(broker.address()))?;
    let commits_before = commits(folder.path())?;
    let cpu_before = cpu::of(broker.pid())?;
    let start = Instant::now();
    block_on(publish(broker.address()))?;
    if let Some(consumer) = consumer {
        consumer.join().map_err(|_| "the subscriber panicked")??;
    }
    Ok(Run {
        took: start.elapsed(),
        cpu: cpu::of(broker.pid())? - cpu_before,
        commits: commits(folder.path())? - commits_before,
    })
}

/// How many commits there were since the broker's start: the log counts them in the head of each (mark, bytes that follow
/// the head, number, CRC), and the newest segment that is not empty has the last one.
fn commits(folder: &Path) -> Result<u32, String> {
    const HEAD_BYTES: usize = 4 + 4 + 8 + 4;
    let text = |error: std::io::Error| error.to_string();
    let entries = fs::read_dir(folder).map_err(text)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    let mut paths = paths.collect::<Result<Vec<_>, _>>().map_err(text)?;
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "log"));
    paths.sort();
    for path in paths.iter().rev() {
        let log = fs::read(path).map_err(text)?;
        let (mut rest, mut last) = (log.as_slice(), None);
        while let Some((head, behind)) = rest.split_at_checked(HEAD_BYTES) {
            let number = |at: usize| {
                u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
            };
            last = Some(number(8));
            rest = behind.get(number(4) as usize..).unwrap_or_default();
        }
        if let Some(last) = last {
            return Ok(last);
        }
    }
    Err("the broker has written no commit".to_owned())
}

/// Makes the durable subscription; takes all messages from it, where wanted.
async fn subscribe(address: &str, take: bool) -> Result<(), String> {
    let mut drivers = JoinSet::new();
    let client = connect(address, "subscriber", 1, &mut drivers).await?;
    let subscription = Subscription {
        destination: TOPIC.to_owned(),
        durable: Some("subscriber".to_owned()),
        prefetch: 1000,
    };
    let subscribed = client.subscribe(subscription).await;
    let mut deliveries = subscribed.map_err(|error| error.to_string())?;
    if !take {
        return Ok(());
    }
    // One more: the first shows that all is ready.
    for _ in 0..=MESSAGES {
        let delivery = deliveries.next().await.ok_or("the connection ended")?;
        let acknowledged = client.ack(&delivery).await;
        acknowledged.map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn message(body: &Bytes) -> Message {
    Message {
        destination: TOPIC.to_owned(),
        headers: Vec::new(),
        body: body.clone(),
        persistent: true,
        confirm: true,
        expires: None,
    }
}

async fn published_one(address: &str) -> Result<(), String> {
    let mut drivers = JoinSet::new();
    let client = connect(address, "first", 1, &mut drivers).await?;
    client
        .send(message(&body()))
        .await
        .map_err(|error| error.to_string())
}

async fn publish(address: &str) -> Result<(), String> {
    let mut drivers = JoinSet::new();
    let client = connect(address, "publisher", WINDOW as usize, &mut drivers).await?;
    let mut senders = JoinSet::new();
    let body = body();
    for sender in 0..WINDOW {
        let body = body.clone();
        let client: Client = client.clone();
        let share = MESSAGES / WINDOW + u32::from(sender < MESSAGES % WINDOW);
        senders.spawn(async move {
            for _ in 0..share {
                client.send(message(&body)).await?;
            }
            Ok::<(), stomp::SendError>(())
        });
    }
    while let Some(sent) = senders.join_next().await {
        sent.map_err(|error| error.to_string())?
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}
