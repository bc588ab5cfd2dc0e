//! The checks of a release that need no script: whether it answers, and as what.

use std::{collections::BTreeMap, ops::RangeInclusive, path::PathBuf, time::Duration};

use exchange::Address;
use serde::Deserialize;

use crate::scripts::Argument;

/// The most tries of one check.
const MOST_TRIES: u64 = 1000;
/// The longest that one check may take in all, and so each part of it: nothing ends it before when the release is being put back.
const MOST_S: u64 = 3600;

/// One check; it is tried again until it is good, up to its tries and its deadline.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The address that is asked (GET).
    #[serde(default)]
    pub http: Option<String>,
    /// The `host:port` that has to take a connection.
    #[serde(default)]
    pub tcp: Option<String>,
    /// The `host:port` to connect to, where it is not that of the address.
    #[serde(default)]
    pub connect: Option<String>,
    /// The authorities for `https`; default: those of the system.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    /// The status of a good answer; default: 200.
    #[serde(default)]
    pub status: Option<u16>,
    /// What is in the body of a good answer.
    #[serde(default)]
    pub body: Option<Argument>,
    /// What is in headers of a good answer.
    #[serde(default)]
    pub headers: BTreeMap<String, Argument>,
    /// How often it is tried.
    #[serde(default = "tries")]
    pub tries: u32,
    /// How long to wait between.
    #[serde(default = "pause_s")]
    pub pause_s: u64,
    /// How long one try may take.
    #[serde(default = "limit_s")]
    pub limit_s: u64,
    /// How long all tries may take.
    #[serde(default = "deadline_s")]
    pub deadline_s: u64,
}

fn tries() -> u32 {
    10
}
fn pause_s() -> u64 {
    1
}
fn limit_s() -> u64 {
    5
}
fn deadline_s() -> u64 {
    60
}

/// What a check asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asks {
    /// For an answer.
    Http(Address),
    /// For a connection.
    Tcp(String),
}

impl Check {
    /// What it asks.
    ///
    /// # Errors
    /// One sentence that names the key and the rule.
    pub fn asks(&self) -> Result<Asks, String> {
        let tcp_only = self.connect.is_none()
            && self.ca_file.is_none()
            && self.status.is_none()
            && self.body.is_none()
            && self.headers.is_empty();
        let asks = match (&self.http, &self.tcp) {
            (Some(http), None) => {
                let address = Address::parse(http);
                Asks::Http(address.map_err(|why| format!("check.http: {http:?} {why}"))?)
            }
            (None, Some(_)) if !tcp_only => {
                return Err("check.tcp: all that can be asked of it is a connection".to_owned());
            }
            (None, Some(tcp)) => Asks::Tcp(place("check.tcp", tcp)?),
            _ => return Err("check: it has either http or tcp".to_owned()),
        };
        if let Some(connect) = &self.connect {
            place("check.connect", connect)?;
        }
        if let Some(status) = self.status.filter(|status| !(100..600).contains(status)) {
            return Err(format!("check.status: {status} is no status"));
        }
        bounded("check.tries", u64::from(self.tries), 1..=MOST_TRIES)?;
        bounded("check.pause_s", self.pause_s, 0..=MOST_S)?;
        bounded("check.limit_s", self.limit_s, 1..=MOST_S)?;
        bounded("check.deadline_s", self.deadline_s, 1..=MOST_S)?;
        Ok(asks)
    }

    /// How long to wait between two tries.
    #[must_use]
    pub fn pause(&self) -> Duration {
        Duration::from_secs(self.pause_s)
    }

    /// How long one try may take that begins so long after the first.
    #[must_use]
    pub fn limit(&self, after: Duration) -> Duration {
        let left = Duration::from_secs(self.deadline_s).saturating_sub(after);
        left.min(Duration::from_secs(self.limit_s))
    }

    /// True if a try that failed so long after the first one began was the last.
    #[must_use]
    pub fn gives_up(&self, tried: u32, after: Duration) -> bool {
        let deadline = Duration::from_secs(self.deadline_s);
        tried >= self.tries || after.saturating_add(self.pause()) >= deadline
    }

    /// What is wrong with an answer; `filled` gives an argument with its places filled.
    ///
    /// # Errors
    /// One sentence.
    pub fn judge(
        &self,
        answer: &exchange::Answer,
        filled: impl Fn(&Argument) -> String,
    ) -> Result<(), String> {
        let wanted = self.status.unwrap_or(200);
        let body = String::from_utf8_lossy(&answer.body);
        if answer.status != wanted {
            let said = command::last_line(&answer.body).unwrap_or_default();
            return Err(format!("status {}, not {wanted}: {said}", answer.status));
        }
        if let Some(text) = self.body.as_ref().map(&filled)
            && !body.contains(&text)
        {
            let said = command::last_line(&answer.body).unwrap_or_default();
            return Err(format!("its body has no {text:?}: {said}"));
        }
        for (name, text) in &self.headers {
            let text = filled(text);
            let values = answer.headers.get_all(name.as_str()).iter();
            let values: Vec<_> = values
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
                .collect();
            if !values.iter().any(|value| value.contains(&text)) {
                return Err(format!(
                    "its header {name} has no {text:?}: {}",
                    values.join(", ")
                ));
            }
        }
        Ok(())
    }
}

/// A number within bounds.
///
/// # Errors
/// One sentence that names the key and the bound.
pub(crate) fn bounded(key: &str, value: u64, within: RangeInclusive<u64>) -> Result<(), String> {
    if value < *within.start() {
        return Err(format!("{key}: {value} is too small"));
    }
    if value > *within.end() {
        let most = within.end();
        return Err(format!("{key}: {value} is too large: at most {most}"));
    }
    Ok(())
}

/// A `host:port`.
fn place(key: &str, text: &str) -> Result<String, String> {
    let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    match port.and_then(|(_, port)| port.parse::<u16>().ok()) {
        Some(port) if port > 0 => Ok(text.to_owned()),
        _ => Err(format!("{key}: {text:?} is no HOST:PORT")),
    }
}
