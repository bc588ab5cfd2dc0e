//! What a script is given, and what becomes of what it says.

use std::{fs, os::unix::fs::MetadataExt};

use events::message::{Phase, ScriptOutput, State, Step};

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

#[tokio::test]
async fn the_scripts_of_an_older_system_keep_their_names_and_arguments() {
    let mut rig = Rig::start().await;
    rig.settings = "scripts = 'future-control'\n\
                    [projects.shop.script.pre-deploy]\nfile = 'pre-deploy.sh'\nargs = ['-t', '{tag}']\nrequired = true\n"
        .to_owned();
    let old = "#!/bin/sh\necho \"$@ in $(basename \"$PWD\")\" >> \"$DEPLOYKIT_SHARED/ran\"\n";
    let v1 = rig.version("v1", &[("future-control/pre-deploy.sh", old)]);
    let v2 = rig.version("v2", &[]);
    rig.run_agent().await;
    let report = rig.deploy("v1", &v1).await;
    let release = report.live.expect("it is live").release;
    assert_eq!(rig.ran(), format!("-t v1 in {release}"));
    let grant = rig.grant(Some(("v2", &v2)));
    let without = rig.carry_out(&grant, Phase::Prepare).await;
    let reason = "layout: future-control/pre-deploy.sh is required, and not in the revision";
    assert_eq!(
        without.state,
        State::Failed {
            reason: reason.to_owned()
        }
    );
}

#[tokio::test]
async fn a_script_of_the_host_runs_for_every_release() {
    let mut rig = Rig::start().await;
    rig.settings = "[projects.shop.script.start]\nfrom = 'host'\n".to_owned();
    let v1 = rig.version("v1", &[]);
    rig.run_agent().await;
    let grant = rig.grant(Some(("v1", &v1)));
    let without = rig.carry_out(&grant, Phase::Prepare).await;
    assert!(
        matches!(&without.state, State::Failed { reason } if reason.contains("host-scripts/shop/start")),
        "{without:#?}"
    );
    let own = "#!/bin/sh\necho \"the host's $DEPLOYKIT_STEP\" >> \"$DEPLOYKIT_SHARED/ran\"\n";
    rig.host_script("start", own);
    assert_eq!(rig.deploy("v1", &v1).await.state, State::Live);
    assert_eq!(rig.ran(), "build v1, the host's start, check v1");
}

#[tokio::test]
async fn a_script_that_went_since_it_was_prepared_is_noticed_before_anything_runs() {
    let mut rig = Rig::start().await;
    let (v1, v2) = (rig.version("v1", &[]), rig.version("v2", &[]));
    rig.run_agent().await;
    rig.deploy("v1", &v1).await;
    let grant = rig.grant(Some(("v2", &v2)));
    let prepared = rig.carry_out(&grant, Phase::Prepare).await;
    let State::Prepared { release } = prepared.state else {
        panic!("{prepared:#?}")
    };
    let gone = rig.shop("releases").join(release).join(".deploy/start");
    fs::remove_file(&gone).expect("removed");
    rig.ran();
    let refused = rig.carry_out(&grant, Phase::Activate).await;
    let reason = format!(
        "{} was there when it was prepared, and is gone: put it back",
        gone.display()
    );
    assert_eq!(refused.state, State::Refused { reason });
    assert_eq!(
        (rig.ran(), rig.live().as_deref()),
        (String::new(), Some("v1"))
    );
    assert_eq!(
        rig.deploy("v2", &v2).await.state,
        State::Live,
        "preparing makes another one"
    );
}

#[tokio::test]
async fn scripts_run_as_the_owner_and_one_of_the_host_as_root_where_it_is_told_to() {
    let mut rig = Rig::start().await;
    let root = fs::metadata("/proc/self").expect("there").uid() == 0;
    let owner = if root { "nobody" } else { "root" };
    rig.settings = format!(
        "owner = '{owner}'\nscript.post-deploy = {{ from = 'host', root = true }}\n\
         script.pre-deploy = {{ from = 'host' }}\n"
    );
    let who = "#!/bin/sh\nid -un\npwd\necho \"$HOME\"\n";
    let build = "#!/bin/sh\nid -un\necho built > built\n";
    let v1 = rig.version(
        "v1",
        &[
            (".deploy/build", build),
            (".deploy/start", who),
            (".deploy/check", who),
        ],
    );
    rig.host_script("pre-deploy", who);
    rig.host_script("post-deploy", who);
    rig.let_others_in();
    rig.run_agent().await;
    let grant = rig.grant(Some(("v1", &v1)));
    let prepared = rig.carry_out(&grant, Phase::Prepare).await;
    if !root {
        assert!(
            matches!(&prepared.state, State::Failed { reason } if reason.contains("start deploy-agent as root")),
            "{prepared:#?}"
        );
        return;
    }
    assert!(
        matches!(prepared.state, State::Prepared { .. }),
        "{prepared:#?}"
    );
    let live = rig.carry_out(&grant, Phase::Activate).await;
    assert_eq!(live.state, State::Live, "{live:#?}");
    let release = live.live.expect("it is live").release;
    let tree = rig.shop("releases").join(release);
    let own = format!("nobody\n{}\n/nonexistent\n", tree.display());
    let said = |run: &str| fs::read_to_string(rig.output_of(run)).expect("read");
    for run in ["-pre-deploy-1", "-start-1", "-check-1"] {
        assert_eq!(said(run), own, "{run}");
    }
    assert_eq!(said("-build-1"), "nobody\n");
    let home = rig.shop("").display().to_string();
    let home = home.trim_end_matches('/');
    assert_eq!(said("-post-deploy-1"), format!("root\n/\n{home}\n"));
    let built = fs::metadata(tree.join("built")).expect("it wrote into its release");
    assert_eq!(built.uid(), 65534);
}
