//! What the double knows: jobs, the queue, builds. Time is milliseconds that are handed in.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

/// Parameters as the job took them.
pub type Parameters = BTreeMap<String, String>;

/// A job as a test describes it.
#[derive(Debug, Clone)]
pub struct Job {
    pub(super) name: String,
    pub(super) parameters: Option<Vec<String>>,
    pub(super) disabled: bool,
    pub(super) pipeline: bool,
    pub(super) checks_out: Option<CheckOut>,
    pub(super) ends: Option<(Duration, String)>,
}

#[derive(Debug, Clone)]
pub(super) enum CheckOut {
    Parameter(String),
    Commit(String),
}

impl Job {
    /// A freestyle job, with its folders; builds end when the test says so.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            parameters: None,
            disabled: false,
            pipeline: false,
            checks_out: None,
            ends: None,
        }
    }

    /// It defines these parameters; others are dropped.
    #[must_use]
    pub fn takes(mut self, parameters: &[&str]) -> Self {
        self.parameters = Some(parameters.iter().map(|&it| it.to_owned()).collect());
        self
    }

    /// It is disabled.
    #[must_use]
    pub fn disabled(mut self) -> Self {
        self.disabled = true;
        self
    }

    /// A pipeline: its builds go on after a restart.
    #[must_use]
    pub fn pipeline(mut self) -> Self {
        self.pipeline = true;
        self
    }

    /// Its builds check out the commit that this parameter names.
    #[must_use]
    pub fn checks_out_parameter(mut self, parameter: &str) -> Self {
        self.checks_out = Some(CheckOut::Parameter(parameter.to_owned()));
        self
    }

    /// Its builds check out this commit, whatever they are told.
    #[must_use]
    pub fn checks_out(mut self, commit: &str) -> Self {
        self.checks_out = Some(CheckOut::Commit(commit.to_owned()));
        self
    }

    /// Its builds end by themselves.
    #[must_use]
    pub fn ends(mut self, after: Duration, result: &str) -> Self {
        self.ends = Some((after, result.to_owned()));
        self
    }
}

/// An item of the queue, or one that left it lately.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) id: u64,
    pub(super) job: String,
    pub(super) parameters: Parameters,
    pub(super) since_ms: u64,
    pub(super) place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Waiting,
    Left { at_ms: u64, number: u64 },
    Cancelled { at_ms: u64 },
}

/// A build, as a test sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSeen {
    /// Its number.
    pub number: u64,
    /// The queue item that it was.
    pub queue_item: u64,
    /// What it took.
    pub parameters: Parameters,
    /// `SUCCESS` and so on; none while it runs.
    pub result: Option<String>,
    pub(super) started_ms: u64,
    pub(super) pipeline: bool,
    pub(super) commit: Option<String>,
}

/// How a Jenkins ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The queue is saved, freestyle builds are aborted, pipelines go on later.
    Orderly,
    /// Killed: the queue is lost, freestyle builds are gone without a trace, pipelines go on later.
    Killed,
}

