//! What is known of the fleet, from hints and reports: who is there, what runs, which refs have come. Pure.

mod clocks;
mod journals;

use std::collections::{BTreeMap, BTreeSet};

use events::{
    HostName, ProjectName, RepoName,
    message::{Fetched, Present, ProjectState, RefTip, Reported, Running, State},
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use journals::{Ended, Older};

use crate::{
    ci::Ci,
    select::Groups,
    settings::{Project, Settings},
};

/// What is known of all hosts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Known {
    /// Each host that was heard, or that somebody admitted.
    pub hosts: BTreeMap<HostName, HostKnown>,
    /// What CI has said.
    pub ci: Ci,
    /// The refs of each repository on each host.
    pub refs: BTreeMap<RepoName, BTreeMap<HostName, Vec<RefTip>>>,
}

/// What is known of one host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HostKnown {
    /// True if a person admitted it here.
    pub admitted: bool,
    /// What its agent said last.
    pub present: Option<Present>,
    /// When its agent was last heard.
    pub seen: Option<Timestamp>,
    /// What it said of each project, with the time of that.
    pub projects: BTreeMap<ProjectName, Told>,
    /// Where the journal of each project ended when it last reported; kept as long as the host is.
    #[serde(default)]
    pub journals: BTreeMap<ProjectName, Ended>,
    /// The newest starts of its agent, with when each was last heard.
    pub instances: Vec<(Uuid, Timestamp)>,
    /// When two agents were last seen to take turns under this name.
    pub doubled: Option<Timestamp>,
    /// How far its clock was ahead when its last presences came, in milliseconds.
    #[serde(default)]
    pub offsets_ms: Vec<i64>,
}

/// What a host said of a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// By the host's clock.
    pub at: Timestamp,
    /// What it said.
    pub state: ProjectState,
}

/// Hosts that nobody admitted of which something is kept: anybody on the bus can make up more.
const MOST_NEW: usize = 500;
/// So long is a host kept that nobody admitted and that is not heard.
const NEW_FOR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Starts of an agent that are remembered.
const INSTANCES: usize = 4;

impl Known {
    /// An agent says that it is there; `sent` is the message's own time.
    pub fn present(
        &mut self,
        present: Present,
        sent: Timestamp,
        now: Timestamp,
        limit: SignedDuration,
    ) {
        let known = self.hosts.entry(present.host.clone()).or_default();
        known.clock(sent, now);
        let sent = believable(sent, now);
        known.met(present.instance, now, limit);
        known.seen = Some(now);
        for state in &present.projects {
            known.told(sent, state.clone());
        }
        let named: BTreeSet<_> = present
            .projects
            .iter()
            .map(|state| state.project.clone())
            .collect();
        known
            .projects
            .retain(|project, told| named.contains(project) || told.at > sent);
        known.present = Some(present);
    }

    /// An agent reports; that says what runs, too.
    pub fn reported(&mut self, report: &Reported, sent: Timestamp, now: Timestamp) {
        let sent = believable(sent, now);
        // Only presence makes a host known.
        let Some(known) = self.hosts.get_mut(&report.host) else {
            return;
        };
        known.seen = Some(now);
        let before = known.projects.get(&report.project);
        let before = before.map(|told| &told.state);
        let (stuck, broken) = match &report.state {
            State::Broken { reason } => (Some(reason.clone()), Some(report.deploy)),
            // Its presence, which follows, says it too.
            State::Cleared => (None, None),
            _ => (
                before.and_then(|before| before.stuck.clone()),
                before.and_then(|before| before.broken),
            ),
        };
        let state = ProjectState {
            project: report.project.clone(),
            live: report.live.clone(),
            previous: report.previous.clone(),
            busy: (!report.state.is_final()).then_some(report.deploy),
            stuck,
            broken,
            held: before.and_then(|before| before.held.clone()),
            prepared: before.map_or(Vec::new(), |before| before.prepared.clone()),
        };
        known.told(sent, state);
    }

    /// True unless the host would be one more than so many that nobody admitted.
    #[must_use]
    pub fn has_room_for(&self, host: &HostName, settings: &Settings) -> bool {
        let new = |host: &&HostName| !self.is_admitted(host, settings);
        self.hosts.contains_key(host)
            || settings.names(host)
            || self.hosts.keys().filter(new).count() < MOST_NEW
    }

    /// Forgets hosts that nobody admitted and that were not heard for long.
    pub fn forget(&mut self, now: Timestamp, settings: &Settings) -> Vec<HostName> {
        let silent = |known: &HostKnown| {
            let seen = known.seen;
            seen.is_none_or(|seen| now.duration_since(seen) >= NEW_FOR)
        };
        let old = |(host, known): &(&HostName, &HostKnown)| {
            silent(known) && !self.is_admitted(host, settings)
        };
        let old = self.hosts.iter().filter(old).map(|(host, _)| host.clone());
        let old: Vec<HostName> = old.collect();
        for host in &old {
            self.hosts.remove(host);
            for refs in self.refs.values_mut() {
                refs.remove(host);
            }
        }
        old
    }

