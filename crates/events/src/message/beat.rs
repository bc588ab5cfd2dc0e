//! A beat on the bus, by which its round trip is measured.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Payload, Topic};

/// Sent by `stomp-keepalive` and read by it again; others ignore it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// Who beats: the instance's name.
    pub from: String,
    /// Counts up from 1 since the sender's start.
    pub number: u64,
    /// The round trip of the beat before, in milliseconds; absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_round_trip_ms: Option<u64>,
}

impl Payload for Beat {
    const TYPE: &'static str = "deploykit.keepalive.v1";
    const PERSISTENT: bool = false;
    const TIME_TO_LIVE: Option<Duration> = Some(Duration::from_secs(5 * 60));
    fn topic(&self) -> Topic {
        Topic::Keepalive
    }
    fn subject(&self) -> String {
        format!("beat {} of {}", self.number, self.from)
    }
}
