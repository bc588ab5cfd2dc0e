//! Preparations, what is refused, what is kept, what is told.

use deploy_agent::machine::{
    Decision, Facts, State, What, decide,
    report::{Whose, report, untold},
};
use events::{
    CommitId,
    message::{self, Phase, Step},
};

use super::host::{Host, NO_TABLE, commit};

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
    host.deploy_as(20, 1, &[]);
    assert_eq!(
        host.told(),
        "objects = prepared pre-deploy stop switch start check post-deploy = live | v1"
    );
}

#[test]
fn a_second_deploy_is_told_who_holds_the_project() {
    let mut host = Host::with(&[1]);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], None);
    host.order(Phase::Activate, Some(2), 2, false);
    host.run(&[], Some(Step::PreDeploy));
    host.done.clear();
    host.order(Phase::Prepare, Some(3), 3, false);
    assert_eq!(
        host.told(),
        "refused: busy since 2025-03-01 12:00:00 UTC with the activate of deploy \
         01900000-0000-7000-8000-000000000002, ordered by alice@example.org | v1"
    );
    let job = host.state.current().expect("it goes on");
    assert!(!job.ends_script());
}

#[test]
fn a_preparation_takes_the_place_of_one_that_another_deploy_left() {
    let mut host = Host::with(&[1]);
    let left = host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], Some(Step::Build));
    host.done.clear();
    host.order(Phase::Prepare, Some(3), 3, false);
    let job = host.state.current().expect("it ends first");
    assert!(job.asked.order == left && job.ends_script());
    host.run(&[(Step::Build, &["ended", "ok"])], Some(Step::Objects));
    let known = host.state.known(left).expect("it is known");
    let verdict = known.verdict.as_ref().map(|end| &end.state);
    assert_eq!(verdict, Some(&message::State::Aborted));
    host.run(&[], None);
    assert_eq!(
        host.told(),
        "build(ended) = aborted objects layout shared build = prepared prune 1 | v1"
    );
    host.order(Phase::Activate, Some(2), 2, false);
    assert_eq!(host.told(), "refused: 0202020202 is not prepared here | v1");
    host.order(Phase::Activate, Some(3), 3, false);
    host.run(&[], None);
    assert!(host.told().ends_with("= live | v3"));
}

#[test]
fn of_preparations_that_come_one_after_another_only_the_last_is_done() {
    let mut host = Host::with(&[1]);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], Some(Step::Objects));
    host.done.clear();
    for deploy in [3, 4] {
        host.order(Phase::Prepare, Some(2), deploy, false);
    }
    host.end_step(Step::Objects, 1, "ended");
    host.run(&[], None);
    assert_eq!(
        host.told(),
        "objects(ended) = aborted = aborted objects layout shared build = prepared | v1"
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
    let before = host.state.marks("").sequence;
    host.order(Phase::Activate, Some(9), 9, false);
    assert_eq!(host.state.marks("").sequence, before + 1);
    assert!(host.state.queue.is_empty());
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
fn an_order_made_anew_for_the_same_deploy_is_answered_and_not_done_again() {
    let mut host = Host::with(&[1]);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], Some(Step::Build));
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], None);
    assert_eq!(
        host.told(),
        "objects layout shared build = prepared = prepared | v1"
    );
    host.order(Phase::Activate, Some(2), 2, false);
    host.run(&[], Some(Step::Check));
    host.order(Phase::Activate, Some(2), 2, false);
    host.run(&[(Step::Check, &["no"]), (Step::BackCheck, &["no"])], None);
    let broken = "broken: check: exit 1, 3 tries: no; then back-check: exit 1, 3 tries: no";
    let told = host.told();
    assert!(
        told.ends_with(&format!("= {broken} = {broken} | v1")),
        "{told}"
    );
    host.clears = vec![2];
    host.deploy(3, &[]);
    host.done.clear();
    host.order(Phase::Activate, Some(2), 2, false);
    host.run(&[], None);
    assert_eq!(host.told(), format!("= {broken} | v3"));
    assert_eq!(host.state.stuck, None, "an old answer changes nothing");
}

/// Whether the name in a grant leads to the commit is looked at while it is prepared: nobody may leave that out.
#[test]
fn what_was_prepared_for_one_deploy_is_not_activated_for_another() {
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Activate, Some(1), 20, false);
    let told = host.told();
    assert!(
        told.starts_with("refused: 0101010101 is prepared here, but not for deploy "),
        "{told}"
    );
}

/// Signer and sequence of the orders so far, then of the next one, and what that has to be above.
#[test]
fn each_orchestrator_has_a_mark_of_its_own_and_an_older_journal_marks_all() {
    for (seen, next, mark) in [
        (&[("one", 7)][..], "one", 7),
        (&[("one", 7), ("one", 3)], "one", 7),
        // A new name, which may be an old one's.
        (&[("one", 7)], "two", 7),
        (&[], "two", 0),
        (&[("one", 7), ("two", 3)], "two", 3),
        (&[("", 5)], "one", 5),
        (&[("", 5), ("one", 7)], "one", 7),
        (&[("", 5), ("one", 7)], "two", 7),
    ] {
        let mut host = Host::new();
        host.order(Phase::Abort, None, 1, false);
        let Some(What::Accepted { order, task }) = host.records.pop().map(|first| first.what)
        else {
            panic!("it was accepted");
        };
        let mut host = Host::new();
        for (signer, sequence) in seen {
            let mut order = order.clone();
            order.signer = (*signer).to_owned();
            order.sequence = *sequence;
            let task = task.clone();
            host.record(What::Accepted { order, task });
        }
        let found = host.state.marks(next);
        let epoch = u64::from(!seen.is_empty());
        assert_eq!(
            (found.sequence, found.epoch),
            (mark, epoch),
            "{seen:?} {next}"
        );
    }
}
