//! Scripts of which nobody knows how far they came, and scripts that are done once.

use deploy_agent::scripts::Script;
use events::message::{Phase, Step};

use super::host::Host;

/// Prepares v2 over v1, and activates it with these outcomes.
fn activate(host: &mut Host, outcomes: &[(Step, &[&str])]) {
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], None);
    host.done.clear();
    host.order(Phase::Activate, Some(2), 2, false);
    host.run(outcomes, None);
}

#[test]
fn an_interrupted_script_is_put_back_and_blocks() {
    for (outcomes, told, stuck) in [
        (
            (Step::PreDeploy, &["interrupted"][..]),
            "pre-deploy(interrupted) = failed: pre-deploy: interrupted | v1",
            Some("pre-deploy: interrupted, and nobody knows how far it came"),
        ),
        (
            (Step::Start, &["interrupted"]),
            "pre-deploy stop switch start(interrupted) back-stop switch-back back-start back-check \
             = put back: start: interrupted | v1",
            Some("start: interrupted, and nobody knows how far it came"),
        ),
        (
            (Step::Check, &["interrupted"]),
            "pre-deploy stop switch start check(interrupted) check 2(interrupted) check 3(interrupted) \
             back-stop switch-back back-start back-check = put back: check: interrupted, 3 tries | v1",
            None,
        ),
        (
            (Step::PreDeploy, &["no"]),
            "pre-deploy(no) = failed: pre-deploy: exit 1: no | v1",
            None,
        ),
    ] {
        let mut host = Host::with(&[1]);
        activate(&mut host, &[outcomes]);
        assert_eq!(host.told(), told);
        let found = host.state.stuck.map(|stuck| stuck.reason);
        assert_eq!(found.as_deref(), stuck, "{told}");
    }
}

#[test]
fn an_interrupted_build_blocks_nothing_because_its_release_is_thrown_away() {
    let mut host = Host::with(&[1]);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[(Step::Build, &["interrupted"])], None);
    assert_eq!(
        host.told(),
        "objects layout shared build(interrupted) = failed: build: interrupted prune 1 | v1"
    );
    assert_eq!(host.state.stuck, None);
}

#[test]
fn a_rollback_that_is_good_takes_the_block_away() {
    let mut host = Host::with(&[1, 2]);
    host.deploy(3, &[(Step::PreDeploy, &["interrupted"])]);
    assert!(host.state.stuck.is_some());
    host.order(Phase::Rollback, None, 9, false);
    host.run(&[(Step::Stop, &["interrupted"])], None);
    assert!(host.told().ends_with("= live | v1"));
    assert_eq!(host.state.stuck, None);
}

#[test]
fn a_script_that_may_be_is_run_again() {
    let mut host = Host::with(&[1]);
    host.declare(Script::Start, true, false);
    activate(&mut host, &[(Step::Start, &["interrupted", "ok"])]);
    assert_eq!(
        host.told(),
        "pre-deploy stop switch start(interrupted) start 2 check post-deploy = live | v2"
    );
    assert_eq!(host.state.stuck, None);
}

#[test]
fn a_script_that_takes_the_host_down_is_not_run_for_ever() {
    let mut host = Host::with(&[1]);
    host.declare(Script::Start, true, false);
    activate(&mut host, &[(Step::Start, &["interrupted"])]);
    assert_eq!(
        host.told(),
        "pre-deploy stop switch start(interrupted) start 2(interrupted) start 3(interrupted) back-stop \
         switch-back back-start back-check = put back: start: interrupted, 3 tries | v1"
    );
    assert!(host.state.stuck.is_some());
}

#[test]
fn what_failed_is_not_run_again_because_it_may_be() {
    let mut host = Host::with(&[1]);
    host.declare(Script::Start, true, false);
    activate(&mut host, &[(Step::Start, &["no", "ok"])]);
    assert!(host.told().ends_with("= put back: start: exit 1: no | v1"));
}

#[test]
fn an_ended_deploy_runs_nothing_again() {
    let mut host = Host::with(&[1]);
    host.declare(Script::PreDeploy, true, false);
    host.order(Phase::Prepare, Some(2), 2, false);
    host.run(&[], None);
    host.done.clear();
    host.order(Phase::Activate, Some(2), 2, false);
    host.run(&[], Some(Step::PreDeploy));
    host.order(Phase::Abort, None, 2, false);
    host.end_step(Step::PreDeploy, 1, "interrupted");
    host.run(&[], None);
    assert_eq!(
        host.told(),
        "pre-deploy(interrupted) = aborted = aborted | v1"
    );
    assert!(host.state.stuck.is_some());
}

#[test]
fn what_is_to_be_done_once_is_done_once_for_a_revision() {
    let mut host = Host::with(&[1]);
    host.declare(Script::PreDeploy, false, true);
    activate(&mut host, &[(Step::Check, &["no"])]);
    assert!(
        host.told()
            .ends_with("= put back: check: exit 1, 3 tries: no | v1")
    );
    host.deploy_as(12, 2, &[]);
    assert_eq!(
        host.told(),
        "objects = prepared pre-deploy(skipped) stop switch start check post-deploy = live | v2"
    );
    host.deploy(3, &[]);
    assert!(
        host.told().contains("= prepared pre-deploy stop"),
        "another revision"
    );
}

#[test]
fn what_failed_was_not_done() {
    let mut host = Host::with(&[1]);
    host.declare(Script::PreDeploy, false, true);
    activate(&mut host, &[(Step::PreDeploy, &["no"])]);
    host.told();
    host.deploy_as(12, 2, &[]);
    assert_eq!(
        host.told(),
        "objects = prepared pre-deploy stop switch start check post-deploy = live | v2"
    );
}

#[test]
fn what_was_done_before_is_passed_over_by_the_next_agent_too() {
    let mut host = Host::with(&[1]);
    host.declare(Script::PreDeploy, false, true);
    activate(&mut host, &[(Step::Check, &["no"])]);
    host.order(Phase::Prepare, Some(2), 12, false);
    host.run(&[], None);
    host.done.clear();
    host.order(Phase::Activate, Some(2), 12, false);
    host.run(&[], Some(Step::PreDeploy));
    // Killed between the two records of the skipped step.
    host.run(&[], None);
    assert_eq!(
        host.told(),
        "pre-deploy(skipped) stop switch start check post-deploy = live | v2"
    );
}
