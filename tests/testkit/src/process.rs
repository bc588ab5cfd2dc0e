//! A broker in a process of its own.

use std::{path::PathBuf, sync::Arc, time::Duration};

use chassis::{BusSettings, Common};
use command::{Program, Running};
use rustix::process::{Pid, Signal, kill_process_group};
use stomp::{Connect, Limits, Secret};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{Certificates, Folder, SOON, until};

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
    pub(crate) setup: Setup,
}

/// What a broker is started with.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) port: u16,
    pub(crate) tls: Option<Tls>,
    pub(crate) program: Program,
    pub(crate) folder: Folder,
    /// Another process that it needs, for as long.
    pub(crate) _beside: Option<Box<dyn Running>>,
}

/// Where a broker takes certificates.
#[derive(Debug)]
pub(crate) struct Tls {
    pub(crate) port: u16,
    pub(crate) certificates: Arc<Certificates>,
}

impl BrokerProcess {
    /// Who may connect with a passcode, and may do everything.
    pub const LOGIN: &'static str = "deploykit";
    /// The password of [`BrokerProcess::LOGIN`].
    pub const PASSCODE: &'static str = "let-me-in";

    /// Starts a broker without TLS and waits until it accepts a client. `program` is given its folder and its port.
    ///
    /// # Panics
    /// It did not start, with the last lines of its log.
    pub async fn start(name: &'static str, program: impl FnOnce(&Folder, u16) -> Program) -> Self {
        let port = free_port().await;
        let folder = Folder::new();
        Self::set_up(Setup {
            name,
            port,
            tls: None,
            program: program(&folder, port),
            folder,
            _beside: None,
        })
        .await
    }

    /// A program that the system kills when the thread that started it is gone: a test that is itself killed leaves
    /// nothing behind.
    #[must_use]
    pub fn program(name: &str) -> Program {
        Program::new("setpriv").args(["--pdeathsig", "KILL", name])
    }

    pub(crate) async fn set_up(setup: Setup) -> Self {
        setup.folder.write("passcode", Self::PASSCODE);
        let mut broker = Self {
            running: None,
            setup,
        };
        broker.start_again().await;
        broker
    }

    /// Starts it under the same address with the data that is there, and waits until it accepts a client.
    ///
    /// # Panics
    /// It still runs, or did not start: then with the last lines of its log.
    pub async fn start_again(&mut self) {
        assert!(self.running.is_none(), "{} still runs", self.setup.name);
        let mut running = start(&self.setup.program, self.log());
        let why = tokio::select! {
            ended = running.ended() => Some(format!("ended at once ({ended})")),
            accepted = tokio::time::timeout(START_LIMIT, self.accepts_a_client()) => match accepted {
                Ok(()) => None,
                Err(_) => Some(format!("accepts no client within {} s", START_LIMIT.as_secs())),
            },
        };
        if let Some(why) = why {
            let (name, program, log) = (self.setup.name, &self.setup.program, self.last_lines());
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
        running.unwrap_or_else(|| panic!("{} does not run", self.setup.name))
    }

    /// Where it listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.setup.port)
    }

    /// The last lines that it wrote, for a test that failed.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let log = self.setup.folder.read(self.log());
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    /// A service's settings for this broker on the given host, with the passcode of [`BrokerProcess::LOGIN`]; the wait
    /// between attempts is cut for tests.
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
                passcode_file: Some(self.setup.folder.join("passcode")),
                backoff_limit_s: 1,
                ..BusSettings::default()
            },
            ..Common::default()
        }
    }

    /// As [`BrokerProcess::common`], over TLS with the certificate of a user of `docs/brokers`.
    ///
    /// # Panics
    /// That is not a host name, or this broker takes no certificates.
    #[must_use]
    pub fn common_as(&self, user: &str, host: &str) -> Common {
        let certificates = self.certificates();
        let mut common = self.common(host);
        common.bus = BusSettings {
            brokers: vec![self.tls_address()],
            login: None,
            passcode_file: None,
            tls: true,
            tls_ca_file: Some(certificates.authority()),
            tls_certificate_file: Some(certificates.certificate(user)),
            tls_key_file: Some(certificates.key(user)),
            tls_server_name: Some(Certificates::SERVER.to_owned()),
            ..common.bus
        };
        common
    }

    /// Where it listens for TLS, as `host:port`.
    ///
    /// # Panics
    /// It does not.
    #[must_use]
    pub fn tls_address(&self) -> String {
        format!("127.0.0.1:{}", self.tls().port)
    }

    /// The certificates that it and its users have.
    ///
    /// # Panics
    /// It takes none.
    #[must_use]
    pub fn certificates(&self) -> &Arc<Certificates> {
        &self.tls().certificates
    }

    fn tls(&self) -> &Tls {
        let tls = self.setup.tls.as_ref();
        tls.unwrap_or_else(|| panic!("{} has no TLS", self.setup.name))
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
        self.setup.folder.join("log")
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
        // Who waits for this has a limit, and says more when it is over.
        until("it accepts a client", START_LIMIT * 2, accepted).await;
    }
}

/// Starts a program beside the test.
pub(crate) fn start(program: &Program, log: PathBuf) -> Box<dyn Running> {
    let started = World::real().processes.start(program, &log);
    started.unwrap_or_else(|error| panic!("{error}"))
}

/// A port of loopback on which nobody listens.
pub(crate) async fn free_port() -> u16 {
    let [port] = free_ports().await;
    port
}

/// Several, no two the same.
pub(crate) async fn free_ports<const COUNT: usize>() -> [u16; COUNT] {
    let mut listeners = Vec::new();
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = World::real().net.listen("127.0.0.1:0").await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_address();
        *port = address.expect("it has an address").port();
        listeners.push(listener);
    }
    ports
}

/// Waits until somebody listens on a port of loopback.
pub(crate) async fn until_listening(what: &str, port: u16) {
    let address = format!("127.0.0.1:{port}");
    let connected = || async { World::real().net.connect(&address).await.ok().map(drop) };
    until(what, SOON, connected).await;
}
