//! A client over any byte stream.
//!
//! [`connect`] shakes hands and gives two halves: a [`Client`], cheap to clone, and a [`Driver`], a future that the caller
//! owns and polls. Nothing moves unless the driver runs.

mod book;
mod deliveries;
mod driver;
mod handshake;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::timeout,
};

use crate::{
    Secret,
    codec::{DecodeError, EncodeError, FrameLimits, encode},
    dialect::Dialect,
    frame::{Command, Frame},
};

use book::Book;
pub use deliveries::{Deliveries, Delivery};
pub use driver::Driver;
pub use handshake::connect;

/// Frames that wait for the driver before a caller is held back.
const QUEUED_FRAMES: usize = 64;

/// How to introduce oneself to a broker.
#[derive(Debug, Clone)]
pub struct Connect {
    /// The virtual host; `/` is RabbitMQ's default one.
    pub host: String,
    /// Who is there, where the broker asks.
    pub login: Option<String>,
    /// The password. Brokers disagree about escapes in CONNECT, so neither this nor any other text here holds `\`,
    /// and login and password hold no `:`.
    pub passcode: Option<Secret>,
    /// The same for every connection of this program on this host; durable subscriptions belong to it.
    pub client_id: String,
    /// How often each side shows that it is alive; zero for never. A peer silent for three times as long is dead.
    pub heart_beat: Duration,
    /// How long and how much.
    pub limits: Limits,
}

/// The longest waits and the largest frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How large a frame may be, either way.
    pub frame: FrameLimits,
    /// From CONNECT to CONNECTED. Default 10 s.
    pub handshake: Duration,
    /// One write, from full buffers to room. Default 30 s.
    pub write: Duration,
    /// From the call to its RECEIPT. Default 30 s.
    pub receipt: Duration,
    /// From the stop to the RECEIPT of DISCONNECT, with what was queued before it. Default 5 s.
    pub disconnect: Duration,
    /// Frames on their way that wait for a RECEIPT; further callers wait. Default 1024.
    pub outstanding: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: FrameLimits::default(),
            handshake: Duration::from_secs(10),
            write: Duration::from_secs(30),
            receipt: Duration::from_secs(30),
            disconnect: Duration::from_secs(5),
            outstanding: 1024,
        }
    }
}

/// What is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `/topic/` and a dotted name.
    pub destination: String,
    /// Further headers. Those that STOMP or this client writes itself cannot be overridden.
    pub headers: Vec<(String, String)>,
    /// The text.
    pub body: Bytes,
    /// Outlives a crash of the broker.
    pub persistent: bool,
    /// Asks for a receipt and waits for it.
    pub confirm: bool,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// `/topic/` and a dotted name, `*` for any one word.
    pub destination: String,
    /// The name under which the broker keeps messages while nobody is there; one live holder per name.
    pub durable: Option<String>,
    /// How many deliveries may be unacknowledged; at least one.
    pub prefetch: u32,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A text of [`Connect`] is not the same to all brokers. Mend the settings.
    #[error(
        "{0} must not be empty or hold a backslash or control characters, nor a login or passcode a colon"
    )]
    NotPortable(&'static str),
    /// The broker said no, usually to login or passcode.
    #[error("the broker refused the connection: {0}")]
    Refused(String),
    /// The broker speaks another version.
    #[error("the broker speaks STOMP {0:?}, not 1.2")]
    Version(String),
    /// The broker hung up without a word.
    #[error("the broker closed the connection during the handshake")]
    Closed,
    /// No answer in [`Limits::handshake`].
    #[error("no CONNECTED within {0:?}")]
    Timeout(Duration),
    /// The peer is no broker.
    #[error("no STOMP broker answers there")]
    Protocol(#[source] DecodeError),
    /// The transport failed.
    #[error("the connection failed during the handshake")]
    Io(#[source] std::io::Error),
}

/// Why something was not sent, or is not known to have arrived.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The broker answered this frame with ERROR, and the connection ends with it; or this connection holds the subscription.
    #[error("the broker refused it: {0}")]
    Refused(String),
    /// No receipt in [`Limits::receipt`]. It may have arrived.
    #[error("no receipt within {0:?}")]
    NoReceipt(Duration),
    /// The connection ended first. It may have arrived.
    #[error("the connection ended: {0}")]
    Ended(Arc<str>),
    /// It can never be sent as it is.
    #[error("the frame cannot be written")]
    Invalid(#[source] EncodeError),
    /// It is over [`FrameLimits::body_bytes`] and can never be sent.
    #[error("a body of {bytes} bytes is over the limit of {limit}")]
    TooLong {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

/// Why a driver is done.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// As asked: stopped, or every [`Client`] was dropped.
    #[error("stopped")]
    Stopped,
    /// The broker hung up.
    #[error("the broker closed the connection")]
    Closed,
    /// The broker sent ERROR.
    #[error("the broker sent ERROR: {0}")]
    Error(String),
    /// Nothing was heard for three heart-beats.
    #[error("the broker was silent for {0:?}")]
    Silent(Duration),
    /// The broker took nothing for [`Limits::write`].
    #[error("the broker took nothing for {0:?}")]
    Stuck(Duration),
    /// The broker owes a receipt for longer than [`Limits::receipt`].
    #[error("the broker owes a receipt for {0:?}")]
    NoReceipt(Duration),
    /// The broker sends without regard for the prefetch that it was asked for.
    #[error(
        "{unacknowledged} unacknowledged deliveries of {subscription}, whose prefetch is {prefetch}"
    )]
    Overrun {
        /// The subscription's id.
        subscription: String,
        /// How many there are.
        unacknowledged: usize,
        /// What was asked for.
        prefetch: u32,
    },
    /// The broker sent what is no STOMP 1.2.
    #[error("the broker sent what is no STOMP: {0}")]
    Protocol(DecodeError),
    /// The broker sent a frame that only clients send.
    #[error("the broker sent {0}, which only clients send")]
    Unexpected(Command),
    /// The transport failed.
    #[error("the connection failed: {0}")]
    Io(std::io::Error),
}

/// A live connection's sending half. Clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    book: Arc<Book>,
    frames: mpsc::Sender<Bytes>,
    window: Arc<Semaphore>,
    ids: Arc<AtomicU64>,
    server: Arc<str>,
    dialect: Dialect,
    limits: Limits,
}

