//! What a script is given, and what becomes of what it says.

use std::fs;

use events::message::{Phase, ScriptOutput, Step};

use crate::rig::Rig;

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
    let readme = include_str!("../../README.md");
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
