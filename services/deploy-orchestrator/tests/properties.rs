//! What a rollout keeps, whatever hosts do and whatever comes in between: thousands of random histories.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use deploy_orchestrator::{
    api::{Action, HostState},
    rollout::{Input, Issued, OnFailure, Outcome, Output, Policy, Rollout, Spec, Stage, after},
    waves::{Size, split},
};
use events::{
    HostName,
    message::{Phase, Reported, Running, State},
};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use uuid::Uuid;

use crate::support::{DEPLOY, at, host, rules, running};

/// What a host does with an order.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Does {
    Works,
    Fails,
    Breaks,
    Refuses,
    AcceptsAndFallsSilent,
    Ignores,
    /// Does not read it before it works on something.
    ReadsLate,
}

/// How a host refuses what it read too late.
const EXPIRED: &str = "it expired";

/// An order on its way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    phase: Phase,
    issued: Issued,
}

/// A host that obeys the rules of agents: one job at a time, an abort or a rollback cuts it.
#[derive(Debug, Clone)]
struct Agent {
    name: HostName,
    does: BTreeMap<Phase, Does>,
    live: Option<Running>,
    before: Option<Running>,
    unread: Vec<Sent>,
    job: Option<(Phase, Uuid)>,
    ended: BTreeMap<Phase, State>,
    seen: BTreeSet<Uuid>,
    number: u64,
    outbox: VecDeque<Reported>,
}

impl Agent {
    fn new(name: HostName, does: BTreeMap<Phase, Does>, before: Option<Running>) -> Self {
        Self {
            name,
            does,
            live: before.clone(),
            before,
            unread: Vec::new(),
            job: None,
            ended: BTreeMap::new(),
            seen: BTreeSet::new(),
            number: 0,
            outbox: VecDeque::new(),
        }
    }

    fn say(&mut self, phase: Phase, order: Uuid, state: State) {
        self.number += 1;
        if state.is_final() && !matches!(state, State::Refused { .. }) {
            self.ended.insert(phase, state.clone());
        }
        self.outbox.push_back(Reported {
            host: self.name.clone(),
            project: "shop".parse().expect("a project"),
            order,
            deploy: DEPLOY,
            phase,
            number: self.number,
            state,
            steps: Vec::new(),
            live: self.live.clone(),
            previous: None,
            broke_glass: None,
            head: None,
            unbelieved: None,
        });
    }

    fn ordered(&mut self, now: Timestamp, sent: Sent) {
        match self.does.get(&sent.phase).copied().unwrap_or(Does::Works) {
            Does::Ignores => {}
            Does::ReadsLate => self.unread.push(sent),
            does => self.read(now, sent, does),
        }
    }

    fn refuse(&mut self, sent: Sent, reason: &str) {
        let reason = reason.to_owned();
        self.say(sent.phase, sent.issued.order, State::Refused { reason });
    }

    fn read(&mut self, now: Timestamp, sent: Sent, does: Does) {
        let Sent { phase, issued } = sent;
        let order = issued.order;
        if self.seen.contains(&order) {
            return;
        }
        if now > issued.expires {
            return self.refuse(sent, EXPIRED);
        }
        self.seen.insert(order);
        if does == Does::Refuses {
            return self.refuse(sent, "no");
        }
        if let Some(state) = self.ended.get(&phase).cloned() {
            return self.say(phase, order, state);
        }
        if let Some((_, job)) = self.job.as_mut().filter(|(job, _)| *job == phase) {
            *job = order;
            return self.say(phase, order, State::Accepted);
        }
        if matches!(phase, Phase::Abort | Phase::Rollback) {
            self.cut();
        }
        self.say(phase, order, State::Accepted);
        if phase == Phase::Abort {
            let last = self.ended.values().next_back().cloned();
            let state = match last {
                None | Some(State::Prepared { .. }) => State::Aborted,
                Some(state) => state,
            };
            return self.say(phase, order, state);
        }
        self.job = Some((phase, order));
    }

