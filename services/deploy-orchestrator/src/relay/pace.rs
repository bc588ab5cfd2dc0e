//! When the next post may go out, and what an answer means. Pure.

use std::time::Duration;

use exchange::Failed;

/// The longest wait between two tries; a chat that names a longer one is believed up to [`OBEYED`].
const LONGEST: Duration = Duration::from_secs(300);
/// The longest wait that a chat can ask for.
pub(super) const OBEYED: Duration = Duration::from_secs(3600);
/// A post that is refused for what it holds is tried so often.
const REFUSED: u32 = 3;

/// What became of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The chat has it.
    Taken,
    /// Not now: it may say when.
    Later(Option<Duration>),
    /// Not like this: the same again is no use.
    Refused(u16),
    /// The webhook is not there, or does not let us: a person has to look.
    Gone(u16),
}

/// What an answer means; `retry_after` as the header has it.
#[must_use]
pub fn outcome(status: u16, retry_after: Option<&str>) -> Outcome {
    let after = || {
        let seconds = retry_after?.trim().parse::<u64>().ok()?;
        Some(Duration::from_secs(seconds).min(OBEYED))
    };
    match status {
        200..=299 => Outcome::Taken,
        400 | 413 | 414 | 415 | 422 => Outcome::Refused(status),
        401 | 403 | 404 | 405 | 410 | 300..=399 => Outcome::Gone(status),
        _ => Outcome::Later(after()),
    }
}

/// Why it is not posted, without a word of the address.
#[must_use]
pub fn why(failed: &Failed) -> String {
    match failed {
        Failed::NotConnected(why) if why.starts_with("TLS: ") => {
            "its certificate is not believed, or TLS failed otherwise".to_owned()
        }
        Failed::NotConnected(_) => "nobody answers there".to_owned(),
        Failed::Broken(_) => "the connection was cut, or no HTTP is spoken there".to_owned(),
        other => other.to_string(),
    }
}

/// How it went so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    failed: u32,
}

/// What to do after a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Go on after it, not before so long.
    On(Duration),
    /// Give these lines up, and go on not before so long.
    GiveUp(Duration),
    /// The same again, not before so long.
    Again(Duration),
}

impl Pace {
    /// What follows; `least` is the time between two posts.
    pub fn next(&mut self, outcome: Outcome, least: Duration) -> Next {
        let failed = self.failed;
        self.failed = failed.saturating_add(1);
        let growing = Duration::from_secs(1 << failed.min(9))
            .min(LONGEST)
            .max(least);
        match outcome {
            Outcome::Taken => {
                self.failed = 0;
                Next::On(least)
            }
            Outcome::Later(asked) => Next::Again(asked.unwrap_or(growing).max(least)),
            Outcome::Refused(_) if self.failed >= REFUSED => {
                self.failed = 0;
                Next::GiveUp(least)
            }
            Outcome::Refused(_) => Next::Again(growing),
            Outcome::Gone(_) => Next::Again(LONGEST),
        }
    }
}