/// What a trigger is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Triggered {
    Item(u64),
    NoJob,
    Disabled,
    NotParameterized,
    Parameterized,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) jobs: BTreeMap<String, Job>,
    pub(super) queue: Vec<Item>,
    pub(super) builds: BTreeMap<String, Vec<BuildSeen>>,
    /// Per job; a number is never used again.
    numbers: BTreeMap<String, u64>,
    next_item: u64,
    pub(super) executors: usize,
    pub(super) quiet_ms: u64,
    pub(super) forgets_after_ms: u64,
    /// Session cookies and the crumb of each.
    pub(super) sessions: BTreeMap<String, String>,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            jobs: BTreeMap::new(),
            queue: Vec::new(),
            builds: BTreeMap::new(),
            numbers: BTreeMap::new(),
            next_item: 1,
            executors: 2,
            quiet_ms: 0,
            forgets_after_ms: 300_000,
            sessions: BTreeMap::new(),
        }
    }

    /// Folders that jobs lie in.
    pub(super) fn is_folder(&self, name: &str) -> bool {
        let below = format!("{name}/");
        self.jobs.keys().any(|job| job.starts_with(&below))
    }

    /// `given` is none for `/build`.
    pub(super) fn trigger(
        &mut self,
        job: &str,
        given: Option<&Parameters>,
        now_ms: u64,
    ) -> Triggered {
        let Some(job) = self.jobs.get(job) else {
            return Triggered::NoJob;
        };
        if job.disabled {
            return Triggered::Disabled;
        }
        let parameters = match (&job.parameters, given) {
            (None, Some(_)) => return Triggered::NotParameterized,
            (Some(_), None) => return Triggered::Parameterized,
            (None, None) => Parameters::new(),
            (Some(names), Some(given)) => {
                let value = |name: &String| given.get(name).cloned().unwrap_or_default();
                names.iter().map(|it| (it.clone(), value(it))).collect()
            }
        };
        let name = job.name.clone();
        let same = |item: &&Item| {
            item.place == Place::Waiting && item.job == name && item.parameters == parameters
        };
        if let Some(item) = self.queue.iter().find(same) {
            return Triggered::Item(item.id);
        }
        let id = self.next_item;
        self.next_item += 1;
        self.queue.push(Item {
            id,
            job: name,
            parameters,
            since_ms: now_ms,
            place: Place::Waiting,
        });
        Triggered::Item(id)
    }

    /// Brings everything to this moment.
    pub(super) fn tick(&mut self, now_ms: u64) {
        let forgets = self.forgets_after_ms;
        self.queue.retain(|item| match item.place {
            Place::Waiting => true,
            Place::Left { at_ms, .. } | Place::Cancelled { at_ms } => now_ms < at_ms + forgets,
        });
        for (name, builds) in &mut self.builds {
            let ends = self.jobs.get(name).and_then(|job| job.ends.clone());
            let Some((after, result)) = ends else {
                continue;
            };
            let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            for build in builds.iter_mut().filter(|it| it.result.is_none()) {
                if now_ms >= build.started_ms + after {
                    build.result = Some(result.clone());
                }
            }
        }
        self.start_waiting(now_ms);
    }

    fn start_waiting(&mut self, now_ms: u64) {
        let running = |builds: &Vec<BuildSeen>| builds.iter().any(|it| it.result.is_none());
        let mut busy: BTreeSet<String> = BTreeSet::new();
        for (name, builds) in &self.builds {
            if running(builds) {
                busy.insert(name.clone());
            }
        }
        for item in &mut self.queue {
            let quiet = now_ms < item.since_ms + self.quiet_ms;
            let blocked = busy.contains(&item.job) || busy.len() >= self.executors;
            if item.place != Place::Waiting || quiet || blocked {
                continue;
            }
            let number = self.numbers.entry(item.job.clone()).or_default();
            *number += 1;
            let job = &self.jobs[&item.job];
            let commit = job.checks_out.as_ref().and_then(|it| match it {
                CheckOut::Parameter(name) => item.parameters.get(name).cloned(),
                CheckOut::Commit(commit) => Some(commit.clone()),
            });
            self.builds
                .entry(item.job.clone())
                .or_default()
                .push(BuildSeen {
                    number: *number,
                    queue_item: item.id,
                    parameters: item.parameters.clone(),
                    result: None,
                    started_ms: now_ms,
                    pipeline: job.pipeline,
                    commit,
                });
            item.place = Place::Left {
                at_ms: now_ms,
                number: *number,
            };
            busy.insert(item.job.clone());
        }
    }

    pub(super) fn build(&self, job: &str, number: u64) -> Option<&BuildSeen> {
        let builds = self.builds.get(job)?;
        builds.iter().find(|build| build.number == number)
    }

    /// False when there is no such build that runs.
    pub(super) fn finish(&mut self, job: &str, number: u64, result: &str) -> bool {
        let builds = self.builds.get_mut(job).into_iter().flatten();
        let mut running = builds.filter(|it| it.number == number && it.result.is_none());
        let build = running.next();
        let found = build.is_some();
        if let Some(build) = build {
            build.result = Some(result.to_owned());
        }
        found
    }

    pub(super) fn cancel(&mut self, id: u64, now_ms: u64) -> bool {
        let waiting = |item: &&mut Item| item.id == id && item.place == Place::Waiting;
        let item = self.queue.iter_mut().find(waiting);
        let found = item.is_some();
        if let Some(item) = item {
            item.place = Place::Cancelled { at_ms: now_ms };
        }
        found
    }

    /// What is still there after a stop of this kind.
    pub(super) fn end(&mut self, stop: Stop) {
        self.sessions.clear();
        self.queue
            .retain(|item| stop == Stop::Orderly && item.place == Place::Waiting);
        for builds in self.builds.values_mut() {
            match stop {
                Stop::Orderly => {
                    let cut = |it: &&mut BuildSeen| it.result.is_none() && !it.pipeline;
                    for build in builds.iter_mut().filter(cut) {
                        build.result = Some("ABORTED".to_owned());
                    }
                }
                Stop::Killed => builds.retain(|it| it.result.is_some() || it.pipeline),
            }
        }
    }
}