    fn cut(&mut self) {
        match self.job.take() {
            Some((Phase::Prepare, order)) => self.say(Phase::Prepare, order, State::Aborted),
            Some((phase, order)) => self.say(
                phase,
                order,
                State::PutBack {
                    reason: "aborted".to_owned(),
                },
            ),
            None => {}
        }
    }

    /// Reads what lies there, and ends the job that is under way.
    fn work(&mut self, now: Timestamp) {
        for sent in std::mem::take(&mut self.unread) {
            self.read(now, sent, Does::Works);
        }
        let Some((phase, order)) = self.job.take() else {
            return;
        };
        let reason = "exit 1".to_owned();
        let state = match (self.does.get(&phase).copied().unwrap_or(Does::Works), phase) {
            (Does::AcceptsAndFallsSilent, _) => return,
            (Does::Fails, Phase::Prepare) => State::Failed { reason },
            (Does::Fails, _) => State::PutBack { reason },
            (Does::Breaks, Phase::Activate | Phase::Rollback) => State::Broken { reason },
            (_, Phase::Prepare) => State::Prepared {
                release: running("v2").release,
            },
            (_, Phase::Rollback) => {
                self.live = self.before.clone();
                State::Live
            }
            (_, _) => {
                self.live = Some(running("v2"));
                State::Live
            }
        };
        self.say(phase, order, state);
    }
}

/// What happens next in a history.
#[derive(Debug, Clone)]
enum Event {
    Works(usize),
    Tells(usize),
    TellsTwice(usize),
    Time(u16),
    Pause,
    Resume,
    Abort,
    Back,
    TakenOver(u8),
}

#[derive(Debug, Clone)]
struct Setting {
    action: Action,
    policy: Policy,
    sizes: Vec<Size>,
    does: Vec<BTreeMap<Phase, Does>>,
    first_deploy: bool,
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        12 => Just(Does::Works),
        2 => Just(Does::Fails),
        1 => Just(Does::Breaks),
        1 => Just(Does::Refuses),
        1 => Just(Does::AcceptsAndFallsSilent),
        2 => Just(Does::Ignores),
        3 => Just(Does::ReadsLate),
    ]
}

fn host_does() -> impl Strategy<Value = BTreeMap<Phase, Does>> {
    (does(), does(), does(), does()).prop_map(|(prepare, activate, rollback, abort)| {
        BTreeMap::from([
            (Phase::Prepare, prepare),
            (Phase::Activate, activate),
            (Phase::Rollback, rollback),
            (Phase::Abort, abort),
        ])
    })
}

fn setting() -> impl Strategy<Value = Setting> {
    let size = prop_oneof![
        (1_u32..4).prop_map(Size::Count),
        (1_u32..=100).prop_map(Size::Percent)
    ];
    let tolerated = prop_oneof![
        (0_u32..3).prop_map(Size::Count),
        Just(Size::Percent(2)),
        Just(Size::Percent(40))
    ];
    (
        prop_oneof![5 => Just(Action::Deploy), 1 => Just(Action::Rollback), 1 => Just(Action::Clear)],
        (
            tolerated,
            0_u32..3,
            prop_oneof![Just(0_u64), Just(30)],
            any::<bool>(),
            any::<bool>(),
        ),
        prop::collection::vec(size, 1..4),
        prop::collection::vec(host_does(), 1..9),
    )
        .prop_map(
            |(
                action,
                (max_unreachable, failure_budget, bake_s, stop, first_deploy),
                sizes,
                does,
            )| Setting {
                action,
                policy: Policy {
                    max_unreachable,
                    failure_budget,
                    bake_s,
                    on_failure: if stop {
                        OnFailure::Stop
                    } else {
                        OnFailure::Restore
                    },
                    ..rules()
                },
                sizes,
                does,
                first_deploy,
            },
        )
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => any::<usize>().prop_map(Event::Works),
        12 => any::<usize>().prop_map(Event::Tells),
        2 => any::<usize>().prop_map(Event::TellsTwice),
        4 => (1_u16..90).prop_map(Event::Time),
        1 => Just(Event::Pause),
        1 => Just(Event::Resume),
        1 => Just(Event::Back),
    ]
}

