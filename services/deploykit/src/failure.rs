//! Why a command ended without doing what was asked, and its exit code.

use std::process::ExitCode;

use deploy_orchestrator::api::ApiError;

/// One variant per thing a person or a script does differently.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failure {
    /// Exit 1: it was tried and failed; the words were printed already.
    #[error("failed")]
    Told,
    /// Exit 1: it was tried and failed.
    #[error("{0}")]
    Failed(String),
    /// Exit 3: the orchestrator refused.
    #[error("{}", refused(.0))]
    Refused(ApiError),
    /// Exit 69: nobody answers.
    #[error("{0}")]
    Unavailable(String),
    /// Exit 78: something must be mended first.
    #[error("{0}")]
    Settings(String),
}

fn refused(error: &ApiError) -> String {
    let mut text = error.error.clone();
    if !error.exists.is_empty() {
        text = format!("{text}\n  there is: {}", error.exists.join(", "));
    }
    if let Some(next) = &error.next {
        text = format!("{text}\n  next: {next}");
    }
    text
}

impl Failure {
    /// As the table in `deploykit --help` says.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Told | Self::Failed(_) => 1,
            Self::Refused(_) => 3,
            Self::Unavailable(_) => 69,
            Self::Settings(_) => 78,
        })
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(format!("{error:#}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}
