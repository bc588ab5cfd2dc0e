//! What may go wrong with a Jenkins, and what each is good for.

use std::time::Duration;

/// Why there is no answer that can be used. None of them holds a secret, nor text of an answer that was not checked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// There was no connection, so it has heard nothing.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The request left, the answer did not come whole.
    #[error("gave no whole answer: {0}")]
    Broken(String),
    /// It is starting, stopping, overloaded, or broken behind its proxy: 5xx or 429.
    #[error("is not ready ({status})")]
    NotReady {
        /// The status.
        status: u16,
        /// How long it asks to wait.
        after: Option<Duration>,
    },
    /// 401.
    #[error(
        "does not know the user or token (401): make a new API token and write it to jenkins.token_file"
    )]
    Login,
    /// 403.
    #[error("does not allow it (403{})", permission.as_ref().map_or_else(String::new, |it| format!(", {it} is wanted")))]
    Forbidden {
        /// The permission that it names.
        permission: Option<String>,
    },
    /// 404: it is not there, or may not be read.
    #[error("has no such thing, or does not show it to this user (404)")]
    Missing,
    /// 409: the job is disabled.
    #[error("does not build it: the job is disabled (409)")]
    Disabled,
    /// It answered a trigger without a queue item.
    #[error("took the request but gave no queue item ({0})")]
    NotQueued(u16),
    /// Something in front of it answers, such as a page to log in.
    #[error("answers with {0}, not with JSON: is something in front of it that wants a login?")]
    NotJson(String),
    /// Any other status.
    #[error("answers with status {0}")]
    Status(u16),
    /// More than 4 MiB.
    #[error("sends an answer that is too long")]
    TooLong,
    /// Our own token file, certificates or address.
    #[error("{0}")]
    Own(String),
}

/// What a trouble is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It passes by itself: try again, sooner or later.
    Passing,
    /// A person has to mend something: say so, and try again slowly.
    Person,
    /// Trying again cannot help.
    Final,
}

impl Trouble {
    /// What it is good for.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Unreachable(_) | Self::Broken(_) | Self::NotReady { .. } => Kind::Passing,
            Self::Login
            | Self::Forbidden { .. }
            | Self::Missing
            | Self::NotJson(_)
            | Self::NotQueued(_)
            | Self::Own(_) => Kind::Person,
            Self::Disabled | Self::Status(_) | Self::TooLong => Kind::Final,
        }
    }

    /// False if a request that met it has certainly had no effect.
    #[must_use]
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Broken(_)
            | Self::NotReady { .. }
            | Self::NotQueued(_)
            | Self::NotJson(_)
            | Self::Status(_)
            | Self::TooLong => true,
            Self::Unreachable(_)
            | Self::Login
            | Self::Forbidden { .. }
            | Self::Missing
            | Self::Disabled
            | Self::Own(_) => false,
        }
    }

    /// How long Jenkins asks to wait, where it does; at most an hour is believed.
    #[must_use]
    pub fn wait(&self) -> Option<Duration> {
        match self {
            Self::NotReady { after, .. } => after.map(|it| it.min(Duration::from_secs(3600))),
            _ => None,
        }
    }
}