/// Nearly all histories have no person in them who ends them.
fn history() -> impl Strategy<Value = Vec<Event>> {
    let end = prop_oneof![6 => Just(None), 1 => Just(Some(Event::Abort)), 1 => any::<u8>().prop_map(|mask| Some(Event::TakenOver(mask)))];
    (
        prop::collection::vec(event(), 0..120),
        end,
        any::<prop::sample::Index>(),
    )
        .prop_map(|(mut events, end, place)| {
            if let Some(end) = end {
                events.insert(place.index(events.len() + 1), end);
            }
            events
        })
}

/// A rollout, its hosts, and what was seen of both.
struct World {
    setting: Setting,
    now: Timestamp,
    rollout: Rollout,
    agents: Vec<Agent>,
    orders: BTreeMap<HostName, BTreeSet<Phase>>,
    /// The newest order of each host and phase.
    issued: BTreeMap<(HostName, Phase), Issued>,
    ids: u128,
    taken_over: BTreeSet<HostName>,
    ended: usize,
}

impl World {
    fn new(setting: Setting) -> Self {
        let names: Vec<HostName> = (0..setting.does.len())
            .map(|n| host(&format!("web{n}")))
            .collect();
        let before = (!setting.first_deploy).then(|| running("v1"));
        let agents: Vec<Agent> = names
            .iter()
            .zip(&setting.does)
            .map(|(name, does)| Agent::new(name.clone(), does.clone(), before.clone()))
            .collect();
        let spec = Spec {
            deploy: DEPLOY,
            action: setting.action,
            policy: setting.policy.clone(),
            waves: split(&names, &setting.sizes, &[]),
            before: agents
                .iter()
                .filter_map(|agent| Some((agent.name.clone(), agent.live.clone()?)))
                .collect(),
            left: BTreeMap::new(),
        };
        Self {
            setting,
            now: at(0),
            rollout: Rollout::new(spec),
            agents,
            orders: BTreeMap::new(),
            issued: BTreeMap::new(),
            ids: 1 << 64,
            taken_over: BTreeSet::new(),
            ended: 0,
        }
    }

    /// One step, done twice: by the rollout, and by a copy that went through the store.
    fn feed(&mut self, input: Input) {
        let stored = serde_json::to_string(&self.rollout).expect("a rollout is JSON");
        let mut restored: Rollout =
            serde_json::from_str(&stored).expect("what was stored can be read");
        let was_ended = self.rollout.is_ended();
        let outputs = self.rollout.step(self.now, input.clone());
        assert_eq!(
            restored.step(self.now, input),
            outputs,
            "a stored rollout goes on in the same way"
        );
        for output in outputs {
            match output {
                Output::Order { host, phase } => {
                    assert!(!was_ended, "nothing is ordered after the end");
                    self.check_order(&host, phase);
                    self.orders.entry(host.clone()).or_default().insert(phase);
                    let issued = self.issue(&host, phase);
                    let now = self.now;
                    let agent = self.agents.iter_mut().find(|agent| agent.name == host);
                    agent
                        .expect("an order for a target")
                        .ordered(now, Sent { phase, issued });
                }
                Output::Changed => {}
                Output::Ended => {
                    self.ended += 1;
                    self.check_end();
                }
            }
        }
    }

    /// As the orchestrator does: one that has expired is made anew; and the clock that ids are made from runs backwards.
    fn issue(&mut self, host: &HostName, phase: Phase) -> Issued {
        let key = (host.clone(), phase);
        let known = self.issued.get(&key).copied();
        if let Some(known) = known.filter(|known| known.expires > self.now) {
            return known;
        }
        self.ids -= 1;
        let valid_s = match phase {
            Phase::Prepare => self.setting.policy.prepare_limit_s,
            _ => self.setting.policy.reach_limit_s,
        };
        let issued = Issued {
            order: Uuid::from_u128(self.ids),
            expires: after(self.now, valid_s),
        };
        self.rollout.issued(host, phase, issued);
        self.issued.insert(key, issued);
        issued
    }

