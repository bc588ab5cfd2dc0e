//! A host that is broken, on a real bus.

use std::fs;

use events::message::{Phase, State};
use orders::{Action, Grant};

use super::label;
use crate::rig::Rig;

/// A start that fails while the disk is said to be full.
const MAY_FAIL: (&str, &str) = (
    ".deploy/start",
    "#!/bin/sh\ntest -e \"$DEPLOYKIT_SHARED/full\" && { echo 'disk full'; exit 1; }\nexit 0\n",
);

#[tokio::test]
async fn a_broken_host_waits_for_a_person_across_restarts_and_takes_deploys_once_cleared() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[MAY_FAIL]);
    rig.run_agent().await;
    rig.deploy("v1", &v1).await;
    let full = rig.shop("shared/full");
    fs::write(&full, "").expect("written");
    let v2 = rig.version("v2", &[MAY_FAIL]);
    let bad = rig.deploy("v2", &v2).await;
    assert!(matches!(bad.state, State::Broken { .. }), "{bad:#?}");
    fs::remove_file(&full).expect("there is room again");
    rig.kill();
    rig.run_agent().await;
    let broken = |rig: &Rig| rig.present.as_ref()?.projects.first()?.broken;
    let deploy = rig.wait("presence that says what broke it", broken).await;
    assert_eq!(deploy, bad.deploy);
    let grant = rig.grant(Some(("v2", &v2)));
    let refused = rig.carry_out(&grant, Phase::Prepare).await;
    let State::Refused { reason } = &refused.state else {
        panic!("{refused:#?}");
    };
    assert!(
        reason.ends_with("look at it, then deploykit clear shop --on web1"),
        "{reason}"
    );
    let clearing = Grant {
        action: Action::Clear,
        clears: vec![bad.deploy],
        ..rig.grant(None)
    };
    let cleared = rig.carry_out(&clearing, Phase::Clear).await;
    assert_eq!(
        (&cleared.state, label(&cleared)),
        (&State::Cleared, Some("v1"))
    );
    rig.wait("presence without it", |rig: &Rig| {
        let project = rig.present.as_ref()?.projects.first()?;
        (project.broken.is_none() && project.stuck.is_none()).then_some(())
    })
    .await;
    let good = rig.deploy("v2", &v2).await;
    assert_eq!((&good.state, label(&good)), (&State::Live, Some("v2")));
}
