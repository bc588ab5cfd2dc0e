//! One line for people, and one record for machines.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{HostName, Payload, Topic};

/// What a component says it did. Read by chats and dashboards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The component: `stomp-git`.
    pub component: String,
    /// Where it runs.
    pub host: HostName,
    /// One line, host first, terse.
    pub line: String,
    /// The same as fields.
    pub record: Value,
}

impl Payload for Line {
    const TYPE: &'static str = "deploykit.event.v1";
    const PERSISTENT: bool = false;
    fn topic(&self) -> Topic {
        Topic::Events(self.component.clone())
    }
    fn subject(&self) -> String {
        self.line.clone()
    }
}