    /// Whoever only read too late has not failed.
    fn check_refused(&self, report: &Reported) {
        let expired =
            |state: &State| matches!(state, State::Refused { reason } if reason == EXPIRED);
        let record = &self.rollout.hosts[&report.host];
        let blamed = record.state == HostState::Refused || record.state == HostState::Broken;
        let said = record.detail.as_deref().unwrap_or_default();
        assert!(
            !expired(&report.state) || !blamed || !said.contains(EXPIRED),
            "{} only read too late: {record:?}",
            report.host
        );
    }

    fn hear(&mut self, report: Reported) {
        self.feed(Input::Report(Box::new(report.clone())));
        self.check_refused(&report);
    }

    fn check_order(&self, host: &HostName, phase: Phase) {
        let known = self.orders.get(host);
        let had = |phase| known.is_some_and(|known| known.contains(&phase));
        assert!(
            !self.taken_over.contains(host),
            "{host} was taken over and gets nothing more"
        );
        match (self.setting.action, phase) {
            (Action::Deploy, Phase::Prepare) => {}
            (Action::Deploy, Phase::Activate) if had(Phase::Activate) => {}
            (Action::Deploy, Phase::Activate) => self.check_wave(host),
            (Action::Deploy, Phase::Rollback) => {
                assert!(
                    had(Phase::Activate),
                    "{host} was never activated, so it has nothing to go back from"
                );
            }
            (_, Phase::Abort) => {
                assert_eq!(
                    self.setting.action,
                    Action::Deploy,
                    "a rollback is never aborted on a host"
                );
            }
            (Action::Rollback, Phase::Rollback) | (Action::Clear, Phase::Clear) => {}
            (action, phase) => panic!("a {action:?} orders nothing to {phase}"),
        }
    }

    /// The first order to activate: everything before must be proven good.
    fn check_wave(&self, host: &HostName) {
        let record = |name: &HostName| &self.rollout.hosts[name];
        let settled = |name: &HostName| {
            !matches!(
                record(name).state,
                HostState::Untouched | HostState::Preparing
            )
        };
        assert!(
            self.rollout.hosts.keys().all(settled),
            "{host} activates before all are prepared or given up"
        );
        let wave = self.rollout.wave_of(host).expect("it is in a wave") as usize - 1;
        let failed = self.rollout.which(|record| record.failed()).len();
        assert!(
            failed <= self.rollout.policy.failure_budget as usize,
            "{host} activates beyond the budget"
        );
        for earlier in &self.rollout.waves[..wave] {
            let activated = |name: &&HostName| {
                self.orders
                    .get(*name)
                    .is_some_and(|had| had.contains(&Phase::Activate))
            };
            let live = earlier
                .iter()
                .filter(|name| record(name).state == HostState::Live)
                .count();
            let under_way = earlier.iter().any(|name| record(name).order.is_some());
            assert!(
                !under_way,
                "{host} activates while the wave before is under way"
            );
            let nobody = earlier.iter().filter(activated).count() == 0;
            assert!(
                live > 0 || nobody,
                "{host} activates after a wave that no host came through"
            );
        }
    }

