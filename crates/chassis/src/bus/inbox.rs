//! What a service reads from the bus.

use std::{
    collections::VecDeque,
    fmt,
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use events::{Names, Topic};
use futures_util::{FutureExt, future::select_all};
use stomp::{Client, Deliveries};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use uuid::Uuid;

use super::{
    Bus, Delivery, NewListen,
    in_hand::{DELIVERY_LIMIT, InHand},
    recent::Recent,
};
use crate::causes;

/// So many messages are noted as given out at once.
const NOTED_AT_ONCE: usize = 64;

/// The least wait after a dead letter that nobody confirmed.
const ASIDE_AGAIN: Duration = Duration::from_secs(5);

/// What to listen to.
#[derive(Debug, Clone)]
pub struct Listen {
    pub(super) topics: Vec<Topic>,
    /// A destination that is none of our topics.
    pub(super) foreign: Option<String>,
    pub(super) durable: Option<String>,
    pub(super) counted_in: Option<PathBuf>,
}

impl Listen {
    /// Hints: what is sent while nobody listens is lost, and heals by itself.
    #[must_use]
    pub fn hints(topics: impl IntoIterator<Item = Topic>) -> Self {
        Self {
            topics: topics.into_iter().collect(),
            foreign: None,
            durable: None,
            counted_in: None,
        }
    }

    /// A durable subscription: the broker keeps what is sent while the service is away.
    /// Its name is `names.subscription(service, host)`.
    #[must_use]
    pub fn durable(topic: Topic, subscription: String) -> Self {
        Self {
            topics: vec![topic],
            foreign: None,
            durable: Some(subscription),
            counted_in: None,
        }
    }

    /// A durable subscription to a destination that is none of our topics, for messages of clients that are none of ours.
    #[must_use]
    pub fn foreign(destination: String, subscription: String) -> Self {
        Self {
            topics: Vec::new(),
            foreign: Some(destination),
            durable: Some(subscription),
            counted_in: None,
        }
    }

    /// The destinations, as a site names its topics.
    pub(super) fn destinations(&self, names: &Names) -> Vec<String> {
        let topics = self.topics.iter().map(|topic| names.destination(topic));
        topics.chain(self.foreign.clone()).collect()
    }

    /// Counts in this file how often the service crashes with a message in hand, because brokers do not: one that does so
    /// [`DELIVERY_LIMIT`] times is put aside as a dead letter. The file belongs to this inbox alone and holds ids only; its
    /// folder must exist when the first message comes.
    #[must_use]
    pub fn counted_in(mut self, file: &Path) -> Self {
        self.counted_in = Some(file.to_owned());
        self
    }
}

/// One subscription on one connection.
#[derive(Debug)]
pub(super) struct Subscribed {
    pub(super) client: Client,
    pub(super) deliveries: Deliveries,
}

/// The messages of one [`Bus::listen`].
#[derive(Debug)]
pub struct Inbox {
    /// Subscriptions as connections make them; closed when no more will come.
    arrivals: mpsc::UnboundedReceiver<Subscribed>,
    /// Those that can still bring something, oldest first.
    open: Vec<(u64, Subscribed)>,
    /// How many came.
    subscriptions: u64,
    done: Recent,
    counted: Option<InHand>,
    /// What came and is not noted yet, at most [`NOTED_AT_ONCE`].
    fresh: VecDeque<Delivery>,
    /// What may be given out.
    ready: VecDeque<Delivery>,
    /// A duplicate that is still to be acknowledged.
    folded: Option<Delivery>,
    aside: Aside,
}

/// Messages on their way to the dead letters, one after the other.
struct Aside {
    bus: Bus,
    waiting: VecDeque<Delivery>,
    putting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl fmt::Debug for Aside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let waiting = self.waiting.len();
        f.debug_struct("Aside").field("waiting", &waiting).finish()
    }
}

pub(super) async fn open(
    bus: Bus,
    listen: Listen,
    accepted: oneshot::Sender<()>,
) -> (Inbox, NewListen) {
    let counted = match &listen.counted_in {
        Some(file) => Some(InHand::open(&bus.shared.world, file).await),
        None => None,
    };
    let (sender, arrivals) = mpsc::unbounded_channel();
    let inbox = Inbox {
        arrivals,
        open: Vec::new(),
        subscriptions: 0,
        done: Recent::default(),
        counted,
        fresh: VecDeque::new(),
        ready: VecDeque::new(),
        folded: None,
        aside: Aside {
            bus,
            waiting: VecDeque::new(),
            putting: None,
        },
    };
    let new = NewListen {
        listen,
        arrivals: sender,
        accepted,
    };
    (inbox, new)
}

