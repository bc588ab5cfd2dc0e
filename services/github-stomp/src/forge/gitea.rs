//! Gitea, and Forgejo, which came from it. Both send GitHub's headers too, so a source says which of them it is.

use axum::http::HeaderMap;
use events::{RefName, TagName, message::Pushed};
use serde::Deserialize;

use super::{
    Named, Refusal, Repositories, Said,
    commits::{Commits, sides},
    github::{Account, PullRequestEvent, PushCommit, ReleaseEvent, Repository},
    json::{self, Object},
    repositories::Known,
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
        "push" => json::event::<Push>(text, "push")?.read(known),
        "delete" => json::event::<Delete>(text, "delete")?.read(known),
        "release" => json::event::<ReleaseEvent>(text, "release")?.read(known),
        "pull_request" => json::event::<PullRequestEvent>(text, "pull_request")?.read(known),
        _ => Ok(Said::Unhandled),
    }
}

#[derive(Debug, Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    name: String,
    before: String,
    after: String,
    repository: Object<Repository>,
    commits: Option<Commits<PushCommit>>,
    /// Absent in older versions.
    total_commits: Option<usize>,
    pusher: Option<Object<Account>>,
}

impl Push {
    fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        let Known {
            name: repository,
            force_pushes,
        } = self.repository.0.find(known)?;
        let name: RefName = self.name.parse()?;
        let (before, after) = sides(&self.before, &self.after)?;
        let mut commits = self.commits.unwrap_or_default();
        let total = self.total_commits.unwrap_or_default().max(commits.count);
        // By default 5 commits are listed, and whether a branch was rewritten is not said.
        let whole = before.is_some() && !force_pushes && self.total_commits == Some(commits.count);
        let whole = whole && commits.count > 0;
        Ok(Said::Pushed(vec![Pushed {
            repository,
            name,
            pusher: login(self.pusher),
            commits_total: total,
            paths: commits.paths().filter(|_| whole),
            commits: commits.newest_last(after.as_ref())?,
            before,
            after,
        }]))
    }
}

fn login(account: Option<Object<Account>>) -> Option<String> {
    account?.0.login.map(|Called(login)| login)
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
        Ok(Said::Pushed(vec![Pushed {
            repository: self.repository.0.find(known)?.name,
            name: RefName::branch(&name),
            before: None,
            after: None,
            pusher: login(self.sender),
            commits: Vec::new(),
            commits_total: 0,
            paths: None,
        }]))
    }
}
