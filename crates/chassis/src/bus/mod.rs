//! The connection to the bus, kept for ever.
//!
//! Read: this file (what a service calls), `inbox` (what it reads), `connection` (what keeps both going).

mod attempt;
mod batch;
mod connection;
mod counts;
mod dead_letter;
mod delivery;
pub(crate) mod expiry;
mod feed;
mod forget;
mod in_hand;
mod inbox;
mod ledger;
mod live;
mod passcode;
mod recent;
mod tls;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use events::{Envelope, HostName, MAX_FRAME_BYTES, Names, Payload, ServiceName, Topic};
use jiff::Timestamp;
use stomp::{Client, Message, SendError};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, timeout_at},
};
use uuid::Uuid;
use world::{Entropy, World};

pub use attempt::reach;
pub use batch::InOrder;
pub use connection::Connection;
pub use delivery::Delivery;
pub use forget::forget;
pub use in_hand::DELIVERY_LIMIT;
pub use inbox::{Inbox, Listen};
pub use passcode::passcode;

use crate::{BusSettings, Failure, Metrics, causes};
use counts::Counts;
use expiry::{Expired, Outgoing};

/// The wait after a refusal: it cost the whole connection, and somebody has to mend a permission.
const REFUSED_AGAIN: Duration = Duration::from_secs(30);

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// No broker confirmed it within the limit; it may have arrived all the same, so send it again under the same id.
    #[error("no broker confirmed it within {} s, bus.publish_limit_s ({why})", limit.as_secs_f64())]
    NotConfirmed {
        /// The limit, from `[bus] publish_limit_s`.
        limit: Duration,
        /// What stood in the way last: `not connected: …`, `no receipt`.
        why: String,
    },
    /// The broker said no, usually for want of a permission.
    #[error("the broker refused it: {0}")]
    Refused(String),
    /// The message itself cannot be sent, ever: too large, or a header that STOMP cannot carry.
    #[error("it cannot be sent: {0}")]
    Unsendable(String),
    /// Its time was over before it could be sent, or sent again after a lost connection.
    #[error("nobody wants it any more: its time was over before a broker confirmed it")]
    Expired,
    /// The service stops; its connection is gone.
    #[error("the connection was closed because the service stops")]
    Stopped,
}

impl PublishError {
    /// How long to wait at least before it is tried again.
    #[must_use]
    pub fn least_wait(&self) -> Duration {
        match self {
            Self::Refused(_) => REFUSED_AGAIN,
            _ => Duration::ZERO,
        }
    }
}

/// The bus, for one service on one host. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bus {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    service: ServiceName,
    host: HostName,
    settings: BusSettings,
    world: World,
    link: watch::Receiver<Link>,
    connected: watch::Receiver<bool>,
    metrics: Metrics,
    counts: Counts,
    listens: mpsc::UnboundedSender<NewListen>,
    lines: feed::Lines,
}

impl Shared {
    /// The name of this service's durable subscription, which is its client-id too.
    fn subscription(&self) -> String {
        self.settings
            .topics
            .subscription(self.service.as_str(), &self.host)
    }
}

/// The connection as publishers see it.
#[derive(Debug, Clone)]
enum Link {
    /// There is none, and why.
    Down(Arc<str>),
    /// There is one, and everything is subscribed on it. Each has a higher number than the one before.
    Up { client: Client, number: u64 },
}

/// A [`Bus::listen`] on its way to the connection.
#[derive(Debug)]
struct NewListen {
    listen: Listen,
    arrivals: mpsc::UnboundedSender<inbox::Subscribed>,
    accepted: oneshot::Sender<()>,
}

impl Bus {
    /// The bus and what keeps its connection. [`crate::run()`] and [`crate::compose`] do this for a service; whoever does
    /// it themselves runs the [`Connection`] and waits for it.
    ///
    /// # Errors
    /// When the settings are wrong, or the passcode cannot be read.
    pub fn new(
        service: &str,
        host: &HostName,
        settings: BusSettings,
        world: World,
    ) -> Result<(Self, Connection), Failure> {
        let (bus, connection) = Connection::new(service, host, settings, world)?;
        Ok((bus, connection))
    }

