//! What is around each message: a CloudEvents 1.0 JSON object.
//!
//! Unknown attributes are ignored, known ones are checked. `type` ends in the version of the message; a message whose
//! version this build does not know is refused as [`OpenError::Version`], so that its reader can put it aside.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use uuid::Uuid;

use crate::topic::Topic;

/// The largest message body that is sent, in bytes. Longer lists are cut, with their totals.
pub const MAX_FRAME_BYTES: usize = 128 * 1024;

/// A message of the bus: its type, where it goes, and what its envelope says about it.
pub trait Payload: Serialize + DeserializeOwned {
    /// The CloudEvents `type`, ending in its version: `deploykit.git.pushed.v1`.
    const TYPE: &'static str;
    /// False for what may be lost in a broker's crash (script output, beats). Default true.
    const PERSISTENT: bool = true;
    /// How long it is of use: after that the broker drops it, read or not. Default: until it is read.
    const TIME_TO_LIVE: Option<Duration> = None;
    /// The topic that it is published on.
    fn topic(&self) -> Topic;
    /// What the message is about, for people and tools: `shop refs/heads/main`.
    fn subject(&self) -> String;
    /// Made from the content: two receivers of the same thing make the same key.
    fn dedupkey(&self) -> Option<String> {
        None
    }
}

/// A message as it travels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// Always `1.0`.
    pub specversion: String,
    /// UUIDv7; a reader folds duplicates by it.
    pub id: Uuid,
    /// Who sent it: `/deploykit/github-stomp/hub1`.
    pub source: String,
    /// What it is, with its version.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// When it was made, UTC.
    pub time: Timestamp,
    /// Always `application/json`.
    #[serde(default = "json")]
    pub datacontenttype: String,
    /// W3C trace context: one id from the push to every host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// See [`Payload::dedupkey`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupkey: Option<String>,
    /// The message itself.
    pub data: Value,
}

/// A type without its version: `deploykit.git.pushed` of `deploykit.git.pushed.v1`.
fn stem(kind: &str) -> Option<&str> {
    let (stem, version) = kind.rsplit_once(".v")?;
    let number = !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit());
    number.then_some(stem)
}

fn json() -> String {
    "application/json".to_owned()
}

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// Larger than [`MAX_FRAME_BYTES`].
    #[error("a message of {0} bytes is over the limit of {MAX_FRAME_BYTES}")]
    TooLarge(usize),
    /// Over a limit of its transport, so that it was not read; which one.
    #[error("it was not read: {0}")]
    NotRead(String),
    /// Not JSON, or without a needed attribute; the source says which.
    #[error("not a CloudEvents 1.0 JSON message")]
    NotAnEnvelope(#[source] serde_json::Error),
    /// A `specversion` other than 1.0.
    #[error("CloudEvents specversion {0:?} is not known, only \"1.0\" is")]
    SpecVersion(String),
    /// A `datacontenttype` other than JSON.
    #[error("the data is {0:?}, only \"application/json\" is read")]
    ContentType(String),
}

/// Why a message is not the one that was expected.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The same message in a version that this build does not know.
    #[error("message type {found} is not known here, only {known} is: update this service")]
    Version {
        /// The type that came.
        found: String,
        /// The type that this build reads.
        known: &'static str,
    },
    /// Another message.
    #[error("message type {found} was not expected here, only {known}")]
    Type {
        /// The type that came.
        found: String,
        /// The type that was expected.
        known: &'static str,
    },
    /// The right type with the wrong content.
    #[error("the data of a {known} message is wrong")]
    Data {
        /// The type.
        known: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
}

/// Why a message cannot be sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// Something in it that JSON cannot hold; none of the messages here has that.
    #[error("a {kind} message cannot be written as JSON")]
    Json {
        /// The type.
        kind: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// Larger than [`MAX_FRAME_BYTES`]: every reader would refuse it.
    #[error("a {kind} message of {bytes} bytes is over the limit of {MAX_FRAME_BYTES}")]
    TooLarge {
        /// The type.
        kind: &'static str,
        /// Its size in its envelope.
        bytes: usize,
    },
}

impl Envelope {
    /// Puts a payload into an envelope.
    ///
    /// # Errors
    /// See [`SealError`].
    pub fn seal<P: Payload>(
        id: Uuid,
        source: &str,
        time: Timestamp,
        payload: &P,
    ) -> Result<Self, SealError> {
        let kind = P::TYPE;
        let data =
            serde_json::to_value(payload).map_err(|source| SealError::Json { kind, source })?;
        let envelope = Self {
            specversion: "1.0".to_owned(),
            id,
            source: source.to_owned(),
            kind: kind.to_owned(),
            subject: Some(payload.subject()),
            time,
            datacontenttype: json(),
            traceparent: None,
            dedupkey: payload.dedupkey(),
            data,
        };
        match envelope.to_bytes().len() {
            0..=MAX_FRAME_BYTES => Ok(envelope),
            bytes => Err(SealError::TooLarge { kind, bytes }),
        }
    }

    /// Reads an envelope from the body of a message.
    ///
    /// # Errors
    /// See [`ParseError`].
    pub fn parse(body: &[u8]) -> Result<Self, ParseError> {
        if body.len() > MAX_FRAME_BYTES {
            return Err(ParseError::TooLarge(body.len()));
        }
        let envelope: Self = serde_json::from_slice(body).map_err(ParseError::NotAnEnvelope)?;
        if envelope.specversion != "1.0" {
            return Err(ParseError::SpecVersion(envelope.specversion));
        }
        if envelope.datacontenttype != json() {
            return Err(ParseError::ContentType(envelope.datacontenttype));
        }
        Ok(envelope)
    }

    /// True if this is a message of type `P`, in the version that this build knows.
    #[must_use]
    pub fn is<P: Payload>(&self) -> bool {
        self.kind == P::TYPE
    }

    /// Takes the payload out.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open<P: Payload>(&self) -> Result<P, OpenError> {
        if self.kind != P::TYPE {
            let found = self.kind.clone();
            return Err(if stem(&found) == stem(P::TYPE) {
                OpenError::Version {
                    found,
                    known: P::TYPE,
                }
            } else {
                OpenError::Type {
                    found,
                    known: P::TYPE,
                }
            });
        }
        P::deserialize(&self.data).map_err(|source| OpenError::Data {
            known: P::TYPE,
            source,
        })
    }

    /// The bytes that travel.
    ///
    /// # Panics
    /// Never: an envelope holds only what JSON can hold.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an envelope holds only JSON values")
    }

    /// The main attributes as STOMP headers, for tools that do not read bodies.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("content-type", "application/cloudevents+json".to_owned()),
            ("ce-id", self.id.to_string()),
            ("ce-type", self.kind.clone()),
            ("ce-source", self.source.clone()),
            ("ce-time", self.time.to_string()),
        ];
        let optional = [
            ("ce-subject", &self.subject),
            ("ce-dedupkey", &self.dedupkey),
            ("traceparent", &self.traceparent),
        ];
        headers.extend(
            optional
                .into_iter()
                .filter_map(|(name, value)| Some((name, value.clone()?))),
        );
        headers
    }
}
