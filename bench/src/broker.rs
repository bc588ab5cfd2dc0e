//! The embedded broker as a process of its own: the measuring program, started again.

use std::{
    env,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use broker::{Broker, Limits, Settings};
use stomp::{Client, Connect, Secret};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use world::World;

use crate::run::outcome;

/// The first argument of a program that is to be the broker.
const SERVE: &str = "serve-as-broker";

/// More connections than any measurement needs.
const CONNECTIONS: usize = 4096;

/// The `main` of a program that measures with a broker beside it: the broker, where it was started as that.
pub fn measured_beside(measure: fn() -> Result<(), String>) -> ExitCode {
    serve_if_asked().unwrap_or_else(|| outcome(measure()))
}

/// A running broker; dropped, it is ended.
#[derive(Debug)]
pub struct Served {
    child: Child,
    address: String,
}

impl Served {
    /// Starts this same program as a broker with its data in `folder`, or in memory.
    ///
    /// # Errors
    /// It did not start.
    pub fn start(folder: Option<&Path>) -> Result<Self, String> {
        let program = env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .arg(SERVE)
            .args(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut address = String::new();
        let output = child.stdout.take().ok_or("no output of the broker")?;
        let read = BufReader::new(output).read_line(&mut address);
        let started = Self {
            child,
            address: address.trim().to_owned(),
        };
        match read {
            Ok(bytes) if bytes > 0 => Ok(started),
            _ => Err("the broker did not start".to_owned()),
        }
    }

    /// Where it listens on loopback.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself; then the measurement has failed already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// To be called first by a program that uses [`Served`]: if it was started as the broker, this is all it does.
#[must_use]
fn serve_if_asked() -> Option<ExitCode> {
    let mut args = env::args_os().skip(1);
    if args.next()? != SERVE {
        return None;
    }
    match serve(args.next().map(PathBuf::from)) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(_) => Some(ExitCode::FAILURE),
    }
}

/// As `deploykit broker`: one thread, and one for the disk. It ends with its standard input, so never outlives who
/// started it.
fn serve(data: Option<PathBuf>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let stop = CancellationToken::new();
    let at_the_end = stop.clone();
    std::thread::spawn(move || {
        // Whatever it says, it is over.
        let _over = io::stdin().read_to_end(&mut Vec::new());
        at_the_end.cancel();
    });
    runtime.block_on(async {
        let world = World::real();
        let settings = Settings {
            data,
            limits: Limits {
                connections: CONNECTIONS,
                ..Limits::default()
            },
            ..Settings::default()
        };
        let broker = Broker::open(settings, &world).await;
        let broker = broker.map_err(io::Error::other)?;
        let listener = world.net.listen("127.0.0.1:0").await?;
        let mut out = io::stdout();
        io::Write::write_all(
            &mut out,
            format!("{}\n", listener.local_address()?).as_bytes(),
        )?;
        broker.run(listener, stop).await.map_err(io::Error::other)
    })
}

/// A client of the broker, whose driver runs among `drivers`.
///
/// # Errors
/// It was not let in.
pub async fn connect(
    address: &str,
    client_id: &str,
    outstanding: usize,
    drivers: &mut JoinSet<stomp::Ended>,
) -> Result<Client, String> {
    let introduction = Connect {
        host: "/".to_owned(),
        login: Some("guest".to_owned()),
        passcode: Some(Secret::new("guest")),
        client_id: client_id.to_owned(),
        heart_beat: Duration::ZERO,
        dialect: None,
        limits: stomp::Limits {
            outstanding,
            ..stomp::Limits::default()
        },
    };
    let stream = World::real().net.connect(address).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let connected = stomp::connect(stream, introduction).await;
    let (client, driver) = connected.map_err(|error| error.to_string())?;
    drivers.spawn(driver.run(CancellationToken::new()));
    Ok(client)
}
