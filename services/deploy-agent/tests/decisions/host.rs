//! A host without disk, clock or scripts: takes orders, does what is decided with scripted outcomes, says what was done.

use deploy_agent::machine::{
    Asked, AtHost, Decision, End, Facts, Ground, OnDisk, Outcome, Record, Rules, State, What,
    accept, decide, here::asked_here, report::Whose,
};
use deploy_agent::scripts::{Plan, Planned, Script};
use events::{
    CommitId,
    message::{self, Phase, Step},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

/// What a check says that fails.
pub(crate) const NO_TABLE: &[&str] = &["GET /health 500 \"no such table\""];

const DEPLOY: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0000;

/// A host without disk, clock or scripts.
pub(crate) struct Host {
    pub(crate) state: State,
    pub(crate) records: Vec<Record>,
    pub(crate) ground: Ground,
    pub(crate) now: Timestamp,
    pub(crate) refresh: bool,
    /// What the scripts of releases are declared to be.
    pub(crate) plan: Plan,
    pub(crate) keep: usize,
    pub(crate) orders: u64,
    /// The deploy that the next order undoes.
    pub(crate) undoes: Option<Uuid>,
    pub(crate) done: Vec<String>,
    /// The deploys that the next orders clear.
    pub(crate) clears: Vec<u64>,
    /// Until when their grants' signers have seen what broke.
    pub(crate) seen_until: Option<Timestamp>,
}

pub(crate) fn commit(number: u8) -> CommitId {
    format!("{number:02x}")
        .repeat(20)
        .parse()
        .expect("forty hex digits")
}

pub(crate) fn deploy_id(number: u64) -> Uuid {
    Uuid::from_u128(DEPLOY + u128::from(number))
}

fn whose() -> Whose {
    Whose {
        host: "web1".parse().expect("a host"),
        project: "shop".parse().expect("a project"),
    }
}

impl Host {
    pub(crate) fn new() -> Self {
        Self {
            state: State::default(),
            records: Vec::new(),
            ground: Ground::new(),
            now: "2025-03-01T12:00:00Z".parse().expect("a time"),
            refresh: false,
            plan: Plan::new(),
            keep: 5,
            orders: 0,
            undoes: None,
            done: Vec::new(),
            clears: Vec::new(),
            seen_until: None,
        }
    }

    /// A host on which these versions were deployed in this order.
    pub(crate) fn with(versions: &[u8]) -> Self {
        let mut host = Self::new();
        for version in versions {
            host.deploy(*version, &[]);
        }
        host.done.clear();
        host
    }

    /// Declares something of a script, for releases that are prepared from now on.
    pub(crate) fn declare(&mut self, script: Script, rerunnable: bool, once: bool) {
        let planned = Planned {
            file: Some(format!(".deploy/{}", script.name())),
            rerunnable,
            once,
        };
        self.plan.insert(script, planned);
    }

    pub(crate) fn facts(&self) -> Facts {
        Facts {
            now: self.now,
            rules: Rules {
                check_tries: 3,
                check_pause: SignedDuration::from_secs(1),
                retry: SignedDuration::from_secs(10),
                keep: self.keep,
            },
        }
    }

    pub(crate) fn record(&mut self, what: What) {
        self.now += SignedDuration::from_millis(1);
        let record = Record { at: self.now, what };
        self.state.apply(&record);
        let text = serde_json::to_string(&record).expect("a record is JSON");
        self.records
            .push(serde_json::from_str(&text).expect("and is read back"));
        assert_eq!(
            State::replay(&self.records),
            self.state,
            "the journal tells all"
        );
    }

    /// Takes an order in; the deploy's number is the version's, so that phases of one version belong together.
    pub(crate) fn order(
        &mut self,
        phase: Phase,
        version: Option<u8>,
        deploy: u64,
        undo: bool,
    ) -> Uuid {
        self.orders += 1;
        let asked = Asked {
            order: Uuid::from_u128(u128::from(self.orders)),
            deploy: deploy_id(deploy),
            phase,
            undo,
            undoes: self.undoes.take(),
            commit: version.map(commit),
            tag: version.map(|version| format!("v{version}").parse().expect("a tag")),
            branch: None,
            wave: 1,
            signer: String::new(),
            broke_glass: None,
            sequence: self.orders,
            epoch: 1,
            grant: "sha256:00".to_owned(),
            by: vec!["alice@example.org".to_owned()],
            clears: self
                .clears
                .iter()
                .map(|deploy| deploy_id(*deploy))
                .collect(),
            at_host: None,
            seen_until: self.seen_until,
            expires: self.now + SignedDuration::from_mins(1),
        };
        let order = asked.order;
        let what = match accept(&self.state, &asked, &self.ground, &whose(), self.now) {
            Ok(task) => What::Accepted { order: asked, task },
            Err(reason) => {
                self.done.push(format!("refused: {reason}"));
                What::Refused {
                    order: asked,
                    reason,
                }
            }
        };
        self.record(what);
        order
    }

    /// A person at the host asks for it, as deploy 100 and some.
    pub(crate) fn here(&mut self, phase: Phase, reason: &str) {
        let who = AtHost {
            uid: 1000,
            login: Some("ann".to_owned()),
            says: None,
            reason: Some(reason.to_owned()),
        };
        let id = deploy_id(100 + self.orders);
        let asked = asked_here(&self.state, phase, who, id, &whose().host, self.now);
        let task = accept(&self.state, &asked, &self.ground, &whose(), self.now);
        let task = task.expect("it is taken");
        self.record(What::Accepted { order: asked, task });
    }

    /// Does what is decided until nothing is, or until a step has begun that is to be stopped at.
    pub(crate) fn run(&mut self, outcomes: &[(Step, &[&str])], stop_at: Option<Step>) {
        for _ in 0..200 {
            let decision = decide(&self.state, &self.facts());
            let job = self.state.current().cloned();
            let order = job.as_ref().map(|job| job.asked.order).unwrap_or_default();
            match decision {
                Decision::Idle => return,
                Decision::Wait(until) => {
                    assert!(until > self.now, "waiting gets on");
                    self.now = until;
                }
                Decision::Prune(releases) => {
                    for release in &releases {
                        self.ground.remove(release);
                    }
                    self.done.push(format!("prune {}", releases.len()));
                    self.record(What::Pruned { releases });
                }
                Decision::Finish(state) => {
                    self.done.push(format!("= {}", verdict(&state)));
                    self.record(What::Finished { order, state });
                }
                Decision::Skip(step) => {
                    self.record(What::Began {
                        order,
                        step,
                        attempt: 1,
                    });
                    if stop_at == Some(step) {
                        return;
                    }
                    self.end_step(step, 1, "skipped");
                }
                Decision::Do(step, attempt) => {
                    let job = job.expect("somebody asked for the step");
                    if job.under_way() != Some((step, attempt)) {
                        self.record(What::Began {
                            order,
                            step,
                            attempt,
                        });
                    }
                    if stop_at == Some(step) {
                        return;
                    }
                    let scripted = outcomes.iter().find(|(name, _)| *name == step);
                    let outcome = scripted
                        .and_then(|(_, tries)| tries.get(attempt as usize - 1).or(tries.last()))
                        .copied()
                        .unwrap_or("ok");
                    self.end_step(step, attempt, outcome);
                }
            }
        }
        panic!("no end after 200 decisions: {:?}", self.done);
    }

    pub(crate) fn end_step(&mut self, step: Step, attempt: u32, outcome: &str) {
        let (end, exit, detail) = match outcome {
            "ok" => (End::Ok, None, None),
            "skipped" => (End::Skipped, None, None),
            "interrupted" => (End::Interrupted, None, None),
            "timed out" => (End::TimedOut, None, Some("still migrating".to_owned())),
            "ended" => (End::Ended, None, None),
            "not yet" => (End::NotYet, None, Some("no mirror".to_owned())),
            said => (End::Failed, Some(1), Some(said.to_owned())),
        };
        let times = if attempt > 1 {
            format!(" {attempt}")
        } else {
            String::new()
        };
        let how = if outcome == "ok" {
            String::new()
        } else {
            format!("({outcome})")
        };
        self.done.push(format!("{step}{times}{how}"));
        let job = self
            .state
            .current()
            .cloned()
            .expect("a step belongs to an order");
        if end == End::Ok && step == Step::Layout {
            let release = self.state.release_of(&job, step).expect("it lays one out");
            let there = OnDisk {
                refresh: self.refresh,
                missing: None,
            };
            self.ground.insert(release, there);
        }
        let order = job.asked.order;
        let outcome = Outcome {
            end,
            exit,
            duration_ms: 7,
            detail,
            settled: outcome == "settled",
            scripts: (end == End::Ok && step == Step::Layout).then(|| self.plan.clone()),
        };
        self.record(What::Ended {
            order,
            step,
            attempt,
            outcome,
        });
    }

    pub(crate) fn deploy(&mut self, version: u8, outcomes: &[(Step, &[&str])]) {
        self.deploy_as(version.into(), version, outcomes);
    }

    /// Deploys a version under another number than its own, because its own was used.
    pub(crate) fn deploy_as(&mut self, deploy: u64, version: u8, outcomes: &[(Step, &[&str])]) {
        for phase in [Phase::Prepare, Phase::Activate] {
            self.order(phase, Some(version), deploy, false);
            self.run(outcomes, None);
        }
    }

    /// What was done since the last look, and what is live now.
    pub(crate) fn told(&mut self) -> String {
        let live = self
            .state
            .live
            .as_ref()
            .map_or("nothing", |live| live.label());
        let text = format!("{} | {live}", self.done.join(" "));
        self.done.clear();
        text
    }
}

fn verdict(state: &message::State) -> String {
    match state {
        message::State::Prepared { .. } => "prepared".to_owned(),
        message::State::Live => "live".to_owned(),
        message::State::PutBack { reason } => format!("put back: {reason}"),
        message::State::Failed { reason } => format!("failed: {reason}"),
        message::State::Broken { reason } => format!("broken: {reason}"),
        message::State::Aborted => "aborted".to_owned(),
        message::State::Cleared => "cleared".to_owned(),
        other => format!("{other:?}"),
    }
}
