//! What a service reads from the bus.

use bytes::Bytes;
use events::{Envelope, ParseError, Topic};
use futures_util::future::select_all;
use stomp::{Client, Deliveries};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use super::{Bus, NewListen, PublishError, counts::Counts, dead_letter, recent::Recent};
use crate::causes;

/// What to listen to.
#[derive(Debug, Clone)]
pub struct Listen {
    pub(super) topics: Vec<Topic>,
    pub(super) durable: Option<String>,
}

impl Listen {
    /// Hints: what is sent while nobody listens is lost, and heals by itself.
    #[must_use]
    pub fn hints(topics: impl IntoIterator<Item = Topic>) -> Self {
        Self {
            topics: topics.into_iter().collect(),
            durable: None,
        }
    }

    /// A durable subscription: the broker keeps what is sent while the service is away.
    /// Its name is `names.subscription(service, host)`.
    #[must_use]
    pub fn durable(topic: Topic, subscription: String) -> Self {
        Self {
            topics: vec![topic],
            durable: Some(subscription),
        }
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
    open: Vec<Subscribed>,
    done: Recent,
    counts: Counts,
    /// A duplicate that is still to be acknowledged.
    folded: Option<Delivery>,
}

pub(super) fn open(
    listen: Listen,
    accepted: oneshot::Sender<()>,
    counts: Counts,
) -> (Inbox, NewListen) {
    let (sender, arrivals) = mpsc::unbounded_channel();
    let inbox = Inbox {
        arrivals,
        open: Vec::new(),
        done: Recent::default(),
        counts,
        folded: None,
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
    /// acknowledged again and not given out.
    pub async fn next(&mut self) -> Option<Delivery> {
        loop {
            // Kept until it is done, so that a cancelled call does not lose it; acknowledging twice does nothing.
            if let Some(folded) = &self.folded {
                folded.ack().await;
                self.folded = None;
            }
            let (index, raw) = tokio::select! {
                biased;
                Some(subscribed) = self.arrivals.recv() => {
                    self.open.push(subscribed);
                    continue;
                }
                found = first(&mut self.open), if !self.open.is_empty() => found,
                else => return None,
            };
            let Some(raw) = raw else {
                self.open.remove(index);
                continue;
            };
            let delivery = self.read(index, raw);
            if !delivery.is_acknowledged() {
                return Some(delivery);
            }
            self.counts.duplicates.inc();
            self.folded = Some(delivery);
        }
    }

    fn read(&self, index: usize, raw: stomp::Delivery) -> Delivery {
        Delivery {
            envelope: Envelope::parse(&raw.body),
            raw,
            client: self.open[index].client.clone(),
            done: self.done.clone(),
        }
    }
}

/// What one of the subscriptions (there is at least one) brings first, and which one; with `None`, that one has ended.
async fn first(open: &mut [Subscribed]) -> (usize, Option<stomp::Delivery>) {
    let each = open
        .iter_mut()
        .map(|subscribed| Box::pin(subscribed.deliveries.next()));
    let (raw, index, _others) = select_all(each).await;
    (index, raw)
}

/// A message as it came. Not acknowledged by itself: without [`Delivery::ack`] the broker brings it again.
#[derive(Debug)]
pub struct Delivery {
    envelope: Result<Envelope, ParseError>,
    raw: stomp::Delivery,
    client: Client,
    done: Recent,
}

impl Delivery {
    /// The envelope, or why it is none.
    ///
    /// # Errors
    /// Why it is none; then [`Delivery::put_aside`] it.
    pub fn envelope(&self) -> Result<&Envelope, &ParseError> {
        self.envelope.as_ref()
    }

    /// Where it came from.
    #[must_use]
    pub fn destination(&self) -> &str {
        &self.raw.destination
    }

    /// A STOMP header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.raw.header(name)
    }

    /// The bytes of the message.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.raw.body
    }

    /// True if the broker says that it brought it before.
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.raw.redelivered()
    }

    /// True if a message with this id was acknowledged lately.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.envelope
            .as_ref()
            .is_ok_and(|envelope| self.done.contains(envelope.id))
    }

    /// Acknowledges it: the work is done or safely journaled. When the connection it came by is gone, the broker brings
    /// it again on the next one, where the inbox acknowledges it by its id.
    pub async fn ack(&self) {
        if let Ok(envelope) = &self.envelope {
            if self.done.contains(envelope.id) {
                tracing::debug!(id = %envelope.id, "a duplicate was folded");
            }
            self.done.insert(envelope.id, Instant::now());
        }
        if let Err(error) = self.client.ack(&self.raw).await {
            tracing::debug!(
                destination = self.raw.destination,
                error = causes(&error),
                "not acknowledged, so it comes again"
            );
        }
    }

    /// Publishes it as a dead letter with the reason, waits until the broker has that, and acknowledges it.
    ///
    /// # Errors
    /// When the dead letter was not confirmed; it is not acknowledged then.
    pub async fn put_aside(&self, bus: &Bus, cause: &str) -> Result<(), PublishError> {
        let letter = dead_letter::write(bus.service(), cause, &self.raw);
        bus.publish(&letter).await?;
        bus.counts().dead_letters.inc();
        self.ack().await;
        Ok(())
    }
}
