//! Requests that nobody is known to have signed: however many come, few are noted and few lines are logged. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

/// So many are noted a minute: who sends them must not push out the deliveries of forges.
pub const NOTED_A_MINUTE: u32 = 60;

/// After a line about a source, the next one is so much later, and counts.
pub const PAUSE: SignedDuration = SignedDuration::from_secs(60);

/// Counts them.
#[derive(Debug, Default)]
pub struct Strangers {
    minute: i64,
    noted: u32,
    /// By source: those of the settings, and one for all others.
    sources: BTreeMap<String, Untold>,
}

/// What was not said yet of a source.
#[derive(Debug)]
struct Untold {
    said: Timestamp,
    count: u64,
    why: String,
}

/// A line for the log: requests to a source that were refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Which source.
    pub source: String,
    /// How many since the line before.
    pub count: u64,
    /// Why the last of them was.
    pub why: String,
}

impl Strangers {
    /// Whether this one may be noted.
    pub fn may_note(&mut self, now: Timestamp) -> bool {
        let minute = now.as_second() / 60;
        if minute != self.minute {
            (self.minute, self.noted) = (minute, 0);
        }
        self.noted += 1;
        self.noted <= NOTED_A_MINUTE
    }

    /// One was refused: the first of a source is told at once. The caller's names must be few.
    pub fn refused(&mut self, source: &str, why: &str, now: Timestamp) -> Option<Line> {
        let (source, why) = (source.to_owned(), why.to_owned());
        if let Some(untold) = self.sources.get_mut(&source) {
            untold.count += 1;
            untold.why = why;
            return untold.line(&source, now);
        }
        let count = 0;
        let said = now;
        let line = Line {
            source: source.clone(),
            count: 1,
            why: why.clone(),
        };
        self.sources.insert(source, Untold { said, count, why });
        Some(line)
    }

    /// What is to be told of those that came since, though no further one comes.
    pub fn due(&mut self, now: Timestamp) -> Vec<Line> {
        let sources = self.sources.iter_mut();
        sources
            .filter_map(|(source, untold)| untold.line(source, now))
            .collect()
    }

    /// All that was not told.
    pub fn rest(&mut self) -> Vec<Line> {
        let sources = std::mem::take(&mut self.sources).into_iter();
        let left = sources.filter(|(_, untold)| untold.count > 0);
        left.map(|(source, Untold { count, why, .. })| Line { source, count, why })
            .collect()
    }
}

impl Untold {
    fn line(&mut self, source: &str, now: Timestamp) -> Option<Line> {
        // However the clock was set meanwhile.
        let due = self.said.duration_until(now).abs() >= PAUSE;
        if self.count == 0 || !due {
            return None;
        }
        self.said = now;
        Some(Line {
            source: source.to_owned(),
            count: std::mem::take(&mut self.count),
            why: self.why.clone(),
        })
    }
}

impl Line {
    /// Puts it into the log.
    pub(crate) fn log(&self) {
        let Self { source, count, why } = self;
        match count {
            1 => tracing::warn!(source, why, "a hook was refused"),
            _ => tracing::warn!(source, count, why, "hooks were refused; why is of the last"),
        }
    }
}
