//! Orders that come twice, are forged, or meet a host that somebody else changed.

use std::fs;

use deploy_agent::verify::{Finding, verify};
use events::message::{Phase, Reported, State};

use super::label;
use crate::rig::{Rig, id_of};

#[tokio::test]
async fn the_same_order_twice_runs_once_and_gets_the_same_answer() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    rig.run_agent().await;
    let grant = rig.grant(Some(("v1", &v1)));
    rig.carry_out(&grant, Phase::Prepare).await;
    let ordered = rig.order(&grant, Phase::Activate);
    rig.send(&ordered).await;
    let order = id_of(&ordered);
    let first = rig.answer(order).await;
    assert_eq!(rig.ran(), "build v1, start v1, check v1");
    let count = rig.reports(order).len();
    rig.send(&ordered).await;
    rig.wait("the same answer again", |rig| {
        (rig.reports(order).len() > count).then_some(())
    })
    .await;
    assert_eq!(
        but_head(rig.reports(order).last().expect("it came")),
        but_head(&first)
    );
    // And after the agent was killed.
    rig.kill();
    rig.run_agent().await;
    let count = rig.reports(order).len();
    rig.send(&ordered).await;
    rig.wait("the same answer again", |rig| {
        (rig.reports(order).len() > count).then_some(())
    })
    .await;
    assert_eq!(
        but_head(rig.reports(order).last().expect("it came")),
        but_head(&first)
    );
    assert_eq!(rig.ran(), "");
}

/// Where the journal ends is of when a report is sent.
fn but_head(report: &Reported) -> Reported {
    assert!(report.head.is_some());
    let mut report = report.clone();
    report.head = None;
    report
}

#[tokio::test]
async fn the_end_of_the_journal_in_the_last_report_is_what_verify_goes_by() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    rig.run_agent().await;
    let told = rig.deploy("v1", &v1).await.head.expect("its end");
    rig.stop().await;
    let path = rig.shop("journal/journal.jsonl");
    let journal = fs::read(&path).expect("read");
    let whole = verify(&journal, Some(&told)).expect("as it was written");
    assert!(whole.head.entries >= told.entries, "{whole:?} {told}");
    let lines: Vec<&[u8]> = journal.split_inclusive(|byte| *byte == b'\n').collect();
    let cut = lines[..lines.len() - 3].concat();
    let found = verify(&cut, Some(&told)).expect_err("its end is missing");
    assert!(matches!(found, Finding::Cut { .. }), "{found}");
}

#[tokio::test]
async fn a_forged_order_does_nothing() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    rig.run_agent().await;
    rig.deploy("v1", &v1).await;
    rig.ran();
    let v2 = rig.version("v2", &[]);
    let grant = rig.grant(Some(("v2", &v2)));
    let mut forged = rig.order(&grant, Phase::Prepare);
    // Signed, but for another payload: the grant's signature on the order.
    forged.order.signatures = forged.grant.signatures.clone();
    rig.send(&forged).await;
    let report = rig.answer(id_of(&forged)).await;
    assert_eq!(report.unbelieved, Some(orders::copy_digest(&forged)));
    let State::Refused { reason } = report.state else {
        panic!("{report:#?}");
    };
    assert!(
        reason.starts_with("the order is not to be believed"),
        "{reason}"
    );
    // Another project's name in the readable part only.
    let mut routed = rig.order(&grant, Phase::Prepare);
    routed.project = "blog".parse().expect("a project");
    rig.send(&routed).await;
    let report = rig.answer(id_of(&routed)).await;
    assert!(matches!(report.state, State::Refused { .. }), "{report:#?}");
    // Rightly signed, but for another host.
    let misrouted = rig.order_to("web2", &grant, Phase::Prepare);
    rig.send(&misrouted).await;
    let report = rig.answer(id_of(&misrouted)).await;
    let reason = "the order is for web2, this is web1".to_owned();
    assert_eq!(report.state, State::Refused { reason });
    assert_eq!(
        (rig.ran().as_str(), rig.live().as_deref()),
        ("", Some("v1"))
    );
}

#[tokio::test]
async fn a_refusal_is_not_lost_with_the_agent_that_could_not_say_it() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    rig.run_agent().await;
    let grant = rig.grant(Some(("v1", &v1)));
    rig.carry_out(&grant, Phase::Prepare).await;
    // Its project hears nothing as long as it cannot write its journal.
    let path = rig.shop("journal/journal.jsonl");
    let journal = fs::read(&path).expect("read");
    fs::write(&path, "").expect("written");
    let ordered = rig.order(&grant, Phase::Activate);
    rig.send(&ordered).await;
    rig.wait("presence", |rig| {
        rig.present.as_ref()?.projects.first()?.stuck.clone()
    })
    .await;
    let mut forged = rig.order(&grant, Phase::Activate);
    forged.order.signatures = forged.grant.signatures.clone();
    rig.send(&forged).await;
    rig.wait("the forged order to be looked at", |rig| {
        let log = fs::read_to_string(rig.path("agent.log")).ok()?;
        log.contains("order not believed").then_some(())
    })
    .await;
    rig.kill();
    fs::write(&path, journal).expect("put back");
    rig.run_agent().await;
    let report = rig.answer(id_of(&forged)).await;
    assert!(matches!(report.state, State::Refused { .. }), "{report:#?}");
    assert_eq!(rig.answer(id_of(&ordered)).await.state, State::Live);
}

#[tokio::test]
async fn an_order_waits_while_the_policy_is_being_rewritten() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    rig.run_agent().await;
    let policy = fs::read_to_string(rig.path("policy.toml")).expect("read");
    fs::write(rig.path("policy.toml"), "orchestrators = [").expect("half written");
    let grant = rig.grant(Some(("v1", &v1)));
    let ordered = rig.order(&grant, Phase::Prepare);
    rig.send(&ordered).await;
    rig.wait("the order to wait", |rig| {
        let log = fs::read_to_string(rig.path("agent.log")).ok()?;
        log.contains("an order waits").then_some(())
    })
    .await;
    fs::write(rig.path("policy.toml"), policy).expect("written");
    let report = rig.answer(id_of(&ordered)).await;
    assert!(
        matches!(report.state, State::Prepared { .. }),
        "{report:#?}"
    );
}

#[tokio::test]
async fn a_live_link_that_was_changed_by_hand_is_noticed() {
    let mut rig = Rig::start().await;
    rig.run_agent().await;
    let mut releases = Vec::new();
    for tag in ["v1", "v2", "v3"] {
        let commit = rig.version(tag, &[]);
        releases.push(
            rig.deploy(tag, &commit)
                .await
                .live
                .expect("it is live")
                .release,
        );
    }
    let point = |rig: &Rig, target: &str| {
        fs::remove_file(rig.shop("live")).expect("removed");
        std::os::unix::fs::symlink(target, rig.shop("live")).expect("made");
    };
    point(&rig, &format!("releases/{}", releases[1]));
    let report = rig.carry_out(&rig.grant(None), Phase::Rollback).await;
    assert_eq!(
        (&report.state, label(&report)),
        (&State::Live, Some("v1")),
        "back from v2"
    );
    point(&rig, "/etc");
    let report = rig.carry_out(&rig.grant(None), Phase::Rollback).await;
    let State::Refused { reason } = report.state else {
        panic!("{report:#?}");
    };
    assert!(
        reason.contains("which is no release of this project"),
        "{reason}"
    );
}
