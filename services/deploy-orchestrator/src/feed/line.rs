//! A line as it is kept and shown.

use events::{HostName, OneLine, ServiceName, message::Level};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One line of the feed, as the API gives it; fields may be added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeedLine {
    /// Its number: a newer line has a higher one.
    pub id: u64,
    /// When it was said.
    pub time: Timestamp,
    /// By which component.
    pub component: ServiceName,
    /// Where.
    pub host: HostName,
    /// How much it matters.
    pub level: Level,
    /// What happened, in the word for machines; empty if its record does not say.
    pub event: String,
    /// The line.
    pub line: OneLine,
    /// The same as fields: see docs/bus.md.
    pub record: Value,
}

/// Lines, and how far was looked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeedView {
    /// The lines, oldest first.
    pub lines: Vec<FeedLine>,
    /// What comes later has a higher number than this.
    pub newest: u64,
}
