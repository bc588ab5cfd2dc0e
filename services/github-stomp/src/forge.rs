//! What forges post: who signed it, and what it says. Pure.
//!
//! Read: this file (the words that all of them are told in), then one file for each forge.

mod bitbucket;
mod bitbucket_server;
mod commits;
mod gitea;
mod github;
mod gitlab;
mod json;
mod news;
mod repositories;
mod words;

use axum::http::HeaderMap;
use events::{NameError, message::Pushed};
use serde::Deserialize;

pub use news::News;
pub use repositories::Repositories;

use crate::signature::{Claim, Wrong};

/// A kind of forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// GitHub, the site and the server.
    Github,
    /// GitLab, the site and the server.
    Gitlab,
    /// Gitea.
    Gitea,
    /// Forgejo.
    Forgejo,
    /// Bitbucket Cloud.
    Bitbucket,
    /// Bitbucket Server and Data Center.
    BitbucketServer,
}

/// What a webhook says.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// The forge asks whether somebody is there.
    Ping,
    /// Refs moved; at least one.
    Pushed(Vec<Pushed>),
    /// Something for the feed only.
    News(News),
    /// Something that nobody handles.
    Unhandled,
}

impl Said {
    /// All pushes of a delivery, of which there may be none.
    fn all(pushes: Vec<Pushed>) -> Self {
        match pushes.is_empty() {
            true => Self::Unhandled,
            false => Self::Pushed(pushes),
        }
    }
}

/// Refs of one delivery that are taken. One of more is refused, and found by whoever looks by a timer.
const REFS: usize = 5000;

/// Why a body is not an event.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is not UTF-8.
    #[error("the body is not UTF-8")]
    NotText(#[source] std::str::Utf8Error),
    /// It is no JSON at all.
    #[error("the body is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// It is JSON, but not such an event.
    #[error("the body is not a {event} event: {why}")]
    Shape {
        /// The event that the forge named.
        event: &'static str,
        /// What is wrong; the middle is left out where it is long, because it quotes the body.
        why: String,
    },
    /// A name in it is not one that is let in.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Neither side of the push is a commit.
    #[error("a push from nothing to nothing")]
    Nothing,
}

/// What the headers of a request say about its body. Nothing of it is sure before the claim is verified.
#[derive(Debug, Default)]
pub struct Headers {
    /// What happened, as the forge calls it; empty if there is no such header.
    pub event: String,
    /// The forge's number for this delivery, for logs.
    pub delivery: String,
}

/// Headers of a forge, those that are looked at first before the others.
struct Named {
    event: &'static [&'static str],
    delivery: &'static [&'static str],
}

/// What the signature of a form is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// The form as it is sent.
    Form,
    /// The `payload` that is in it.
    Payload,
}

impl Kind {
    /// How the request says who sent it.
    ///
    /// # Errors
    /// `Missing` or `Malformed`.
    pub fn claim(self, headers: &HeaderMap) -> Result<Claim, Wrong> {
        match self {
            Self::Github => github::claim(headers),
            Self::Gitlab => gitlab::claim(headers),
            Self::Gitea => gitea::claim(headers),
            Self::Forgejo => gitea::claim_of_forgejo(headers),
            Self::Bitbucket => bitbucket::claim(headers),
            Self::BitbucketServer => bitbucket_server::claim(headers),
        }
    }

    /// What the other headers say.
    #[must_use]
    pub fn headers(self, headers: &HeaderMap) -> Headers {
        let Named { event, delivery } = self.named();
        let first = |names: &[&str]| {
            let mut values = names.iter().map(|name| words::header(headers, name));
            values.find(|value| !value.is_empty()).unwrap_or_default()
        };
        Headers {
            event: first(event),
            delivery: first(delivery),
        }
    }

    /// The header that says what happened.
    #[must_use]
    pub fn event_header(self) -> &'static str {
        self.named().event[0]
    }

    fn named(self) -> Named {
        match self {
            Self::Github => github::NAMED,
            Self::Gitlab => gitlab::NAMED,
            Self::Gitea => gitea::NAMED,
            Self::Forgejo => gitea::NAMED_BY_FORGEJO,
            Self::Bitbucket => bitbucket::NAMED,
            Self::BitbucketServer => bitbucket_server::NAMED,
        }
    }

    /// What is signed where events come as forms; `None` where they never do.
    #[must_use]
    pub fn form(self) -> Option<Signed> {
        match self {
            Self::Github => Some(Signed::Form),
            Self::Gitea | Self::Forgejo => Some(Signed::Payload),
            Self::Gitlab | Self::Bitbucket | Self::BitbucketServer => None,
        }
    }
}

/// Reads the body of a verified request.
///
/// # Errors
/// See [`Refusal`].
pub fn read(
    kind: Kind,
    event: &str,
    body: &[u8],
    repositories: &Repositories,
) -> Result<Said, Refusal> {
    let text = json::text(body)?;
    match kind {
        Kind::Github => github::read(event, text, repositories),
        Kind::Gitlab => gitlab::read(text, repositories),
        Kind::Gitea | Kind::Forgejo => gitea::read(event, text, repositories),
        Kind::Bitbucket => bitbucket::read(event, text, repositories),
        Kind::BitbucketServer => bitbucket_server::read(event, text, repositories),
    }
}
