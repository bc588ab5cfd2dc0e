//! A rollback at the host is a hold: what ends it, and what does not.

use events::message::{Phase, Step};

use super::host::Host;

/// v3 was live; a person at the host went back to v2.
fn held() -> Host {
    let mut host = Host::with(&[1, 2, 3]);
    host.here(Phase::Rollback, "slow checkout");
    host.run(&[], None);
    assert_eq!(host.told(), "stop switch start check = live | v2");
    host
}

#[test]
fn a_rollback_at_the_host_holds_it_and_says_who_and_why() {
    let host = held();
    let held = host.state.held.as_ref().expect("held");
    assert_eq!(held.by, "ann (uid 1000) at web1");
    assert_eq!(held.reason.as_deref(), Some("slow checkout"));
    let highest = host.state.sequences.values().max();
    assert_eq!(
        (highest, host.state.epoch),
        (Some(&6), 1),
        "no mark is moved"
    );
}

#[test]
fn a_deploy_ends_a_hold_once_it_is_good() {
    let mut host = held();
    host.deploy(4, &[(Step::Check, &["no"])]);
    assert!(host.state.held.is_some(), "it was put back");
    host.deploy(5, &[]);
    assert_eq!(host.state.held, None);
}

#[test]
fn a_deploy_that_is_taken_back_leaves_the_hold_as_it_was() {
    let mut host = held();
    let before = host.state.held.clone();
    host.deploy(4, &[]);
    assert_eq!(host.state.held, None);
    host.order(Phase::Rollback, Some(4), 4, true);
    host.run(&[], None);
    assert_eq!(host.state.held, before);
}

#[test]
fn a_rollback_by_the_bus_does_not_end_a_hold_and_a_clearing_that_names_it_does() {
    let mut host = held();
    host.order(Phase::Rollback, None, 9, false);
    host.run(&[], None);
    assert!(host.state.held.is_some());
    host.order(Phase::Clear, None, 10, false);
    host.run(&[], None);
    assert!(host.state.held.is_some(), "another one was meant");
    host.clears = vec![106];
    host.order(Phase::Clear, None, 11, false);
    host.run(&[], None);
    assert_eq!(host.state.held, None);
    assert_eq!(
        host.state.live.as_ref().map(|live| live.label()),
        Some("v1")
    );
}

#[test]
fn who_is_at_the_host_clears_what_is_there() {
    let mut host = held();
    host.deploy(4, &[(Step::Start, &["no"]), (Step::BackStart, &["no"])]);
    assert!(host.state.stuck.is_some() && host.state.held.is_some());
    host.here(Phase::Clear, "");
    host.run(&[], None);
    assert!(host.state.stuck.is_none() && host.state.held.is_none());
}

#[test]
fn a_rollback_at_the_host_ends_a_deploy_that_is_under_way() {
    let mut host = Host::with(&[1, 2]);
    host.order(Phase::Prepare, Some(3), 3, false);
    host.run(&[], None);
    host.order(Phase::Activate, Some(3), 3, false);
    host.run(&[], Some(Step::Start));
    host.here(Phase::Rollback, "no");
    host.end_step(Step::Start, 1, "ended");
    host.run(&[], None);
    assert!(host.told().ends_with("| v2"));
    assert!(host.state.held.is_some());
}
