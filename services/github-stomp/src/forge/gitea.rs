//! Gitea, and Forgejo, which came from it. Both send GitHub's headers too, so a source says which of them it is.

use axum::http::HeaderMap;
use events::{RefName, TagName, message::Pushed};
use serde::Deserialize;

use super::{
    Named, Refusal, Repositories, Said,
    github::{Account, PullRequestEvent, Push, ReleaseEvent, Repository, login},
    json::{self, Object},
    words::Called,
};
use crate::signature::{Claim, Wrong, digest};

pub(super) const NAMED: Named = Named {
    event: &["x-gitea-event"],
    delivery: &["x-gitea-delivery"],
};

pub(super) const NAMED_BY_FORGEJO: Named = Named {
    event: &["x-forgejo-event", "x-gitea-event"],
    delivery: &["x-forgejo-delivery", "x-gitea-delivery"],
};

/// The digits alone; without a secret the header is there and empty.
pub(super) fn claim(headers: &HeaderMap) -> Result<Claim, Wrong> {
    digest(headers, "x-gitea-signature", "")
}

/// Its earlier versions say it as Gitea does.
pub(super) fn claim_of_forgejo(headers: &HeaderMap) -> Result<Claim, Wrong> {
    match digest(headers, "x-forgejo-signature", "") {
        Err(missing @ Wrong::Missing(_)) => match claim(headers) {
            Err(Wrong::Missing(_)) => Err(missing),
            other => other,
        },
        other => other,
    }
}

/// A tag that goes is a push too; a branch that goes is only a `delete`.
pub(super) fn read(event: &str, text: &str, known: &Repositories) -> Result<Said, Refusal> {
    match event {
        "push" => pushed(json::event(text, "push")?, known),
        "delete" => json::event::<Delete>(text, "delete")?.read(known),
        "release" => json::event::<ReleaseEvent>(text, "release")?.read(known),
        "pull_request" => json::event::<PullRequestEvent>(text, "pull_request")?.read(known),
        _ => Ok(Said::Unhandled),
    }
}

/// By default 5 commits are listed, and whether a branch was rewritten is not said.
fn pushed(push: Push, known: &Repositories) -> Result<Said, Refusal> {
    let total = push.total_commits;
    let push = push.one_ref(known)?;
    let force_pushes = push.known.force_pushes;
    push.read(|listed, _| !force_pushes && total == Some(listed))
}

#[derive(Debug, Deserialize)]
struct Delete {
    #[serde(rename = "ref")]
    name: String,
    ref_type: String,
    repository: Object<Repository>,
    sender: Option<Object<Account>>,
}

impl Delete {
    /// Where the branch was is not said.
    fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        if self.ref_type != "branch" {
            return Ok(Said::Unhandled);
        }
        let name: TagName = self.name.parse()?;
        let repository = self.repository.0.find(known)?.name;
        Ok(Said::Pushed(vec![Pushed {
            pusher: login(self.sender).map(|Called(login)| login),
            ..Pushed::of(repository, RefName::branch(&name), None, None)
        }]))
    }
}
