//! Connects, subscribes, holds, and connects again.

use std::{collections::BTreeSet, pin::Pin, sync::Arc, time::Duration};

use events::HostName;
use stomp::{Client, Driver, Ended, SendError, Subscription};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use world::{Stream, World};

use super::{
    Bus, Link, Listen, NewListen, Shared,
    attempt::{Files, attempt, ended as told_end},
    inbox::Subscribed,
};
use crate::{BusSettings, Failure, backoff::Backoff, causes};

/// The wait after the first round of failed attempts.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// A connection that held this long was a good one: the next wait is short again.
const GOOD: Duration = Duration::from_secs(10);

/// How many different reasons are said aloud until the next connection.
const REASONS: usize = 32;

/// What keeps the connection; whoever made it runs it and waits for it.
#[derive(Debug)]
pub struct Connection {
    shared: Arc<Shared>,
    link: watch::Sender<Link>,
    connected: watch::Sender<bool>,
    requests: mpsc::UnboundedReceiver<NewListen>,
    listens: Vec<Registered>,
    /// How many connections there have been.
    number: u64,
}

/// A listen for as long as somebody reads it.
#[derive(Debug)]
struct Registered {
    listen: Listen,
    arrivals: mpsc::UnboundedSender<Subscribed>,
}

/// The driver of a connection while it runs.
type Running<'a> = Pin<&'a mut (dyn Future<Output = Ended> + Send)>;

impl Connection {
    pub(super) fn new(
        service: &str,
        host: &HostName,
        settings: BusSettings,
        world: World,
    ) -> Result<(Bus, Self), Failure> {
        settings
            .check()
            .map_err(|wrong| Failure::Settings(format!("bus.{wrong}")))?;
        // Read again at each connection; here only so that a wrong path is known at the start.
        Files::read(&settings, &*world.disk, &world).map_err(Failure::Settings)?;
        let (link, link_seen) = watch::channel(Link::Down("not tried yet".into()));
        let (connected, connected_seen) = watch::channel(false);
        let (listens, requests) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            service: service.to_owned(),
            host: host.clone(),
            settings,
            world,
            link: link_seen,
            connected: connected_seen,
            listens,
        });
        let bus = Bus {
            shared: Arc::clone(&shared),
        };
        let connection = Self {
            shared,
            link,
            connected,
            requests,
            listens: Vec::new(),
            number: 0,
        };
        Ok((bus, connection))
    }

    /// Connects, and connects again, until the stop; then says goodbye to the broker.
    pub async fn run(mut self, stop: CancellationToken) {
        let backoff = Backoff {
            first: FIRST_WAIT,
            limit: Duration::from_secs(self.shared.settings.backoff_limit_s),
        };
        let mut failed = 0;
        let mut told = BTreeSet::new();
        while !stop.is_cancelled() {
            let brokers = self.shared.settings.brokers.clone();
            for broker in &brokers {
                let shared = Arc::clone(&self.shared);
                let client_id = shared.subscription();
                let attempt = attempt(&shared.settings, broker, &client_id, &shared.world);
                let Some(result) = self.meanwhile(attempt, &stop).await else {
                    return;
                };
                let why = match result {
                    Ok((client, driver)) => {
                        told.clear();
                        let since = Instant::now();
                        let why = self.hold(broker, client, driver, &stop).await;
                        if stop.is_cancelled() {
                            return;
                        }
                        if since.elapsed() >= GOOD {
                            failed = 0;
                        }
                        tracing::warn!(broker, why, "the connection to the bus was lost");
                        self.down(&why);
                        break;
                    }
                    Err(why) => format!("{broker}: {why}"),
                };
                self.down(&why);
                // The same reason is said once, not at each attempt.
                if told.len() < REASONS && told.insert(why.clone()) {
                    tracing::warn!(why, "cannot connect to the bus; tries go on");
                } else {
                    tracing::debug!(why, "cannot connect to the bus");
                }
            }
            failed += 1;
            let wait = backoff.wait(failed, &*self.shared.world.entropy);
            if self.meanwhile(sleep(wait), &stop).await.is_none() {
                return;
            }
        }
    }

    fn down(&self, why: &str) {
        self.connected.send_replace(false);
        self.link.send_replace(Link::Down(why.into()));
    }

    /// Waits for something while there is no connection; `None` at the stop. New listens are noted for the next one.
    async fn meanwhile<T>(
        &mut self,
        wait: impl Future<Output = T>,
        stop: &CancellationToken,
    ) -> Option<T> {
        tokio::pin!(wait);
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return None,
                Some(new) = self.requests.recv() => {
                    let NewListen { listen, arrivals, accepted } = new;
                    self.listens.push(Registered { listen, arrivals });
                    let _caller_is_gone = accepted.send(());
                }
                done = &mut wait => return Some(done),
            }
        }
    }

    /// Uses a connection until it ends; says why it did.
    async fn hold(
        &mut self,
        broker: &str,
        client: Client,
        driver: Driver<Box<dyn Stream>>,
        stop: &CancellationToken,
    ) -> String {
        let leave = CancellationToken::new();
        let running = driver.run(leave.clone());
        tokio::pin!(running);
        let mut running: Running<'_> = running;
        self.listens
            .retain(|registered| !registered.arrivals.is_closed());
        for registered in &self.listens {
            if let Err(why) = subscribe(&self.shared, registered, &client, &mut running).await {
                leave.cancel();
                return why;
            }
        }
        self.number += 1;
        tracing::info!(broker, server = client.server(), "connected to the bus");
        let number = self.number;
        self.link.send_replace(Link::Up {
            client: client.clone(),
            number,
        });
        self.connected.send_replace(true);
        loop {
            tokio::select! {
                ended = running.as_mut() => return told_end(&ended, &self.shared.settings),
                Some(new) = self.requests.recv() => {
                    let NewListen { listen, arrivals, accepted } = new;
                    let registered = Registered { listen, arrivals };
                    let result = subscribe(&self.shared, &registered, &client, &mut running).await;
                    self.listens.push(registered);
                    let _caller_is_gone = accepted.send(());
                    if let Err(why) = result {
                        leave.cancel();
                        return why;
                    }
                }
                () = stop.cancelled() => {
                    leave.cancel();
                    return told_end(&running.await, &self.shared.settings);
                }
            }
        }
    }
}

/// Subscribes to all topics of a listen while the connection runs.
async fn subscribe(
    shared: &Shared,
    registered: &Registered,
    client: &Client,
    running: &mut Running<'_>,
) -> Result<(), String> {
    for topic in &registered.listen.topics {
        let destination = shared.settings.topics.destination(topic);
        let subscription = Subscription {
            destination: destination.clone(),
            durable: registered.listen.durable.clone(),
            prefetch: shared.settings.prefetch,
        };
        let subscribed = tokio::select! {
            subscribed = client.subscribe(subscription) => subscribed,
            ended = running.as_mut() => Err(SendError::Ended(ended.to_string().into())),
        };
        let deliveries = subscribed
            .map_err(|error| format!("cannot subscribe to {destination}: {}", causes(&error)))?;
        let client = client.clone();
        let _reader_is_gone = registered.arrivals.send(Subscribed { client, deliveries });
    }
    Ok(())
}