    fn happen(&mut self, event: Event) {
        let count = self.agents.len();
        match event {
            Event::Works(n) => self.agents[n % count].work(self.now),
            Event::Tells(n) => {
                if let Some(report) = self.agents[n % count].outbox.pop_front() {
                    self.hear(report);
                }
            }
            Event::TellsTwice(n) => {
                if let Some(report) = self.agents[n % count].outbox.pop_front() {
                    self.hear(report.clone());
                    let once = self.rollout.clone();
                    self.feed(Input::Report(Box::new(report)));
                    assert_eq!(
                        self.rollout, once,
                        "a report that comes twice changes nothing"
                    );
                }
            }
            Event::Time(seconds) => {
                self.now = self
                    .now
                    .checked_add(SignedDuration::from_secs(seconds.into()))
                    .expect("in range");
                self.feed(Input::Tick);
                let wake = self.rollout.next_wake();
                assert!(
                    wake.is_none_or(|wake| wake > self.now),
                    "it asks to be woken for nothing"
                );
            }
            Event::Pause => self.feed(Input::Pause),
            Event::Resume => self.feed(Input::Resume),
            Event::Abort => self.feed(Input::Abort),
            Event::Back => self.feed(Input::Back),
            Event::TakenOver(mask) => {
                let chosen = self
                    .agents
                    .iter()
                    .enumerate()
                    .filter(|(n, _)| mask & (1 << (n % 8)) != 0);
                let hosts: BTreeSet<_> = chosen.map(|(_, agent)| agent.name.clone()).collect();
                if !self.rollout.is_ended() {
                    self.taken_over.clone_from(&hosts);
                }
                self.feed(Input::TakenOver {
                    by: Uuid::from_u128(9),
                    hosts,
                });
            }
        }
    }

    /// Everybody does what is left, and time passes: then it must end.
    fn drain(&mut self) {
        self.feed(Input::Resume);
        for _ in 0..400 {
            for n in 0..self.agents.len() {
                self.agents[n].work(self.now);
                while let Some(report) = self.agents[n].outbox.pop_front() {
                    self.hear(report);
                }
            }
            if self.rollout.is_ended() {
                return;
            }
            let wake = self
                .rollout
                .next_wake()
                .expect("a rollout that waits says until when");
            self.now = self.now.max(wake);
            self.feed(Input::Tick);
        }
        panic!("it never ends: {:?}", self.rollout);
    }

    /// At the end; what hosts say late is still taken down after it.
    fn check_end(&self) {
        assert_eq!(self.ended, 1, "the end comes once");
        let live = self.rollout.which(|record| record.state == HostState::Live);
        match self.rollout.stage {
            Stage::Ended(Outcome::Succeeded) => {
                assert!(!live.is_empty(), "a success runs somewhere");
                let failed = self.rollout.which(|record| record.failed()).len();
                assert!(failed <= self.rollout.policy.failure_budget as usize);
                let away = self
                    .rollout
                    .which(|record| record.state == HostState::Unreachable && !record.lost)
                    .len();
                assert!(away <= self.rollout.allowed_unreachable());
            }
            Stage::Ended(Outcome::Failed | Outcome::Aborted) => {
                let restores = self.setting.policy.on_failure == OnFailure::Restore
                    || matches!(self.rollout.stage, Stage::Ended(Outcome::Aborted));
                if self.setting.action == Action::Deploy && restores {
                    let left: Vec<_> = live
                        .iter()
                        .filter(|name| !self.taken_over.contains(*name))
                        .collect();
                    assert!(
                        left.is_empty(),
                        "{left:?} were left on a release that failed"
                    );
                }
            }
            _ => panic!("it has ended"),
        }
        for agent in &self.agents {
            let orders = self.orders.get(&agent.name).cloned().unwrap_or_default();
            if !orders.contains(&Phase::Activate) && self.setting.action == Action::Deploy {
                assert_eq!(
                    agent.live, agent.before,
                    "{} was never told to activate",
                    agent.name
                );
            }
        }
        assert!(
            deploy_orchestrator::texts::reason(&self.rollout).is_some()
                || matches!(self.rollout.stage, Stage::Ended(Outcome::Succeeded))
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_wave_starts_before_the_one_before_is_good_and_untouched_hosts_stay_untouched(
        setting in setting(),
        history in history(),
    ) {
        let mut world = World::new(setting);
        world.feed(Input::Begin);
        for event in history {
            world.happen(event);
            let waits = !world.rollout.is_ended();
            prop_assert!(!waits || deploy_orchestrator::texts::reason(&world.rollout).is_some(), "each waiting state says why");
        }
        world.drain();
        prop_assert_eq!(world.ended, 1);
    }
}
