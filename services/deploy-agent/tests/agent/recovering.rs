//! Agents that are killed, stopped, doubled; journals that are damaged.

use std::fs;

use events::message::{Phase, Reported, State};

use super::{SLOW, label};
use crate::rig::{Rig, id_of};

#[tokio::test]
async fn a_script_that_runs_while_the_agent_is_killed_is_found_again() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[SLOW]);
    rig.run_agent().await;
    let grant = rig.grant(Some(("v1", &v1)));
    rig.carry_out(&grant, Phase::Prepare).await;
    let ordered = rig.order(&grant, Phase::Activate);
    rig.send(&ordered).await;
    let ran = rig.shop("shared/ran");
    let started = |_: &Rig| {
        fs::read_to_string(&ran)
            .is_ok_and(|text| text.contains("start v1"))
            .then_some(())
    };
    rig.wait("the start script", started).await;
    rig.kill();
    rig.run_agent().await;
    let order = id_of(&ordered);
    rig.wait("the new agent", |rig| {
        rig.present.as_ref()?.projects.first()?.busy.map(drop)
    })
    .await;
    fs::write(rig.shop("shared/go"), "").expect("written");
    assert_eq!(rig.answer(order).await.state, State::Live);
    assert_eq!(
        rig.ran(),
        "build v1, start v1, check v1",
        "nothing ran twice"
    );
}

#[tokio::test]
async fn a_script_that_ended_while_no_agent_was_there_is_gone_on_from() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[SLOW]);
    rig.run_agent().await;
    let grant = rig.grant(Some(("v1", &v1)));
    rig.carry_out(&grant, Phase::Prepare).await;
    let ordered = rig.order(&grant, Phase::Activate);
    rig.send(&ordered).await;
    let ran = rig.shop("shared/ran");
    let started = |_: &Rig| {
        fs::read_to_string(&ran)
            .is_ok_and(|text| text.contains("start v1"))
            .then_some(())
    };
    rig.wait("the start script", started).await;
    rig.kill();
    fs::write(rig.shop("shared/go"), "").expect("written");
    let status = rig
        .shop("steps")
        .join(format!("{}-start-1/status.json", id_of(&ordered)));
    rig.wait("its outcome", |_: &Rig| status.exists().then_some(()))
        .await;
    rig.run_agent().await;
    assert_eq!(rig.answer(id_of(&ordered)).await.state, State::Live);
    assert_eq!(
        rig.ran(),
        "build v1, start v1, check v1",
        "nothing ran twice"
    );
}

#[tokio::test]
async fn a_final_report_is_sent_again_until_it_was_confirmed() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    rig.run_agent().await;
    let report = rig.deploy("v1", &v1).await;
    let told = |rig: &Rig| {
        let journal = fs::read_to_string(rig.shop("journal/journal.jsonl")).ok()?;
        let line = format!("{{\"told\":{{\"order\":\"{}\"}}}}", report.order);
        journal.contains(&line).then_some(())
    };
    rig.wait("the confirmation in the journal", told).await;
    rig.kill();
    // As if the agent had died before it wrote the confirmation down.
    let path = rig.shop("journal/journal.jsonl");
    let journal = fs::read_to_string(&path).expect("read");
    let lines: Vec<&str> = journal
        .lines()
        .filter(|line| !line.contains(&report.order.to_string()) || !line.contains("told"))
        .collect();
    fs::write(&path, lines.join("\n") + "\n").expect("written");
    let count = rig.reports(report.order).len();
    rig.run_agent().await;
    rig.wait("the report again", |rig| {
        (rig.reports(report.order).len() > count).then_some(())
    })
    .await;
    let again = rig.reports(report.order).last().map(|again| Reported {
        // Where the journal ended then is not known any more.
        head: report.head.clone(),
        ..(*again).clone()
    });
    assert_eq!(again, Some(report));
}

#[tokio::test]
async fn a_damaged_journal_stops_its_project_and_says_so() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    rig.run_agent().await;
    rig.deploy("v1", &v1).await;
    rig.kill();
    let path = rig.shop("journal/journal.jsonl");
    let journal = fs::read_to_string(&path).expect("read");
    fs::write(&path, journal.replacen("alice", "mallo", 1)).expect("written");
    rig.run_agent().await;
    let stuck = rig.wait("presence", |rig| {
        rig.present.as_ref()?.projects.first()?.stuck.clone()
    });
    assert_eq!(
        stuck.await,
        "line 1 of the journal is damaged: its sum is wrong"
    );
    let report = rig.carry_out(&rig.grant(None), Phase::Rollback).await;
    let reason = "line 1 of the journal is damaged: its sum is wrong".to_owned();
    assert_eq!(report.state, State::Refused { reason });
    assert_eq!(
        rig.live().as_deref(),
        Some("v1"),
        "what is live is left alone"
    );
}

#[tokio::test]
async fn a_stop_ends_the_agent_and_not_the_script() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[SLOW]);
    rig.run_agent().await;
    let grant = rig.grant(Some(("v1", &v1)));
    rig.carry_out(&grant, Phase::Prepare).await;
    let ordered = rig.order(&grant, Phase::Activate);
    rig.send(&ordered).await;
    let ran = rig.shop("shared/ran");
    let started = |_: &Rig| {
        fs::read_to_string(&ran)
            .is_ok_and(|text| text.contains("start v1"))
            .then_some(())
    };
    rig.wait("the start script", started).await;
    assert_eq!(rig.stop().await, Some(0));
    rig.run_agent().await;
    fs::write(rig.shop("shared/go"), "").expect("written");
    assert_eq!(rig.answer(id_of(&ordered)).await.state, State::Live);
    assert_eq!(
        rig.ran(),
        "build v1, start v1, check v1",
        "nothing ran twice"
    );
}

