//! Values that many tests need.

use std::collections::BTreeMap;

use deploy_orchestrator::{
    api::Action,
    deploy::{About, Deploy},
    rollout::{Input, Issued, OnFailure, Output, Policy, Rollout, Spec, after},
    waves::Size,
};
use events::{
    HostName,
    message::{Phase, Reported, Running, Signed, State, Step, StepReport, StepState},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).expect("in range")
}

pub(crate) fn host(name: &str) -> HostName {
    name.parse().expect("a host name")
}

pub(crate) fn hosts(names: &str) -> Vec<HostName> {
    names.split_whitespace().map(host).collect()
}

/// What a release of that tag is.
pub(crate) fn running(tag: &str) -> Running {
    Running {
        release: format!("20270115-{tag}"),
        revision: commit(tag),
        tag: Some(tag.parse().expect("a tag")),
        since: at(-1000),
    }
}

/// A commit id made from a word.
pub(crate) fn commit(word: &str) -> events::CommitId {
    let mut hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    hex.truncate(40);
    format!("{hex:a<40}").parse().expect("hex digits")
}

pub(crate) fn rules() -> Policy {
    Policy {
        resend_s: 5,
        reach_limit_s: 60,
        prepare_limit_s: 900,
        activate_limit_s: 3600,
        bake_s: 0,
        max_unreachable: Size::Percent(2),
        failure_budget: 0,
        on_failure: OnFailure::Restore,
        no_wave_after: at(100_000),
    }
}

pub(crate) const DEPLOY: Uuid = Uuid::from_u128(7);

/// Renewed orders have lower ids than those before, as after a clock that stepped back.
pub(crate) fn order_id(phase: Phase, place: usize) -> Uuid {
    Uuid::from_u128(((phase as u128) << 8) | (0xff - place as u128))
}

/// A rollout under way, at a time that the test moves.
pub(crate) struct Story {
    pub(crate) rollout: Rollout,
    pub(crate) now: Timestamp,
    number: u64,
}

impl Story {
    /// Waves are separated by `|`; every host runs v1.
    pub(crate) fn of(action: Action, waves: &str, policy: Policy) -> Self {
        let waves: Vec<Vec<HostName>> = waves.split('|').map(hosts).collect();
        let before: BTreeMap<_, _> = waves
            .iter()
            .flatten()
            .map(|host| (host.clone(), running("v1")))
            .collect();
        let spec = Spec {
            deploy: DEPLOY,
            action,
            policy,
            waves,
            before,
            left: BTreeMap::new(),
        };
        Self {
            rollout: Rollout::new(spec),
            now: at(0),
            number: 0,
        }
    }

    /// The deploy of `shop v2` that it tells.
    pub(crate) fn deploy_v2(&self) -> Deploy {
        let is_deploy = self.rollout.action == Action::Deploy;
        let about = About {
            id: Uuid::from_u128(0x0123_4567_89ab),
            project: "shop".parse().expect("a project"),
            environment: "prod".parse().expect("an environment"),
            action: self.rollout.action,
            commit: is_deploy.then(|| commit("v2")),
            tag: is_deploy.then(|| "v2".parse().expect("a tag")),
            undoes: None,
            broke_glass: None,
            reason: None,
            untested: false,
            by: vec!["ann".to_owned()],
            created: at(0),
            targets: self.rollout.hosts.keys().cloned().collect(),
            grant: Signed {
                payload_type: String::new(),
                payload: String::new(),
                signatures: Vec::new(),
            },
            digest: String::new(),
        };
        Deploy {
            about,
            rollout: self.rollout.clone(),
        }
    }

    /// Before it begins.
    pub(crate) fn leave(&mut self, left: BTreeMap<HostName, String>) {
        let before = self.rollout.hosts.iter();
        let before =
            before.filter_map(|(host, record)| Some((host.clone(), record.before.clone()?)));
        let spec = Spec {
            deploy: DEPLOY,
            action: self.rollout.action,
            policy: self.rollout.policy.clone(),
            waves: self.rollout.waves.clone(),
            before: before.collect(),
            left,
        };
        self.rollout = Rollout::new(spec);
    }

    pub(crate) fn deploy(waves: &str) -> Self {
        Self::of(Action::Deploy, waves, rules())
    }

    pub(crate) fn rollback(waves: &str) -> Self {
        Self::of(Action::Rollback, waves, rules())
    }

