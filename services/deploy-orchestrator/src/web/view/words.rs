//! Words for states, times and versions: the same on every page.
//!
//! A state is a word with a symbol; its colour only repeats what they say.

use events::{
    HostName,
    message::{Running, StepState},
};
use jiff::Timestamp;

use crate::api::{Action, DeployState, DeployView, HostState};

/// A state as people see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Badge {
    /// `good`, `busy`, `warn`, `bad` or `idle`, for the style sheet.
    pub(crate) tone: &'static str,
    pub(crate) symbol: &'static str,
    pub(crate) word: &'static str,
}

const fn badge(tone: &'static str, symbol: &'static str, word: &'static str) -> Badge {
    Badge { tone, symbol, word }
}

impl From<DeployState> for Badge {
    fn from(state: DeployState) -> Self {
        match state {
            DeployState::Preparing => badge("busy", "◔", "preparing"),
            DeployState::Activating => badge("busy", "◑", "activating"),
            DeployState::Paused => badge("warn", "‖", "paused"),
            DeployState::PuttingBack => badge("warn", "↩", "putting back"),
            DeployState::Succeeded => badge("good", "✓", "succeeded"),
            DeployState::Failed => badge("bad", "✗", "failed"),
            DeployState::Aborted => badge("idle", "■", "aborted"),
        }
    }
}

impl From<HostState> for Badge {
    fn from(state: HostState) -> Self {
        match state {
            HostState::Untouched => badge("idle", "○", "untouched"),
            HostState::Preparing => badge("busy", "◔", "preparing"),
            HostState::Prepared => badge("busy", "◕", "prepared"),
            HostState::Activating => badge("busy", "◑", "activating"),
            HostState::Live => badge("good", "✓", "live"),
            HostState::PutBack => badge("warn", "↩", "put back"),
            HostState::PuttingBack => badge("warn", "↩", "putting back"),
            HostState::Failed => badge("bad", "✗", "failed"),
            HostState::Broken => badge("bad", "‼", "broken"),
            HostState::Unreachable => badge("warn", "?", "unreachable"),
            HostState::Refused => badge("bad", "✗", "refused"),
            HostState::Cleared => badge("good", "✓", "cleared"),
        }
    }
}

impl From<StepState> for Badge {
    fn from(state: StepState) -> Self {
        match state {
            StepState::Running => badge("busy", "◑", "running"),
            StepState::Ok => badge("good", "✓", "ok"),
            StepState::Failed => badge("bad", "✗", "failed"),
            StepState::TimedOut => badge("bad", "✗", "timed out"),
            StepState::Skipped => badge("idle", "–", "skipped"),
        }
    }
}

/// A point in time: UTC, with its zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct When {
    /// For machines: `2026-11-21T06:53:11Z`.
    pub(crate) iso: String,
    /// For people: `2026-11-21 06:53:11 UTC`.
    pub(crate) text: String,
}

impl From<Timestamp> for When {
    fn from(time: Timestamp) -> Self {
        Self {
            iso: time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            text: time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        }
    }
}

/// A release by the name people know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// The tag, or else the short commit id.
    pub(crate) label: String,
    /// The short commit id.
    pub(crate) commit: String,
    pub(crate) since: When,
}

impl From<&Running> for Version {
    fn from(running: &Running) -> Self {
        Self {
            label: running.label().to_owned(),
            commit: running.revision.short().to_owned(),
            since: running.since.into(),
        }
    }
}

/// A release, when there is one.
pub(crate) fn version(running: Option<&Running>) -> Option<Version> {
    running.map(Version::from)
}

/// `deploy v2` or `rollback`.
pub(crate) fn title(deploy: &DeployView) -> String {
    let title = match deploy.action {
        Action::Rollback => "rollback".to_owned(),
        Action::Clear => "clearing".to_owned(),
        Action::Deploy => format!("deploy {}", revision(deploy)),
    };
    match &deploy.broke_glass {
        Some(past) => format!("{title} GLASS BROKEN ({past})"),
        None => title,
    }
}

fn revision(deploy: &DeployView) -> String {
    match (&deploy.tag, &deploy.commit) {
        (Some(tag), _) => tag.to_string(),
        (None, Some(commit)) => commit.short().to_owned(),
        (None, None) => "an unknown commit".to_owned(),
    }
}

/// `1 server`, `3 servers`.
pub(crate) fn count(number: usize, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {one}{plural}")
}

/// `web1, web2 and 7 more`.
pub(crate) fn names<'a>(hosts: impl IntoIterator<Item = &'a HostName>, most: usize) -> String {
    let hosts: Vec<&str> = hosts.into_iter().map(HostName::as_str).collect();
    if hosts.len() <= most {
        return hosts.join(", ");
    }
    format!(
        "{} and {} more",
        hosts[..most].join(", "),
        hosts.len() - most
    )
}

/// A length of time: `12 ms`, `0.3 s`, `2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`.
pub(crate) fn duration(seconds: f64) -> String {
    if seconds < 0.0995 {
        return format!("{:.0} ms", (seconds * 1000.0).max(0.0));
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s").replace(".0 s", " s");
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative; saturates"
    )]
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86400, whole % 86400 / 3600),
    }
}

/// The length of time between two points.
pub(crate) fn between(from: Timestamp, to: Timestamp) -> String {
    duration(to.duration_since(from).as_secs_f64())
}
