//! How many persistent, confirmed messages a second go into a durable subscription of the embedded broker, beside a
//! plain file that takes the same bytes.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a measuring program at a person's terminal"
)]

use std::{
    fs::OpenOptions,
    io::Write,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use bench::{
    broker::{Served, connect, serve_if_asked},
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
    if let Some(code) = serve_if_asked() {
        return code;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
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
        plain.push(plain_file().map_err(|error| error.to_string())?);
        absent.push(published(Subscriber::Absent)?);
        live.push(published(Subscriber::Live)?);
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
        let cpu = median(runs.iter().map(|(_, cpu)| *cpu).collect()).unwrap_or_default();
        let rate = rate(runs.into_iter().map(|(took, _)| took).collect());
        let share = rate / plain;
        println!(
            "{what}: {rate:.0}/s, {share:.2} of the plain file; the broker's CPU {:.1} µs a message",
            cpu.as_secs_f64() * 1e6 / f64::from(MESSAGES)
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

/// The same bytes, without a broker.
fn plain_file() -> std::io::Result<Duration> {
    let folder = tempfile::tempdir()?;
    let frame = Frame::new(Command::Send)
        .with("destination", TOPIC)
        .with("persistent", "true");
    let mut one = bytes::BytesMut::new();
    stomp::encode(&frame.with_body(body()), &mut one).map_err(std::io::Error::other)?;
    let group = one.repeat(WINDOW as usize);
    let mut file = OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(folder.path().join("plain"))?;
    let start = Instant::now();
    for _ in 0..MESSAGES.div_ceil(WINDOW) {
        file.write_all(&group)?;
        file.sync_data()?;
    }
    Ok(start.elapsed())
}

fn body() -> Bytes {
    Bytes::from(vec![b'x'; BODY_BYTES])
}

/// How long the messages took until the last receipt (and until the last was acknowledged), and the broker's CPU time.
fn published(subscriber: Subscriber) -> Result<(Duration, Duration), String> {
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
    let cpu_before = cpu::of(broker.pid())?;
    let start = Instant::now();
    block_on(publish(broker.address()))?;
    if let Some(consumer) = consumer {
        consumer.join().map_err(|_| "the subscriber panicked")??;
    }
    Ok((start.elapsed(), cpu::of(broker.pid())? - cpu_before))
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

fn message() -> Message {
    Message {
        destination: TOPIC.to_owned(),
        headers: Vec::new(),
        body: body(),
        persistent: true,
        confirm: true,
        expires: None,
    }
}

async fn published_one(address: &str) -> Result<(), String> {
    let mut drivers = JoinSet::new();
    let client = connect(address, "first", 1, &mut drivers).await?;
    client
        .send(message())
        .await
        .map_err(|error| error.to_string())
}

async fn publish(address: &str) -> Result<(), String> {
    let mut drivers = JoinSet::new();
    let client = connect(address, "publisher", WINDOW as usize, &mut drivers).await?;
    let mut senders = JoinSet::new();
    for sender in 0..WINDOW {
        let client: Client = client.clone();
        let share = MESSAGES / WINDOW + u32::from(sender < MESSAGES % WINDOW);
        senders.spawn(async move {
            for _ in 0..share {
                client.send(message()).await?;
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