    /// What follows, as text: `web1 prepare`, … `ended`.
    pub(crate) fn feed(&mut self, input: Input) -> String {
        let outputs = self.rollout.step(self.now, input);
        for output in &outputs {
            if let Output::Order { host, phase } = output {
                self.issue(host, *phase);
            }
        }
        let words = outputs.iter().filter_map(|output| match output {
            Output::Order { host, phase } => Some(format!("{host} {phase}")),
            Output::Changed => None,
            Output::Ended => Some("ended".to_owned()),
        });
        words.collect::<Vec<_>>().join(", ")
    }

    /// As the orchestrator does: one that has expired is made anew.
    fn issue(&mut self, host: &HostName, phase: Phase) {
        let orders = &self.rollout.hosts[host].issued;
        let orders = orders.get(&phase).map_or(&[][..], Vec::as_slice);
        if orders.last().is_some_and(|last| last.expires > self.now) {
            return;
        }
        let issued = Issued {
            order: order_id(phase, orders.len()),
            expires: after(self.now, self.rollout.policy.reach_limit_s),
        };
        self.rollout.issued(host, phase, issued);
    }

    pub(crate) fn begin(&mut self) -> String {
        self.feed(Input::Begin)
    }

    /// Time passes, and the rollout is woken.
    pub(crate) fn after(&mut self, seconds: i64) -> String {
        self.now = self
            .now
            .checked_add(SignedDuration::from_secs(seconds))
            .expect("in range");
        self.feed(Input::Tick)
    }

    pub(crate) fn report(&mut self, name: &str, phase: Phase, state: State, live: &str) -> String {
        self.report_with(name, phase, state, live, Vec::new())
    }

    /// Of the newest order of that phase.
    pub(crate) fn report_with(
        &mut self,
        name: &str,
        phase: Phase,
        state: State,
        live: &str,
        steps: Vec<StepReport>,
    ) -> String {
        let orders = self.rollout.hosts[&host(name)].issued.get(&phase);
        let newest = orders.map_or(0, |orders| orders.len() - 1);
        self.report_of(name, phase, newest, state, live, steps)
    }

    pub(crate) fn report_of(
        &mut self,
        name: &str,
        phase: Phase,
        place: usize,
        state: State,
        live: &str,
        steps: Vec<StepReport>,
    ) -> String {
        self.number += 1;
        let report = Reported {
            host: host(name),
            project: "shop".parse().expect("a project"),
            order: order_id(phase, place),
            deploy: DEPLOY,
            phase,
            number: self.number,
            state,
            steps,
            live: (live != "nothing").then(|| running(live)),
            previous: None,
            broke_glass: None,
            head: None,
            unbelieved: None,
        };
        self.feed(Input::Report(Box::new(report)))
    }

    pub(crate) fn accepts(&mut self, name: &str, phase: Phase) -> String {
        self.report(name, phase, State::Accepted, "v1")
    }

    pub(crate) fn prepared(&mut self, name: &str) -> String {
        let release = running("v2").release;
        self.report(name, Phase::Prepare, State::Prepared { release }, "v1")
    }

    pub(crate) fn all_prepared(&mut self, names: &str) -> String {
        let said: Vec<String> = names
            .split_whitespace()
            .map(|name| self.prepared(name))
            .collect();
        said.into_iter()
            .filter(|said| !said.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }

    pub(crate) fn live(&mut self, name: &str) -> String {
        self.report(name, Phase::Activate, State::Live, "v2")
    }

    /// Its check fails, and it puts itself back in two seconds.
    pub(crate) fn fails_check(&mut self, name: &str) -> String {
        let step = |step, state, duration_ms| StepReport {
            step,
            state,
            exit: Some(1),
            tries: 3,
            duration_ms,
            detail: None,
        };
        let steps = vec![
            step(Step::Switch, StepState::Ok, 10),
            step(Step::Check, StepState::Failed, 9000),
            step(Step::SwitchBack, StepState::Ok, 500),
            step(Step::BackStart, StepState::Ok, 1500),
        ];
        let reason = "check: exit 1, 3 tries: GET /health 500 \"no such table\"".to_owned();
        self.report_with(
            name,
            Phase::Activate,
            State::PutBack { reason },
            "v1",
            steps,
        )
    }

    pub(crate) fn reason(&self) -> String {
        deploy_orchestrator::texts::reason(&self.rollout).unwrap_or_default()
    }

    pub(crate) fn state(&self) -> deploy_orchestrator::api::DeployState {
        deploy_orchestrator::texts::state(&self.rollout)
    }
}
