//! Releases over several deploys.

use std::fs;

use events::message::{Phase, State};

use crate::rig::Rig;

#[tokio::test]
async fn an_old_release_goes_once_no_process_uses_it() {
    let mut rig = Rig::start().await;
    rig.settings = "keep = 2\n".to_owned();
    let serve =
        "#!/bin/sh\nsleep 300 >/dev/null 2>&1 </dev/null &\necho $! > \"$DEPLOYKIT_SHARED/pid\"\n";
    let versions: Vec<_> = ["v1", "v2", "v3", "v4"]
        .map(|tag| {
            let own: &[_] = if tag == "v1" {
                &[(".deploy/start", serve)]
            } else {
                &[]
            };
            (tag, rig.version(tag, own))
        })
        .to_vec();
    rig.run_agent().await;
    let mut first = None;
    for (tag, commit) in &versions[..3] {
        let report = rig.deploy(tag, commit).await;
        assert_eq!(report.state, State::Live, "{report:#?}");
        first = first.or(report.live.map(|live| live.release));
    }
    let first = rig.shop("releases").join(first.expect("v1 was live"));
    rig.wait("the old release to be looked at", |rig| {
        let log = fs::read_to_string(rig.path("agent.log")).ok()?;
        log.contains("an old release is kept: a process uses it")
            .then_some(())
    })
    .await;
    assert!(first.join("name").exists());
    let pid = fs::read_to_string(rig.shop("shared/pid")).expect("it was started");
    let ended = std::process::Command::new("kill").arg(pid.trim()).status();
    assert!(ended.expect("kill runs").success());
    let (tag, commit) = &versions[3];
    rig.deploy(tag, commit).await;
    rig.wait("the old release to go", |_| (!first.exists()).then_some(()))
        .await;
}

#[tokio::test]
async fn a_rollback_goes_by_what_the_old_release_said_itself() {
    let mut rig = Rig::start().await;
    let note =
        "#!/bin/sh\necho \"own-$DEPLOYKIT_STEP $DEPLOYKIT_TAG\" >> \"$DEPLOYKIT_SHARED/ran\"\n";
    let own = [
        ("deploy.toml", "scripts = 'ops'\n"),
        ("ops/start", note),
        ("ops/stop", note),
    ];
    let v1 = rig.version("v1", &own);
    let v2 = rig.version("v2", &[]);
    rig.run_agent().await;
    rig.deploy("v1", &v1).await;
    rig.deploy("v2", &v2).await;
    assert_eq!(
        rig.ran(),
        "own-start v1, build v2, own-stop v1, start v2, check v2"
    );
    rig.kill();
    rig.run_agent().await;
    let grant = rig.grant(None);
    let report = rig.carry_out(&grant, Phase::Rollback).await;
    assert_eq!(report.state, State::Live, "{report:#?}");
    assert_eq!(rig.ran(), "stop v2, own-start v1");
}
