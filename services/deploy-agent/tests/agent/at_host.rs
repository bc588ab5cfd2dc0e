//! What a person types at the host, with and without an agent, with and without a broker.

use std::{fs, os::unix::fs::MetadataExt};

use deploy_agent::local::Answer;
use events::message::{Phase, State};

use super::{SLOW, label};
use crate::rig::{Rig, as_nobody, id_of};

/// v1, then v2.
async fn two_releases() -> Rig {
    let mut rig = Rig::start().await;
    rig.run_agent().await;
    for tag in ["v1", "v2"] {
        let commit = rig.version(tag, &[]);
        assert_eq!(rig.deploy(tag, &commit).await.state, State::Live);
    }
    rig.ran();
    rig
}

const BACK: &[&str] = &["rollback", "shop", "--reason", "checkout is broken"];

#[tokio::test]
async fn a_rollback_at_the_host_is_a_hold_that_everybody_sees_until_the_next_deploy() {
    let mut rig = two_releases().await;
    let said = rig.at_host(BACK).await.out_of(0);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("  stop "), "{said}");
    assert_eq!(lines.last(), Some(&"shop v1 is live"));
    assert_eq!(rig.live().as_deref(), Some("v1"));
    assert_eq!(rig.ran(), "stop v2, start v1, check v1");
    let held = rig.wait("presence that says so", |rig| {
        rig.present.as_ref()?.projects.first()?.held.clone()
    });
    let held = held.await;
    assert_eq!(held.by, "root (uid 0, for ann) at web1");
    assert_eq!(held.reason.as_deref(), Some("checkout is broken"));
    // The orchestrator hears how it went, under an id of its own.
    let report = rig.answer(held.deploy).await;
    assert_eq!((&report.state, label(&report)), (&State::Live, Some("v1")));
    let status = rig.at_host(&["status"]).await.out_of(0);
    assert!(status.contains("web1  deploy-agent"), "{status}");
    assert!(status.contains("running, connected"), "{status}");
    assert!(
        status.contains("rolled back by root (uid 0, for ann) at web1: checkout is broken"),
        "{status}"
    );
    let history = rig
        .at_host(&["history", "shop", "--limit", "2"])
        .await
        .out_of(0);
    let lines: Vec<&str> = history.lines().collect();
    assert_eq!(lines.len(), 2, "{history}");
    assert!(lines[0].contains("  rollback  live (deploy "), "{history}");
    assert!(lines[0].ends_with(": checkout is broken"), "{history}");
    assert!(
        lines[1].contains("  activate v2  live (deploy "),
        "{history}"
    );
    // It is there after a restart, and a deploy ends it.
    rig.kill();
    rig.run_agent().await;
    let is_held = |rig: &Rig| Some(rig.present.as_ref()?.projects.first()?.held.is_some());
    rig.wait("the hold after a restart", |rig| {
        is_held(rig)?.then_some(())
    })
    .await;
    let v3 = rig.version("v3", &[]);
    assert_eq!(rig.deploy("v3", &v3).await.state, State::Live);
    rig.wait("no hold", |rig| (!is_held(rig)?).then_some(()))
        .await;
}

#[tokio::test]
async fn a_rollback_works_with_agent_broker_and_orchestrator_down() {
    let mut rig = two_releases().await;
    rig.kill();
    rig.stop_broker().await;
    let said = rig.at_host(BACK).await.out_of(0);
    assert!(said.ends_with("shop v1 is live\n"), "{said}");
    assert_eq!(rig.live().as_deref(), Some("v1"));
    assert_eq!(rig.ran(), "stop v2, start v1, check v1");
    let json = rig.at_host(&["status", "--json"]).await.out_of(0);
    let answer: Answer = serde_json::from_str(&json).expect("JSON");
    let Answer::Status(status) = answer else {
        panic!("{answer:#?}");
    };
    assert!(!status.running && !status.connected);
    let held = status.projects[0].state.held.clone().expect("held");
    rig.start_broker().await;
    rig.run_agent().await;
    let report = rig.answer(held.deploy).await;
    assert_eq!((&report.state, label(&report)), (&State::Live, Some("v1")));
    assert_eq!(rig.ran(), "", "the agent does it no second time");
}

