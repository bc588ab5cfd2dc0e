//! The demo's claims about waves: each broken once.

use deploy_orchestrator::api::{DeployState, DeployView, HostProgress, HostState};
use deploykit::demo::claims::{canary_first, canary_put_back};
use jiff::{SignedDuration, Timestamp};

use crate::words::{deploy, host};

fn at(second: i64) -> Option<Timestamp> {
    Some(Timestamp::UNIX_EPOCH + SignedDuration::from_secs(second))
}

fn live(name: &str, activated: i64, done: i64) -> HostProgress {
    HostProgress {
        activated_at: at(activated),
        live_at: at(done),
        ..host(name, HostState::Live)
    }
}

fn good() -> DeployView {
    deploy(
        DeployState::Succeeded,
        vec![
            vec![live("web1", 1, 2)],
            vec![live("web2", 2, 3), live("web3", 2, 4)],
        ],
    )
}

#[test]
fn a_canary_that_went_first_is_believed() {
    assert_eq!(canary_first(&good()), Ok(()));
}

#[test]
fn a_host_that_began_before_the_canary_was_live_is_noticed() {
    let mut view = good();
    view.waves[1].hosts[1] = live("web3", 1, 4);
    assert!(
        canary_first(&view)
            .unwrap_err()
            .starts_with("web3 began at")
    );
}

#[test]
fn a_first_wave_of_two_is_noticed() {
    let mut view = good();
    view.waves[0].hosts.push(live("web4", 1, 2));
    assert_eq!(
        canary_first(&view),
        Err("the first wave has 2 hosts".to_owned())
    );
}

#[test]
fn a_deploy_that_failed_is_noticed() {
    let view = DeployView {
        state: DeployState::Failed,
        ..good()
    };
    assert!(canary_first(&view).is_err());
}

#[test]
fn a_canary_that_was_not_put_back_is_noticed() {
    let view = |canary, other| {
        deploy(
            DeployState::Failed,
            vec![vec![host("web1", canary)], vec![host("web2", other)]],
        )
    };
    assert_eq!(
        canary_put_back(&view(HostState::PutBack, HostState::Prepared)),
        Ok(())
    );
    assert!(canary_put_back(&view(HostState::Live, HostState::Prepared)).is_err());
    assert!(canary_put_back(&view(HostState::PutBack, HostState::PutBack)).is_err());
}
