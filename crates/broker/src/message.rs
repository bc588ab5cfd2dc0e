//! A message between its publisher and its subscribers.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::{Buf, Bytes, BytesMut};
use stomp::{Command, Frame};

/// Headers of a SEND that are the broker's own on a MESSAGE, or were for the broker only.
const NOT_PASSED_ON: [&str; 6] = [
    "ack",
    "destination",
    "message-id",
    "receipt",
    "redelivered",
    "subscription",
];

/// What was published, as the end of a MESSAGE frame: destination, headers, body and NUL. It is encoded once, and lies
/// in memory, on disk and on the wire as it is; what differs between subscribers is written before it.
#[derive(Debug)]
pub(crate) struct Message {
    encoded: Bytes,
    memory: Memory,
}

/// Bytes of all messages in memory, wherever they are held.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memory(Arc<AtomicU64>);

impl Memory {
    pub(crate) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Message {
    fn drop(&mut self) {
        let bytes = self.encoded.len() as u64;
        self.memory.0.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Message {
    /// From a SEND frame. `expires_ms` becomes a header if the publisher did not write it.
    pub(crate) fn new(destination: &str, sent: &Frame, expires_ms: u64, memory: &Memory) -> Self {
        let expires = expires_ms > 0 && sent.header("expires").is_none();
        let expires = expires.then(|| expires_ms.to_string());
        let own = [("destination", destination)];
        let passed_on = sent.headers.iter();
        let passed_on = passed_on.filter(|(name, _)| !NOT_PASSED_ON.contains(name));
        let headers = own.into_iter().chain(passed_on);
        let headers = headers.chain(expires.iter().map(|at| ("expires", &**at)));
        let mut encoded =
            BytesMut::with_capacity(sent.body.len() + sent.headers.text_bytes() + 128);
        stomp::encode_parts(Command::Send, headers, &sent.body, &mut encoded)
            .expect("headers that were decoded can be encoded");
        let mut encoded = encoded.freeze();
        encoded.advance(Command::Send.name().len() + 1);
        Self::counted(encoded, memory)
    }

    fn counted(encoded: Bytes, memory: &Memory) -> Self {
        let bytes = encoded.len() as u64;
        memory.0.fetch_add(bytes, Ordering::Relaxed);
        let memory = memory.clone();
        Self { encoded, memory }
    }

    /// What it takes in memory and on disk, about.
    pub(crate) fn bytes(&self) -> usize {
        self.encoded.len()
    }

    /// As it lies on disk and on the wire.
    pub(crate) fn encoded(&self) -> &[u8] {
        &self.encoded
    }

    /// From disk.
    pub(crate) fn from_disk(encoded: Vec<u8>, memory: &Memory) -> Self {
        Self::counted(encoded.into(), memory)
    }
}

/// When a SEND is to be thrown away, in milliseconds since 1970 UTC; 0 for never.
///
/// `expires` is that time, as ActiveMQ and Artemis read it; `expiration` counts from now, as RabbitMQ does. The first
/// wins where both are there.
pub(crate) fn expires_ms(sent: &Frame, now_ms: u64) -> Result<u64, String> {
    let number = |name: &str| match sent.header(name) {
        None => Ok(None),
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| format!("{name} {text:?} is no number of milliseconds")),
    };
    let (at, after) = (number("expires")?, number("expiration")?);
    // A time of 0 ms from now has passed; a time of 0 is none, as those brokers have it.
    Ok(at.unwrap_or_else(|| after.map_or(0, |after| now_ms.saturating_add(after).max(1))))
}
