//! A mirror that takes only what CI found good: the agent brings the commit of its order, and no other.

use std::process::Command;

use events::{CommitId, message::State};
use git::{Git, Mirror};

use crate::rig::Rig;

/// True if the object is in the mirror of `shop`, with a ref or without.
fn holds(rig: &Rig, commit: &CommitId) -> bool {
    let listed = Command::new("git")
        .arg("--git-dir")
        .arg(rig.path("base/mirrors/shop.git"))
        .args([
            "cat-file",
            "--batch-all-objects",
            "--batch-check=%(objectname)",
        ])
        .output()
        .expect("git runs");
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    listed.lines().any(|object| object == commit.as_str())
}

#[tokio::test]
async fn into_a_gated_mirror_comes_the_ordered_commit_and_no_other() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    let v2 = rig.version("v2", &[]);
    let red = rig.version("red", &[]);
    let world = world::World::real();
    let mirror = Mirror::at(rig.path("base/mirrors/shop.git"), &Git::new(&world));
    let origin = rig.path("repository").display().to_string();
    let origin = origin.parse().expect("an origin");
    mirror.ensure_gated(&origin, &v1).await.expect("it is made");
    rig.run_agent().await;
    for (tag, commit) in [("v1", &v1), ("v2", &v2)] {
        assert_eq!(rig.deploy(tag, commit).await.state, State::Live);
        assert_eq!(rig.live().as_deref(), Some(tag));
    }
    assert!(!holds(&rig, &red));
    assert_eq!(mirror.refs().await.expect("it is read"), []);
}

#[tokio::test]
async fn into_a_mirror_that_the_agent_makes_come_ordered_commits_alone() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    let red = rig.version("red", &[]);
    rig.run_agent().await;
    assert_eq!(rig.deploy("v1", &v1).await.state, State::Live);
    assert!(holds(&rig, &v1) && !holds(&rig, &red));
    // Its keeper may not have come by to gate it.
    rig.to_branch("good", &v1);
    let v2 = rig.version("v2", &[]);
    assert_eq!(rig.deploy("v2", &v2).await.state, State::Live);
    assert!(holds(&rig, &v2) && !holds(&rig, &red));
}

#[tokio::test]
async fn it_fetches_with_what_is_in_its_home() {
    let mut rig = Rig::start().await;
    let v1 = rig.version("v1", &[]);
    let (named, real) = (rig.path("repository"), rig.path("elsewhere"));
    std::fs::rename(&named, &real).expect("moved");
    std::fs::create_dir(rig.path("home")).expect("made");
    let leads = format!("[url {real:?}]\n\tinsteadOf = {named:?}\n");
    std::fs::write(rig.path("home/.gitconfig"), leads).expect("written");
    rig.run_agent().await;
    assert_eq!(rig.deploy("v1", &v1).await.state, State::Live);
}
