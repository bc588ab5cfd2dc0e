//! One line for people, and one record for machines. This is the one way to make them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{HostName, OneLine, Payload, ServiceName, Topic};

/// The most that a record may take up, in bytes of JSON. A larger one is left out, and says so.
pub const RECORD_BYTES: usize = 8 * 1024;

/// What a component says it did. Read by the orchestrator's feed, chats and dashboards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The component: `stomp-git`.
    pub component: ServiceName,
    /// Where it runs.
    pub host: HostName,
    /// Host first, terse: `web1: shop tag v2 new at fd489864e7`.
    pub line: OneLine,
    /// The same as fields, `event` and `level` among them.
    pub record: Value,
}

/// How much a line matters to somebody who only watches.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// It goes as it should.
    #[default]
    Info,
    /// A trouble that was told before is over.
    Over,
    /// It went wrong, and is tried again or was put right by the service itself.
    Problem,
    /// A person has to look.
    Alarm,
}

impl Level {
    /// All of them, mildest first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Over, Self::Problem, Self::Alarm];

    /// As records have it: `problem`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Over => "over",
            Self::Problem => "problem",
            Self::Alarm => "alarm",
        }
    }
}

/// What a service has to say, before it is a [`Line`]: a text without the host, and fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    event: &'static str,
    level: Level,
    text: String,
    fields: Map<String, Value>,
}

impl Said {
    /// What happened, in the word by which machines know it, and in words for people.
    #[must_use]
    pub fn new(event: &'static str, text: impl Into<String>) -> Self {
        Self {
            event,
            level: Level::Info,
            text: text.into(),
            fields: Map::new(),
        }
    }

    /// How much it matters; [`Level::Info`] where nothing is said.
    #[must_use]
    pub fn level(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// One more field. An absent value (`None`) is no field.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Serialize) -> Self {
        match serde_json::to_value(value) {
            Ok(Value::Null) | Err(_) => {}
            Ok(value) => {
                self.fields.insert(name.to_owned(), without_secrets(value));
            }
        }
        self
    }

    /// The text, without the host.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The word by which machines know what happened.
    #[must_use]
    pub fn event(&self) -> &'static str {
        self.event
    }

    /// Its fields, without `event` and `level`.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// As it goes on the bus.
    #[must_use]
    pub fn line(self, component: ServiceName, host: &HostName) -> Line {
        let mut record = self.fields;
        if serde_json::to_vec(&record).map_or(0, |json| json.len()) > RECORD_BYTES {
            record = Map::from_iter([("cut".to_owned(), Value::Bool(true))]);
        }
        record.insert("event".to_owned(), self.event.into());
        record.insert("level".to_owned(), self.level.word().into());
        Line {
            component,
            line: OneLine::new(&format!("{host}: {}", self.text)),
            host: host.clone(),
            record: Value::Object(record),
        }
    }
}

fn without_secrets(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(crate::one_line::without_secrets(&text)),
        Value::Array(list) => list.into_iter().map(without_secrets).collect(),
        Value::Object(fields) => {
            let clean = fields
                .into_iter()
                .map(|(name, value)| (name, without_secrets(value)));
            Value::Object(clean.collect())
        }
        other => other,
    }
}

impl Line {
    /// How much it matters; a record that does not say so, or in a word that is not known here, is [`Level::Info`].
    #[must_use]
    pub fn level(&self) -> Level {
        let word = self.record.get("level").and_then(Value::as_str);
        let known = Level::ALL.into_iter();
        known
            .rev()
            .find(|level| Some(level.word()) == word)
            .unwrap_or_default()
    }

    /// The word by which machines know what happened, where the record has one.
    #[must_use]
    pub fn event(&self) -> Option<&str> {
        self.record.get("event").and_then(Value::as_str)
    }
}

impl Payload for Line {
    const TYPE: &'static str = "deploykit.event.v1";
    const PERSISTENT: bool = false;
    fn topic(&self) -> Topic {
        Topic::Events(self.component.to_string())
    }
    fn subject(&self) -> String {
        self.line.to_string()
    }
}
