//! What may be asked for.

use std::time::Duration;

use serde::Deserialize;

/// A line end lives at least this long. ActiveMQ and Artemis judge by their own clock when it is over, so a shorter life
/// would end before it begins where the clocks differ by seconds.
const LINE_END_LIFE: Duration = Duration::from_secs(3600);

/// The keys of `stomp-keepalive.toml` that are its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Seconds between two beats.
    pub every_s: u64,
    /// A round trip over this many milliseconds is slow.
    pub slow_ms: u64,
    /// Destinations that get a lone line end with each beat.
    pub eol: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            every_s: 10,
            slow_ms: 1000,
            eol: Vec::new(),
        }
    }
}

impl Settings {
    pub(crate) fn every(&self) -> Duration {
        Duration::from_secs(self.every_s)
    }

    /// How long a broker keeps a line end: until the next ones are there, and an hour at least.
    pub(crate) fn line_end_life(&self) -> Duration {
        LINE_END_LIFE.max(self.every() * 2)
    }

    pub(crate) fn slow(&self) -> Duration {
        Duration::from_millis(self.slow_ms)
    }
}

impl chassis::Settings for Settings {
    const SHIPPED: &'static str = include_str!("../dist/stomp-keepalive.toml");

    fn check(&self) -> Result<(), String> {
        if !(1..=3600).contains(&self.every_s) {
            return Err("every_s must be 1 to 3600".to_owned());
        }
        if !(1..=600_000).contains(&self.slow_ms) {
            return Err("slow_ms must be 1 to 600000".to_owned());
        }
        let is_destination = |text: &str| {
            let name = text
                .strip_prefix("/topic/")
                .or(text.strip_prefix("/queue/"));
            name.is_some_and(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_graphic()))
        };
        match self.eol.iter().find(|text| !is_destination(text)) {
            Some(text) => Err(format!(
                "eol has {text:?}; a destination is /topic/NAME or /queue/NAME"
            )),
            None => Ok(()),
        }
    }
}
