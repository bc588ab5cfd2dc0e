//! The whole agent, as its own program, on a real bus with real git.

use std::{fs, os::unix::fs::PermissionsExt};

use events::message::{Phase, Reported, Running, ScriptOutput, State, Step, StepState};

use crate::rig::{Rig, id_of};

const BAD: (&str, &str) = (
    ".deploy/check",
    "#!/bin/sh\necho 'GET /health 500 \"no such table\"'\necho\nexit 1\n",
);

/// Waits until the test lets it go on; at most 15 s.
const SLOW: (&str, &str) = (
    ".deploy/start",
    "#!/bin/sh\necho \"$DEPLOYKIT_STEP $DEPLOYKIT_TAG\" >> \"$DEPLOYKIT_SHARED/ran\"\n\
     for i in $(seq 300); do test -e \"$DEPLOYKIT_SHARED/go\" && exit 0; sleep 0.05; done; exit 9\n",
);

fn label(report: &Reported) -> Option<&str> {
    report.live.as_ref().map(Running::label)
}

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
    assert_eq!(rig.reports(order).last(), Some(&&first));
    // And after the agent was killed.
    rig.kill();
    rig.run_agent().await;
    let count = rig.reports(order).len();
    rig.send(&ordered).await;
    rig.wait("the same answer again", |rig| {
        (rig.reports(order).len() > count).then_some(())
    })
    .await;
    assert_eq!(rig.reports(order).last(), Some(&&first));
    assert_eq!(rig.ran(), "");
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
    assert_eq!(
        (rig.ran().as_str(), rig.live().as_deref()),
        ("", Some("v1"))
    );
}

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
    assert_eq!(rig.reports(report.order).last(), Some(&&report));
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
    fs::rename(&hidden, rig.path("repository")).expect("shown");
    let report = rig.answer(order).await;
    assert!(
        matches!(report.state, State::Prepared { .. }),
        "{report:#?}"
    );
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

#[tokio::test]
async fn the_environment_of_a_script_is_what_the_readme_says_and_secrets_stay_here() {
    let mut rig = Rig::start().await;
    let show = "#!/bin/sh\nenv | sort\necho the password is correct-horse\n";
    let v1 = rig.version("v1", &[(".deploy/build", show)]);
    rig.run_agent().await;
    let report = rig.deploy("v1", &v1).await;
    let build = rig.wait("the output of the build", |rig| {
        let of_it = |output: &&ScriptOutput| output.step == Step::Build;
        rig.output.iter().find(of_it).cloned()
    });
    let build = build.await;
    let lines: Vec<&str> = build.text.lines().collect();
    let (said, env) = lines.split_last().expect("it said something");
    assert_eq!(*said, "the password is [secret]");
    let names: Vec<&str> = env
        .iter()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name)
        .collect();
    let readme = include_str!("../README.md");
    for name in &names {
        let shell = ["PWD", "OLDPWD", "SHLVL", "_"].contains(name);
        assert!(
            shell || readme.contains(&format!("`{name}`")),
            "{name} is not in the README"
        );
    }
    let release = report.live.expect("it is live").release;
    assert!(env.contains(&"DEPLOYKIT_TAG=v1"));
    assert!(
        env.contains(
            &format!(
                "DEPLOYKIT_RELEASE={}",
                rig.shop("releases").join(release).display()
            )
            .as_str()
        )
    );
    let kept = fs::read_to_string(rig.output_of("-build-1")).expect("read");
    assert!(
        kept.ends_with("the password is correct-horse\n"),
        "on the host it stays whole"
    );
}

#[tokio::test]
async fn output_is_cut_at_its_limit_on_the_bus_and_whole_on_the_host() {
    let mut rig = Rig::start().await;
    let long = "#!/bin/sh\nseq -w 100000\n";
    let v1 = rig.version("v1", &[(".deploy/build", long)]);
    rig.run_agent().await;
    let grant = rig.grant(Some(("v1", &v1)));
    rig.carry_out(&grant, Phase::Prepare).await;
    let cut = |rig: &Rig| rig.output.iter().find(|output| output.cut).cloned();
    let cut = rig.wait("the last piece", cut).await;
    assert_eq!(cut.offset + cut.text.len() as u64, 64 * 1024);
    let pieces = rig
        .output
        .iter()
        .filter(|output| output.step == Step::Build);
    assert!(
        pieces
            .clone()
            .all(|output| output.text.len() <= ScriptOutput::MAX_BYTES)
    );
    let mut next = 0;
    for piece in pieces {
        assert_eq!(piece.offset, next);
        next += piece.text.len() as u64;
    }
    assert_eq!(
        fs::metadata(rig.output_of("-build-1")).expect("kept").len(),
        700_000
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
    assert_eq!(rig.stop(), Some(0));
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
    let second = rig.agent().output().expect("it runs");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("is in use by another process"), "{said}");
}
