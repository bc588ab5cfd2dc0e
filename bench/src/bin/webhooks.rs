//! How many verified pushes a second `github-stomp` has safe on disk, and how long one takes to the topic.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{
    fs,
    net::TcpListener,
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use bench::{
    broker::{Served, connect, measured_beside},
    cpu,
    machine::Machine,
    run::{block_on, median, per_second},
};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use stomp::{Deliveries, Subscription};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufStream},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

const RUNS: usize = 5;
const PUSHES: u32 = 20_000;
const CONNECTIONS: u32 = 64;
/// Pushes one after the other, of which the time to the topic is taken.
const ALONE: u32 = 500;
const TOPIC: &str = "/topic/deploykit.git.commits";
const SECRET: &[u8] = b"It's a Secret to Everybody";
/// The recorded push, before and after the id of its newest commit.
const PUSH: &str =
    include_str!("../../../services/github-stomp/tests/data/recorded/github/push.json");
const AFTER: &str = r#""after": "fd489864e7642b48eaad6e3f155c10e46810ec72""#;

/// Pushes a second, at least.
const LEAST: f64 = 2500.0;
/// Of a hundred answers the slowest but one, at most.
const SLOWEST: Duration = Duration::from_millis(50);
/// From a hook to the topic, at most.
const TO_TOPIC: Duration = Duration::from_millis(3);
/// A run takes no longer.
const RUN_LIMIT: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    measured_beside(measure)
}

