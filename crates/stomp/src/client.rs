//! A client over any byte stream.
//!
//! [`connect`] shakes hands and gives two halves: a [`Client`], cheap to clone, and a [`Driver`], a future that the caller
//! owns and polls. Nothing moves unless the driver runs.

mod book;
mod deliveries;
mod driver;
mod error;
mod handshake;
mod introduction;
mod message;

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::timeout,
};

use crate::{
    codec::encode,
    dialect::Dialect,
    frame::{Command, Frame},
};

use book::Book;
pub use deliveries::{Deliveries, Delivery};
pub use driver::Driver;
pub use error::{ConnectError, Ended, SendError};
pub use handshake::connect;
pub use introduction::{Connect, Limits};
pub use message::{Expires, Message, Subscription};

/// Frames that wait for the driver before a caller is held back.
const QUEUED_FRAMES: usize = 64;

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
    fn new(server: &str, dialect: Dialect, limits: Limits) -> (Self, mpsc::Receiver<Bytes>) {
        let (frames, queue) = mpsc::channel(QUEUED_FRAMES);
        let client = Self {
            book: Arc::new(Book::default()),
            frames,
            window: Arc::new(Semaphore::new(limits.outstanding.max(1))),
            ids: Arc::new(AtomicU64::new(1)),
            server: server.into(),
            dialect,
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
        let confirm = message.confirm;
        self.write(publication(&message), confirm).await
    }

    /// Hands a message to the driver and gives the receipt that is to come, whatever `confirm` says. Messages that are
    /// handed over one after the other go out in that order. Cancelled, it has handed over nothing.
    ///
    /// It waits for room at most [`Limits::receipt`]; a receipt that is owed for longer ends the connection.
    ///
    /// # Errors
    /// See [`SendError`].
    pub async fn start(&self, message: &Message) -> Result<Receipt, SendError> {
        let frame = publication(message);
        self.check_size(&frame)?;
        self.start_frame(frame).await
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
    /// When the connection or the subscription that brought the delivery has ended: the broker delivers it again.
    pub async fn ack(&self, delivery: &Delivery) -> Result<(), SendError> {
        if !delivery.came_over(&self.book) {
            return Err(SendError::Ended(
                "it came over an earlier connection".into(),
            ));
        }
        let subscription = delivery.header("subscription").unwrap_or_default();
        if !self.book.has_subscription(subscription) {
            return Err(SendError::Ended("its subscription has ended".into()));
        }
        if delivery.is_acknowledged() {
            return Ok(());
        }
        // First room, then the note that it was said: a caller that gives up while it waits may say it again.
        let slot = self.slot_in_time().await?;
        let Some(id) = delivery.acknowledge() else {
            return Ok(());
        };
        slot.send(encoded(&Frame::new(Command::Ack).with("id", id))?);
        Ok(())
    }

    /// Waits until no receipt is owed any more: each has come, or the connection has ended.
    pub async fn settled(&self) {
        let all = u32::try_from(self.limits.outstanding).unwrap_or(u32::MAX);
        let _all = self.window.acquire_many(all).await;
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

    fn check_size(&self, frame: &Frame) -> Result<(), SendError> {
        let (bytes, limit) = (frame.body.len(), self.limits.frame.body_bytes);
        match bytes > limit {
            true => Err(SendError::TooLong { bytes, limit }),
            false => Ok(()),
        }
    }

    async fn write(&self, frame: Frame, confirm: bool) -> Result<(), SendError> {
        self.check_size(&frame)?;
        if confirm {
            // One that is owed for too long ends the connection, and so the wait.
            return self.start_frame(frame).await?.await;
        }
        let bytes = encoded(&frame)?;
        self.slot_in_time().await?.send(bytes);
        Ok(())
    }

    async fn start_frame(&self, frame: Frame) -> Result<Receipt, SendError> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let name = frame.header("destination").unwrap_or_default();
        let name = name.strip_prefix("/topic/").unwrap_or(name).into();
        let frame = frame.with("receipt", &id.to_string());
        let bytes = encoded(&frame)?;
        let (permit, slot) = self.room().await?;
        // A caller that gave up before here left no trace; from here on the frame is on its way.
        let (done, outcome) = oneshot::channel();
        self.book.expect(id, name, done, permit)?;
        slot.send(bytes);
        Ok(Receipt {
            outcome,
            book: Arc::clone(&self.book),
        })
    }

    /// Room in the window and with the driver. Mostly it is there, and then no timer is made.
    async fn room(&self) -> Result<(OwnedSemaphorePermit, mpsc::Permit<'_, Bytes>), SendError> {
        if let Ok(permit) = Arc::clone(&self.window).try_acquire_owned()
            && let Ok(slot) = self.frames.try_reserve()
        {
            return Ok((permit, slot));
        }
        let both = async {
            let permit = Arc::clone(&self.window).acquire_owned().await;
            let permit = permit.expect("the window is never closed");
            Ok((permit, self.slot().await?))
        };
        self.in_time(both).await
    }

    /// Mostly it is there, and then no timer is made.
    async fn slot_in_time(&self) -> Result<mpsc::Permit<'_, Bytes>, SendError> {
        match self.frames.try_reserve() {
            Ok(slot) => Ok(slot),
            Err(_) => self.in_time(self.slot()).await,
        }
    }

    async fn slot(&self) -> Result<mpsc::Permit<'_, Bytes>, SendError> {
        let slot = self.frames.reserve().await;
        slot.map_err(|_| self.book.send_error())
    }

    async fn in_time<T>(
        &self,
        room: impl Future<Output = Result<T, SendError>>,
    ) -> Result<T, SendError> {
        let limit = self.limits.receipt;
        let waited = timeout(limit, room).await;
        waited.unwrap_or(Err(SendError::NoReceipt(limit)))
    }
}

/// The receipt of a message that is on its way: a future that may be polled by reference, and gives its outcome once.
#[derive(Debug)]
pub struct Receipt {
    outcome: oneshot::Receiver<Result<(), SendError>>,
    book: Arc<Book>,
}

impl Receipt {
    /// The outcome, if there is one already.
    pub fn outcome(&mut self) -> Option<Result<(), SendError>> {
        match self.outcome.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(oneshot::error::TryRecvError::Empty) => None,
            Err(oneshot::error::TryRecvError::Closed) => Some(Err(self.book.send_error())),
        }
    }
}

impl Future for Receipt {
    type Output = Result<(), SendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = ready!(Pin::new(&mut self.outcome).poll(context));
        Poll::Ready(outcome.unwrap_or_else(|_| Err(self.book.send_error())))
    }
}

fn encoded(frame: &Frame) -> Result<Bytes, SendError> {
    let mut bytes = BytesMut::new();
    encode(frame, &mut bytes).map_err(SendError::Invalid)?;
    Ok(bytes.freeze())
}

/// The SEND frame of a message.
fn publication(message: &Message) -> Frame {
    let mut frame = Frame::new(Command::Send).with("destination", &message.destination);
    if message.persistent {
        frame = frame.with("persistent", "true");
    }
    if let Some(expires) = message.expires {
        frame = frame
            .with("expires", &expires.at_ms.to_string())
            .with("expiration", &expires.after_ms.to_string());
    }
    let own = message.headers.iter().filter(|(name, _)| !is_ours(name));
    for (name, value) in own {
        frame.headers.push(name, value);
    }
    frame.with_body(message.body.clone())
}

/// Headers of SEND that only this client writes.
fn is_ours(name: &str) -> bool {
    matches!(
        name,
        "destination" | "persistent" | "receipt" | "transaction" | "expires" | "expiration"
    )
}
