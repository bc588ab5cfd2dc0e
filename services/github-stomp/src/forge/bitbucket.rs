//! Bitbucket Cloud.

use axum::http::HeaderMap;
use events::{CommitId, NameError, RefName, RepoName, TagName, message::Pushed};
use serde::Deserialize;

use super::{
    Named, REFS, Refusal, Repositories, Said,
    commits::{Commits, Listed},
    json::{self, Few, Object},
    news::MergeRequest,
    words::{Called, Title},
};
use crate::signature::{Claim, Wrong, digest};

pub(super) const NAMED: Named = Named {
    event: &["x-event-key"],
    delivery: &["x-request-uuid"],
};

/// In the header in which GitHub has its older signature.
pub(super) fn claim(headers: &HeaderMap) -> Result<Claim, Wrong> {
    digest(headers, "x-hub-signature", "sha256=")
}

pub(super) fn read(event: &str, text: &str, known: &Repositories) -> Result<Said, Refusal> {
    let act = match event {
        "repo:push" => return json::event::<PushEvent>(text, "repo:push")?.read(known),
        "pullrequest:created" => "opened",
        "pullrequest:fulfilled" => "merged",
        "pullrequest:rejected" => "declined",
        _ => return Ok(Said::Unhandled),
    };
    json::event::<PullRequestEvent>(text, "pullrequest")?.read(act, known)
}

#[derive(Debug, Deserialize)]
struct PushEvent {
    actor: Option<Object<Actor>>,
    repository: Object<Repository>,
    push: Object<Push>,
}

#[derive(Debug, Deserialize)]
struct Push {
    changes: Few<Object<Change>, REFS>,
}

#[derive(Debug, Default, Deserialize)]
struct Actor {
    nickname: Option<Called>,
    display_name: Option<Called>,
}

impl Actor {
    fn called(self) -> Option<Called> {
        self.nickname.or(self.display_name)
    }
}

#[derive(Debug, Deserialize)]
struct Repository {
    full_name: String,
    links: Option<Object<Links>>,
}

#[derive(Debug, Deserialize)]
struct Links {
    html: Option<Object<Link>>,
}

#[derive(Debug, Deserialize)]
struct Link {
    href: String,
}

impl Repository {
    /// The URL of its page is that of a clone over https; the one over ssh is not told and follows from the name.
    fn find(&self, known: &Repositories) -> Result<RepoName, NameError> {
        let ssh = format!("git@bitbucket.org:{}", self.full_name);
        let links = self.links.as_ref();
        let page = links.and_then(|Object(links)| links.html.as_ref());
        let page = page.map(|Object(link)| &*link.href);
        let known = known.find(&self.full_name, page.into_iter().chain([&*ssh]))?;
        Ok(known.name)
    }
}

#[derive(Debug, Deserialize)]
struct Change {
    old: Option<Object<Tip>>,
    new: Option<Object<Tip>>,
    commits: Option<Commits<PushCommit>>,
    truncated: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Tip {
    #[serde(rename = "type")]
    kind: String,
    name: String,
    target: Object<Target>,
}

#[derive(Debug, Deserialize)]
struct Target {
    hash: CommitText,
}

/// Longer than any commit id, and checked when it is used.
type CommitText = String;

#[derive(Debug, Deserialize)]
struct PushCommit {
    hash: CommitText,
    message: Option<Title>,
    author: Option<Object<Author>>,
}

#[derive(Debug, Default, Deserialize)]
struct Author {
    /// As in the commit: `Ann <ann@example.org>`.
    raw: Option<Called>,
    user: Option<Object<Actor>>,
    display_name: Option<Called>,
}

impl Author {
    /// Without the address: that is nobody's business on the bus.
    fn called(self) -> Option<Called> {
        let user = self.user.and_then(|Object(user)| user.display_name);
        let raw = |Called(raw): Called| {
            let name = raw.split('<').next().unwrap_or_default();
            Called(name.trim().to_owned())
        };
        user.or(self.display_name).or(self.raw.map(raw))
    }
}

impl From<PushCommit> for Listed {
    fn from(commit: PushCommit) -> Self {
        let author = commit.author.and_then(|Object(author)| author.called());
        Self {
            id: commit.hash,
            author: author.unwrap_or_default(),
            title: commit.message.unwrap_or_default(),
            paths: None,
        }
    }
}

impl Tip {
    fn at(&self) -> Result<CommitId, NameError> {
        self.target.0.hash.parse()
    }

    /// `None` for what is neither a branch nor a tag.
    fn name(&self) -> Result<Option<RefName>, NameError> {
        let name: TagName = self.name.parse()?;
        Ok(match &*self.kind {
            "branch" | "named_branch" => Some(RefName::branch(&name)),
            "tag" | "annotated_tag" => Some(RefName::tag(&name)),
            _ => None,
        })
    }
}

impl PushEvent {
    fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        let repository = self.repository.0.find(known)?;
        let actor = self.actor.and_then(|Object(actor)| actor.called());
        let pusher = actor.map(|Called(name)| name);
        let changes = self.push.0.changes.0.into_iter();
        let pushes = changes.map(|Object(change)| change.read(&repository, pusher.as_deref()));
        let pushes: Vec<Option<Pushed>> = pushes.collect::<Result<_, _>>()?;
        Ok(Said::all(pushes.into_iter().flatten().collect()))
    }
}

impl Change {
    /// At most 5 commits are listed, and never what they changed.
    fn read(self, repository: &RepoName, pusher: Option<&str>) -> Result<Option<Pushed>, Refusal> {
        let at = |tip: &Option<Object<Tip>>| tip.as_ref().map(|Object(tip)| tip.at()).transpose();
        let (before, after) = (at(&self.old)?, at(&self.new)?);
        let Some(Object(tip)) = self.new.as_ref().or(self.old.as_ref()) else {
            return Err(Refusal::Nothing);
        };
        let Some(name) = tip.name()? else {
            return Ok(None);
        };
        let commits = self.commits.unwrap_or_default();
        Ok(Some(Pushed {
            pusher: pusher.map(str::to_owned),
            commits_total: match self.truncated {
                Some(true) => 0,
                _ => commits.count,
            },
            commits: commits.newest_last(after.as_ref())?,
            ..Pushed::of(repository.clone(), name, before, after)
        }))
    }
}

#[derive(Debug, Deserialize)]
struct PullRequestEvent {
    actor: Option<Object<Actor>>,
    repository: Object<Repository>,
    pullrequest: Object<PullRequest>,
}

#[derive(Debug, Deserialize)]
struct PullRequest {
    id: u64,
    title: Title,
    source: Object<End>,
    destination: Object<End>,
}

#[derive(Debug, Deserialize)]
struct End {
    branch: Object<Branch>,
}

#[derive(Debug, Deserialize)]
struct Branch {
    name: Called,
}

impl PullRequestEvent {
    fn read(self, act: &'static str, known: &Repositories) -> Result<Said, Refusal> {
        let Object(request) = self.pullrequest;
        let actor = self.actor.and_then(|Object(actor)| actor.called());
        let request = MergeRequest {
            repository: self.repository.0.find(known)?,
            act,
            number: request.id,
            title: request.title,
            from: request.source.0.branch.0.name,
            into: request.destination.0.branch.0.name,
            by: actor.unwrap_or_default(),
        };
        Ok(request.into())
    }
}
