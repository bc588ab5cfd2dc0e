//! One message to a thousand connections, and a thousand replies to its publisher: the embedded broker beside Debian's
//! nats-server, driven by the same program.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{
    process::{Child, Command, ExitCode, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use bench::{
    broker::{Served, measured_beside},
    cpu,
    machine::Machine,
    run::{block_on, median},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{sleep, timeout},
};

const RUNS: usize = 5;
const CONNECTIONS: usize = 1000;
/// Measured in each run; one more before them warms up.
const ROUNDS: u32 = 20;
const BODY_BYTES: usize = 256;
/// Of the time of nats-server, at most.
const MOST: f64 = 3.0;
/// For anything to answer.
const LIMIT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    measured_beside(measure)
}

fn measure() -> Result<(), String> {
    println!("{}", Machine::this());
    println!(
        "one message of {BODY_BYTES} bytes to {CONNECTIONS} connections, and all replies; medians of {RUNS} runs of {ROUNDS}"
    );
    let (mut nats, mut embedded) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let server = Nats::start()?;
        nats.push(block_on(run(&server.address, server.child.id(), &NATS))?);
        drop(server);
        let server = Served::start(None)?;
        embedded.push(block_on(run(server.address(), server.pid(), &STOMP))?);
    }
    let middle = |runs: &[Took], of: fn(&Took) -> Duration| {
        median(runs.iter().map(of).collect()).unwrap_or_default()
    };
    let mut wall = Vec::new();
    for (name, runs) in [("nats-server", &nats), ("embedded broker", &embedded)] {
        let (took, cpu) = (middle(runs, |it| it.wall), middle(runs, |it| it.cpu));
        println!(
            "{name}: {:.1} ms; the server's CPU {:.1} ms",
            took.as_secs_f64() * 1e3,
            cpu.as_secs_f64() * 1e3
        );
        wall.push(took.as_secs_f64());
    }
    let share = wall[1] / wall[0];
    println!("{share:.2} of nats-server");
    if share <= MOST {
        Ok(())
    } else {
        Err(format!("too slow: the limit is {MOST} of nats-server"))
    }
}

/// The middle round of a run, and the server's processor time for one.
struct Took {
    wall: Duration,
    cpu: Duration,
}

/// Debian's nats-server on loopback; dropped, it is ended.
struct Nats {
    child: Child,
    address: String,
}

impl Nats {
    fn start() -> Result<Self, String> {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let address = free.map_err(|error| error.to_string())?;
        let child = Command::new("nats-server")
            .args(["-a", "127.0.0.1", "-p", &address.port().to_string()])
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| {
                format!("nats-server cannot be started: {error}; apt-get install nats-server")
            })?;
        Ok(Self {
            child,
            address: address.to_string(),
        })
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        // It may have ended by itself; then the measurement has failed already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// What is said, and how answers are counted, in one protocol.
struct Wire {
    /// Logs in and subscribes to `topic`; answered with `ready` at the end.
    hello: fn(topic: &str) -> String,
    ready: &'static [u8],
    publish: fn(topic: &str, body: &str) -> String,
    /// How often this byte stands in one message.
    mark: u8,
    marks: usize,
}

static STOMP: Wire = Wire {
    hello: |topic| {
        format!(
            "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\n\n\0\
             SUBSCRIBE\nid:1\ndestination:/topic/{topic}\nprefetch-count:1000\nreceipt:ready\n\n\0"
        )
    },
    ready: b"receipt-id:ready\n\n\0",
    publish: |topic, body| {
        let bytes = body.len();
        format!("SEND\ndestination:/topic/{topic}\ncontent-length:{bytes}\n\n{body}\0")
    },
    mark: 0,
    marks: 1,
};

static NATS: Wire = Wire {
    hello: |topic| format!("CONNECT {{\"verbose\":false}}\r\nSUB {topic} 1\r\nPING\r\n"),
    ready: b"PONG\r\n",
    publish: |topic, body| format!("PUB {topic} {}\r\n{body}\r\n", body.len()),
    // A line for the head, a line for the body.
    mark: b'\n',
    marks: 2,
};

struct Peer {
    stream: TcpStream,
    wire: &'static Wire,
    buffer: Vec<u8>,
    marks: usize,
}

impl Peer {
    /// A server that has just been started does not listen at once.
    async fn connect(address: &str, wire: &'static Wire, topic: &str) -> Result<Self, String> {
        let stream = timeout(LIMIT, async {
            loop {
                match TcpStream::connect(address).await {
                    Ok(stream) => return stream,
                    // waits for the server to listen.
                    Err(_) => sleep(Duration::from_millis(20)).await,
                }
            }
        });
        let stream = stream.await.map_err(|_| "nobody listens")?;
        stream
            .set_nodelay(true)
            .map_err(|error| error.to_string())?;
        let mut peer = Self {
            stream,
            wire,
            buffer: vec![0; 16 * 1024],
            marks: 0,
        };
        peer.say((wire.hello)(topic).as_bytes()).await?;
        let mut heard = Vec::new();
        while !heard.ends_with(wire.ready) {
            let bytes = peer.hear().await?;
            heard.extend_from_slice(&peer.buffer[..bytes]);
        }
        Ok(peer)
    }

    async fn say(&mut self, text: &[u8]) -> Result<(), String> {
        let said = self.stream.write_all(text).await;
        said.map_err(|error| error.to_string())
    }

    async fn hear(&mut self) -> Result<usize, String> {
        let heard = timeout(LIMIT, self.stream.read(&mut self.buffer)).await;
        match heard.map_err(|_| "no answer")? {
            Ok(0) => Err("the server hung up".to_owned()),
            Ok(bytes) => Ok(bytes),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Waits for messages, and says how many ended.
    async fn messages(&mut self) -> Result<usize, String> {
        let bytes = self.hear().await?;
        let marks = self.buffer[..bytes].iter();
        self.marks += marks.filter(|byte| **byte == self.wire.mark).count();
        let messages = self.marks / self.wire.marks;
        self.marks %= self.wire.marks;
        Ok(messages)
    }
}

async fn run(address: &str, pid: u32, wire: &'static Wire) -> Result<Took, String> {
    let body = "x".repeat(BODY_BYTES);
    let reply: Arc<str> = (wire.publish)("bench.replies", &body).into();
    let question = (wire.publish)("bench.all", &body);
    let mut peers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut peer = Peer::connect(address, wire, "bench.all").await?;
        let reply = Arc::clone(&reply);
        peers.spawn(async move {
            loop {
                for _ in 0..peer.messages().await? {
                    peer.say(reply.as_bytes()).await?;
                }
            }
            #[expect(unreachable_code, reason = "it gives the block its type")]
            Ok::<(), String>(())
        });
    }
    let mut publisher = Peer::connect(address, wire, "bench.replies").await?;
    let mut rounds = Vec::new();
    let mut cpu_before = Duration::ZERO;
    for round in 0..=ROUNDS {
        if round == 1 {
            cpu_before = cpu::of(pid)?;
        }
        let start = Instant::now();
        publisher.say(question.as_bytes()).await?;
        let mut replies = 0;
        while replies < CONNECTIONS {
            replies += publisher.messages().await?;
        }
        if round > 0 {
            rounds.push(start.elapsed());
        }
    }
    let cpu = (cpu::of(pid)? - cpu_before) / ROUNDS;
    peers.shutdown().await;
    let wall = median(rounds).ok_or("there are rounds")?;
    Ok(Took { wall, cpu })
}
