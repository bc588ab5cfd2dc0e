//! A message between its publisher and its subscribers.

use bytes::{Bytes, BytesMut};
use stomp::{Codec, Command, Frame, FrameLimits, Headers, Item};
use tokio_util::codec::Decoder;

/// Headers of a SEND that are the broker's own on a MESSAGE, or were for the broker only.
const NOT_PASSED_ON: [&str; 6] = [
    "ack",
    "destination",
    "message-id",
    "receipt",
    "redelivered",
    "subscription",
];

/// What was published.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) destination: String,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}

impl Message {
    /// From a SEND frame.
    pub(crate) fn new(destination: String, sent: Frame) -> Self {
        let passed_on = sent.headers.iter();
        let headers = passed_on
            .filter(|(name, _)| !NOT_PASSED_ON.contains(name))
            .collect();
        Self {
            destination,
            headers,
            body: sent.body,
        }
    }

    /// What it takes in memory and on disk, about.
    pub(crate) fn bytes(&self) -> usize {
        self.destination.len() + self.headers.text_bytes() + self.body.len()
    }

    /// As it lies on disk: a SEND frame.
    pub(crate) fn to_stored(&self) -> BytesMut {
        let mut frame = Frame::new(Command::Send).with("destination", &self.destination);
        for (name, value) in self.headers.iter() {
            frame.headers.push(name, value);
        }
        let mut stored = BytesMut::new();
        stomp::encode(&frame.with_body(self.body.clone()), &mut stored)
            .expect("headers that were decoded can be encoded");
        stored
    }

    /// From disk; `None` when it is not what [`Message::to_stored`] wrote.
    pub(crate) fn from_stored(stored: &[u8]) -> Option<Self> {
        // It was accepted under limits that may have been wider than today's.
        let mut codec = Codec::new(FrameLimits {
            header_bytes: stored.len(),
            headers: stored.len(),
            body_bytes: stored.len(),
        });
        let item = codec.decode(&mut BytesMut::from(stored)).ok()??;
        match item {
            Item::Frame(frame) => {
                let destination = frame.header("destination")?.to_owned();
                Some(Self::new(destination, frame))
            }
            Item::HeartBeat => None,
        }
    }
}
