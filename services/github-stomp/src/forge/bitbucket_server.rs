//! Bitbucket Server and Data Center.

use axum::http::HeaderMap;
use events::{NameError, RefName, RepoName, message::Pushed};
use serde::Deserialize;

use super::{
    Named, REFS, Refusal, Repositories, Said, bitbucket,
    commits::{Commits, Listed, sides},
    json::{self, Few, Object},
    news::MergeRequest,
    words::{self, Called, Title},
};
use crate::signature::{Claim, Wrong};

pub(super) const NAMED: Named = Named {
    event: &["x-event-key"],
    delivery: &["x-request-id"],
};

const PING: &str = "diagnostics:ping";

/// URLs of a repository that are looked at.
const URLS: usize = 16;

/// Its *Test connection* is not signed. It says nothing, so it may come from anybody.
pub(super) fn claim(headers: &HeaderMap) -> Result<Claim, Wrong> {
    match bitbucket::claim(headers) {
        Err(Wrong::Missing(_)) if words::header(headers, NAMED.event[0]) == PING => {
            Ok(Claim::Nobody)
        }
        other => other,
    }
}

pub(super) fn read(event: &str, text: &str, known: &Repositories) -> Result<Said, Refusal> {
    let act = match event {
        PING => return Ok(Said::Ping),
        "repo:refs_changed" => {
            return json::event::<RefsChanged>(text, "repo:refs_changed")?.read(known);
        }
        "pr:opened" => "opened",
        "pr:merged" => "merged",
        "pr:declined" => "declined",
        "pr:deleted" => "deleted",
        _ => return Ok(Said::Unhandled),
    };
    json::event::<PullRequestEvent>(text, "pr")?.read(act, known)
}

#[derive(Debug, Deserialize)]
struct RefsChanged {
    actor: Option<Object<Actor>>,
    repository: Object<Repository>,
    changes: Few<Object<Change>, REFS>,
    /// Since 8.0, of the whole push.
    commits: Option<Commits<PushCommit>>,
}

#[derive(Debug, Deserialize)]
struct Actor {
    name: Option<Called>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    slug: String,
    project: Object<Project>,
    links: Option<Object<Links>>,
}

#[derive(Debug, Deserialize)]
struct Project {
    key: String,
}

#[derive(Debug, Deserialize)]
struct Links {
    clone: Option<Few<Object<Link>, URLS>>,
    #[serde(rename = "self")]
    page: Option<Few<Object<Link>, URLS>>,
}

#[derive(Debug, Deserialize)]
struct Link {
    href: String,
}

impl Repository {
    /// `PROJECT/repository`; that of a person (`~ann/notes`) is no name on the bus and needs one in the settings.
    fn find(&self, known: &Repositories) -> Result<RepoName, NameError> {
        let links = self.links.iter();
        let lists = links.flat_map(|Object(links)| [&links.clone, &links.page]);
        let links = lists.flatten().flat_map(|Few(links)| links);
        let urls = links.map(|Object(link)| &*link.href);
        let full_name = format!("{}/{}", self.project.0.key, self.slug);
        Ok(known.find(&full_name, urls)?.name)
    }
}

#[derive(Debug, Deserialize)]
struct Change {
    #[serde(rename = "ref")]
    name: Object<Ref>,
    #[serde(rename = "fromHash")]
    from: String,
    #[serde(rename = "toHash")]
    to: String,
}

#[derive(Debug, Deserialize)]
struct Ref {
    id: String,
}

#[derive(Debug, Deserialize)]
struct PushCommit {
    id: String,
    message: Option<Title>,
    author: Option<Object<Actor>>,
}

impl From<PushCommit> for Listed {
    fn from(commit: PushCommit) -> Self {
        let author = commit.author.and_then(|Object(author)| author.name);
        Self {
            id: commit.id,
            author: author.unwrap_or_default(),
            title: commit.message.unwrap_or_default(),
            paths: None,
        }
    }
}

impl RefsChanged {
    /// How many commits there are is not said; which ref they belong to only where there is one.
    fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        let repository = self.repository.0.find(known)?;
        let actor = self.actor.and_then(|Object(actor)| actor.name);
        let pusher = actor.map(|Called(name)| name);
        let one = self.changes.0.len() == 1;
        let mut commits = self.commits.filter(|_| one);
        let push = |Object(change): Object<Change>| -> Result<Pushed, Refusal> {
            let name: RefName = change.name.0.id.parse()?;
            let (before, after) = sides(&change.from, &change.to)?;
            let commits = commits.take().unwrap_or_default();
            Ok(Pushed {
                pusher: pusher.clone(),
                commits: commits.newest_last(after.as_ref())?,
                ..Pushed::of(repository.clone(), name, before, after)
            })
        };
        let changes = self.changes.0.into_iter();
        changes.map(push).collect::<Result<_, _>>().map(Said::all)
    }
}

#[derive(Debug, Deserialize)]
struct PullRequestEvent {
    actor: Option<Object<Actor>>,
    #[serde(rename = "pullRequest")]
    request: Object<PullRequest>,
}

#[derive(Debug, Deserialize)]
struct PullRequest {
    id: u64,
    title: Title,
    #[serde(rename = "fromRef")]
    from: Object<End>,
    #[serde(rename = "toRef")]
    into: Object<Target>,
}

#[derive(Debug, Deserialize)]
struct End {
    #[serde(rename = "displayId")]
    name: Called,
}

#[derive(Debug, Deserialize)]
struct Target {
    #[serde(rename = "displayId")]
    name: Called,
    repository: Object<Repository>,
}

impl PullRequestEvent {
    fn read(self, act: &'static str, known: &Repositories) -> Result<Said, Refusal> {
        let Object(request) = self.request;
        let Object(into) = request.into;
        let actor = self.actor.and_then(|Object(actor)| actor.name);
        let request = MergeRequest {
            repository: into.repository.0.find(known)?,
            act,
            number: request.id,
            title: request.title,
            from: request.from.0.name,
            into: into.name,
            by: actor.unwrap_or_default(),
        };
        Ok(request.into())
    }
}