#[tokio::test]
async fn a_rollback_whose_command_is_killed_is_finished_by_the_agent() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[SLOW]);
    rig.run_agent().await;
    fs::write(rig.shop("shared/go"), "").expect("written");
    rig.deploy("v1", &v1).await;
    let v2 = rig.version("v2", &[]);
    rig.deploy("v2", &v2).await;
    rig.ran();
    fs::remove_file(rig.shop("shared/go")).expect("removed");
    rig.kill();
    let mut typed = rig.typed(BACK).spawn().expect("it starts");
    let ran = rig.shop("shared/ran");
    rig.wait("its start script", |_| {
        let ran = fs::read_to_string(&ran).ok()?;
        ran.contains("start v1").then_some(())
    })
    .await;
    typed.kill().expect("killed");
    typed.wait().expect("reaped");
    rig.run_agent().await;
    fs::write(rig.shop("shared/go"), "").expect("written");
    let held = rig.wait("the hold", |rig| {
        rig.present.as_ref()?.projects.first()?.held.clone()
    });
    let deploy = held.await.deploy;
    assert_eq!(rig.answer(deploy).await.state, State::Live);
    assert_eq!(
        rig.ran(),
        "stop v2, start v1, check v1",
        "nothing ran twice"
    );
}

#[tokio::test]
async fn what_cannot_be_done_at_the_host_is_refused_with_the_reason() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    rig.run_agent().await;
    rig.deploy("v1", &v1).await;
    for running in [true, false] {
        let said = rig.at_host(BACK).await.err_of(3);
        assert!(said.contains("there is nothing to go back to"), "{said}");
        let said = rig.at_host(&["rollback", "blog"]).await.err_of(3);
        assert!(
            said.contains("blog is not deployed here, only: shop"),
            "{said}"
        );
        let said = rig.at_host(&["status", "blog", "--json"]).await.err_of(3);
        let error: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(error["exit"], 3, "running: {running}");
        rig.at_host(&["clear", "shop"]).await.out_of(0);
        rig.at_host(&["rollback"]).await.err_of(2);
        rig.kill();
    }
    assert_eq!(rig.live().as_deref(), Some("v1"));
    let journal = fs::read(rig.shop("journal/journal.jsonl")).expect("read");
    fs::write(rig.shop("journal/journal.jsonl"), &journal[1..]).expect("damaged");
    let said = rig.at_host(BACK).await.err_of(3);
    assert!(said.contains("line 1 of the journal is damaged"), "{said}");
    let said = rig.at_host(&["status"]).await.out_of(1);
    assert!(
        said.contains("NEEDS A PERSON: line 1 of the journal"),
        "{said}"
    );
    fs::write(rig.path("agent.toml"), "bas = 1").expect("written");
    rig.at_host(&["status"]).await.err_of(78);
}

#[tokio::test]
async fn a_signed_order_that_came_by_hand_is_carried_out_once() {
    let mut rig = two_releases().await;
    let v3 = rig.version("v3", &[]);
    let grant = rig.grant(Some(("v3", &v3)));
    let file = rig.path("order.json");
    let name = file.display().to_string();
    let apply = ["apply", name.as_str()];
    let prepare = rig.order(&grant, Phase::Prepare);
    fs::write(&file, serde_json::to_vec(&prepare).expect("JSON")).expect("written");
    let said = rig.at_host(&apply).await.out_of(0);
    assert!(said.contains("shop has "), "{said}");
    rig.kill();
    rig.stop_broker().await;
    // As it is on the bus, and without an agent.
    let activate = rig.order(&grant, Phase::Activate);
    fs::write(&file, rig.sealed(&activate)).expect("written");
    rig.ran();
    for _ in 0..2 {
        let said = rig.at_host(&apply).await.out_of(0);
        assert!(said.ends_with("shop v3 is live\n"), "{said}");
    }
    assert_eq!(rig.ran(), "stop v2, start v3, check v3");
    let mut forged = rig.order(&grant, Phase::Rollback);
    forged.order.signatures = forged.grant.signatures.clone();
    fs::write(&file, serde_json::to_vec(&forged).expect("JSON")).expect("written");
    let said = rig.at_host(&apply).await.err_of(3);
    assert!(said.contains("the order is not to be believed"), "{said}");
    fs::write(&file, "{}").expect("written");
    let said = rig.at_host(&apply).await.err_of(3);
    assert!(
        said.contains("it is no order as it is on the bus"),
        "{said}"
    );
    rig.start_broker().await;
    rig.run_agent().await;
    let report = rig.answer(id_of(&activate)).await;
    assert_eq!((&report.state, label(&report)), (&State::Live, Some("v3")));
}