    /// Publishes a message under a new id and waits until the broker has it.
    ///
    /// Waits for a connection too, at most `[bus] publish_limit_s` in all. A connection lost meanwhile is followed by
    /// sending it again on the next one, under the same id. It expires at its [`Payload::TIME_TO_LIVE`] after it was made,
    /// however long it waited for the connection.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish<P: Payload>(&self, payload: &P) -> Result<Uuid, PublishError> {
        let until = expiry::until(self.shared.world.clock.now(), P::TIME_TO_LIVE);
        self.publish_expiring(payload, until).await
    }

    /// [`Bus::publish`] for a message that nobody wants any more from a moment on.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_until<P: Payload>(
        &self,
        payload: &P,
        until: Timestamp,
    ) -> Result<Uuid, PublishError> {
        self.publish_expiring(payload, Some(until)).await
    }

    async fn publish_expiring<P: Payload>(
        &self,
        payload: &P,
        until: Option<Timestamp>,
    ) -> Result<Uuid, PublishError> {
        let sealed = self.seal(payload);
        let envelope = sealed.inspect_err(|error| self.counts().failed(error))?;
        let message = self.message(&payload.topic(), P::PERSISTENT, &envelope);
        self.confirmed(Outgoing { message, until }).await?;
        Ok(envelope.id)
    }

    /// A payload in an envelope of this service: new id, its source, the time now.
    ///
    /// # Errors
    /// `Unsendable` when it cannot be written as JSON.
    pub fn seal<P: Payload>(&self, payload: &P) -> Result<Envelope, PublishError> {
        let Shared {
            service,
            host,
            world,
            ..
        } = &*self.shared;
        let source = format!("/deploykit/{service}/{host}");
        Envelope::seal(world.new_id(), &source, world.clock.now(), payload)
            .map_err(|error| PublishError::Unsendable(causes(&error)))
    }

    /// Publishes an envelope as it is, like [`Bus::publish`]; it does not expire.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_envelope(
        &self,
        topic: &Topic,
        persistent: bool,
        envelope: &Envelope,
    ) -> Result<(), PublishError> {
        let message = self.message(topic, persistent, envelope);
        let until = None;
        self.confirmed(Outgoing { message, until }).await
    }

    /// Publishes many messages in order, with up to `window` of them on their way at once.
    #[must_use]
    pub fn in_order<T>(&self, window: usize) -> InOrder<T> {
        InOrder::new(self.clone(), window)
    }

    fn message(&self, topic: &Topic, persistent: bool, envelope: &Envelope) -> Message {
        let owned = |(name, value): (&str, String)| (name.to_owned(), value);
        Message {
            destination: self.names().destination(topic),
            headers: envelope.headers().into_iter().map(owned).collect(),
            body: envelope.to_bytes().into(),
            persistent,
            confirm: true,
            expires: None,
        }
    }

    /// Publishes a body that is no envelope, for clients that are none of ours, like [`Bus::publish`].
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_raw(
        &self,
        destination: &str,
        persistent: bool,
        body: Bytes,
    ) -> Result<(), PublishError> {
        let message = raw(destination, persistent, body);
        let until = None;
        self.confirmed(Outgoing { message, until }).await
    }

    /// Publishes a text with these headers, for clients that are none of ours, like [`Bus::publish`].
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_text(
        &self,
        destination: &str,
        headers: &[(&str, &str)],
        text: String,
    ) -> Result<(), PublishError> {
        let mut message = raw(destination, true, text.into());
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        message.headers.extend(headers.iter().map(owned));
        let until = None;
        self.confirmed(Outgoing { message, until }).await
    }

    /// Publishes a lone line end, for clients that are none of ours and must see something now and then. It expires after
    /// so long, so that a queue nobody reads does not fill.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn publish_line_end(
        &self,
        destination: &str,
        life: Duration,
    ) -> Result<(), PublishError> {
        let until = expiry::until(self.shared.world.clock.now(), Some(life));
        let message = raw(destination, false, "\n".into());
        self.confirmed(Outgoing { message, until }).await
    }

    async fn confirmed(&self, outgoing: Outgoing) -> Result<(), PublishError> {
        let outcome = self.until_confirmed(outgoing).await;
        self.counts().published(&outcome);
        outcome
    }

    /// Sends it on one connection after the other until a broker confirms it, or the limit is over.
    async fn until_confirmed(&self, mut outgoing: Outgoing) -> Result<(), PublishError> {
        check_size(&outgoing.message)?;
        let limit = Duration::from_secs(self.shared.settings.publish_limit_s);
        let deadline = Instant::now() + limit;
        let late = |why: String| PublishError::NotConfirmed { limit, why };
        let mut link = self.shared.link.clone();
        let mut tried = 0;
        loop {
            let next = |link: &Link| matches!(link, Link::Up { number, .. } if *number > tried);
            let found = match timeout_at(deadline, link.wait_for(next)).await {
                Ok(Ok(found)) => Some(found.clone()),
                Ok(Err(_)) => return Err(PublishError::Stopped),
                Err(_) => None,
            };
            let Some(Link::Up { client, number }) = found else {
                let why = match &*link.borrow() {
                    Link::Down(why) => format!("not connected: {why}"),
                    Link::Up { .. } => "the connection was lost".to_owned(),
                };
                return Err(late(why));
            };
            tried = number;
            let now = self.shared.world.clock.now();
            outgoing
                .stamp(now)
                .map_err(|Expired| PublishError::Expired)?;
            match timeout_at(deadline, client.send(outgoing.message.clone())).await {
                Err(_) => return Err(late("no receipt".to_owned())),
                Ok(Ok(())) => return Ok(()),
                Ok(Err(SendError::Refused(text))) => return Err(PublishError::Refused(text)),
                Ok(Err(error @ (SendError::Invalid(_) | SendError::TooLong { .. }))) => {
                    return Err(PublishError::Unsendable(causes(&error)));
                }
                Ok(Err(error)) => {
                    tracing::debug!(
                        destination = outgoing.message.destination,
                        error = causes(&error),
                        "goes out again on the next connection"
                    );
                }
            }
        }
    }

    /// Subscribes; the inbox survives lost connections, because each new one subscribes again before anything is
    /// published on it. With a connection, returns once the broker has confirmed; without one, at once.
    pub async fn listen(&self, listen: Listen) -> Inbox {
        let (accepted, confirmed) = oneshot::channel();
        let (inbox, new) = inbox::open(self.clone(), listen, accepted).await;
        if self.shared.listens.send(new).is_ok() {
            // An error means that the connection is closed for good; the inbox ends then.
            let _closed = confirmed.await;
        }
        inbox
    }

    /// What this service measures; it may add its own.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    pub(crate) fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// How this site names its topics.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.shared.settings.topics
    }

    /// True while a broker is there and everything is subscribed on it.
    #[must_use]
    pub fn connected(&self) -> watch::Receiver<bool> {
        self.shared.connected.clone()
    }

    pub(crate) fn entropy(&self) -> &dyn Entropy {
        &*self.shared.world.entropy
    }

    pub(crate) fn service(&self) -> &str {
        self.shared.service.as_str()
    }
}

fn raw(destination: &str, persistent: bool, body: Bytes) -> Message {
    Message {
        destination: destination.to_owned(),
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body,
        persistent,
        confirm: true,
        expires: None,
    }
}

fn check_size(message: &Message) -> Result<(), PublishError> {
    let size = message.body.len();
    if size <= MAX_FRAME_BYTES {
        return Ok(());
    }
    let text = format!("{size} bytes are over the limit of {MAX_FRAME_BYTES}");
    Err(PublishError::Unsendable(text))
}