impl Client {
    fn new(server: &str, limits: Limits) -> (Self, mpsc::Receiver<Bytes>) {
        let (frames, queue) = mpsc::channel(QUEUED_FRAMES);
        let client = Self {
            book: Arc::new(Book::default()),
            frames,
            window: Arc::new(Semaphore::new(limits.outstanding)),
            ids: Arc::new(AtomicU64::new(1)),
            server: server.into(),
            dialect: Dialect::of(server),
            limits,
        };
        (client, queue)
    }

    /// The broker, as it calls itself.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The kind of broker.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Publishes. With `confirm` it is `Ok` only once the broker has sent the receipt; calls run side by side, and each is
    /// told its own outcome. Without, it is `Ok` once the driver has the frame.
    ///
    /// # Errors
    /// See [`SendError`]. After any but `Invalid` and `TooLong` the message may have arrived or not.
    pub async fn send(&self, message: Message) -> Result<(), SendError> {
        let mut frame = Frame::new(Command::Send).with("destination", &message.destination);
        if message.persistent {
            frame = frame.with("persistent", "true");
        }
        for (name, value) in &message.headers {
            if !matches!(
                name.as_str(),
                "destination" | "persistent" | "receipt" | "transaction"
            ) {
                frame.headers.push(name, value);
            }
        }
        self.write(frame.with_body(message.body), message.confirm)
            .await
    }

    /// Subscribes, and waits for the broker's receipt.
    ///
    /// # Errors
    /// See [`SendError`]. A durable subscription that has a live holder is refused, here and by most brokers.
    pub async fn subscribe(&self, subscription: Subscription) -> Result<Deliveries, SendError> {
        let id = match &subscription.durable {
            Some(name) => name.clone(),
            None => format!("s{}", self.ids.fetch_add(1, Ordering::Relaxed)),
        };
        let prefetch = subscription.prefetch.max(1);
        let limit = self.dialect.most_unacknowledged(prefetch);
        let deliveries = self.book.open(id.clone(), prefetch, limit)?;
        let frame = self.dialect.subscribe(
            &id,
            &subscription.destination,
            subscription.durable.as_deref(),
            prefetch,
        );
        match self.write(frame, true).await {
            Ok(()) => Ok(deliveries),
            Err(error) => {
                if matches!(error, SendError::Invalid(_)) {
                    // The broker has not heard of it and need not hear of its end.
                    deliveries.into_id();
                }
                Err(error)
            }
        }
    }

    /// Tells the broker that a delivery was dealt with. A second call for the same delivery does nothing.
    ///
    /// # Errors
    /// When the connection that brought the delivery has ended: the broker delivers it again.
    pub async fn ack(&self, delivery: &Delivery) -> Result<(), SendError> {
        if !delivery.came_over(&self.book) {
            return Err(SendError::Ended(
                "it came over an earlier connection".into(),
            ));
        }
        let Some(id) = delivery.acknowledge() else {
            return Ok(());
        };
        self.write(Frame::new(Command::Ack).with("id", id), false)
            .await
    }

    /// Ends a durable subscription for good: the broker forgets it and what it keeps for it.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn remove(&self, deliveries: Deliveries) -> Result<(), SendError> {
        let id = deliveries.into_id();
        for frame in self.dialect.remove(&id) {
            self.write(frame, true).await?;
        }
        Ok(())
    }

    async fn write(&self, frame: Frame, confirm: bool) -> Result<(), SendError> {
        let (bytes, limit) = (frame.body.len(), self.limits.frame.body_bytes);
        if bytes > limit {
            return Err(SendError::TooLong { bytes, limit });
        }
        let limit = self.limits.receipt;
        let written = timeout(limit, self.write_in_time(frame, confirm)).await;
        written.unwrap_or(Err(SendError::NoReceipt(limit)))
    }

    async fn write_in_time(&self, frame: Frame, confirm: bool) -> Result<(), SendError> {
        let mut bytes = BytesMut::new();
        if !confirm {
            encode(&frame, &mut bytes).map_err(SendError::Invalid)?;
            let queued = self.frames.send(bytes.freeze()).await;
            return queued.map_err(|_| self.book.send_error());
        }
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let frame = frame.with("receipt", &id.to_string());
        encode(&frame, &mut bytes).map_err(SendError::Invalid)?;
        let ended = |_| self.book.send_error();
        let permit = Arc::clone(&self.window).acquire_owned();
        let permit = permit.await.expect("the window is never closed");
        // A caller that gives up before here leaves no trace; from here on the frame is on its way.
        let slot = self.frames.reserve().await.map_err(ended)?;
        let (done, outcome) = oneshot::channel();
        self.book.expect(id, done, permit)?;
        slot.send(bytes.freeze());
        outcome
            .await
            .unwrap_or_else(|_| Err(self.book.send_error()))
    }
}
