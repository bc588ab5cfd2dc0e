//! What is published and what is wanted.

use bytes::Bytes;

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
    /// When nobody wants it any more; `None` for never.
    pub expires: Option<Expires>,
}

/// When a message is of no use any more. The brokers disagree on how to say it, so both forms go out, on every dialect:
/// `expires` for ActiveMQ, Artemis and the embedded broker, `expiration` for RabbitMQ; each ignores the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expires {
    /// The moment, in milliseconds since 1970 UTC. Zero would mean never to ActiveMQ.
    pub at_ms: u64,
    /// How far off it is, in milliseconds.
    pub after_ms: u64,
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
