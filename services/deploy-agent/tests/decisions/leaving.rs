//! What a rollback leaves behind, what it may not touch, and what is used up by it.

use deploy_agent::{machine::What, scripts::Script};
use events::message::{Phase, Step};

use super::host::{Host, commit, deploy_id};

/// A host on which 1 was good, and 2 broke when it was taken back: 1 is live, but did not start.
fn broken_going_back() -> Host {
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Rollback, None, 2, true);
    host.run(&[(Step::Start, &["no"])], None);
    let told = host.told();
    assert!(told.ends_with("= broken: start: exit 1: no | v1"), "{told}");
    host
}

#[test]
fn a_rollback_after_one_that_broke_goes_further_back_and_never_forward() {
    let mut host = Host::with(&[1, 2, 3]);
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[(Step::Start, &["no"])], None);
    host.done.clear();
    host.order(Phase::Rollback, None, 11, false);
    host.run(&[], None);
    assert_eq!(host.told(), "stop switch start check = live | v1");
    let mut host = broken_going_back();
    host.order(Phase::Rollback, None, 10, false);
    let told = host.told();
    assert!(
        told.starts_with("refused: there is nothing to go back to"),
        "{told}"
    );
}

#[test]
fn a_rollback_to_what_never_was_good_leaves_the_history_as_it_is() {
    let mut host = Host::with(&[1]);
    // 2 fails, and so does going back from it: it stays live, and is not good.
    host.deploy(2, &[(Step::Check, &["no"]), (Step::SwitchBack, &["full"])]);
    host.clears = vec![2];
    host.deploy(3, &[]);
    host.clears.clear();
    host.done.clear();
    host.order(Phase::Rollback, None, 3, true);
    host.run(&[], None);
    // It has no tag here any more, since it is in no history.
    assert_eq!(host.told(), "stop switch start check = live | 0202020202");
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[], None);
    assert_eq!(host.told(), "stop switch start check = live | v1");
}

#[test]
fn a_rollback_about_another_deploy_does_not_touch_what_is_broken() {
    let mut host = broken_going_back();
    host.order(Phase::Rollback, None, 77, true);
    host.run(&[], None);
    assert_eq!(host.told(), "= live | v1", "nothing was stopped or started");
    assert!(host.state.stuck.is_some(), "a person has not seen it yet");
    // The deploy that broke it may be taken back once more.
    host.undoes = Some(deploy_id(2));
    host.order(Phase::Rollback, None, 78, false);
    host.run(&[], None);
    assert_eq!(host.told(), "stop switch start check = live | v1");
    assert!(host.state.stuck.is_none());
}

#[test]
fn live_that_was_changed_by_hand_mends_nothing_and_is_not_good_yet() {
    let mut host = broken_going_back();
    host.clears = vec![2];
    host.order(Phase::Prepare, Some(3), 3, false);
    host.run(&[], None);
    host.clears.clear();
    let live = host
        .state
        .prepared(&commit(3))
        .expect("prepared")
        .to_owned();
    let history = host.state.history.clone();
    host.record(What::Seen { live });
    assert!(host.state.stuck.is_some(), "nobody has cleared it");
    assert_eq!(host.state.history, history, "it was never checked");
}

#[test]
fn taking_back_a_deploy_does_not_take_back_another_one_of_the_same_release() {
    let mut host = Host::with(&[1, 2]);
    host.deploy_as(20, 1, &[]);
    host.deploy_as(21, 2, &[]);
    host.done.clear();
    host.order(Phase::Rollback, None, 2, true);
    host.run(&[], None);
    assert_eq!(host.told(), "= live | v2", "21 made it live, not 2");
    host.order(Phase::Rollback, None, 21, true);
    host.run(&[], None);
    assert_eq!(host.told(), "stop switch start check = live | v1");
}

#[test]
fn a_deploy_is_not_taken_back_to_a_release_that_is_gone() {
    let mut host = Host::with(&[1, 2]);
    let first = host
        .state
        .prepared(&commit(1))
        .expect("prepared")
        .to_owned();
    host.ground.remove(&first);
    host.order(Phase::Rollback, None, 2, true);
    assert_eq!(
        host.told(),
        format!("refused: the release before, {first}, is no longer on this host | v2")
    );
}

