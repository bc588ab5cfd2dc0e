//! What `deploykit on` tells, on standard error: lines for people, or with `--json` one JSON object each.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{message::Said, outcome::Outcome};
use crate::screen::{complain, complain_json};

/// Tells.
#[derive(Debug, Clone, Copy)]
pub(super) struct Teller {
    pub(super) json: bool,
}

impl Teller {
    /// Something about the whole.
    pub(super) fn say(self, now: Timestamp, what: &str, words: &str) {
        self.tell(words, now, what, Map::new());
    }

    /// A command has ended.
    pub(super) fn ran(
        self,
        now: Timestamp,
        said: &Said,
        outcome: &Outcome,
        took: Duration,
        next: &str,
    ) {
        let mut record = of(said);
        let took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        record.insert("took_ms".to_owned(), json!(took_ms));
        record.insert("next".to_owned(), json!(next));
        let (name, value) = match outcome {
            Outcome::Exit(code) => ("exit", json!(code)),
            Outcome::Signal(signal) => ("signal", json!(signal)),
            Outcome::Late => ("late", json!(true)),
            Outcome::NotStarted(why) => ("not_started", json!(why)),
        };
        record.insert(name.to_owned(), value);
        let seconds = took.as_secs_f32();
        let words = format!(
            "{}: {} after {seconds:.1} s; {next}",
            said.line(),
            outcome.words()
        );
        self.tell(&words, now, "ended", record);
    }

    /// A command begins; only for machines.
    pub(super) fn runs(self, now: Timestamp, said: &Said) {
        if self.json {
            self.tell("", now, "began", of(said));
        }
    }

    fn tell(self, words: &str, now: Timestamp, what: &str, mut record: Map<String, Value>) {
        if !self.json {
            complain(words);
            return;
        }
        record.insert("time".to_owned(), json!(now));
        record.insert("what".to_owned(), json!(what));
        if !words.is_empty() {
            record.insert("line".to_owned(), json!(words));
        }
        complain_json(&Value::Object(record));
    }
}

fn of(said: &Said) -> Map<String, Value> {
    let lower = |(name, text): (&str, &str)| (name.to_lowercase(), json!(text));
    said.variables().map(lower).collect()
}
