//! Whole sequences of decisions: scripted outcomes in, steps and verdict out, as text.

use deploy_agent::machine::{
    Asked, Decision, End, Facts, Ground, Outcome, Record, Rules, State, What, accept, decide,
    report::{Whose, report, untold},
};
use events::{
    CommitId,
    message::{self, Phase, Step},
};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

const DEPLOY: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0000;

/// A host without disk, clock or scripts.
struct Host {
    state: State,
    records: Vec<Record>,
    ground: Ground,
    now: Timestamp,
    refresh: bool,
    keep: usize,
    orders: u64,
    done: Vec<String>,
}

fn commit(number: u8) -> CommitId {
    format!("{number:02x}")
        .repeat(20)
        .parse()
        .expect("forty hex digits")
}

impl Host {
    fn new() -> Self {
        Self {
            state: State::default(),
            records: Vec::new(),
            ground: Ground::new(),
            now: "2025-03-01T12:00:00Z".parse().expect("a time"),
            refresh: false,
            keep: 5,
            orders: 0,
            done: Vec::new(),
        }
    }

    /// A host on which these versions were deployed in this order.
    fn with(versions: &[u8]) -> Self {
        let mut host = Self::new();
        for version in versions {
            host.deploy(*version, &[]);
        }
        host.done.clear();
        host
    }

    fn facts(&self) -> Facts {
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

    fn record(&mut self, what: What) {
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
    fn order(&mut self, phase: Phase, version: Option<u8>, deploy: u64, undo: bool) -> Uuid {
        self.orders += 1;
        let asked = Asked {
            order: Uuid::from_u128(u128::from(self.orders)),
            deploy: Uuid::from_u128(DEPLOY + u128::from(deploy)),
            phase,
            undo,
            commit: version.map(commit),
            tag: version.map(|version| format!("v{version}").parse().expect("a tag")),
            wave: 1,
            sequence: self.orders,
            epoch: 1,
            grant: "sha256:00".to_owned(),
            by: vec!["alice@example.org".to_owned()],
            expires: self.now + SignedDuration::from_mins(1),
        };
        let order = asked.order;
        let what = match accept(&self.state, &asked, &self.ground, self.now) {
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

    /// Does what is decided until nothing is, or until a step has begun that is to be stopped at.
    fn run(&mut self, outcomes: &[(Step, &[&str])], stop_at: Option<Step>) {
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

    fn end_step(&mut self, step: Step, attempt: u32, outcome: &str) {
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
            self.ground.insert(release, self.refresh);
        }
        let order = job.asked.order;
        let outcome = Outcome {
            end,
            exit,
            duration_ms: 7,
            detail,
        };
        self.record(What::Ended {
            order,
            step,
            attempt,
            outcome,
        });
    }

    fn deploy(&mut self, version: u8, outcomes: &[(Step, &[&str])]) {
        self.order(Phase::Prepare, Some(version), version.into(), false);
        self.run(outcomes, None);
        self.order(Phase::Activate, Some(version), version.into(), false);
        self.run(outcomes, None);
    }

    /// What was done since the last look, and what is live now.
    fn told(&mut self) -> String {
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
        other => format!("{other:?}"),
    }
}

/// Deploys v2 over v1 with these outcomes; gives what was done after v2 was prepared.
fn check(outcomes: &[(Step, &[&str])], expected: &str) {
    let mut host = Host::with(&[1]);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], None);
    host.done.clear();
    host.order(Phase::Activate, Some(2), 2, false);
    host.run(outcomes, None);
    assert_eq!(host.told(), expected);
}

const NO_TABLE: &[&str] = &["GET /health 500 \"no such table\""];

#[test]
fn a_first_deploy_has_nothing_to_stop() {
    let mut host = Host::new();
    host.deploy(1, &[]);
    assert_eq!(
        host.told(),
        "objects layout shared build = prepared pre-deploy switch start check post-deploy = live | v1"
    );
}

#[test]
fn a_deploy_stops_switches_starts_and_checks() {
    check(
        &[],
        "pre-deploy stop switch start check post-deploy = live | v2",
    );
}

#[test]
fn a_refresh_replaces_stop_and_start() {
    let mut host = Host::with(&[1]);
    host.refresh = true;
    host.deploy(2, &[]);
    assert_eq!(
        host.told(),
        "objects layout shared build = prepared pre-deploy switch refresh check post-deploy = live | v2"
    );
}

#[test]
fn a_failed_refresh_goes_back_with_stop_and_start() {
    let mut host = Host::with(&[1]);
    host.refresh = true;
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], None);
    host.done.clear();
    host.order(Phase::Activate, Some(2), 2, false);
    host.run(&[(Step::Refresh, &["no"])], None);
    assert_eq!(
        host.told(),
        "pre-deploy switch refresh(no) back-stop switch-back back-start back-check \
         = put back: refresh: exit 1: no | v1"
    );
}