#[test]
fn a_deploy_that_was_aborted_or_taken_back_is_not_done_under_its_grant_again() {
    let refused = |host: &mut Host, phase, deploy: u64| {
        host.done.clear();
        host.order(phase, Some(2), deploy, false);
        let told = host.told();
        let id = deploy_id(deploy);
        assert!(
            told.starts_with(&format!(
                "refused: deploy {id} was aborted or rolled back here"
            )),
            "{told}"
        );
    };
    let mut host = Host::with(&[1]);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], None);
    host.order(Phase::Abort, None, 2, false);
    host.run(&[], None);
    refused(&mut host, Phase::Activate, 2);
    refused(&mut host, Phase::Prepare, 2);
    // By a rollback of its own, and by a person's who left it.
    for (number, undo) in [(3, true), (10, false)] {
        let mut host = Host::with(&[1]);
        host.deploy_as(3, 2, &[]);
        host.order(Phase::Rollback, None, number, undo);
        host.run(&[], None);
        refused(&mut host, Phase::Prepare, 3);
    }
}

#[test]
fn a_deploy_that_went_live_and_is_long_forgotten_does_not_go_live_again() {
    let mut host = Host::with(&[1, 2]);
    for number in 0..80 {
        let order = host.order(Phase::Abort, None, 100 + number, false);
        host.run(&[], None);
        host.record(What::Told { order });
    }
    for known in host.state.orders.clone() {
        host.record(What::Told {
            order: known.asked.order,
        });
    }
    for number in 0..80 {
        let order = host.order(Phase::Abort, None, 200 + number, false);
        host.run(&[], None);
        host.record(What::Told { order });
    }
    assert!(host.state.activation(deploy_id(1)).is_none(), "forgotten");
    host.order(Phase::Prepare, Some(1), 1, false);
    host.run(&[], None);
    host.done.clear();
    host.order(Phase::Activate, Some(1), 1, false);
    let told = host.told();
    let id = deploy_id(1);
    assert_eq!(
        told,
        format!("refused: deploy {id} was carried out here before | v2")
    );
}

#[test]
fn a_stop_that_was_interrupted_is_not_run_in_the_release_that_is_live_after_the_switch() {
    let mut host = Host::new();
    // Only the release that is gone back to declares its stop as one that may be run again.
    host.declare(Script::Stop, true, false);
    host.deploy(1, &[]);
    host.plan.clear();
    host.deploy(2, &[]);
    host.done.clear();
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[(Step::Stop, &["interrupted"])], None);
    assert_eq!(
        host.told(),
        "stop(interrupted) switch start check = live | v1"
    );
}

#[test]
fn a_rollback_waits_for_no_abort_of_another_deploy() {
    let mut host = Host::with(&[1]);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], Some(Step::Build));
    host.order(Phase::Abort, None, 2, false);
    host.done.clear();
    host.undoes = Some(deploy_id(77));
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[(Step::Build, &["ended"])], None);
    let told = host.told();
    assert!(!told.contains("refused"), "{told}");
}

#[test]
fn an_order_that_came_before_its_time_raises_no_mark() {
    let mut host = Host::with(&[1]);
    let known = host.state.orders.back().cloned().expect("an order");
    let mut asked = known.asked;
    asked.order = uuid::Uuid::from_u128(9_999);
    (asked.epoch, asked.sequence) = (u64::MAX, u64::MAX);
    let reason = "not valid yet".to_owned();
    let (marks, order) = (host.state.marks(""), asked.order);
    host.record(What::Untimely {
        order: asked,
        reason,
    });
    assert_eq!(host.state.marks(""), marks);
    let known = host.state.known(order).expect("it has its answer");
    assert!(known.verdict.is_some());
}

#[test]
fn what_broke_after_a_grant_was_made_is_not_cleared_by_it() {
    let mut host = broken_going_back();
    host.clears = vec![2];
    host.seen_until = Some(host.now - jiff::SignedDuration::from_mins(1));
    host.order(Phase::Prepare, Some(3), 3, false);
    let told = host.told();
    assert!(told.starts_with("refused: broken since"), "{told}");
    host.seen_until = Some(host.now);
    host.order(Phase::Prepare, Some(3), 4, false);
    host.run(&[], None);
    let told = host.told();
    assert!(told.contains("= prepared"), "{told}");
}