impl Inbox {
    /// The next message; `None` once the connection is closed for good. May be cancelled (in a `select!`) without loss.
    ///
    /// An id that was acknowledged lately (among the last 4096, or among the last 65,536 in the last ten minutes) is
    /// acknowledged again and not given out. Where the inbox is counted, a message that was in hand at a crash is given out
    /// alone, for up to a minute, so that others do not pay for it.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            // Kept until it is done, so that a cancelled call does not lose it; acknowledging twice does nothing.
            if let Some(folded) = &self.folded {
                folded.ack().await;
                self.folded = None;
            }
            if let Some(ready) = self.ready.pop_front() {
                if !ready.is_acknowledged() {
                    return Some(ready);
                }
                self.aside.bus.counts().duplicates.inc();
                self.folded = Some(ready);
                continue;
            }
            let room = self.fresh.len() < NOTED_AT_ONCE;
            tokio::select! {
                biased;
                Some(subscribed) = self.arrivals.recv() => {
                    self.subscriptions += 1;
                    self.open.push((self.subscriptions, subscribed));
                }
                hopeless = note(self.counted.as_ref(), &mut self.fresh, &mut self.ready), if !self.fresh.is_empty() => {
                    self.aside.extend(hopeless);
                }
                () = self.aside.put(), if !self.aside.is_empty() => {}
                (index, raw) = first(&mut self.open), if room && !self.open.is_empty() => self.take(index, raw),
                else => return None,
            }
        }
    }

    /// Ends it because the service stops: what is in hand is no crash, and comes again after the next start.
    pub async fn close(self) {
        if let Some(counted) = &self.counted {
            counted.close().await;
        }
    }

    /// Takes in what a subscription brought, and what else is there already.
    fn take(&mut self, mut index: usize, mut raw: Option<stomp::Delivery>) {
        loop {
            match raw {
                Some(raw) => {
                    let (number, Subscribed { client, .. }) = &self.open[index];
                    let (client, done) = (client.clone(), self.done.clone());
                    let delivery = Delivery::new(raw, client, done, *number);
                    self.fresh.push_back(delivery);
                }
                None => {
                    self.open.remove(index);
                }
            }
            if self.fresh.len() >= NOTED_AT_ONCE || self.open.is_empty() {
                return;
            }
            match first(&mut self.open).now_or_never() {
                Some(next) => (index, raw) = next,
                None => return,
            }
        }
    }
}

/// Notes the first of what came as given out, with those behind it that are as harmless; or gives it back if it crashed the
/// service too often. May be cancelled without loss.
async fn note(
    counted: Option<&InHand>,
    fresh: &mut VecDeque<Delivery>,
    ready: &mut VecDeque<Delivery>,
) -> Option<Delivery> {
    let Some(counted) = counted else {
        ready.append(fresh);
        return None;
    };
    let ids: Vec<Option<Uuid>> = fresh.iter().map(Delivery::id).collect();
    let (crashes, noted) = counted.look(&ids).await;
    let suspect = match crashes.first() {
        Some(&crashes) if crashes >= DELIVERY_LIMIT => return fresh.pop_front(),
        Some(&crashes) => crashes > 0,
        None => return None,
    };
    counted.turn(suspect).await;
    let harmless = crashes.iter().take_while(|&&crashes| crashes == 0).count();
    let together = match (suspect, noted) {
        (true, _) => 1,
        (false, 0) => harmless,
        // A call before this one was cancelled once it had noted them: without the disk, they are given out in this one.
        (false, noted) => harmless.min(noted),
    };
    let given = ids.iter().take(together).filter_map(|id| *id).collect();
    counted.give(given).await;
    for mut delivery in fresh.drain(..together) {
        if let Some(id) = delivery.id() {
            delivery.hold(counted.hold(id, suspect));
        }
        ready.push_back(delivery);
    }
    None
}

impl Aside {
    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.putting.is_none()
    }

    /// Takes one more, in place of an older one that is the same message.
    fn extend(&mut self, hopeless: Option<Delivery>) {
        let Some(new) = hopeless else { return };
        match self.waiting.iter_mut().find(|old| new.replaces(old)) {
            Some(old) => *old = new,
            None => self.waiting.push_back(new),
        }
    }

    /// Puts the first one aside, until a broker has its dead letter. May be cancelled without loss.
    async fn put(&mut self) {
        let bus = self.bus.clone();
        let next = || {
            let delivery = self.waiting.pop_front()?;
            let putting: Pin<Box<dyn Future<Output = ()> + Send>> =
                Box::pin(put_aside(bus, delivery));
            Some(putting)
        };
        if self.putting.is_none() {
            self.putting = next();
        }
        if let Some(putting) = &mut self.putting {
            putting.await;
            self.putting = None;
        }
    }
}

async fn put_aside(bus: Bus, delivery: Delivery) {
    let cause = format!("this service crashed {DELIVERY_LIMIT} times with it in hand");
    let (destination, id) = (delivery.destination(), delivery.id());
    while !delivery.is_acknowledged() {
        match delivery.put_aside(&bus, &cause).await {
            Ok(()) => {
                tracing::error!(destination, ?id, cause, "put aside as a dead letter");
                return;
            }
            Err(error) => {
                let wait = ASIDE_AGAIN.max(error.least_wait());
                let error = causes(&error);
                tracing::warn!(destination, ?id, cause, error, "cannot put aside yet");
                sleep(wait).await;
            }
        }
    }
    delivery.ack().await;
}

/// What one of the subscriptions (there is at least one) brings first, and which one; with `None`, that one has ended.
async fn first(open: &mut [(u64, Subscribed)]) -> (usize, Option<stomp::Delivery>) {
    let each = open
        .iter_mut()
        .map(|(_, subscribed)| Box::pin(subscribed.deliveries.next()));
    let (raw, index, _others) = select_all(each).await;
    (index, raw)
}