#[test]
fn a_failed_check_is_tried_again_and_then_put_back() {
    check(
        &[(Step::Check, NO_TABLE)],
        "pre-deploy stop switch start \
         check(GET /health 500 \"no such table\") check 2(GET /health 500 \"no such table\") \
         check 3(GET /health 500 \"no such table\") back-stop switch-back back-start back-check \
         = put back: check: exit 1, 3 tries: GET /health 500 \"no such table\" | v1",
    );
}

#[test]
fn a_check_may_pass_at_its_second_try() {
    check(
        &[(Step::Check, &["warming up", "ok"])],
        "pre-deploy stop switch start check(warming up) check 2 post-deploy = live | v2",
    );
}

#[test]
fn a_failure_before_the_stop_touches_nothing() {
    check(
        &[(Step::PreDeploy, &["migration failed"])],
        "pre-deploy(migration failed) = failed: pre-deploy: exit 1: migration failed | v1",
    );
}

#[test]
fn a_failed_stop_starts_the_old_one_again() {
    check(
        &[(Step::Stop, &["hangs"])],
        "pre-deploy stop(hangs) back-start back-check = put back: stop: exit 1: hangs | v1",
    );
}

#[test]
fn a_failed_switch_is_undone() {
    check(
        &[(Step::Switch, &["disk error"])],
        "pre-deploy stop switch(disk error) switch-back back-start back-check \
         = put back: switch: exit 1: disk error | v1",
    );
}

#[test]
fn a_script_over_its_limit_is_put_back() {
    check(
        &[(Step::Start, &["timed out"])],
        "pre-deploy stop switch start(timed out) back-stop switch-back back-start back-check \
         = put back: start: ended at its limit of time: still migrating | v1",
    );
}

#[test]
fn an_interrupted_start_is_put_back_and_an_interrupted_check_is_tried_again() {
    check(
        &[(Step::Start, &["interrupted"])],
        "pre-deploy stop switch start(interrupted) back-stop switch-back back-start back-check \
         = put back: start: interrupted | v1",
    );
    check(
        &[(Step::Check, &["interrupted", "ok"])],
        "pre-deploy stop switch start check(interrupted) check 2 post-deploy = live | v2",
    );
}

#[test]
fn a_failed_post_deploy_is_put_back() {
    check(
        &[(Step::PostDeploy, &["no"])],
        "pre-deploy stop switch start check post-deploy(no) back-stop switch-back back-start \
         back-check = put back: post-deploy: exit 1: no | v1",
    );
}

#[test]
fn what_the_failed_release_leaves_does_not_hold_up_putting_back() {
    check(
        &[
            (Step::Start, &["no"]),
            (Step::BackStop, &["was not started"]),
        ],
        "pre-deploy stop switch start(no) back-stop(was not started) switch-back back-start \
         back-check = put back: start: exit 1: no | v1",
    );
}

#[test]
fn a_failed_putting_back_is_loud() {
    check(
        &[(Step::Start, &["no"]), (Step::BackStart, &["port in use"])],
        "pre-deploy stop switch start(no) back-stop switch-back back-start(port in use) \
         = broken: start: exit 1: no; then back-start: exit 1: port in use | v1",
    );
}

#[test]
fn a_host_that_is_broken_says_so_until_something_is_good() {
    let mut host = Host::with(&[1]);
    host.deploy(2, &[(Step::Start, &["no"]), (Step::BackCheck, &["no"])]);
    assert_eq!(
        host.state.stuck.as_deref(),
        Some("start: exit 1: no; then back-check: exit 1, 3 tries: no")
    );
    host.deploy(3, &[]);
    assert_eq!(host.state.stuck, None);
}

#[test]
fn a_first_deploy_that_fails_leaves_nothing_live() {
    let mut host = Host::new();
    host.deploy(1, &[(Step::Check, NO_TABLE)]);
    assert!(host.told().ends_with(
        "back-stop switch-back = put back: check: exit 1, 3 tries: \
         GET /health 500 \"no such table\"; nothing was live before | nothing"
    ));
}

