//! How to introduce oneself, how long to wait, how much to take.

use std::time::Duration;

use crate::{Secret, codec::FrameLimits, dialect::Dialect};

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
    /// How often each side shows that it is alive; zero for never, and then Artemis ends the link after 60 s. Each takes the
    /// longer of both sides' wishes: a beat goes out at half of it, and a peer silent for three times as long is dead.
    pub heart_beat: Duration,
    /// The kind of broker; `None` takes it from CONNECTED's `server` header, which a proxy or an administrator may change.
    pub dialect: Option<Dialect>,
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
    /// Frames on their way that wait for a RECEIPT; further callers wait. At least one; default 1024.
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
