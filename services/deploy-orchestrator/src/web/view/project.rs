//! One project: what runs on each server, a tag and servers to choose, Deploy and Roll back, the newest deploys.

use askama::Template;
use events::message::Verdict;

use super::{
    history, home,
    words::{self, Badge, Version, When},
};
use crate::api::{DeployView, ProjectHost, ProjectView, TagView};

/// Tags that are shown at once; the older ones unfold.
const TAGS_AT_ONCE: usize = 30;

#[derive(Debug, Template)]
#[template(path = "project.html")]
pub(crate) struct Page {
    name: String,
    environment: String,
    repository: String,
    runs: String,
    mixed: bool,
    deploy: Option<Deploy>,
    hosts: Vec<Host>,
    tags: Vec<Tag>,
    older: Vec<Tag>,
    /// True if only commits that CI has found good are deployed.
    requires_ci: bool,
    /// True if some server has a release to go back to.
    can_roll_back: bool,
    recent: Vec<history::Row>,
}

#[derive(Debug)]
struct Deploy {
    id: String,
    title: String,
    badge: Badge,
    reason: Option<String>,
}

#[derive(Debug)]
struct Host {
    name: String,
    live: Option<Version>,
    previous: Option<Version>,
    troubles: Vec<String>,
}

#[derive(Debug)]
struct Tag {
    name: String,
    commit: String,
    committed: When,
    /// True if all servers run it already.
    runs: bool,
    /// True if CI has found it good.
    good: bool,
    notes: Vec<String>,
}

pub(crate) fn page(project: &ProjectView, tags: &[TagView], recent: &[DeployView]) -> Page {
    let versions = home::versions(&project.hosts);
    let mut tags: Vec<Tag> = tags.iter().map(|tag| tag_of(tag, project)).collect();
    let older = tags.split_off(tags.len().min(TAGS_AT_ONCE));
    Page {
        name: project.project.to_string(),
        environment: project.environment.to_string(),
        repository: project.repository.to_string(),
        runs: home::runs(&versions),
        mixed: versions.len() > 1,
        deploy: project.deploy.as_ref().map(|deploy| Deploy {
            id: deploy.id.to_string(),
            title: words::title(deploy),
            badge: deploy.state.into(),
            reason: deploy.reason.clone(),
        }),
        hosts: project.hosts.iter().map(host).collect(),
        tags,
        older,
        requires_ci: project.requires_ci,
        can_roll_back: project.hosts.iter().any(|host| host.previous.is_some()),
        recent: recent.iter().map(history::row).collect(),
    }
}

fn host(host: &ProjectHost) -> Host {
    Host {
        name: host.host.to_string(),
        live: words::version(host.live.as_ref()),
        previous: words::version(host.previous.as_ref()),
        troubles: home::troubles(host),
    }
}

fn tag_of(tag: &TagView, project: &ProjectView) -> Tag {
    let runs = |host: &&ProjectHost| {
        host.live
            .as_ref()
            .is_some_and(|live| live.revision == tag.commit)
    };
    let running = project.hosts.iter().filter(runs).count();
    let all = project.hosts.len();
    let mut notes = Vec::new();
    notes.extend(match tag.ci {
        None | Some(Verdict::Good) => None,
        Some(Verdict::Bad) => Some("CI found it bad".to_owned()),
        Some(Verdict::Building) => Some("CI is not done with it".to_owned()),
        Some(Verdict::Unknown) => Some("CI has said nothing of it".to_owned()),
    });
    if running > 0 && running < all {
        notes.push(format!("runs on {running} of {all}"));
    }
    if !tag.missing.is_empty() {
        notes.push(format!("not yet on {}", words::names(&tag.missing, 4)));
    }
    if tag.moved {
        notes.push("moved: servers disagree about its commit".to_owned());
    }
    Tag {
        name: tag.tag.to_string(),
        commit: tag.commit.short().to_owned(),
        committed: tag.committed.into(),
        runs: all > 0 && running == all,
        good: tag.ci == Some(Verdict::Good),
        notes,
    }
}
