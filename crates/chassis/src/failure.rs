//! Why a service ended.

use std::{error::Error, fmt, process::ExitCode};

/// Exit code for wrong settings (`EX_CONFIG`): mend them first, a restart does not help.
pub const EXIT_SETTINGS: u8 = 78;

/// Why a service could not start or go on.
#[derive(Debug)]
pub enum Failure {
    /// Its settings are wrong; one sentence that says where and how. Exit code 78.
    Settings(String),
    /// Anything else. Exit code 1.
    Failed(anyhow::Error),
}

impl Failure {
    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Settings(_) => ExitCode::from(EXIT_SETTINGS),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(text) => f.write_str(text),
            Self::Failed(error) => write!(f, "{error:#}"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// An error with all its causes in one line: `cannot read x: permission denied`.
#[must_use]
pub fn causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
