//! A message that a service could not use, put aside with the reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Payload, Topic};

/// What was put aside. Published before the original is acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The service that could not use it.
    pub service: String,
    /// Why, with all causes.
    pub cause: String,
    /// Where it came from.
    pub destination: String,
    /// Its headers as they came.
    pub headers: BTreeMap<String, String>,
    /// Its body, base64 where it is not UTF-8, cut to 64 kB.
    pub body: String,
    /// True if `body` is base64.
    #[serde(default)]
    pub base64: bool,
    /// The size of the body as it came, in bytes.
    pub body_bytes: usize,
}

impl Payload for DeadLetter {
    const TYPE: &'static str = "deploykit.dead-letter.v1";
    fn topic(&self) -> Topic {
        Topic::Dead(self.service.clone())
    }
    fn subject(&self) -> String {
        format!(
            "{} put aside a message from {}",
            self.service, self.destination
        )
    }
}
