//! How a command ended, and what becomes of its message. No I/O.

use chassis::Verdict;
use command::{Output, RunError};

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// At the limit.
    Late,
    /// It never began, for this reason.
    NotStarted(String),
}

impl From<Result<Output, RunError>> for Outcome {
    fn from(ran: Result<Output, RunError>) -> Self {
        match ran {
            Ok(Output {
                code: Some(code), ..
            }) => Self::Exit(code),
            Ok(output) => Self::Signal(output.signal.unwrap_or_default()),
            Err(RunError::Limit { .. }) => Self::Late,
            Err(error) => Self::NotStarted(chassis::causes(&error)),
        }
    }
}

impl Outcome {
    /// True if the work is done.
    #[must_use]
    pub fn is_good(&self) -> bool {
        *self == Self::Exit(0)
    }

    /// The exit code with `--once`, as shells and timeout(1) have it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Exit(code) => u8::try_from(*code).unwrap_or(1),
            Self::Signal(signal) => u8::try_from(128 + signal).unwrap_or(1),
            Self::Late => 124,
            Self::NotStarted(_) => 126,
        }
    }

    /// In words: `exit 3`, `ended at its limit`.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Exit(code) => format!("exit {code}"),
            Self::Signal(signal) => format!("signal {signal}"),
            Self::Late => "ended at its limit (--limit)".to_owned(),
            Self::NotStarted(why) => why.clone(),
        }
    }
}

/// What becomes of the message after a command has ended for the `tries`th time. What failed for good becomes a dead letter
/// where messages are kept, and is only told where they are not.
#[must_use]
pub fn verdict(outcome: &Outcome, tries: u32, retries: u32, kept: bool) -> Verdict {
    if outcome.is_good() {
        return Verdict::Done;
    }
    let words = outcome.words();
    if tries <= retries {
        return Verdict::Again(words);
    }
    match (kept, tries) {
        (false, _) => Verdict::Done,
        (true, 1) => Verdict::Poison(words),
        (true, tries) => Verdict::Poison(format!("{words} (tried {tries} times)")),
    }
}
