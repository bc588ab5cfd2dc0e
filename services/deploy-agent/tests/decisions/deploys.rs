//! Going live, and being put back.

use events::message::{Phase, Step};

use super::host::{Host, NO_TABLE};

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
    let stuck = host.state.stuck.as_ref().expect("it is broken");
    assert_eq!(
        stuck.reason,
        "start: exit 1: no; then back-check: exit 1, 3 tries: no"
    );
    host.clears = vec![2];
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
fn a_check_whose_tries_are_its_own_is_not_tried_again() {
    check(
        &[(Step::Check, &["settled"])],
        "pre-deploy stop switch start check(settled) back-stop switch-back back-start back-check \
         = put back: check: exit 1: settled | v1",
    );
}
