//! Connects, subscribes, holds, and connects again; goes back to an earlier broker once that one answers.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use events::{HostName, ServiceName};
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use world::World;

use super::{
    Bus, Link, Listen, NewListen, Shared,
    attempt::{Files, Made, attempt},
    counts::Counts,
    feed,
    inbox::Subscribed,
    live::Live,
};
use crate::{BusSettings, Failure, Metrics, backoff::Backoff, outbox::Waiting};

/// The wait after the first round of failed attempts.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// A connection that held this long was a good one: the brokers are tried from the first one on again, and the next wait
/// is short.
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
    /// Connections that another one has replaced, until they have said goodbye: at most `bus.receipt_limit_s` and
    /// stomp's limit for DISCONNECT, and no more than one for each way back to an earlier broker.
    left: JoinSet<()>,
    /// How many connections there have been.
    number: u64,
    /// What the service says.
    lines: mpsc::Receiver<Waiting>,
}

/// A listen for as long as somebody reads it.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) listen: Listen,
    pub(super) arrivals: mpsc::UnboundedSender<Subscribed>,
}

/// How a connection ended that was held.
struct Lost {
    /// The last broker; a way back may have led to it.
    broker: usize,
    held: Duration,
    why: String,
}

impl Lost {
    fn of(live: &Live, shared: &Shared, why: &str) -> Self {
        Self {
            broker: live.broker,
            held: live.since.elapsed(),
            why: format!("{}: {why}", shared.settings.brokers[live.broker]),
        }
    }
}

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
        let service: ServiceName = service
            .parse()
            .map_err(|wrong: events::NameError| Failure::Settings(wrong.to_string()))?;
        // Read again at each connection; here only so that a wrong path is known at the start.
        Files::read(&settings, &*world.disk, &world).map_err(Failure::Settings)?;
        let (link, link_seen) = watch::channel(Link::Down("not tried yet".into()));
        let (connected, connected_seen) = watch::channel(false);
        let (listens, requests) = mpsc::unbounded_channel();
        let (lines, said) = feed::lines();
        let metrics = Metrics::new(service.as_str());
        let counts = Counts::new(&metrics, &settings.brokers);
        let shared = Arc::new(Shared {
            service,
            host: host.clone(),
            settings,
            world,
            link: link_seen,
            connected: connected_seen,
            metrics,
            counts,
            listens,
            lines,
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
            left: JoinSet::new(),
            number: 0,
            lines: said,
        };
        Ok((bus, connection))
    }

    /// Connects, and connects again, until the stop; then says goodbye to the broker.
    pub async fn run(mut self, stop: CancellationToken) {
        let bus = Bus {
            shared: Arc::clone(&self.shared),
        };
        let (_, none) = feed::lines();
        let lines = std::mem::replace(&mut self.lines, none);
        // What was said last goes out before the goodbye.
        let leave = CancellationToken::new();
        let say = async {
            bus.send_lines(lines, &stop).await;
            leave.cancel();
        };
        tokio::join!(self.until_stop(&leave), say);
        while self.left.join_next().await.is_some() {}
    }

    async fn until_stop(&mut self, stop: &CancellationToken) {
        let shared = Arc::clone(&self.shared);
        let brokers = &shared.settings.brokers;
        let backoff = Backoff {
            first: FIRST_WAIT,
            limit: Duration::from_secs(shared.settings.backoff_limit_s),
        };
        let mut failed = 0;
        let mut told = BTreeSet::new();
        while !stop.is_cancelled() {
            let mut next = 0;
            while next < brokers.len() {
                let attempt = attempt_at(&shared, next);
                let Some(result) = self.meanwhile(attempt, stop).await else {
                    return;
                };
                match result {
                    Ok(made) => {
                        let Some(lost) = self.hold(Live::new(next, made), stop).await else {
                            return;
                        };
                        if lost.held >= GOOD {
                            told.clear();
                        }
                        self.down(&lost.why, &mut told, "the connection to the bus was lost");
                        if lost.held >= GOOD {
                            failed = 0;
                            break;
                        }
                        // A broker that lets us in and hangs up must not keep us from the next one.
                        next = lost.broker + 1;
                    }
                    Err(why) => {
                        let why = format!("{}: {why}", brokers[next]);
                        self.down(&why, &mut told, "cannot connect to the bus; tries go on");
                        next += 1;
                    }
                }
            }
            failed += 1;
            let wait = backoff.wait(failed, &*shared.world.entropy);
            if self.meanwhile(sleep(wait), stop).await.is_none() {
                return;
            }
        }
    }

    /// Notes that there is no connection. The same reason is said once, not at each attempt.
    fn down(&self, why: &str, told: &mut BTreeSet<String>, what: &'static str) {
        let shared = &self.shared;
        shared.counts.disconnected(&shared.settings.brokers);
        self.connected.send_replace(false);
        self.link.send_replace(Link::Down(why.into()));
        if told.len() < REASONS && told.insert(why.to_owned()) {
            tracing::warn!(why, "{what}");
        } else {
            tracing::debug!(why, "{what}");
        }
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

    /// Uses a connection until it ends; `None` at the stop, once it was left. Where an earlier broker answers meanwhile, that one takes over.
    async fn hold(&mut self, mut live: Live, stop: &CancellationToken) -> Option<Lost> {
        let shared = Arc::clone(&self.shared);
        if let Err(why) = self.subscribe_all(&mut live).await {
            return Some(Lost::of(&live, &shared, &why));
        }
        self.use_it(&live);
        let mut back = Box::pin(way_back(Arc::clone(&shared), live.broker));
        loop {
            tokio::select! {
                why = live.ended(&shared) => return Some(Lost::of(&live, &shared, &why)),
                Some(new) = self.requests.recv() => {
                    let NewListen { listen, arrivals, accepted } = new;
                    let registered = Registered { listen, arrivals };
                    let result = live.subscribe(&shared, &registered).await;
                    self.listens.push(registered);
                    let _caller_is_gone = accepted.send(());
                    if let Err(why) = result {
                        return Some(Lost::of(&live, &shared, &why));
                    }
                }
                (broker, made) = &mut back => {
                    let mut earlier = Live::new(broker, made);
                    let subscribed = tokio::select! {
                        subscribed = self.subscribe_all(&mut earlier) => subscribed,
                        why = live.ended(&shared) => return Some(Lost::of(&live, &shared, &why)),
                    };
                    match subscribed {
                        Ok(()) => {
                            self.use_it(&earlier);
                            let later = std::mem::replace(&mut live, earlier);
                            let shared = Arc::clone(&shared);
                            self.left.spawn(async move { later.leave_settled(&shared).await });
                        }
                        Err(why) => {
                            let broker = &shared.settings.brokers[broker];
                            tracing::warn!(broker, why, "cannot go back to this broker; tries go on");
                        }
                    }
                    back = Box::pin(way_back(Arc::clone(&shared), live.broker));
                }
                // Reaps the ones that have said goodbye.
                Some(_) = self.left.join_next() => {}
                () = stop.cancelled() => {
                    live.leave(&shared).await;
                    return None;
                }
            }
        }
    }

    async fn subscribe_all(&mut self, live: &mut Live) -> Result<(), String> {
        self.listens
            .retain(|registered| !registered.arrivals.is_closed());
        for registered in &self.listens {
            live.subscribe(&self.shared, registered).await?;
        }
        Ok(())
    }

    /// From now on publishers take this one.
    fn use_it(&mut self, live: &Live) {
        let broker = &self.shared.settings.brokers[live.broker];
        let server = live.client.server();
        tracing::info!(broker, server, "connected to the bus");
        let brokers = &self.shared.settings.brokers;
        self.shared.counts.connected_to(brokers, live.broker);
        self.number += 1;
        self.link.send_replace(Link::Up {
            client: live.client.clone(),
            number: self.number,
        });
        self.connected
            .send_if_modified(|connected| !std::mem::replace(connected, true));
    }
}

async fn attempt_at(shared: &Shared, broker: usize) -> Result<Made, String> {
    let client_id = shared.subscription();
    let address = &shared.settings.brokers[broker];
    attempt(&shared.settings, address, &client_id, &shared.world).await
}

/// A connection to one of the brokers before this one, which are tried every `bus.fail_back_s`, less up to half of it by
/// chance; never ends where there is none or that is 0.
async fn way_back(shared: Arc<Shared>, broker: usize) -> (usize, Made) {
    let every_s = shared.settings.fail_back_s;
    if broker == 0 || every_s == 0 {
        return std::future::pending().await;
    }
    let every = Duration::from_secs(every_s);
    let pause = Backoff {
        first: every,
        limit: every,
    };
    loop {
        sleep(pause.wait(1, &*shared.world.entropy)).await;
        for earlier in 0..broker {
            match attempt_at(&shared, earlier).await {
                Ok(made) => return (earlier, made),
                Err(why) => {
                    let broker = &shared.settings.brokers[earlier];
                    tracing::debug!(broker, why, "an earlier broker does not answer yet");
                }
            }
        }
    }
}
