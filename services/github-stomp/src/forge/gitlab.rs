//! GitLab, by hooks of projects, of groups and of the system.

use axum::http::HeaderMap;
use events::{RefName, message::Pushed};
use serde::Deserialize;

use super::{
    Named, REFS, Refusal, Repositories, Said,
    commits::{Commits, OneRef, sides},
    github::PushCommit,
    json::{self, Few, Object},
    news::{MergeRequest, Release},
    repositories::Known,
    words::{Called, Title},
};
use crate::signature::{self, Claim, Wrong};

pub(super) const NAMED: Named = Named {
    event: &["x-gitlab-event"],
    delivery: &["idempotency-key", "webhook-id", "x-gitlab-event-uuid"],
};

/// The newer signature, or else the older token.
pub(super) fn claim(headers: &HeaderMap) -> Result<Claim, Wrong> {
    signature::standard_or_token(headers, "x-gitlab-token")
}

/// What happened is said in the body, which is signed. Hooks of the system have no `object_kind` with pushes.
pub(super) fn read(text: &str, known: &Repositories) -> Result<Said, Refusal> {
    let head = json::event::<Head>(text, "GitLab")?;
    let what = head.object_kind.or(head.event_name).unwrap_or_default();
    match &*what {
        "push" => json::event::<Push>(text, "push")?.read(known),
        "tag_push" => json::event::<Push>(text, "tag push")?.read(known),
        "repository_update" => json::event::<Update>(text, "repository update")?.read(known),
        "release" => json::event::<ReleaseHook>(text, "release")?.read(known),
        "merge_request" => json::event::<MergeRequestHook>(text, "merge request")?.read(known),
        _ => Ok(Said::Unhandled),
    }
}

#[derive(Debug, Deserialize)]
struct Head {
    object_kind: Option<String>,
    event_name: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Project {
    path_with_namespace: String,
    git_http_url: Option<String>,
    git_ssh_url: Option<String>,
    web_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Push {
    #[serde(rename = "ref")]
    name: String,
    before: String,
    after: String,
    project: Object<Project>,
    user_username: Option<Called>,
    user_name: Option<Called>,
    commits: Option<Commits<PushCommit>>,
    total_commits_count: Option<usize>,
    /// The commit that the ref leads to.
    checkout_sha: Option<String>,
}

impl Project {
    fn find(&self, known: &Repositories) -> Result<Known, events::NameError> {
        let urls = [&self.git_http_url, &self.git_ssh_url, &self.web_url];
        let urls = urls.into_iter().flatten().map(String::as_str);
        known.find(&self.path_with_namespace, urls)
    }
}

impl Push {
    fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        let known = self.project.0.find(known)?;
        let force_pushes = known.force_pushes;
        let push = OneRef {
            known,
            name: self.name,
            before: self.before,
            after: self.after,
            commit: self.checkout_sha,
            pusher: self.user_username.or(self.user_name),
            commits: self.commits,
            total: self.total_commits_count,
        };
        // At most 20 commits are listed, and whether a branch was rewritten is not said.
        push.read(|listed, total| !force_pushes && listed == total)
    }
}

/// What a hook of the system tells once of each push, however many refs it moved.
#[derive(Debug, Deserialize)]
struct Update {
    project: Object<Project>,
    user_name: Option<Called>,
    changes: Few<Object<Change>, REFS>,
}

#[derive(Debug, Deserialize)]
struct Change {
    #[serde(rename = "ref")]
    name: String,
    before: String,
    after: String,
}

impl Update {
    fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        let repository = self.project.0.find(known)?.name;
        let pusher = self.user_name.map(|Called(name)| name);
        let push = |Object(change): Object<Change>| -> Result<Pushed, Refusal> {
            let name: RefName = change.name.parse()?;
            let (before, after) = sides(&change.before, &change.after)?;
            Ok(Pushed {
                pusher: pusher.clone(),
                ..Pushed::of(repository.clone(), name, before, after)
            })
        };
        let changes = self.changes.0.into_iter();
        changes.map(push).collect::<Result<_, _>>().map(Said::all)
    }
}

#[derive(Debug, Deserialize)]
struct ReleaseHook {
    action: String,
    tag: Called,
    name: Option<Title>,
    project: Object<Project>,
}

impl ReleaseHook {
    /// GitLab does not say who did it.
    fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        let act = match &*self.action {
            "create" => "published",
            "delete" => "deleted",
            _ => return Ok(Said::Unhandled),
        };
        let release = Release {
            repository: self.project.0.find(known)?.name,
            act,
            tag: self.tag,
            title: self.name.unwrap_or_default(),
            by: Called::default(),
        };
        Ok(release.into())
    }
}

#[derive(Debug, Deserialize)]
struct MergeRequestHook {
    object_attributes: Object<Attributes>,
    project: Object<Project>,
    user: Option<Object<User>>,
}

#[derive(Debug, Deserialize)]
struct Attributes {
    iid: u64,
    title: Title,
    /// Absent in what the *Test* button sends.
    action: Option<String>,
    source_branch: Called,
    target_branch: Called,
}

#[derive(Debug, Default, Deserialize)]
struct User {
    username: Option<Called>,
    name: Option<Called>,
}

impl MergeRequestHook {
    fn read(self, known: &Repositories) -> Result<Said, Refusal> {
        let Object(request) = self.object_attributes;
        let act = match request.action.as_deref() {
            Some("open") => "opened",
            Some("reopen") => "reopened",
            Some("close") => "closed",
            Some("merge") => "merged",
            _ => return Ok(Said::Unhandled),
        };
        let Object(user) = self.user.unwrap_or_default();
        let request = MergeRequest {
            repository: self.project.0.find(known)?.name,
            act,
            number: request.iid,
            title: request.title,
            from: request.source_branch,
            into: request.target_branch,
            by: user.username.or(user.name).unwrap_or_default(),
        };
        Ok(request.into())
    }
}