fn measure() -> Result<(), String> {
    println!("{}", Machine::this());
    println!(
        "{PUSHES} pushes of {} bytes, {CONNECTIONS} connections, medians of {RUNS}",
        PUSH.len()
    );
    let (mut took, mut slowest, mut arrived, mut to_topic) = (vec![], vec![], vec![], vec![]);
    for run in 0..RUNS {
        let one = one_run(run)?;
        println!(
            "{:.0}/s, p50 {:.1} ms, p99 {:.1} ms, on the topic {:.0}/s; alone to the topic {:.2} ms; {:.0} µs of the service's CPU a push",
            per_second(PUSHES, one.took),
            millis(one.p50),
            millis(one.p99),
            per_second(PUSHES, one.arrived),
            millis(one.to_topic),
            one.cpu.as_secs_f64() * 1e6 / f64::from(PUSHES)
        );
        took.push(one.took);
        slowest.push(one.p99);
        arrived.push(one.arrived);
        to_topic.push(one.to_topic);
    }
    let middle = |times| median(times).unwrap_or_default();
    let (rate, p99) = (per_second(PUSHES, middle(took)), middle(slowest));
    let to_topic = middle(to_topic);
    println!(
        "median: {rate:.0}/s, p99 {:.1} ms, on the topic {:.0}/s; alone to the topic {:.2} ms",
        millis(p99),
        per_second(PUSHES, middle(arrived)),
        millis(to_topic)
    );
    if rate < LEAST || p99 > SLOWEST || to_topic > TO_TOPIC {
        return Err(format!(
            "too slow: the limits are {LEAST}/s, {SLOWEST:?} and {TO_TOPIC:?}"
        ));
    }
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

struct Run {
    /// Until the last answer, and until the last push was on the topic.
    took: Duration,
    arrived: Duration,
    p50: Duration,
    p99: Duration,
    to_topic: Duration,
    /// The service's.
    cpu: Duration,
}

/// The service; dropped, it is ended.
struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself; then the measurement has failed already.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn one_run(run: usize) -> Result<Run, String> {
    let text = |error: std::io::Error| error.to_string();
    let folder = tempfile::tempdir().map_err(text)?;
    let broker = Served::start(Some(&folder.path().join("broker")))?;
    let free = TcpListener::bind("127.0.0.1:0").map_err(text)?;
    let address = free.local_addr().map_err(text)?.to_string();
    drop(free);
    let service = start(folder.path(), &address, broker.address())?;
    block_on(async {
        let mut drivers = JoinSet::new();
        let client = connect(broker.address(), "listener", 1, &mut drivers).await?;
        let subscription = Subscription {
            destination: TOPIC.to_owned(),
            durable: None,
            prefetch: 1000,
        };
        let heard = client.subscribe(subscription).await;
        let mut heard = heard.map_err(|error| error.to_string())?;
        let work = async {
            ready(&address).await?;
            let to_topic = alone(run, &address, &client, &mut heard).await?;
            let cpu_before = cpu::of(service.0.id())?;
            let start = Instant::now();
            let (times, arrived) = tokio::join!(
                all(run, &address, start),
                arrive(&client, &mut heard, start)
            );
            let (took, mut times) = times?;
            times.sort_unstable();
            let at = |part: usize| times[(times.len() * part / 100).min(times.len() - 1)];
            Ok::<_, String>(Run {
                took,
                arrived: arrived?,
                p50: at(50),
                p99: at(99),
                to_topic,
                cpu: cpu::of(service.0.id())? - cpu_before,
            })
        };
        let limit = timeout(RUN_LIMIT, work).await;
        limit.map_err(|_| format!("a run took longer than {RUN_LIMIT:?}"))?
    })
}

/// The program beside this one, with the settings that it ships with.
fn start(folder: &Path, address: &str, broker: &str) -> Result<Service, String> {
    let text = |error: std::io::Error| error.to_string();
    let program = std::env::current_exe().map_err(text)?;
    let program = program.with_file_name("github-stomp");
    let (secret, passcode) = (folder.join("secret"), folder.join("passcode"));
    fs::write(&secret, SECRET).map_err(text)?;
    fs::write(&passcode, "guest").map_err(text)?;
    let data = folder.join("data");
    let settings = format!(
        "host = 'hub1'\nlisten = '{address}'\ndata = '{}'\n[outbox]\nfolder = '{}'\n\
         [sources.github]\nkind = 'github'\nsecret_file = '{}'\n\
         [bus]\nbrokers = ['{broker}']\nlogin = 'guest'\npasscode_file = '{}'\n",
        data.display(),
        folder.join("outbox").display(),
        secret.display(),
        passcode.display(),
    );
    let file = folder.join("github-stomp.toml");
    fs::write(&file, settings).map_err(text)?;
    let log = fs::File::create(folder.join("log")).map_err(text)?;
    let child = Command::new(&program)
        .arg("--config")
        .arg(file)
        .stdin(Stdio::null())
        .stderr(log)
        .spawn();
    let child = child.map_err(|error| format!("{}: {error}", program.display()))?;
    Ok(Service(child))
}

/// Waits until it answers and has its broker.
async fn ready(address: &str) -> Result<(), String> {
    let asked = async {
        loop {
            if let Ok(mut stream) = TcpStream::connect(address).await {
                let request = "GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
                let mut answer = String::new();
                let _sent = stream.write_all(request.as_bytes()).await;
                let _read = stream.read_to_string(&mut answer).await;
                if answer.contains("\r\nconnected to the bus") {
                    return;
                }
            }
            // waits for a program that is starting, up to the limit below.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let limit = timeout(Duration::from_secs(10), asked).await;
    limit.map_err(|_| "github-stomp was not ready within 10 s".to_owned())
}

/// A request with the push whose newest commit has this number, signed.
fn request(run: usize, number: u32) -> Vec<u8> {
    let after = format!(r#""after": "{:08x}{number:032x}""#, run + 1);
    let body = PUSH.replacen(AFTER, &after, 1);
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("any key is good");
    mac.update(body.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    let length = body.len();
    format!(
        "POST /hook/github HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nx-github-event: push\r\n\
         x-github-delivery: {number}\r\nx-hub-signature-256: sha256={signature}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

/// Sends it and reads the answer.
async fn post(stream: &mut BufStream<TcpStream>, request: &[u8]) -> Result<(), String> {
    let work = async {
        stream.write_all(request).await?;
        stream.flush().await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await?);
        }
        let head = String::from_utf8_lossy(&answer).into_owned();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or_default();
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        Ok::<_, std::io::Error>((head, body))
    };
    let (head, body) = work.await.map_err(|error| error.to_string())?;
    if head.starts_with("HTTP/1.1 202") && body.starts_with(b"taken as ") {
        return Ok(());
    }
    Err(format!("{head}{}", String::from_utf8_lossy(&body)))
}

async fn open(address: &str) -> Result<BufStream<TcpStream>, String> {
    let stream = TcpStream::connect(address).await;
    let stream = stream.map_err(|error| error.to_string())?;
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    Ok(BufStream::with_capacity(1024, 16 * 1024, stream))
}

/// The median time from a hook to the topic, one after the other.
async fn alone(
    run: usize,
    address: &str,
    client: &stomp::Client,
    heard: &mut Deliveries,
) -> Result<Duration, String> {
    let mut stream = open(address).await?;
    let mut times = Vec::new();
    for number in 0..ALONE {
        let request = request(run, PUSHES + number);
        let start = Instant::now();
        let (posted, came) = tokio::join!(post(&mut stream, &request), async {
            let came = next(client, heard).await;
            came.map(|()| start.elapsed())
        });
        posted?;
        times.push(came?);
    }
    median(times).ok_or_else(|| "no push".to_owned())
}

async fn next(client: &stomp::Client, heard: &mut Deliveries) -> Result<(), String> {
    let delivery = heard.next().await.ok_or("the connection ended")?;
    let acknowledged = client.ack(&delivery).await;
    acknowledged.map_err(|error| error.to_string())
}

async fn arrive(
    client: &stomp::Client,
    heard: &mut Deliveries,
    start: Instant,
) -> Result<Duration, String> {
    for _ in 0..PUSHES {
        next(client, heard).await?;
    }
    Ok(start.elapsed())
}

/// All pushes over all connections; the time until the last answer, and that of each. Signing them counts in.
async fn all(
    run: usize,
    address: &str,
    start: Instant,
) -> Result<(Duration, Vec<Duration>), String> {
    let mut senders = JoinSet::new();
    for sender in 0..CONNECTIONS {
        let mut stream = open(address).await?;
        senders.spawn(async move {
            let mut times = Vec::new();
            for number in (sender..PUSHES).step_by(CONNECTIONS as usize) {
                let request = request(run, number);
                let sent = Instant::now();
                post(&mut stream, &request).await?;
                times.push(sent.elapsed());
            }
            Ok::<_, String>(times)
        });
    }
    let mut times = Vec::new();
    while let Some(sent) = senders.join_next().await {
        times.extend(sent.map_err(|error| error.to_string())??);
    }
    Ok((start.elapsed(), times))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_push_differs_in_its_newest_commit_only() {
        let texts = [1, 2].map(|number| String::from_utf8(request(0, number)).unwrap());
        assert_ne!(texts[0], texts[1]);
        let number = format!("{:032x}", 1);
        assert_eq!(
            texts[0].matches(&number).count(),
            1,
            "the recorded push has it once"
        );
    }
}
