//! A broker in a process of its own.

use std::{path::PathBuf, time::Duration};

use chassis::{BusSettings, Common};
use command::{Program, Running};
use rustix::process::{Pid, Signal, kill_process_group};
use stomp::{Connect, Limits, Secret};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{Folder, SOON, until};

/// From its start until it accepts a client. A quiet machine needs 2 s (ActiveMQ) to 8 s (RabbitMQ).
const START_LIMIT: Duration = Duration::from_secs(90);

/// From TERM to its end.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// How much of its log a failure shows.
const LAST_LINES: usize = 30;

/// A broker on loopback in a process of its own, with a folder of its own, for [`BrokerProcess::LOGIN`]. Dropped, it is
/// killed with its process group.
#[derive(Debug)]
pub struct BrokerProcess {
    // The process ends before its folder goes.
    running: Option<Box<dyn Running>>,
    /// Another process that it needs, for as long.
    _beside: Option<Box<dyn Running>>,
    name: &'static str,
    port: u16,
    program: Program,
    folder: Folder,
}

impl BrokerProcess {
    /// Who may connect.
    pub const LOGIN: &'static str = "deploykit";
    /// The password of [`BrokerProcess::LOGIN`].
    pub const PASSCODE: &'static str = "let-me-in";

    /// Starts a broker and waits until it accepts a client. `program` is given its folder and its port.
    ///
    /// # Panics
    /// It did not start, with the last lines of its log.
    pub async fn start(name: &'static str, program: impl FnOnce(&Folder, u16) -> Program) -> Self {
        let port = free_port().await;
        let folder = Folder::new();
        let program = program(&folder, port);
        Self::start_beside(None, name, port, folder, program).await
    }

    /// A program that the system kills when the thread that started it is gone: a test that is itself killed leaves
    /// nothing behind.
    #[must_use]
    pub fn program(name: &str) -> Program {
        Program::new("setpriv").args(["--pdeathsig", "KILL", name])
    }

    pub(crate) async fn start_beside(
        beside: Option<Box<dyn Running>>,
        name: &'static str,
        port: u16,
        folder: Folder,
        program: Program,
    ) -> Self {
        folder.write("passcode", Self::PASSCODE);
        let mut broker = Self {
            running: None,
            _beside: beside,
            name,
            port,
            program,
            folder,
        };
        broker.start_again().await;
        broker
    }

    /// Starts it under the same address with the data that is there, and waits until it accepts a client.
    ///
    /// # Panics
    /// It still runs, or did not start: then with the last lines of its log.
    pub async fn start_again(&mut self) {
        assert!(self.running.is_none(), "{} still runs", self.name);
        let mut running = start(&self.program, self.log());
        let why = tokio::select! {
            ended = running.ended() => Some(format!("ended at once ({ended})")),
            accepted = tokio::time::timeout(START_LIMIT, self.accepts_a_client()) => match accepted {
                Ok(()) => None,
                Err(_) => Some(format!("accepts no client within {} s", START_LIMIT.as_secs())),
            },
        };
        if let Some(why) = why {
            let (name, program, log) = (self.name, &self.program, self.last_lines());
            panic!("{name} {why}: {program}\n{log}");
        }
        self.running = Some(running);
    }

    /// `kill -9`, for it and all its children.
    ///
    /// # Panics
    /// It does not run.
    pub async fn kill(&mut self) {
        let mut running = self.take();
        let pid = i32::try_from(running.pid()).ok().and_then(Pid::from_raw);
        let pid = pid.expect("a process has an id");
        // It is not reaped before `ended`, so this is still its own id.
        kill_process_group(pid, Signal::KILL).expect("its group is there");
        running.ended().await;
    }

    /// Ends it as the system does: TERM, and the rest of its group once it has ended.
    ///
    /// # Panics
    /// It does not run.
    pub async fn stop(&mut self) {
        self.take().end(STOP_LIMIT).await;
    }

    fn take(&mut self) -> Box<dyn Running> {
        let running = self.running.take();
        running.unwrap_or_else(|| panic!("{} does not run", self.name))
    }

    /// Where it listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The last lines that it wrote, for a test that failed.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let log = self.folder.read(self.log());
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// A service's settings for this broker on the given host; the wait between attempts is cut for tests.
    ///
    /// # Panics
    /// That is not a host name.
    #[must_use]
    pub fn common(&self, host: &str) -> Common {
        Common {
            host: Some(host.parse().expect("a host name")),
            bus: BusSettings {
                brokers: vec![self.address()],
                login: Some(Self::LOGIN.to_owned()),
                passcode_file: Some(self.folder.join("passcode")),
                backoff_limit_s: 1,
                ..BusSettings::default()
            },
            ..Common::default()
        }
    }

    /// How a client introduces itself here; the heart-beat is 1 s.
    #[must_use]
    pub fn introduction(&self, client_id: &str) -> Connect {
        Connect {
            host: "/".to_owned(),
            login: Some(Self::LOGIN.to_owned()),
            passcode: Some(Secret::new(Self::PASSCODE)),
            client_id: client_id.to_owned(),
            heart_beat: Duration::from_secs(1),
            dialect: None,
            limits: Limits::default(),
        }
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// It listens before it has all its data, so a whole CONNECT is tried.
    async fn accepts_a_client(&self) {
        let accepted = || async {
            let stream = World::real().net.connect(&self.address()).await.ok()?;
            let connected = stomp::connect(stream, self.introduction("testkit")).await;
            let (_client, driver) = connected.ok()?;
            let stop = CancellationToken::new();
            stop.cancel();
            driver.run(stop).await;
            Some(())
        };
        until("it accepts a client", START_LIMIT, accepted).await;
    }
}

/// Starts a program beside the test.
pub(crate) fn start(program: &Program, log: PathBuf) -> Box<dyn Running> {
    let started = World::real().processes.start(program, &log);
    started.unwrap_or_else(|error| panic!("{error}"))
}

/// A port of loopback on which nobody listens.
pub(crate) async fn free_port() -> u16 {
    let listener = World::real().net.listen("127.0.0.1:0").await;
    let address = listener.and_then(|listener| listener.local_address());
    address.expect("loopback has a free port").port()
}

/// Waits until somebody listens on a port of loopback.
pub(crate) async fn until_listening(what: &str, port: u16) {
    let address = format!("127.0.0.1:{port}");
    let connected = || async { World::real().net.connect(&address).await.ok().map(drop) };
    until(what, SOON, connected).await;
}