#[test]
fn a_preparation_waits_for_its_objects_until_the_order_expires() {
    let mut host = Host::new();
    host.order(Phase::Prepare, Some(1), 1, false);
    host.run(&[(Step::Objects, &["not yet", "not yet", "ok"])], None);
    assert_eq!(
        host.told(),
        "objects(not yet) objects 2(not yet) objects 3 layout shared build = prepared | nothing"
    );
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[(Step::Objects, &["not yet"])], None);
    let told = host.told();
    assert!(
        told.ends_with("= failed: objects: no mirror, until the order expired | nothing"),
        "{told}"
    );
}

#[test]
fn a_preparation_that_fails_leaves_nothing_behind() {
    let mut host = Host::with(&[1]);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[(Step::Build, &["no compiler"])], None);
    assert_eq!(
        host.told(),
        "objects layout shared build(no compiler) = failed: build: exit 1: no compiler prune 1 | v1"
    );
    host.order(Phase::Activate, Some(2), 2, false);
    assert_eq!(host.told(), "refused: 0202020202 is not prepared here | v1");
}

#[test]
fn the_same_revision_is_not_prepared_twice() {
    let mut host = Host::with(&[1, 2]);
    host.deploy(1, &[]);
    assert_eq!(
        host.told(),
        "= prepared pre-deploy stop switch start check post-deploy = live | v1"
    );
}

#[test]
fn a_second_deploy_is_told_who_holds_the_project() {
    let mut host = Host::with(&[1]);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], Some(Step::Build));
    host.done.clear();
    host.order(Phase::Prepare, Some(3), 3, false);
    assert_eq!(
        host.told(),
        "refused: busy since 2025-03-01 12:00:00 UTC with the prepare of deploy \
         01900000-0000-7000-8000-000000000002, ordered by alice@example.org | v1"
    );
}

#[test]
fn a_rollback_goes_back_and_twice_further_back_never_forward() {
    let mut host = Host::with(&[1, 2, 3]);
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[], None);
    assert_eq!(host.told(), "stop switch start check = live | v2");
    host.order(Phase::Rollback, None, 11, false);
    host.run(&[], None);
    assert_eq!(host.told(), "stop switch start check = live | v1");
    host.order(Phase::Rollback, None, 12, false);
    let told = host.told();
    assert!(
        told.starts_with("refused: there is nothing to go back to: no release before "),
        "{told}"
    );
    assert_eq!(
        host.state.bad.len(),
        2,
        "what a rollback left is marked bad"
    );
    host.deploy(3, &[]);
    assert_eq!(
        host.state.bad.len(),
        1,
        "a deploy that is good takes the mark off"
    );
}

#[test]
fn a_rollback_never_goes_to_a_release_that_was_rolled_back() {
    let mut host = Host::with(&[1, 2]);
    host.deploy(1, &[]);
    host.done.clear();
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[], None);
    assert_eq!(host.told(), "stop switch start check = live | v2");
    host.order(Phase::Rollback, None, 11, false);
    assert!(
        host.told()
            .starts_with("refused: there is nothing to go back to")
    );
}

#[test]
fn a_stop_that_fails_does_not_hold_up_a_rollback_but_a_start_does() {
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[(Step::Stop, &["hangs"])], None);
    assert_eq!(host.told(), "stop(hangs) switch start check = live | v1");
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[(Step::Start, &["no"])], None);
    assert_eq!(
        host.told(),
        "stop switch start(no) = broken: start: exit 1: no | v1"
    );
}

#[test]
fn nothing_live_is_nothing_to_roll_back() {
    let mut host = Host::new();
    host.order(Phase::Rollback, None, 10, false);
    assert_eq!(
        host.told(),
        "refused: nothing is live, so there is nothing to go back from | nothing"
    );
}

#[test]
fn a_rollback_ends_a_deploy_that_is_going_live_and_goes_to_what_was_live() {
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Prepare, Some(3), 3, false);
    host.run(&[], None);
    host.order(Phase::Activate, Some(3), 3, false);
    host.run(&[], Some(Step::Start));
    host.done.clear();
    let rollback = host.order(Phase::Rollback, None, 10, false);
    let job = host.state.current().expect("the deploy is under way");
    assert!(job.ends_script(), "its script is ended");
    host.run(&[(Step::Start, &["ended"])], None);
    assert_eq!(
        host.told(),
        "start(ended) back-stop switch-back back-start back-check \
         = put back: a rollback was ordered = live | v2"
    );
    let known = host.state.known(rollback).expect("the rollback is known");
    assert_eq!(
        known.verdict.as_ref().map(|end| &end.state),
        Some(&message::State::Live)
    );
    assert_eq!(
        host.state.bad.len(),
        1,
        "the deploy that was rolled back is marked bad"
    );
    host.order(Phase::Rollback, None, 11, false);
    host.run(&[], None);
    assert_eq!(host.told(), "stop switch start check = live | v1");
}

