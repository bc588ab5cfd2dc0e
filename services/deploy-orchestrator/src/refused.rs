//! Why a request was not done, with the answer's status.

use std::fmt::Display;

use crate::api::ApiError;

/// What kind of no it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 400: the request cannot be understood.
    NotUnderstood,
    /// 403: nobody who may allow it has.
    NotAllowed,
    /// 404: something of that name does not exist.
    Unknown,
    /// 409: something else is under way.
    Busy,
    /// 422: understood and allowed, but it cannot be done.
    Impossible,
    /// 500: the orchestrator's own trouble, such as a full disk.
    Trouble,
}

impl Kind {
    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::NotUnderstood => 400,
            Self::NotAllowed => 403,
            Self::Unknown => 404,
            Self::Busy => 409,
            Self::Impossible => 422,
            Self::Trouble => 500,
        }
    }
}

/// A request that was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", body.error)]
pub struct Refused {
    /// What kind of no it is.
    pub kind: Kind,
    /// What the person reads.
    pub body: ApiError,
}

impl Refused {
    /// A refusal with its one sentence.
    #[must_use]
    pub fn new(kind: Kind, error: impl Display) -> Self {
        let error = error.to_string();
        Self {
            kind,
            body: ApiError {
                error,
                exists: Vec::new(),
                next: None,
            },
        }
    }

    /// Adds what exists in place of what was asked for.
    #[must_use]
    pub fn exists<T: Display>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.body.exists = names.into_iter().map(|name| name.to_string()).collect();
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn next(mut self, next: impl Display) -> Self {
        self.body.next = Some(next.to_string());
        self
    }
}
