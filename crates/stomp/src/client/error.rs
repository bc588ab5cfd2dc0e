//! Why there is no connection, why something was not sent, why a connection is over.

use std::{sync::Arc, time::Duration};

use crate::{
    codec::{DecodeError, EncodeError},
    frame::Command,
};

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A text of [`Connect`](super::Connect) is not the same to all brokers. Mend the settings.
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
    /// No answer in [`Limits::handshake`](super::Limits::handshake).
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
    /// No receipt in [`Limits::receipt`](super::Limits::receipt). It may have arrived.
    #[error("no receipt within {0:?}")]
    NoReceipt(Duration),
    /// The connection ended first. It may have arrived.
    #[error("the connection ended: {0}")]
    Ended(Arc<str>),
    /// It can never be sent as it is.
    #[error("the frame cannot be written")]
    Invalid(#[source] EncodeError),
    /// It is over [`FrameLimits::body_bytes`](crate::FrameLimits::body_bytes) and can never be sent.
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
    /// As asked: stopped, or every [`Client`](super::Client) was dropped.
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
    /// The broker took nothing for [`Limits::write`](super::Limits::write).
    #[error("the broker took nothing for {0:?}")]
    Stuck(Duration),
    /// The broker owes a receipt for longer than [`Limits::receipt`](super::Limits::receipt).
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
    /// A delivery has no `ack` header, which STOMP 1.2 requires: it could never be acknowledged.
    #[error("a delivery of {0} came without an ack header")]
    NoAck(String),
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
