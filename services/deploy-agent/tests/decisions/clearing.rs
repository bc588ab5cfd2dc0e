//! Hosts that are broken, and what makes them take deploys again.

use events::message::{Phase, Step};

use super::host::Host;

/// v2 failed on v1, and putting it back failed too.
fn broken() -> Host {
    let mut host = Host::with(&[1]);
    host.deploy(
        2,
        &[(Step::Start, &["no"]), (Step::BackStart, &["disk full"])],
    );
    host.done.clear();
    host
}

const WHY: &str = "broken since 2025-03-01 12:00:00 UTC, by deploy 01900000-0000-7000-8000-000000000002: \
                   start: exit 1: no; then back-start: exit 1: disk full; look at it, then \
                   deploykit clear shop --on web1";

#[test]
fn a_broken_host_takes_no_deploy_and_says_what_to_type() {
    let mut host = broken();
    host.deploy(3, &[]);
    assert_eq!(
        host.told(),
        format!("refused: {WHY} refused: {WHY} | v1"),
        "neither prepared nor activated"
    );
    assert!(host.state.stuck.is_some());
}

#[test]
fn a_deploy_that_clears_what_is_there_is_taken() {
    let mut host = broken();
    host.clears = vec![2];
    host.deploy(3, &[]);
    assert!(host.told().ends_with("= live | v3"));
    assert_eq!(host.state.stuck, None);
}

#[test]
fn a_deploy_that_clears_and_is_not_good_leaves_it_broken() {
    let mut host = broken();
    host.clears = vec![2];
    host.deploy(3, &[(Step::Build, &["no"])]);
    let stuck = host.state.stuck.clone().expect("nothing was good since");
    assert_eq!(
        stuck.reason,
        "start: exit 1: no; then back-start: exit 1: disk full"
    );
    host.deploy(4, &[(Step::PreDeploy, &["no"])]);
    assert_eq!(host.state.stuck, Some(stuck));
}

#[test]
fn what_broke_later_is_not_cleared_by_who_saw_what_was_there_before() {
    let mut host = broken();
    host.clears = vec![2];
    host.deploy(
        3,
        &[(Step::Start, &["no"]), (Step::BackStart, &["port in use"])],
    );
    host.done.clear();
    host.deploy(4, &[]);
    let said = host.told();
    assert!(said.contains("back-start: exit 1: port in use"), "{said}");
    assert!(said.ends_with("| v1"), "{said}");
    host.order(Phase::Clear, None, 5, false);
    host.run(&[], None);
    assert!(host.told().starts_with("refused: broken since"));
    assert!(host.state.stuck.is_some());
}

#[test]
fn a_rollback_is_always_taken() {
    let mut host = Host::with(&[1, 2]);
    host.deploy(
        3,
        &[(Step::Start, &["no"]), (Step::BackStart, &["disk full"])],
    );
    host.done.clear();
    host.order(Phase::Rollback, None, 9, false);
    host.run(&[], None);
    assert_eq!(host.told(), "stop switch start check = live | v1");
    assert_eq!(host.state.stuck, None);
}

#[test]
fn a_clearing_touches_nothing_and_lets_deploys_in() {
    let mut host = broken();
    host.clears = vec![2];
    host.order(Phase::Clear, None, 8, false);
    host.run(&[], None);
    assert_eq!(host.told(), "= cleared | v1");
    assert_eq!(host.state.stuck, None);
    // It is not done again, and does no harm where there is nothing to clear.
    for deploy in [8, 9] {
        host.order(Phase::Clear, None, deploy, false);
        host.run(&[], None);
    }
    assert_eq!(host.told(), "= cleared = cleared | v1");
    host.clears.clear();
    host.deploy(3, &[]);
    assert!(host.told().ends_with("= live | v3"));
}

#[test]
fn a_busy_host_is_not_cleared() {
    let mut host = broken();
    host.clears = vec![2];
    host.order(Phase::Prepare, Some(3), 3, false);
    host.run(&[], Some(Step::Build));
    host.done.clear();
    host.order(Phase::Clear, None, 8, false);
    assert!(host.told().starts_with("refused: busy since"));
}
