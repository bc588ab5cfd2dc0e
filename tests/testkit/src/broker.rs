//! The embedded broker on a free port.

use std::{net::SocketAddr, path::PathBuf};

use broker::{Broker, RunError, Settings};
use chassis::{BusSettings, Common};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use world::World;

use crate::Folder;

/// A real broker in this process, for guest/guest, with its data on disk: what is durable is there again after
/// [`TestBroker::stop`] and [`TestBroker::start_again`].
#[derive(Debug)]
pub struct TestBroker {
    folder: Folder,
    address: SocketAddr,
    stop: CancellationToken,
    running: JoinSet<Result<(), RunError>>,
}

impl TestBroker {
    /// Listens on loopback when this returns.
    ///
    /// # Panics
    /// No port is free, or the disk is full.
    pub async fn start() -> Self {
        let folder = Folder::new();
        folder.write("passcode", "guest");
        let mut broker = Self {
            folder,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            stop: CancellationToken::new(),
            running: JoinSet::new(),
        };
        broker.start_again().await;
        broker
    }

    /// Listens again where it did before.
    ///
    /// # Panics
    /// It still runs, or somebody took the port.
    pub async fn start_again(&mut self) {
        assert!(self.running.is_empty(), "the broker still runs");
        let world = World::real();
        let settings = Settings {
            data: Some(self.folder.join("data")),
            ..Settings::default()
        };
        let broker = Broker::open(settings, &world).await;
        let broker = broker.expect("the broker can use its folder");
        let listener = world.net.listen(&self.address.to_string()).await;
        let listener = listener.expect("the broker's port is free");
        self.address = listener.local_address().expect("it listens");
        self.stop = CancellationToken::new();
        self.running.spawn(broker.run(listener, self.stop.clone()));
    }

    /// Ends it, as SIGTERM would, and waits for the end.
    ///
    /// # Panics
    /// It ended with an error.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.running.join_next().await {
            ended
                .expect("the broker does not panic")
                .expect("the broker ends well");
        }
    }

    /// Where it listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// A service's settings for this broker on the given host; how long to wait is cut for tests.
    ///
    /// # Panics
    /// That is not a host name.
    #[must_use]
    pub fn common(&self, host: &str) -> Common {
        Common {
            host: Some(host.parse().expect("a host name")),
            bus: BusSettings {
                brokers: vec![self.address()],
                login: Some("guest".to_owned()),
                passcode_file: Some(self.passcode_file()),
                backoff_limit_s: 1,
                ..BusSettings::default()
            },
            ..Common::default()
        }
    }

    /// The file with the passcode of `guest`.
    #[must_use]
    pub fn passcode_file(&self) -> PathBuf {
        self.folder.join("passcode")
    }
}