#[tokio::test]
async fn another_user_may_not_ask() {
    let mut rig = two_releases().await;
    let socket = rig.path("base/control.sock");
    let mode = fs::metadata(&socket).expect("there").mode();
    assert_eq!(mode & 0o777, 0o660);
    let anybody = |path: &str, mode| {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(rig.path(path), fs::Permissions::from_mode(mode)).expect("set");
    };
    for folder in [".", "base"] {
        anybody(folder, 0o755);
    }
    let said = rig.ends(as_nobody(&rig.typed(BACK))).await.err_of(77);
    assert!(
        said.contains("ask as root or as the agent's user"),
        "{said}"
    );
    // The kernel's word counts, whatever the socket's permissions are.
    anybody("base/control.sock", 0o666);
    let said = rig.ends(as_nobody(&rig.typed(BACK))).await.err_of(77);
    assert!(said.contains("uid 65534 may not ask this agent"), "{said}");
    assert_eq!(rig.live().as_deref(), Some("v2"));
    rig.kill();
    let said = rig.ends(as_nobody(&rig.typed(BACK))).await.err_of(77);
    assert!(
        said.contains("is another user's: ask as root, or as uid 0"),
        "{said}"
    );
}

#[tokio::test]
async fn root_leaves_no_files_that_the_agents_user_cannot_use() {
    let mut rig = two_releases().await;
    rig.kill();
    rig.give_to_nobody();
    let said = rig.at_host(BACK).await.out_of(0);
    assert!(said.ends_with("shop v1 is live\n"), "{said}");
    for path in ["journal/journal.jsonl", "live", "shared/ran"] {
        let owner = fs::symlink_metadata(rig.shop(path)).expect("there").uid();
        assert_eq!(owner, 65534, "{path}");
    }
    let history = rig.at_host(&["history", "shop"]).await.out_of(0);
    assert!(
        history.contains("by root (uid 0, for ann) at web1"),
        "{history}"
    );
}

#[tokio::test]
async fn who_says_nothing_or_nonsense_holds_up_nobody() {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixStream,
    };
    let rig = two_releases().await;
    let socket = rig.path("base/control.sock");
    let mut silent = Vec::new();
    for _ in 0..8 {
        silent.push(UnixStream::connect(&socket).await.expect("connected"));
    }
    // All places are taken; each is given up within its limit.
    rig.at_host(&["status"]).await.out_of(0);
    let mut nonsense = UnixStream::connect(&socket).await.expect("connected");
    nonsense
        .write_all(b"{\"do\":\"dance\"}\n")
        .await
        .expect("sent");
    let mut said = String::new();
    nonsense.read_to_string(&mut said).await.expect("answered");
    assert!(said.contains("the request is not understood"), "{said}");
}

#[tokio::test]
async fn a_history_that_was_changed_or_cut_is_found_at_the_host() {
    let mut rig = two_releases().await;
    let said = rig.at_host(&["verify"]).await.out_of(0);
    let (whole, head) = said.trim().rsplit_once(' ').expect("words");
    assert_eq!(whole, "shop  as it was written, up to");
    let told = ["verify", "shop", "--head", head];
    rig.at_host(&told).await.out_of(0);
    rig.kill();
    let path = rig.shop("journal/journal.jsonl");
    let journal = fs::read_to_string(&path).expect("read");
    let cut: Vec<&str> = journal.lines().collect();
    fs::write(&path, cut[..cut.len() - 3].join("\n") + "\n").expect("cut");
    rig.at_host(&["verify", "shop"]).await.out_of(0);
    let said = rig.at_host(&told).await.out_of(1);
    assert!(said.contains("the end of the journal is missing"), "{said}");
    fs::write(&path, journal.replacen("alice", "mallo", 1)).expect("edited");
    let said = rig.at_host(&["verify", "--json"]).await.out_of(1);
    assert!(said.contains("line 1 of the journal is damaged"), "{said}");
    rig.at_host(&["verify", "--head", head]).await.err_of(2);
    rig.at_host(&["verify", "blog"]).await.err_of(3);
}
