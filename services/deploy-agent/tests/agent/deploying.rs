//! Going live, being put back, going back.

use std::{fs, os::unix::fs::PermissionsExt};

use events::{
    CommitId,
    message::{Phase, Reported, ScriptOutput, State, Step, StepState},
};

use super::{BAD, SLOW, label};
use crate::rig::{Rig, id_of};

#[tokio::test]
async fn a_deploy_goes_live_and_a_bad_one_is_put_back() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    let v2 = rig.version("v2", &[BAD]);
    rig.run_agent().await;
    let first = rig.deploy("v1", &v1).await;
    assert_eq!((&first.state, label(&first)), (&State::Live, Some("v1")));
    assert_eq!(rig.live().as_deref(), Some("v1"));
    assert_eq!(rig.ran(), "build v1, start v1, check v1");
    let second = rig.deploy("v2", &v2).await;
    let reason = "check: exit 1, 3 tries: GET /health 500 \"no such table\"".to_owned();
    assert_eq!(second.state, State::PutBack { reason });
    assert_eq!(
        (label(&second), rig.live().as_deref()),
        (Some("v1"), Some("v1"))
    );
    assert_eq!(
        rig.ran(),
        "build v2, stop v1, start v2, back-stop v2, back-start v1, back-check v1"
    );
    let check = second
        .steps
        .iter()
        .find(|step| step.step == Step::Check)
        .expect("checked");
    assert_eq!(
        (check.state, check.tries, check.exit),
        (StepState::Failed, 3, Some(1))
    );
    let said = rig.wait("the output of the check", |rig| {
        let of_it =
            |output: &&ScriptOutput| output.step == Step::Check && output.text.contains("GET");
        let said: Vec<_> = rig
            .output
            .iter()
            .filter(of_it)
            .map(|output| output.offset)
            .collect();
        (said.len() == 3).then_some(said)
    });
    let text = "GET /health 500 \"no such table\"\n\n".len() as u64;
    assert_eq!(
        said.await,
        [0, text, 2 * text],
        "the tries follow each other"
    );
    let live = rig.wait("presence with v1", |rig| {
        let project = rig.present.as_ref()?.projects.first()?;
        (project.busy.is_none()).then(|| project.live.as_ref().map(|live| live.label().to_owned()))
    });
    assert_eq!(live.await.as_deref(), Some("v1"));
}

#[tokio::test]
async fn a_first_deploy_that_fails_leaves_nothing_live() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[BAD]);
    rig.run_agent().await;
    let report = rig.deploy("v1", &v1).await;
    let State::PutBack { reason } = &report.state else {
        panic!("{report:#?}");
    };
    assert!(reason.ends_with("; nothing was live before"), "{reason}");
    assert_eq!((report.live, rig.live()), (None, None));
    assert!(fs::symlink_metadata(rig.shop("live")).is_err());
}

