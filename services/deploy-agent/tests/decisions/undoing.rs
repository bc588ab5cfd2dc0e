//! Rollbacks and aborts.

use deploy_agent::machine::What;
use events::message::{self, Phase, Step};

use super::host::{Host, NO_TABLE, deploy_id};

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
    host.deploy_as(20, 3, &[]);
    assert_eq!(
        host.state.bad.len(),
        1,
        "a deploy that is good takes the mark off"
    );
}

#[test]
fn a_rollback_never_goes_to_a_release_that_was_rolled_back() {
    let mut host = Host::with(&[1, 2]);
    host.deploy_as(20, 1, &[]);
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
fn a_rollback_ends_preparations_that_wait_too() {
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Prepare, Some(3), 3, false);
    host.run(&[], Some(Step::Objects));
    host.done.clear();
    host.order(Phase::Prepare, Some(4), 4, false);
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[(Step::Objects, &["ended"])], None);
    assert_eq!(
        host.told(),
        "objects(ended) = aborted = aborted stop switch start check = live | v1"
    );
    host.order(Phase::Prepare, Some(5), 5, false);
    host.run(&[], Some(Step::Objects));
    host.done.clear();
    host.order(Phase::Prepare, Some(6), 6, false);
    host.order(Phase::Abort, Some(6), 6, false);
    host.run(&[(Step::Objects, &["ended"])], None);
    assert_eq!(
        host.told(),
        "objects(ended) = aborted = aborted = aborted | v1"
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
    host.deploy(3, &[(Step::Check, &["no"])]);
    host.done.clear();
    host.order(Phase::Rollback, Some(3), 3, true);
    host.run(&[], None);
    assert_eq!(host.told(), "= live | v1", "it was put back already");
    host.order(Phase::Rollback, Some(4), 4, true);
    host.run(&[], None);
    assert_eq!(host.told(), "= live | v1", "that deploy never came here");
}

#[test]
fn a_deploy_that_another_one_has_replaced_is_not_taken_back() {
    let mut host = Host::with(&[1, 2, 3]);
    host.order(Phase::Rollback, Some(2), 2, true);
    host.run(&[], None);
    assert_eq!(host.told(), "= live | v3");
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
fn a_rollback_that_is_ordered_anew_under_the_same_grant_does_not_go_back_once_more() {
    let mut host = Host::with(&[1, 2, 3]);
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[], Some(Step::Start));
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[], None);
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[], None);
    assert_eq!(
        host.told(),
        "stop switch start check = live = live = live | v2"
    );
}

#[test]
fn a_grant_to_roll_back_stays_used_up_when_its_order_is_forgotten() {
    let mut host = Host::with(&[1, 2, 3]);
    let rollback = host.order(Phase::Rollback, None, 10, false);
    host.run(&[], None);
    host.record(What::Told { order: rollback });
    for deploy in 100.. {
        if host.state.known(rollback).is_none() {
            break;
        }
        let other = host.order(Phase::Abort, None, deploy, false);
        host.run(&[], None);
        host.record(What::Told { order: other });
    }
    host.done.clear();
    host.order(Phase::Rollback, None, 10, false);
    assert_eq!(
        host.told(),
        "refused: rollback 01900000-0000-7000-8000-00000000000a was carried out here before | v2"
    );
    host.order(Phase::Rollback, None, 11, false);
    host.run(&[], None);
    assert_eq!(host.told(), "stop switch start check = live | v1");
}

/// A rollback that a person asked for while deploy 3 was under way, on hosts where that came to different ends first.
#[test]
fn a_rollback_of_a_deploy_that_was_under_way_takes_back_that_deploy_and_no_other() {
    let about_deploy_3 = |host: &mut Host| {
        host.undoes = Some(deploy_id(3));
        host.order(Phase::Rollback, None, 10, false);
        host.run(&[], None);
    };
    // It went live.
    let mut host = Host::with(&[1, 2, 3]);
    about_deploy_3(&mut host);
    assert_eq!(host.told(), "stop switch start check = live | v2");
    // It put itself back: v2 stays, nobody asked to leave that.
    let mut host = Host::with(&[1, 2]);
    host.deploy(
        3,
        &[
            (Step::Check, NO_TABLE),
            (Step::Check, NO_TABLE),
            (Step::Check, NO_TABLE),
        ],
    );
    host.done.clear();
    about_deploy_3(&mut host);
    assert_eq!(host.told(), "= live | v2");
    // It never came: its order was lost, or is overtaken by this one and refused.
    let mut host = Host::with(&[1, 2]);
    about_deploy_3(&mut host);
    assert_eq!(host.told(), "= live | v2");
    // It is going live.
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Prepare, Some(3), 3, false);
    host.run(&[], None);
    host.order(Phase::Activate, Some(3), 3, false);
    host.run(&[], Some(Step::Start));
    host.done.clear();
    about_deploy_3(&mut host);
    assert!(host.told().ends_with("| v2"), "{}", host.told());
    // Another deploy is going live here.
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Prepare, Some(4), 4, false);
    host.run(&[], None);
    host.order(Phase::Activate, Some(4), 4, false);
    host.run(&[], Some(Step::Start));
    host.done.clear();
    host.undoes = Some(deploy_id(3));
    host.order(Phase::Rollback, None, 10, false);
    assert!(
        host.told().starts_with("refused: busy since "),
        "{}",
        host.told()
    );
    // Another one is being prepared: it gives way, what is live stays.
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Prepare, Some(4), 4, false);
    host.run(&[], Some(Step::Build));
    host.done.clear();
    host.undoes = Some(deploy_id(3));
    host.order(Phase::Rollback, None, 10, false);
    host.run(&[(Step::Build, &["ended"])], None);
    assert_eq!(host.told(), "build(ended) = aborted = live prune 1 | v2");
}
