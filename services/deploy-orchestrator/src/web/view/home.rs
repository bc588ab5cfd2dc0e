//! What runs where: each project with its hosts, those that differ from the most marked.

use std::{cmp::Reverse, collections::BTreeMap};

use askama::Template;
use events::{CommitId, HostName};
use jiff::Timestamp;

use super::words::{self, Badge, When};
use crate::api::{ProjectHost, ProjectView, Status};

#[derive(Debug, Template)]
#[template(path = "home.html")]
pub(crate) struct Page {
    view: Home,
}

/// The part that follows what happens.
#[derive(Debug, Template)]
#[template(path = "home-live.html")]
pub(crate) struct Live {
    view: Home,
}

#[derive(Debug)]
struct Home {
    summary: String,
    time: When,
    projects: Vec<Project>,
}

#[derive(Debug)]
struct Project {
    name: String,
    environment: String,
    /// `v2 on all 3 servers`, or the versions with their servers, most used first.
    runs: String,
    mixed: bool,
    deploy: Option<Deploy>,
    hosts: Vec<Host>,
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
    version: Option<words::Version>,
    /// `3 h 10 min`: for how long this version is live.
    age: Option<String>,
    /// True if it runs something else than most.
    differs: bool,
    /// What is not as it should be.
    troubles: Vec<String>,
}

pub(crate) fn page(status: &Status) -> Page {
    Page { view: of(status) }
}

pub(crate) fn live(status: &Status) -> Live {
    Live { view: of(status) }
}

fn of(status: &Status) -> Home {
    let projects: Vec<Project> = status
        .projects
        .iter()
        .map(|p| project(p, status.time))
        .collect();
    Home {
        summary: summary(&projects),
        time: status.time.into(),
        projects,
    }
}

/// One sentence for somebody who cannot look at all of it.
fn summary(projects: &[Project]) -> String {
    let mut parts = Vec::new();
    let mut add = |number: usize, text: &str| {
        if number > 0 {
            parts.push(format!("{number} {text}"));
        }
    };
    let hosts = || projects.iter().flat_map(|project| &project.hosts);
    add(
        projects.iter().filter(|p| p.deploy.is_some()).count(),
        "under deploy",
    );
    add(
        projects.iter().filter(|p| p.mixed).count(),
        "with mixed versions",
    );
    add(
        hosts().filter(|host| !host.troubles.is_empty()).count(),
        "with trouble on a server",
    );
    let projects = words::count(projects.len(), "project");
    if parts.is_empty() {
        return format!("{projects}, all quiet.");
    }
    format!("{projects}: {}.", parts.join(", "))
}

fn project(project: &ProjectView, time: Timestamp) -> Project {
    let versions = versions(&project.hosts);
    let most = versions.first().map(|version| version.commit);
    let host = |host: &ProjectHost| Host {
        name: host.host.to_string(),
        version: words::version(host.live.as_ref()),
        age: host
            .live
            .as_ref()
            .map(|live| words::between(live.since, time)),
        differs: versions.len() > 1
            && host.live.as_ref().map(|live| &live.revision) != most.flatten(),
        troubles: troubles(host),
    };
    Project {
        name: project.project.to_string(),
        environment: project.environment.to_string(),
        runs: runs(&versions),
        mixed: versions.len() > 1,
        deploy: project.deploy.as_ref().map(|deploy| Deploy {
            id: deploy.id.to_string(),
            title: words::title(deploy),
            badge: deploy.state.into(),
            reason: deploy.reason.clone(),
        }),
        hosts: project.hosts.iter().map(host).collect(),
    }
}

/// What is wrong with a project on a host, in words.
pub(crate) fn troubles(host: &ProjectHost) -> Vec<String> {
    let mut troubles = Vec::new();
    if !host.present {
        troubles.push(match host.seen {
            Some(seen) => format!("agent not heard since {}", When::from(seen).text),
            None => "agent never heard".to_owned(),
        });
    }
    troubles.extend(host.stuck.as_ref().map(|why| format!("stuck: {why}")));
    troubles.extend(host.held.as_ref().map(crate::texts::held));
    troubles
}

/// A version with the hosts that run it.
pub(crate) struct Runs<'a> {
    commit: Option<&'a CommitId>,
    label: &'a str,
    hosts: Vec<&'a HostName>,
}

/// The versions that run, most used first; hosts without any come last.
pub(crate) fn versions(hosts: &[ProjectHost]) -> Vec<Runs<'_>> {
    let mut by_commit: BTreeMap<Option<&CommitId>, Runs<'_>> = BTreeMap::new();
    for host in hosts {
        let commit = host.live.as_ref().map(|live| &live.revision);
        let label = host.live.as_ref().map_or("nothing", |live| live.label());
        let hosts = Vec::new();
        let runs = by_commit.entry(commit).or_insert(Runs {
            commit,
            label,
            hosts,
        });
        runs.hosts.push(&host.host);
    }
    let mut versions: Vec<Runs<'_>> = by_commit.into_values().collect();
    versions.sort_by_key(|runs| (runs.commit.is_none(), Reverse(runs.hosts.len())));
    versions
}

/// The versions in one line.
pub(crate) fn runs(versions: &[Runs<'_>]) -> String {
    match versions {
        [] => "no servers".to_owned(),
        [one] if one.commit.is_none() => {
            format!("nothing yet on {}", words::count(one.hosts.len(), "server"))
        }
        [one] if one.hosts.len() == 1 => format!("{} on {}", one.label, one.hosts[0]),
        [one] => format!("{} on all {} servers", one.label, one.hosts.len()),
        many => {
            let part = |runs: &Runs<'_>| {
                format!(
                    "{} on {}",
                    runs.label,
                    words::names(runs.hosts.iter().copied(), 4)
                )
            };
            many.iter().map(part).collect::<Vec<_>>().join("; ")
        }
    }
}
