//! What the API shows of the fleet. Pure.

mod ci;

use std::collections::{BTreeMap, BTreeSet};

use events::{CommitId, HostName, ProjectName, TagName, message::RefTip};
use jiff::{SignedDuration, Timestamp};

use crate::{
    api::{DeployView, HostProject, HostView, ProjectHost, ProjectView, Status, TagView},
    known::{HostKnown, Known},
    settings::{Project, Settings},
};

/// The settings and what is known, at one time.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// What was set.
    pub settings: &'a Settings,
    /// What was heard.
    pub known: &'a Known,
    /// When.
    pub now: Timestamp,
}

impl Scene<'_> {
    pub(crate) fn limit(&self) -> SignedDuration {
        let seconds = i64::try_from(self.settings.presence_limit_s).unwrap_or(i64::MAX);
        SignedDuration::from_secs(seconds)
    }

    /// Each project with its hosts and, out of `running`, the deploy that is under way.
    #[must_use]
    pub fn status(&self, running: &[DeployView]) -> Status {
        let projects = self
            .settings
            .projects
            .iter()
            .map(|(name, project)| ProjectView {
                project: name.clone(),
                environment: project.environment.clone(),
                repository: project.repository.clone(),
                requires_ci: project.requires_ci,
                hosts: self
                    .known
                    .project_hosts(project, self.settings)
                    .iter()
                    .map(|host| self.project_host(name, host))
                    .collect(),
                // The newest: a rollback that took over, rather than what it took over from.
                deploy: running
                    .iter()
                    .filter(|deploy| deploy.project == *name)
                    .max_by_key(|deploy| deploy.id)
                    .cloned(),
            });
        Status {
            time: self.now,
            projects: projects.collect(),
        }
    }

    /// A project on a host.
    #[must_use]
    pub fn project_host(&self, project: &ProjectName, host: &HostName) -> ProjectHost {
        let state = self.known.state(host, project);
        ProjectHost {
            host: host.clone(),
            present: self.known.is_present(host, self.now, self.limit()),
            seen: self.known.hosts.get(host).and_then(|known| known.seen),
            live: state.and_then(|state| state.live.clone()),
            previous: state.and_then(|state| state.previous.clone()),
            stuck: state.and_then(|state| state.stuck.clone()),
            broken: state.and_then(|state| state.broken),
            held: state.and_then(|state| state.held.clone()),
        }
    }

    /// All hosts that were heard or are named in the settings.
    #[must_use]
    pub fn hosts(&self) -> Vec<HostView> {
        let settings = self.settings;
        let projects = settings
            .projects
            .values()
            .flat_map(|project| &project.hosts);
        let groups = settings.groups.values().flatten();
        let mut names: Vec<&HostName> = settings
            .admitted
            .iter()
            .chain(projects)
            .chain(groups)
            .collect();
        names.extend(self.known.hosts.keys());
        names.sort_unstable();
        names.dedup();
        names.into_iter().map(|host| self.host(host)).collect()
    }

    /// One host.
    #[must_use]
    pub fn host(&self, host: &HostName) -> HostView {
        let known = self.known.hosts.get(host);
        let groups = self.known.groups(self.settings);
        let here = groups.iter().filter(|(_, hosts)| hosts.contains(host));
        HostView {
            host: host.clone(),
            admitted: self.known.is_admitted(host, self.settings),
            present: self.known.is_present(host, self.now, self.limit()),
            seen: known.and_then(|known| known.seen),
            version: known.and_then(|known| Some(known.present.as_ref()?.version.clone())),
            groups: here.map(|(group, _)| group.clone()).collect(),
            projects: known
                .iter()
                .flat_map(|known| &known.projects)
                .map(|(project, told)| HostProject {
                    project: project.clone(),
                    live: told.state.live.clone(),
                    prepared: told.state.prepared.clone(),
                    journal: known
                        .and_then(|known| known.journals.get(project))
                        .map(|ended| ended.head.to_string()),
                })
                .collect(),
            facts: known
                .and_then(|known| Some(known.present.as_ref()?.facts.clone()))
                .unwrap_or_default(),
            clock_offset_ms: known.and_then(HostKnown::clock_offset_ms),
            trouble: known.and_then(|known| known.trouble(self.now, self.limit())),
            heads: known
                .map(crate::known::HostKnown::heads)
                .unwrap_or_default(),
        }
    }

    /// The tags of a project, newest first.
    #[must_use]
    pub fn tags(&self, project: &Project) -> Vec<TagView> {
        let hosts = self.known.project_hosts(project, self.settings);
        let mut found: BTreeMap<TagName, BTreeMap<HostName, &RefTip>> = BTreeMap::new();
        for (host, refs) in self
            .known
            .refs
            .get(&project.repository)
            .into_iter()
            .flatten()
        {
            for tip in refs.iter().filter(|_| hosts.contains(host)) {
                if let Some(tag) = tip.name.tag_name() {
                    found.entry(tag).or_default().insert(host.clone(), tip);
                }
            }
        }
        let view = |(tag, on): (TagName, BTreeMap<HostName, &RefTip>)| {
            let newest = on.values().max_by_key(|tip| tip.committed_s)?;
            let commits: BTreeSet<&CommitId> = on.values().map(|tip| &tip.commit).collect();
            Some(TagView {
                ci: self.verdict(project, &newest.commit),
                tag,
                commit: newest.commit.clone(),
                committed: Timestamp::from_second(newest.committed_s)
                    .unwrap_or(Timestamp::UNIX_EPOCH),
                missing: hosts
                    .iter()
                    .filter(|host| !on.contains_key(*host))
                    .cloned()
                    .collect(),
                moved: commits.len() > 1,
                on: on.into_keys().collect(),
            })
        };
        let mut tags: Vec<TagView> = found.into_iter().filter_map(view).collect();
        tags.sort_by(|a, b| {
            b.committed
                .cmp(&a.committed)
                .then_with(|| natural(b.tag.as_str()).cmp(&natural(a.tag.as_str())))
        });
        tags
    }
}

/// Words and numbers in turns, so that `v10` comes after `v9`. It orders tags of commits made in the same second.
fn natural(text: &str) -> Vec<(&str, u64)> {
    let mut parts = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number = rest[word..]
            .find(|c: char| !c.is_ascii_digit())
            .map_or(rest.len(), |end| word + end);
        parts.push((&rest[..word], rest[word..number].parse().unwrap_or(0)));
        rest = &rest[number..];
    }
    parts
}