    /// A host's mirror says what it holds.
    pub fn fetched(&mut self, fetched: Fetched, settings: &Settings) {
        let repository = settings.repository(&fetched.repository).clone();
        self.refs
            .entry(repository)
            .or_default()
            .insert(fetched.host, fetched.refs);
    }

    /// True if the host takes part.
    #[must_use]
    pub fn is_admitted(&self, host: &HostName, settings: &Settings) -> bool {
        settings.names(host) || self.hosts.get(host).is_some_and(|known| known.admitted)
    }

    /// True if the host's agent was heard within the limit.
    #[must_use]
    pub fn is_present(&self, host: &HostName, now: Timestamp, limit: SignedDuration) -> bool {
        let seen = self.hosts.get(host).and_then(|known| known.seen);
        seen.is_some_and(|seen| now.duration_since(seen) < limit)
    }

    /// When the next host that is present now is so no longer, if it stays silent.
    #[must_use]
    pub fn next_silence(&self, now: Timestamp, limit: SignedDuration) -> Option<Timestamp> {
        let seen = self.hosts.values().filter_map(|known| known.seen);
        let silent = seen.filter_map(|seen| seen.checked_add(limit).ok());
        silent.filter(|silent| *silent > now).min()
    }

    /// What a host runs of a project.
    #[must_use]
    pub fn state(&self, host: &HostName, project: &ProjectName) -> Option<&ProjectState> {
        let told = self.hosts.get(host)?.projects.get(project)?;
        Some(&told.state)
    }

    /// What is live of a project on a host.
    #[must_use]
    pub fn live(&self, host: &HostName, project: &ProjectName) -> Option<&Running> {
        self.state(host, project)?.live.as_ref()
    }

    /// The groups of the settings, with the hosts that say they belong to them.
    #[must_use]
    pub fn groups(&self, settings: &Settings) -> Groups {
        let mut groups = settings.groups.clone();
        for (host, known) in &self.hosts {
            let said = known.present.iter().flat_map(|present| &present.groups);
            for group in said {
                groups
                    .entry(group.clone())
                    .or_default()
                    .insert(host.clone());
            }
        }
        groups
    }

    /// All hosts of a project, admitted or not.
    #[must_use]
    pub fn project_hosts(&self, project: &Project, settings: &Settings) -> BTreeSet<HostName> {
        let groups = self.groups(settings);
        let grouped = project.groups.iter().filter_map(|group| groups.get(group));
        let mut hosts = project.hosts.clone();
        hosts.extend(grouped.flatten().cloned());
        hosts
    }
}

/// A host's clock may be ahead; what it says after that was put right must not count as older.
fn believable(sent: Timestamp, now: Timestamp) -> Timestamp {
    sent.min(now)
}

impl HostKnown {
    fn told(&mut self, at: Timestamp, state: ProjectState) {
        let known = self.projects.get(&state.project);
        if known.is_none_or(|told| told.at <= at) {
            self.projects
                .insert(state.project.clone(), Told { at, state });
        }
    }

    /// An agent that is started again is a new instance once. Only two that both run come in turns.
    fn met(&mut self, instance: Uuid, now: Timestamp, limit: SignedDuration) {
        let place = self
            .instances
            .iter()
            .position(|(known, _)| *known == instance);
        let newest = self
            .instances
            .last()
            .is_some_and(|(known, _)| *known == instance);
        if let Some(place) = place {
            let (_, seen) = self.instances.remove(place);
            if !newest && now.duration_since(seen) < limit {
                self.doubled = Some(now);
            }
        }
        self.instances.push((instance, now));
        if self.instances.len() > INSTANCES {
            self.instances.remove(0);
        }
    }

    /// What is wrong with it, for people.
    #[must_use]
    pub fn trouble(&self, now: Timestamp, limit: SignedDuration) -> Option<String> {
        let doubled = self
            .doubled
            .filter(|seen| now.duration_since(*seen) < limit);
        let doubled = doubled.map(|seen| {
            let since = seen.strftime("%H:%M:%SZ");
            format!(
                "two agents run under this name (seen in turns, last at {since}): each takes half of its orders; stop \
                 one, or set `host` in its deploy-agent.toml"
            )
        });
        let journals = self.journal_troubles().map(str::to_owned);
        let all = doubled.into_iter().chain(self.clock_trouble());
        let all: Vec<String> = all.chain(journals).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}
