//! GitHub.

use axum::http::HeaderMap;
use events::NameError;
use serde::Deserialize;

use super::{
    Named, Refusal, Repositories, Said,
    commits::{Commits, Listed, OneRef, PathList},
    json::{self, Object},
    news::{MergeRequest, Release},
    repositories::Known,
    words::{Called, Title},
};
use crate::signature::{Claim, Wrong, digest};

pub(super) const NAMED: Named = Named {
    event: &["x-github-event"],
    delivery: &["x-github-delivery"],
};
const SIGNATURE: &str = "x-hub-signature-256";

/// GitHub lists at most this many commits of a push ("up to 2048").
const LISTED: usize = 2048;

pub(super) fn claim(headers: &HeaderMap) -> Result<Claim, Wrong> {
    digest(headers, SIGNATURE, "sha256=")
}

/// Tags and branches come and go as pushes too, so `create` and `delete` say nothing new.
pub(super) fn read(event: &str, text: &str, known: &Repositories) -> Result<Said, Refusal> {
    match event {
        "push" => json::event::<Push>(text, "push")?.read(known),
        "release" => json::event::<ReleaseEvent>(text, "release")?.read(known),
        "pull_request" => json::event::<PullRequestEvent>(text, "pull_request")?.read(known),
        "ping" => Ok(Said::Ping),
        _ => Ok(Said::Unhandled),
    }
}

/// Gitea's and Forgejo's have the same shape.
#[derive(Debug, Deserialize)]
pub(super) struct Push {
    #[serde(rename = "ref")]
    name: String,
    before: String,
    after: String,
    repository: Object<Repository>,
    commits: Option<Commits<PushCommit>>,
    /// The commit that the ref leads to.
    head_commit: Option<Object<HeadCommit>>,
    pusher: Option<Object<Pusher>>,
    /// Whether the branch was rewritten; GitHub alone says it.
    forced: Option<bool>,
    /// How many commits there are; newer versions of Gitea, and Forgejo, say it.
    pub(super) total_commits: Option<usize>,
}

#[derive(Debug, Deserialize)]
struct HeadCommit {
    id: String,
}

#[derive(Debug, Default, Deserialize)]
struct Pusher {
    /// GitHub's.
    name: Option<Called>,
    /// Gitea's.
    login: Option<Called>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Repository {
    full_name: String,
    clone_url: Option<String>,
    ssh_url: Option<String>,
    html_url: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct PushCommit {
    id: String,
    message: Option<Title>,
    author: Option<Object<Person>>,
    added: Option<PathList>,
    modified: Option<PathList>,
    removed: Option<PathList>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Person {
    name: Option<Called>,
}

impl Repository {
    pub(super) fn find(&self, known: &Repositories) -> Result<Known, NameError> {
        let urls = [&self.clone_url, &self.ssh_url, &self.html_url];
        known.find(
            &self.full_name,
            urls.into_iter().flatten().map(String::as_str),
        )
    }
}

impl From<PushCommit> for Listed {
    fn from(commit: PushCommit) -> Self {
        let author = commit.author.and_then(|Object(author)| author.name);
        let paths = || {
            let mut paths = commit.added?;
            paths.extend(commit.modified?);
            paths.extend(commit.removed?);
            Some(paths)
        };
        Self {
            paths: paths(),
            id: commit.id,
            author: author.unwrap_or_default(),
            title: commit.message.unwrap_or_default(),
        }
    }
}

impl Push {
    /// After a branch was rewritten its commits are not all that changed.
    fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        let forced = self.forced == Some(true);
        let push = self.one_ref(known)?;
        push.read(|listed, _| !forced && listed < LISTED)
    }

    pub(super) fn one_ref(self, known: &Repositories) -> Result<OneRef<PushCommit>, NameError> {
        let pusher = self.pusher.and_then(|Object(who)| who.name.or(who.login));
        Ok(OneRef {
            known: self.repository.0.find(known)?,
            name: self.name,
            before: self.before,
            after: self.after,
            commit: self.head_commit.map(|Object(head)| head.id),
            pusher,
            commits: self.commits,
            total: self.total_commits,
        })
    }
}

/// Gitea's and Forgejo's have the same shape.
#[derive(Debug, Deserialize)]
pub(super) struct ReleaseEvent {
    action: String,
    release: Object<ReleasePage>,
    repository: Object<Repository>,
    sender: Option<Object<Account>>,
}

#[derive(Debug, Deserialize)]
struct ReleasePage {
    tag_name: Called,
    name: Option<Title>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Account {
    login: Option<Called>,
}

pub(super) fn login(account: Option<Object<Account>>) -> Option<Called> {
    account?.0.login
}

impl ReleaseEvent {
    /// Of the three that a new release makes at GitHub (`created`, `published`, `released`), one.
    pub(super) fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        let act = match &*self.action {
            "published" => "published",
            "unpublished" => "unpublished",
            "deleted" => "deleted",
            _ => return Ok(Said::Unhandled),
        };
        let release = Release {
            repository: self.repository.0.find(known)?.name,
            act,
            tag: self.release.0.tag_name,
            title: self.release.0.name.unwrap_or_default(),
            by: login(self.sender).unwrap_or_default(),
        };
        Ok(release.into())
    }
}

/// Gitea's and Forgejo's have the same shape.
#[derive(Debug, Deserialize)]
pub(super) struct PullRequestEvent {
    action: String,
    number: u64,
    pull_request: Object<PullRequest>,
    repository: Object<Repository>,
    sender: Option<Object<Account>>,
}

#[derive(Debug, Deserialize)]
struct PullRequest {
    title: Title,
    merged: Option<bool>,
    head: Object<Branch>,
    base: Object<Branch>,
}

#[derive(Debug, Deserialize)]
struct Branch {
    #[serde(rename = "ref")]
    name: Called,
}

impl PullRequestEvent {
    pub(super) fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        let Object(pull) = self.pull_request;
        let act = match &*self.action {
            "opened" => "opened",
            "reopened" => "reopened",
            "closed" if pull.merged == Some(true) => "merged",
            "closed" => "closed",
            _ => return Ok(Said::Unhandled),
        };
        let request = MergeRequest {
            repository: self.repository.0.find(known)?.name,
            act,
            number: self.number,
            title: pull.title,
            from: pull.head.0.name,
            into: pull.base.0.name,
            by: login(self.sender).unwrap_or_default(),
        };
        Ok(request.into())
    }
}