#[tokio::test]
async fn a_rollback_walks_back_twice_and_then_says_that_there_is_no_more() {
    let mut rig = Rig::start().await;
    rig.run_agent().await;
    for tag in ["v1", "v2", "v3"] {
        let commit = rig.version(tag, &[]);
        assert_eq!(rig.deploy(tag, &commit).await.state, State::Live);
    }
    // No git and no network: the mirror and the repository are gone.
    fs::remove_dir_all(rig.path("base/mirrors")).expect("removed");
    fs::remove_dir_all(rig.path("repository")).expect("removed");
    for tag in ["v2", "v1"] {
        rig.ran();
        let report = rig.carry_out(&rig.grant(None), Phase::Rollback).await;
        assert_eq!((&report.state, label(&report)), (&State::Live, Some(tag)));
        assert_eq!(rig.live().as_deref(), Some(tag));
        assert!(rig.ran().ends_with(&format!("start {tag}, check {tag}")));
    }
    let report = rig.carry_out(&rig.grant(None), Phase::Rollback).await;
    let State::Refused { reason } = report.state else {
        panic!("{report:#?}");
    };
    assert!(
        reason.starts_with("there is nothing to go back to"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_rollback_ends_a_deploy_that_is_going_live() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    let v2 = rig.version("v2", &[SLOW]);
    rig.run_agent().await;
    rig.deploy("v1", &v1).await;
    let grant = rig.grant(Some(("v2", &v2)));
    rig.carry_out(&grant, Phase::Prepare).await;
    rig.ran();
    let ordered = rig.order(&grant, Phase::Activate);
    rig.send(&ordered).await;
    let ran = rig.shop("shared/ran");
    let started = |_: &Rig| {
        fs::read_to_string(&ran)
            .is_ok_and(|text| text.contains("start v2"))
            .then_some(())
    };
    rig.wait("the start script", started).await;
    let rollback = rig.carry_out(&rig.grant(None), Phase::Rollback).await;
    assert_eq!(
        (&rollback.state, label(&rollback)),
        (&State::Live, Some("v1"))
    );
    let reason = "a rollback was ordered".to_owned();
    assert_eq!(
        rig.answer(id_of(&ordered)).await.state,
        State::PutBack { reason }
    );
    assert_eq!(rig.live().as_deref(), Some("v1"));
    assert_eq!(
        rig.ran(),
        "stop v1, start v2, back-stop v2, back-start v1, back-check v1"
    );
}

#[tokio::test]
async fn a_preparation_waits_for_its_commit_and_says_for_what() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    let hidden = rig.path("hidden");
    fs::rename(rig.path("repository"), &hidden).expect("hidden");
    rig.run_agent().await;
    let grant = rig.grant(Some(("v1", &v1)));
    let ordered = rig.order(&grant, Phase::Prepare);
    rig.send(&ordered).await;
    let order = id_of(&ordered);
    let reason = rig.wait("a waiting report", |rig| {
        let waits = |report: &&Reported| match &report.state {
            State::Waiting { reason } => Some(reason.clone()),
            _ => None,
        };
        rig.reports(order).iter().find_map(waits)
    });
    assert!(!reason.await.is_empty());
    rig.wait("more tries", |rig| {
        let log = fs::read_to_string(rig.path("agent.log")).ok()?;
        (log.matches("waits on").count() >= 2).then_some(())
    })
    .await;
    // An agent that is killed meanwhile goes on waiting.
    rig.kill();
    rig.run_agent().await;
    fs::rename(&hidden, rig.path("repository")).expect("shown");
    let report = rig.answer(order).await;
    assert!(
        matches!(report.state, State::Prepared { .. }),
        "{report:#?}"
    );
    let journal = fs::read_to_string(rig.shop("journal/journal.jsonl")).expect("read");
    let tries = journal
        .lines()
        .filter(|line| line.contains("began") && line.contains("\"objects\""));
    assert_eq!(tries.count(), 2, "the first and the last one:\n{journal}");
}

#[tokio::test]
async fn a_preparation_that_an_earlier_deploy_left_gives_way() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    rig.run_agent().await;
    let nowhere: CommitId = "ab".repeat(20).parse().expect("a commit");
    let grant = rig.grant(Some(("v0", &nowhere)));
    let left = rig.order(&grant, Phase::Prepare);
    rig.send(&left).await;
    let order = id_of(&left);
    rig.wait("a waiting report", |rig| {
        let waits = |report: &&Reported| matches!(report.state, State::Waiting { .. });
        rig.reports(order).iter().any(waits).then_some(())
    })
    .await;
    assert_eq!(rig.deploy("v1", &v1).await.state, State::Live);
    assert_eq!(rig.answer(order).await.state, State::Aborted);
}

#[tokio::test]
async fn a_script_that_cannot_be_executed_is_found_before_anything_runs() {
    let mut rig = Rig::start().await;
    rig.version("v1", &[]);
    rig.run_agent().await;
    let script = rig.path("repository/.deploy/start");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o644)).expect("set");
    let commit = rig.commit("v2");
    let grant = rig.grant(Some(("v2", &commit)));
    let report = rig.carry_out(&grant, Phase::Prepare).await;
    let State::Failed { reason } = report.state else {
        panic!("{report:#?}");
    };
    assert!(
        reason.starts_with("layout: .deploy/start is not executable"),
        "{reason}"
    );
    assert_eq!(rig.ran(), "");
    assert_eq!(fs::read_dir(rig.shop("releases")).expect("read").count(), 0);
}
