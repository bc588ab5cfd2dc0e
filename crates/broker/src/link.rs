//! What the core and a connection's task know of each other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize},
    },
    time::Duration,
};

use stomp::Frame;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::message::Message;

/// A connection's number, never used twice.
pub(crate) type ConnectionId = u64;

/// What a connection tells the core.
#[derive(Debug)]
pub(crate) enum Input {
    /// Somebody logged in.
    Opened(ConnectionId, Arc<Link>),
    /// A frame after CONNECT; a large one with its share of the memory for them.
    Frame(ConnectionId, Frame, Option<OwnedSemaphorePermit>),
    /// What arrived is no STOMP; the text is for the peer.
    Broken(ConnectionId, String),
    /// The broker stops: flush and close.
    Leave(ConnectionId),
    /// The deliveries that the core wanted to hear of were written.
    Flushed(ConnectionId),
    /// The transport is gone.
    Closed(ConnectionId),
}

impl Input {
    /// What it takes in memory, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Frame(_, frame, _) => frame.headers.text_bytes() + frame.body.len(),
            _ => 0,
        }
    }
}

/// What the core tells a connection.
#[derive(Debug)]
pub(crate) enum Output {
    Receipt(String),
    Deliver(Delivery),
    /// Ends the connection.
    Error {
        message: String,
        receipt_id: Option<String>,
    },
    /// Ends the connection once what is before it was written.
    Close,
}

/// A message on its way to a subscriber.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// The header `subscription` as it is written, with its line end.
    pub(crate) subscription: Arc<[u8]>,
    /// Counts the deliveries of a connection; it is the `ack` header.
    pub(crate) ordinal: u64,
    pub(crate) wants_ack: bool,
    pub(crate) redelivered: bool,
    pub(crate) sequence: u64,
    pub(crate) bytes: usize,
    /// `None` while it lies on disk; the core reads it before the connection sees this.
    pub(crate) message: Option<Arc<Message>>,
}

/// A live connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) client_id: String,
    pub(crate) outgoing: mpsc::Sender<Output>,
    /// Ends the connection's task at once.
    pub(crate) cut: CancellationToken,
    /// The ordinal of the last delivery that the transport was offered; from then on the peer may have it.
    pub(crate) offered: AtomicU64,
    /// The ordinal of the last delivery that the transport took whole.
    pub(crate) written: AtomicU64,
    /// Bytes of deliveries handed over and not yet written.
    pub(crate) queued_bytes: AtomicUsize,
    /// The connection is to say [`Input::Flushed`] after its next write.
    pub(crate) wants_flushed: AtomicBool,
    /// When the peer was last heard of, in milliseconds since [`Link::opened`].
    pub(crate) heard_ms: AtomicU64,
    pub(crate) opened: Instant,
    /// How long the peer may be silent, where heart-beats were agreed.
    pub(crate) silence: Option<Duration>,
}

impl Link {
    /// True when the peer was silent for longer than its heart-beats allow.
    pub(crate) fn is_silent(&self) -> bool {
        use std::sync::atomic::Ordering::Relaxed;
        let heard = Duration::from_millis(self.heard_ms.load(Relaxed));
        self.silence
            .is_some_and(|silence| self.opened.elapsed().saturating_sub(heard) > silence)
    }
}