#[test]
fn a_rollback_ends_a_preparation_and_goes_back_from_what_is_live() {
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Prepare, Some(3), 3, false);
    host.run(&[], Some(Step::Build));
    host.done.clear();
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[(Step::Build, &["ended"])], None);
    assert_eq!(
        host.told(),
        "build(ended) = aborted stop switch start check = live prune 1 | v1"
    );
}

#[test]
fn a_rollback_that_comes_as_putting_back_fails_starts_the_old_one_again() {
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Prepare, Some(3), 3, false);
    host.run(&[], None);
    host.order(Phase::Activate, Some(3), 3, false);
    let failing: &[(Step, &[&str])] = &[(Step::Start, &["no"]), (Step::BackStart, &["no"])];
    host.run(failing, Some(Step::BackStart));
    host.done.clear();
    host.order(Phase::Rollback, None, 10, false);
    let job = host.state.current().expect("the deploy is under way");
    assert!(!job.ends_script(), "nothing ends putting back");
    host.run(&[(Step::BackStart, &["no"])], None);
    assert_eq!(
        host.told(),
        "back-start(no) = broken: start: exit 1: no; then back-start: exit 1: no \
         stop switch start check = live | v2"
    );
}

#[test]
fn a_second_rollback_waits_for_nobody() {
    let mut host = Host::with(&[1, 2, 3]);
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[], Some(Step::Start));
    host.done.clear();
    host.order(Phase::Rollback, None, 11, false);
    assert!(host.told().starts_with("refused: busy since"));
    host.run(&[], None);
    assert_eq!(host.told(), "start check = live | v2");
}

#[test]
fn a_failing_deploy_takes_its_own_change_back_and_no_more() {
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Rollback, Some(2), 2, true);
    host.run(&[], None);
    assert_eq!(
        host.told(),
        "stop switch start check = live | v1",
        "v2 was its deploy"
    );
    host.order(Phase::Rollback, Some(2), 2, true);
    host.run(&[], None);
    assert_eq!(host.told(), "= live | v1", "it is undone already");
    host.order(Phase::Rollback, Some(3), 3, true);
    host.run(&[], None);
    assert_eq!(host.told(), "= live | v1", "that deploy never came here");
}

#[test]
fn a_failing_first_deploy_is_taken_back_to_nothing() {
    let mut host = Host::with(&[1]);
    host.order(Phase::Rollback, Some(1), 1, true);
    host.run(&[], None);
    assert_eq!(host.told(), "stop switch = live | nothing");
}

#[test]
fn an_abort_ends_what_its_deploy_does_and_says_how_that_ended() {
    let mut host = Host::with(&[1]);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], Some(Step::Build));
    host.done.clear();
    host.order(Phase::Abort, Some(2), 2, false);
    host.run(&[(Step::Build, &["ended"])], None);
    assert_eq!(host.told(), "build(ended) = aborted = aborted prune 1 | v1");

    let mut host = Host::with(&[1]);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], None);
    host.order(Phase::Activate, Some(2), 2, false);
    host.run(&[], Some(Step::Check));
    host.done.clear();
    host.order(Phase::Abort, Some(2), 2, false);
    host.run(&[(Step::Check, &["ended"])], None);
    assert_eq!(
        host.told(),
        "check(ended) back-stop switch-back back-start back-check = put back: aborted \
         = put back: aborted | v1"
    );
}

#[test]
fn an_abort_of_another_deploy_ends_nothing() {
    let mut host = Host::with(&[1]);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], Some(Step::Build));
    host.done.clear();
    host.order(Phase::Abort, Some(3), 3, false);
    host.run(&[], None);
    assert_eq!(host.told(), "build = prepared = aborted | v1");
}

