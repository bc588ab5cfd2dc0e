//! What a message costs the client: published persistently and confirmed, delivered and acknowledged, over Debian's
//! `RabbitMQ`, in processor time; beside it Debian's `python3-stomp` and `ruby-stomp`.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{
    io::{BufRead, BufReader, ErrorKind},
    path::Path,
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
    time::Duration,
};

use bench::{
    cpu,
    machine::Machine,
    run::{median, outcome},
};
use stomp::{Client, Deliveries, Driver, Message, Subscription};
use testkit::{BrokerProcess, RabbitMq};
use tokio::{net::TcpStream, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

const RUNS: usize = 5;
const MESSAGES: u32 = 20_000;
const BODY_BYTES: usize = 1024;
/// Messages on their way that no receipt has come for.
const WINDOW: u32 = 64;
/// Deliveries that are not acknowledged yet.
const PREFETCH: u32 = 200;

const LIMIT: Duration = Duration::from_micros(25);
/// What the scripts in `foreign/` say where their library is not there.
const NOT_INSTALLED: &str = "not installed";
/// A run takes some seconds.
const RUN_LIMIT: Duration = Duration::from_secs(120);

/// A client that we did not write.
struct Foreigner {
    package: &'static str,
    interpreter: &'static str,
    script: &'static str,
}

const FOREIGNERS: [Foreigner; 2] = [
    Foreigner {
        package: "python3-stomp",
        interpreter: "/usr/bin/python3",
        script: "client.py",
    },
    Foreigner {
        package: "ruby-stomp",
        interpreter: "/usr/bin/ruby",
        script: "client.rb",
    },
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    outcome(measure().await)
}

async fn measure() -> Result<(), String> {
    println!("{}", Machine::this());
    println!(
        "{MESSAGES} messages of {BODY_BYTES} bytes, a window of {WINDOW}, a prefetch of {PREFETCH}, RabbitMQ"
    );
    let broker = RabbitMq::start().await;
    let (mut ours, mut theirs) = (Vec::new(), FOREIGNERS.map(|_| Vec::new()));
    // By turns, so that all meet the same machine. The first round is for warming up.
    for round in 0..=RUNS {
        let own = timeout(RUN_LIMIT, run(&broker)).await;
        let own =
            own.map_err(|_| format!("a run took longer than {} s", RUN_LIMIT.as_secs()))??;
        if round > 0 {
            ours.push(own);
        }
        for (foreigner, runs) in FOREIGNERS.iter().zip(&mut theirs) {
            let used = foreigner.run(&broker)?;
            if round > 0 {
                runs.push(used);
            }
        }
    }
    let own = told("stomp::Client", ours).ok_or("no run")?;
    for (foreigner, runs) in FOREIGNERS.iter().zip(theirs) {
        told(foreigner.package, runs).ok_or("no run")?;
    }
    within_limit(own)
}

fn within_limit(own: Duration) -> Result<(), String> {
    if own > LIMIT {
        return Err(format!(
            "too much: the limit is {} µs a message",
            LIMIT.as_micros()
        ));
    }
    Ok(())
}

/// Prints the runs of one client; the median of its time for one message.
fn told(client: &str, runs: Vec<Duration>) -> Option<Duration> {
    let runs: Vec<Duration> = runs.iter().map(|all| *all / MESSAGES).collect();
    let middle = median(runs.clone())?;
    let micros = |time: &Duration| format!("{:.1}", time.as_secs_f64() * 1e6);
    let all: Vec<String> = runs.iter().map(micros).collect();
    println!(
        "{client}: median {} µs of {}",
        micros(&middle),
        all.join(", ")
    );
    Some(middle)
}

/// One connection publishes and another one consumes; the processor time of both.
async fn run(broker: &BrokerProcess) -> Result<Duration, String> {
    let stop = CancellationToken::new();
    let mut drivers = JoinSet::new();
    let (publisher, driver) = connect(broker, "bench-publisher").await?;
    drivers.spawn(driver.run(stop.clone()));
    let (consumer, driver) = connect(broker, "bench-consumer").await?;
    drivers.spawn(driver.run(stop.clone()));
    let subscription = Subscription {
        destination: "/topic/bench.client".to_owned(),
        durable: Some("bench-consumer".to_owned()),
        prefetch: PREFETCH,
    };
    let deliveries = consumer.subscribe(subscription).await;
    let mut deliveries = deliveries.map_err(|error| error.to_string())?;

    let start = cpu::used();
    let (published, consumed) =
        tokio::join!(publish(&publisher), consume(&consumer, &mut deliveries));
    let used = cpu::used() - start;
    published?;
    consumed?;
    let removed = consumer.remove(deliveries).await;
    removed.map_err(|error| error.to_string())?;
    stop.cancel();
    drivers.join_all().await;
    Ok(used)
}

async fn connect(broker: &BrokerProcess, id: &str) -> Result<(Client, Driver<TcpStream>), String> {
    let stream = TcpStream::connect(broker.address()).await;
    let stream = stream.map_err(|error| error.to_string())?;
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    let connected = stomp::connect(stream, broker.introduction(id)).await;
    connected.map_err(|error| error.to_string())
}

async fn publish(client: &Client) -> Result<(), String> {
    let message = Message {
        destination: "/topic/bench.client".to_owned(),
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: vec![b'x'; BODY_BYTES].into(),
        persistent: true,
        confirm: true,
        expires: None,
    };
    let mut callers = JoinSet::new();
    for caller in 0..WINDOW {
        let (client, message) = (client.clone(), message.clone());
        // What does not divide evenly falls to the first ones.
        let share = MESSAGES / WINDOW + u32::from(caller < MESSAGES % WINDOW);
        callers.spawn(async move {
            for _ in 0..share {
                client.send(message.clone()).await?;
            }
            Ok(())
        });
    }
    let outcomes = callers.join_all().await;
    let all: Result<(), stomp::SendError> = outcomes.into_iter().collect();
    all.map_err(|error| error.to_string())
}

async fn consume(client: &Client, deliveries: &mut Deliveries) -> Result<(), String> {
    for _ in 0..MESSAGES {
        let delivery = deliveries.next().await.ok_or("the connection ended")?;
        let acknowledged = client.ack(&delivery).await;
        acknowledged.map_err(|error| error.to_string())?;
    }
    Ok(())
}

impl Foreigner {
    /// The same by this client, one process to publish and one to consume.
    fn run(&self, broker: &BrokerProcess) -> Result<Duration, String> {
        let mut consumer = self.start(broker, "consume")?;
        let said = line(&mut consumer)?;
        if said != "ready" {
            return Err(self.unfit(&said));
        }
        let mut publisher = self.start(broker, "publish")?;
        let mut used = Duration::ZERO;
        for process in [&mut publisher, &mut consumer] {
            let said = line(process)?;
            let seconds: f64 = said.parse().map_err(|_| self.unfit(&said))?;
            used += Duration::from_secs_f64(seconds);
        }
        for mut process in [publisher, consumer] {
            process.0.wait().map_err(|error| error.to_string())?;
        }
        Ok(used)
    }

    fn start(&self, broker: &BrokerProcess, role: &str) -> Result<Process, String> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign");
        let mut child = Command::new(self.interpreter)
            .arg(script.join(self.script))
            .args([
                role,
                &broker.address(),
                BrokerProcess::LOGIN,
                BrokerProcess::PASSCODE,
            ])
            .args([MESSAGES, WINDOW, PREFETCH].map(|number| number.to_string()))
            .arg(BODY_BYTES.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| match error.kind() {
                ErrorKind::NotFound => self.unfit(NOT_INSTALLED),
                _ => format!("{}: {error}", self.interpreter),
            })?;
        let output = child.stdout.take().ok_or("its output is not there")?;
        Ok((child, BufReader::new(output)))
    }

    /// Why there is no figure.
    fn unfit(&self, said: &str) -> String {
        let Self {
            package, script, ..
        } = self;
        match said {
            NOT_INSTALLED => format!(
                "{package} is not there to compare with: apt-get install --no-install-recommends {package}"
            ),
            said => format!("{script} said {said:?}"),
        }
    }
}

type Process = (Child, BufReader<ChildStdout>);

fn line((_, output): &mut Process) -> Result<String, String> {
    let mut line = String::new();
    output
        .read_line(&mut line)
        .map_err(|error| error.to_string())?;
    Ok(line.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_that_of_the_table() {
        assert!(within_limit(Duration::from_micros(25)).is_ok());
        assert!(within_limit(Duration::from_nanos(25_001)).is_err());
    }

    #[test]
    fn a_missing_package_is_named() {
        for foreigner in &FOREIGNERS {
            let said = foreigner.unfit(NOT_INSTALLED);
            assert!(said.ends_with(foreigner.package), "{said}");
        }
    }

    #[test]
    fn a_run_counts_by_message() {
        let runs = [40, 10, 20].map(|n| Duration::from_micros(n * u64::from(MESSAGES)));
        assert_eq!(told("x", runs.to_vec()), Some(Duration::from_micros(20)));
        assert_eq!(told("x", Vec::new()), None);
    }
}