#[tokio::test]
async fn a_second_agent_on_the_same_folder_does_not_start() {
    let mut rig = Rig::start().await;
    rig.run_agent().await;
    let (code, said) = rig.second_agent().await;
    assert_eq!(code, Some(1));
    assert!(said.contains("is in use by another process"), "{said}");
}

#[tokio::test]
async fn a_deploy_comes_to_its_end_wherever_its_agent_is_killed() {
    let mut rig = Rig::start().await;
    rig.run_agent().await;
    let lines = |rig: &Rig| {
        let journal = fs::read_to_string(rig.shop("journal/journal.jsonl"));
        journal.map_or(0, |text| text.lines().count())
    };
    let v0 = rig.version("v0", &[]);
    rig.deploy("v0", &v0).await;
    // An activation writes about fifteen lines: killed after each of them once.
    for point in 1..=15 {
        let tag = format!("v{point}");
        let commit = rig.version(&tag, &[]);
        let grant = rig.grant(Some((&tag, &commit)));
        rig.carry_out(&grant, Phase::Prepare).await;
        rig.ran();
        let before = lines(&rig);
        let ordered = rig.order(&grant, Phase::Activate);
        rig.send(&ordered).await;
        let reached = |rig: &Rig| (lines(rig) >= before + point).then_some(());
        rig.wait("the journal to grow", reached).await;
        rig.kill();
        rig.run_agent().await;
        let report = rig.answer(id_of(&ordered)).await;
        assert_eq!(
            (&report.state, label(&report)),
            (&State::Live, Some(&*tag)),
            "{point}"
        );
        assert_eq!(rig.live(), Some(tag.clone()), "{point}");
        let last = format!("v{}", point - 1);
        assert_eq!(
            rig.ran(),
            format!("stop {last}, start {tag}, check {tag}"),
            "{point}"
        );
    }
}

#[tokio::test]
async fn a_broker_that_is_away_holds_up_no_deploy_and_no_report_is_lost() {
    without_a_broker(false).await;
}

#[tokio::test]
async fn an_agent_killed_while_the_broker_is_away_still_reports() {
    without_a_broker(true).await;
}

/// The broker goes while a deploy runs its start script, and comes back after its end.
async fn without_a_broker(killed: bool) {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[SLOW]);
    rig.run_agent().await;
    let grant = rig.grant(Some(("v1", &v1)));
    rig.carry_out(&grant, Phase::Prepare).await;
    let ordered = rig.order(&grant, Phase::Activate);
    rig.send(&ordered).await;
    let ran = rig.shop("shared/ran");
    let started = |_: &Rig| {
        fs::read_to_string(&ran)
            .is_ok_and(|text| text.contains("start v1"))
            .then_some(())
    };
    rig.wait("the start script", started).await;
    let order = id_of(&ordered);
    rig.stop_broker().await;
    fs::write(rig.shop("shared/go"), "").expect("written");
    let journal = rig.shop("journal/journal.jsonl");
    let holds = |what: &str| {
        let text = fs::read_to_string(&journal).unwrap_or_default();
        let of_it = |line: &str| line.contains(what) && line.contains(&order.to_string());
        text.lines().any(of_it)
    };
    // The deploy comes to its end without the broker.
    rig.wait("the end of the deploy", |_: &Rig| {
        holds("finished").then_some(())
    })
    .await;
    assert_eq!(rig.live().as_deref(), Some("v1"));
    assert_eq!(rig.ran(), "build v1, start v1, check v1");
    assert!(!holds("\"told\""), "nobody can have confirmed it");
    if killed {
        rig.kill();
    }
    rig.start_broker().await;
    if killed {
        rig.run_agent().await;
    }
    let report = rig.answer(order).await;
    assert_eq!(
        (&report.state, label(&report)),
        (&State::Live, Some("v1")),
        "{report:#?}"
    );
    let numbers: Vec<u64> = rig.reports(order).iter().map(|it| it.number).collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    rig.wait("the confirmation", |_: &Rig| {
        holds("\"told\"").then_some(())
    })
    .await;
}

/// Deploys v1, then v2 with a slow start, in which the host goes down; gives how that ended.
async fn crashed_in_start(rig: &mut Rig) -> Reported {
    let (v1, v2) = (rig.version("v1", &[]), rig.version("v2", &[SLOW]));
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
    rig.crash();
    fs::write(rig.shop("shared/go"), "").expect("written");
    rig.run_agent().await;
    rig.answer(id_of(&ordered)).await
}

#[tokio::test]
async fn a_script_that_went_down_with_the_host_is_put_back_and_blocks() {
    let mut rig = Rig::start().await;
    let report = crashed_in_start(&mut rig).await;
    let reason = "start: interrupted".to_owned();
    assert_eq!(report.state, State::PutBack { reason });
    assert_eq!(label(&report), Some("v1"));
    let stuck = rig.wait("that it blocks", |rig| {
        rig.present.as_ref()?.projects.first()?.stuck.clone()
    });
    assert_eq!(
        stuck.await,
        "start: interrupted, and nobody knows how far it came"
    );
    assert_eq!(
        rig.ran(),
        "stop v1, start v2, back-stop v2, back-start v1, back-check v1"
    );
}

#[tokio::test]
async fn a_script_that_went_down_with_the_host_is_run_again_if_it_may_be() {
    let mut rig = Rig::start().await;
    rig.settings = "script.start.rerunnable = true\n".to_owned();
    let report = crashed_in_start(&mut rig).await;
    assert_eq!(report.state, State::Live);
    assert_eq!(rig.ran(), "stop v1, start v2, start v2, check v2");
}
