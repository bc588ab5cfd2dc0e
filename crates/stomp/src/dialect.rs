//! Where brokers differ. Everything else in this crate is the same for all of them.

use std::{fmt, str::FromStr};

use crate::frame::{Command, Frame};

/// Bytes of a delivery that stand for one message of prefetch, where a broker counts its window in bytes.
const WINDOW_BYTES_PER_MESSAGE: u32 = 4096;

/// How long an unused durable queue is kept where the subscriber may say so: 7 days, in milliseconds.
const UNUSED_MS: &str = "604800000";

/// A kind of broker, known by the `server` header of CONNECTED.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// RabbitMQ with its STOMP plugin.
    RabbitMq,
    /// ActiveMQ classic.
    ActiveMq,
    /// ActiveMQ Artemis.
    Artemis,
    /// The crate `broker`.
    Embedded,
    /// Anything else: it gets what the others have in common.
    Other,
}

/// A word that names no dialect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no kind of broker that is known here; known are rabbitmq, activemq, artemis and embedded"
)]
pub struct UnknownDialect(String);

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::RabbitMq => "rabbitmq",
            Self::ActiveMq => "activemq",
            Self::Artemis => "artemis",
            Self::Embedded => "embedded",
            Self::Other => "other",
        })
    }
}

/// As settings name it. There is no word for [`Dialect::Other`]: nobody chooses it.
impl FromStr for Dialect {
    type Err = UnknownDialect;

    fn from_str(word: &str) -> Result<Self, UnknownDialect> {
        [
            Self::RabbitMq,
            Self::ActiveMq,
            Self::Artemis,
            Self::Embedded,
        ]
        .into_iter()
        .find(|dialect| dialect.to_string() == word)
        .ok_or_else(|| UnknownDialect(word.to_owned()))
    }
}

impl Dialect {
    /// From the `server` header.
    #[must_use]
    pub fn of(server: &str) -> Self {
        let lower = server.to_ascii_lowercase();
        match lower {
            name if name.contains("rabbitmq") => Self::RabbitMq,
            name if name.contains("artemis") => Self::Artemis,
            name if name.contains("activemq") => Self::ActiveMq,
            name if name.starts_with("deploykit") => Self::Embedded,
            _ => Self::Other,
        }
    }

    /// The SUBSCRIBE frame. For a durable subscription, the union of what the brokers need; each ignores the rest.
    pub(crate) fn subscribe(
        self,
        id: &str,
        destination: &str,
        durable: Option<&str>,
        prefetch: u32,
    ) -> Frame {
        let count = prefetch.to_string();
        let mut frame = Frame::new(Command::Subscribe)
            .with("id", id)
            .with("destination", destination)
            .with("ack", "client-individual");
        if let Some(name) = durable {
            frame = frame
                .with("durable", "true")
                .with("auto-delete", "false")
                .with("activemq.subscriptionName", name)
                .with("durable-subscription-name", name);
            if self == Self::RabbitMq {
                frame = frame
                    .with("x-queue-name", name)
                    .with("x-expires", UNUSED_MS);
            }
        }
        if self == Self::Artemis {
            // It reads `activemq.prefetchSize` as bytes too, so that header stays away.
            let window = prefetch.saturating_mul(WINDOW_BYTES_PER_MESSAGE);
            frame.with("consumer-window-size", &window.to_string())
        } else {
            frame
                .with("prefetch-count", &count)
                .with("activemq.prefetchSize", &count)
        }
    }

    /// The frames that end a durable subscription for good, one after the other.
    pub(crate) fn remove(self, name: &str) -> Vec<Frame> {
        let frame = || Frame::new(Command::Unsubscribe).with("id", name);
        match self {
            Self::RabbitMq => vec![frame().with("durable", "true").with("x-queue-name", name)],
            // While its consumer is there, ActiveMQ says "durable consumer is in use".
            Self::ActiveMq => vec![frame(), frame().with("activemq.subscriptionName", name)],
            Self::Artemis | Self::Embedded | Self::Other => vec![
                frame()
                    .with("durable", "true")
                    .with("activemq.subscriptionName", name)
                    .with("durable-subscription-name", name),
            ],
        }
    }

    /// More unacknowledged deliveries than this on one subscription, and the peer ignores what it was asked.
    pub(crate) fn most_unacknowledged(self, prefetch: u32) -> usize {
        let slack = match self {
            // A window in bytes holds many small messages.
            Self::Artemis | Self::Other => 64,
            Self::RabbitMq | Self::ActiveMq | Self::Embedded => 4,
        };
        prefetch as usize * slack
    }
}
