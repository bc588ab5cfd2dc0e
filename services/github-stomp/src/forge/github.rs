//! GitHub.

use axum::http::HeaderMap;
use events::{RefName, message::Pushed};
use serde::Deserialize;

use super::{
    Refusal, Repositories, Said,
    commits::{Commits, Listed, PathList, side},
    json,
    news::{MergeRequest, News, Release},
    words::{Called, Title},
};
use crate::signature::{Claim, Wrong, digest};

pub(super) const EVENT: &str = "x-github-event";
pub(super) const DELIVERY: &str = "x-github-delivery";
const SIGNATURE: &str = "x-hub-signature-256";

/// GitHub lists at most this many commits of a push ("up to 2048").
const LISTED: usize = 2048;

pub(super) fn claim(headers: &HeaderMap) -> Result<Claim, Wrong> {
    digest(headers, SIGNATURE, "sha256=")
}

/// Tags and branches come and go as pushes too, so `create` and `delete` say nothing new.
pub(super) fn read(event: &str, text: &str, known: &Repositories) -> Result<Said, Refusal> {
    match event {
        "push" => Ok(Said::Pushed(vec![
            json::event::<Push>(text, "push")?.read(known)?,
        ])),
        "release" => json::event::<ReleaseEvent>(text, "release")?.read(known),
        "pull_request" => json::event::<PullRequestEvent>(text, "pull_request")?.read(known),
        "ping" => Ok(Said::Ping),
        _ => Ok(Said::Unhandled),
    }
}

#[derive(Debug, Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    name: String,
    before: String,
    after: String,
    repository: Repository,
    #[serde(default)]
    commits: Option<Commits<PushCommit>>,
    #[serde(default)]
    pusher: Option<Person>,
    #[serde(default)]
    forced: bool,
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
    #[serde(default)]
    message: Title,
    #[serde(default)]
    author: Option<Person>,
    added: Option<PathList>,
    modified: Option<PathList>,
    removed: Option<PathList>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Person {
    #[serde(default)]
    name: Option<Called>,
}

impl Repository {
    pub(super) fn name(&self, known: &Repositories) -> Result<events::RepoName, events::NameError> {
        let urls = [&self.clone_url, &self.ssh_url, &self.html_url];
        known.name(
            &self.full_name,
            urls.into_iter().flatten().map(String::as_str),
        )
    }
}

impl From<PushCommit> for Listed {
    fn from(commit: PushCommit) -> Self {
        let paths = || {
            let mut paths = commit.added?;
            paths.extend(commit.modified?);
            paths.extend(commit.removed?);
            Some(paths)
        };
        Self {
            paths: paths(),
            id: commit.id,
            author: commit
                .author
                .and_then(|author| author.name)
                .unwrap_or_default(),
            title: commit.message,
        }
    }
}

impl Push {
    fn read(self, known: &Repositories) -> Result<Pushed, Refusal> {
        let repository = self.repository.name(known)?;
        let name: RefName = self.name.parse()?;
        let (before, after) = (side(&self.before)?, side(&self.after)?);
        if before.is_none() && after.is_none() {
            return Err(Refusal::Nothing);
        }
        let mut commits = self.commits.unwrap_or_default();
        // Not after a new or a rewritten branch: its commits are not all that changed.
        let whole = before.is_some() && !self.forced && (1..LISTED).contains(&commits.count);
        Ok(Pushed {
            repository,
            name,
            before,
            after,
            pusher: self
                .pusher
                .and_then(|person| person.name)
                .map(|Called(name)| name),
            commits_total: commits.count,
            paths: commits.paths().filter(|_| whole),
            commits: commits.newest_last()?,
        })
    }
}

#[derive(Debug, Deserialize)]
struct ReleaseEvent {
    action: String,
    release: ReleasePage,
    repository: Repository,
    #[serde(default)]
    sender: Option<Account>,
}

#[derive(Debug, Deserialize)]
struct ReleasePage {
    tag_name: Called,
    #[serde(default)]
    name: Option<Title>,
}

#[derive(Debug, Default, Deserialize)]
struct Account {
    #[serde(default)]
    login: Called,
}

impl ReleaseEvent {
    /// Of the three that a new release makes (`created`, `published`, `released`), one.
    fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        let act = match &*self.action {
            "published" => "published",
            "unpublished" => "unpublished",
            "deleted" => "deleted",
            _ => return Ok(Said::Unhandled),
        };
        Ok(Said::News(News::from(Release {
            repository: self.repository.name(known)?,
            act,
            tag: self.release.tag_name,
            title: self.release.name.unwrap_or_default(),
            by: self.sender.unwrap_or_default().login,
        })))
    }
}

#[derive(Debug, Deserialize)]
struct PullRequestEvent {
    action: String,
    number: u64,
    pull_request: PullRequest,
    repository: Repository,
    #[serde(default)]
    sender: Option<Account>,
}

#[derive(Debug, Deserialize)]
struct PullRequest {
    title: Title,
    #[serde(default)]
    merged: bool,
    head: Branch,
    base: Branch,
}

#[derive(Debug, Deserialize)]
struct Branch {
    #[serde(rename = "ref")]
    name: Called,
}

impl PullRequestEvent {
    fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        let request = self.pull_request;
        let act = match &*self.action {
            "opened" => "opened",
            "reopened" => "reopened",
            "closed" if request.merged => "merged",
            "closed" => "closed",
            _ => return Ok(Said::Unhandled),
        };
        Ok(Said::News(News::from(MergeRequest {
            repository: self.repository.name(known)?,
            act,
            number: self.number,
            title: request.title,
            from: request.head.name,
            into: request.base.name,
            by: self.sender.unwrap_or_default().login,
        })))
    }
}