#[test]
fn an_abort_does_not_wait_for_a_waiting_preparation() {
    let mut host = Host::new();
    host.order(Phase::Prepare, Some(1), 1, false);
    host.run(&[], Some(Step::Objects));
    host.end_step(Step::Objects, 1, "not yet");
    host.order(Phase::Abort, Some(1), 1, false);
    host.run(&[], None);
    assert_eq!(
        host.told(),
        "objects(not yet) = aborted = aborted | nothing"
    );
}

#[test]
fn old_releases_go_but_never_live_nor_what_a_rollback_needs() {
    let mut host = Host::with(&[1, 2]);
    host.keep = 2;
    host.deploy(3, &[]);
    assert!(host.told().contains("prune 1"));
    let left: Vec<&CommitId> = host.state.releases.values().collect();
    assert_eq!(left, [&commit(2), &commit(3)]);
    for version in 4..8 {
        host.deploy(version, &[(Step::Check, &["no"])]);
    }
    assert_eq!(host.state.previous().map(|past| past.label()), Some("v2"));
    host.done.clear();
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[], None);
    assert!(
        host.told().starts_with("stop switch start check = live"),
        "v2 is still there"
    );
}

#[test]
fn a_crash_at_any_point_leads_to_the_same_end() {
    // The decision depends on the journal alone: deciding again on the records so far asks for the same step again.
    let mut host = Host::with(&[1, 2]);
    host.deploy(3, &[(Step::Check, NO_TABLE)]);
    let until = |count: usize| State::replay(&host.records[..count]);
    for count in 0..host.records.len() {
        let next = &host.records[count];
        let facts = Facts {
            now: next.at,
            ..host.facts()
        };
        match (decide(&until(count), &facts), &next.what) {
            (
                Decision::Do(step, attempt),
                What::Began {
                    step: s,
                    attempt: a,
                    ..
                },
            )
            | (
                Decision::Do(step, attempt),
                What::Ended {
                    step: s,
                    attempt: a,
                    ..
                },
            ) => {
                assert_eq!((step, attempt), (*s, *a));
            }
            (Decision::Finish(state), What::Finished { state: found, .. }) => {
                assert_eq!(state, *found);
            }
            (Decision::Idle | Decision::Prune(_), What::Accepted { .. } | What::Pruned { .. }) => {}
            (Decision::Wait(_), What::Began { .. }) => {}
            (decided, recorded) => panic!("{decided:?} before {recorded:?}"),
        }
    }
}

#[test]
fn reports_count_up_and_the_last_one_stays_as_it_was() {
    let mut host = Host::with(&[1]);
    let whose = Whose {
        host: "web1".parse().expect("a host"),
        project: "shop".parse().expect("a project"),
    };
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], None);
    let order = host.order(Phase::Activate, Some(2), 2, false);
    let told = |host: &Host| {
        report(
            &host.state,
            host.state.known(order).expect("it is known"),
            &whose,
        )
    };
    assert_eq!(told(&host).state, message::State::Accepted);
    let mut number = told(&host).number;
    for step in [
        Step::PreDeploy,
        Step::Stop,
        Step::Switch,
        Step::Start,
        Step::Check,
    ] {
        host.run(&[(Step::Check, NO_TABLE)], Some(step));
        let report = told(&host);
        assert_eq!(report.state, message::State::Working { step });
        assert!(report.number > number, "{} after {number}", report.number);
        number = report.number;
        host.end_step(
            step,
            1,
            if step == Step::Check {
                NO_TABLE[0]
            } else {
                "ok"
            },
        );
    }
    host.run(&[(Step::Check, NO_TABLE)], None);
    let last = told(&host);
    assert!(last.state.is_final() && last.number > number);
    assert_eq!(last.live.as_ref().map(|live| live.label()), Some("v1"));
    let check = last
        .steps
        .iter()
        .find(|step| step.step == Step::Check)
        .expect("it was checked");
    assert_eq!(
        (check.tries, check.exit, check.detail.as_deref()),
        (3, Some(1), Some(NO_TABLE[0]))
    );
    assert!(untold(&host.state, &whose).contains(&last));
    host.record(What::Told { order });
    assert!(!untold(&host.state, &whose).contains(&last));
    host.deploy(3, &[]);
    assert_eq!(told(&host), last);
}

#[test]
fn the_marks_rise_with_refused_orders_too() {
    let mut host = Host::with(&[1]);
    let before = host.state.sequence;
    host.order(Phase::Activate, Some(9), 9, false);
    assert_eq!(host.state.sequence, before + 1);
    assert!(host.state.queue.is_empty());
}
