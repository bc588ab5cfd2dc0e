//! What the agent makes of failures that are not its scripts'.

use std::{collections::BTreeMap, fs, io, os::unix::fs::PermissionsExt, sync::Arc, time::Duration};

use chassis::{Common, settings::parse};
use deploy_agent::{
    Settings,
    machine::{End, Outcome},
    redact::Redactor,
    run_folder::{RunFolder, Spec},
    script::{self, Run, Tail},
    trust::Trust,
};
use events::message::{Ordered, Phase, ScriptOutput, Signed, Step};
use tempfile::TempDir;
use testkit::Faulty;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::rig::LIMIT;

fn settings(folder: &TempDir) -> (Common, Settings) {
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("allowed_signers"), "").expect("written");
    fs::write(path("policy.toml"), "orchestrators = []\n").expect("written");
    let text = format!(
        "host = 'web1'\nbase = '{}'\nallowed_signers = '{}'\npolicy = '{}'\n\
         [projects.shop]\nrepository = 'shop'\nenvironment = 'prod'\n",
        path("base"),
        path("allowed_signers"),
        path("policy.toml"),
    );
    parse(&text, "settings").expect("they parse")
}

#[tokio::test]
async fn an_agent_ends_when_the_task_of_a_project_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let (common, settings) = settings(&folder);
    let mut world = World::real().with_inline_disk();
    // The first that a project does at work is to look at its links.
    world.disk = Arc::new(Faulty::new(|call, path| {
        assert!(
            call != "read_link" || !path.ends_with("previous"),
            "a defect"
        );
        Ok(())
    }));
    let stop = CancellationToken::new();
    let serve = deploy_agent::serve;
    let served = chassis::compose("deploy-agent", common, settings, world, stop, serve);
    let ended = timeout(LIMIT, served).await.expect("it ends");
    let failure = ended.expect_err("nobody told it to end");
    assert!(
        format!("{failure:?}").contains("the task of a project failed"),
        "{failure:?}"
    );
}

fn unsigned() -> Ordered {
    let signed = Signed {
        payload_type: String::new(),
        payload: String::new(),
        signatures: Vec::new(),
    };
    Ordered {
        host: "web1".parse().expect("a host"),
        project: "shop".parse().expect("a project"),
        phase: Phase::Prepare,
        order: signed.clone(),
        grant: signed,
        targets: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_is_judged_once_the_files_can_be_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let trust = Trust {
        allowed_signers: folder.path().join("allowed_signers"),
        policy: folder.path().join("policy.toml"),
    };
    fs::write(&trust.allowed_signers, "").expect("written");
    fs::write(&trust.policy, "orchestrators = [").expect("half written");
    let world = World::real().with_inline_disk();
    let (ordered, host) = (unsigned(), "web1".parse().expect("a host"));
    let began = Instant::now();
    let believe = || trust.believe(&world, &ordered, &host);
    let whole = async {
        sleep(Duration::from_millis(2500)).await;
        fs::write(&trust.policy, "orchestrators = []\n").expect("written");
    };
    let (believed, ()) = tokio::join!(believe(), whole);
    let why = believed.expect_err("nobody signed it");
    assert!(why.starts_with("the order is not to be believed"), "{why}");
    assert_eq!(began.elapsed().as_secs(), 3);
    // Files that stay away are named in the end.
    fs::remove_file(&trust.policy).expect("removed");
    let began = Instant::now();
    let why = believe().await.expect_err("nobody can be believed");
    assert!(why.contains("policy.toml: "), "{why}");
    assert_eq!(began.elapsed().as_secs(), 9);
}

/// Runs a shell script as the agent does, on a disk with faults; gives its outcome and what it said.
pub(crate) async fn run(
    script: &str,
    disk: Faulty,
    redactor: Redactor,
) -> (Outcome, Vec<ScriptOutput>) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("script");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("set");
    let (voice, mut said) = mpsc::channel(256);
    let run = Run {
        folder: RunFolder::at(folder.path().join("steps/one")),
        spec: Spec {
            args: Vec::new(),
            user: None,
            program,
            folder: folder.path().to_owned(),
            env: BTreeMap::new(),
            limit_s: 20,
            grace_s: 1,
            flush: false,
        },
        runner: [env!("CARGO_BIN_EXE_deploy-agent"), "step"]
            .map(str::to_owned)
            .to_vec(),
        tail: Tail {
            message: ScriptOutput {
                host: "web1".parse().expect("a host"),
                project: "shop".parse().expect("a project"),
                deploy: uuid::Uuid::nil(),
                step: Step::Build,
                offset: 0,
                text: String::new(),
                cut: false,
            },
            read: 0,
            voice,
            redactor: Arc::new(redactor),
            limit: 64 * 1024,
        },
    };
    let mut world = World::real();
    world.disk = Arc::new(disk);
    let end = CancellationToken::new();
    let ran = timeout(LIMIT, script::run(&world, run, &end)).await;
    let mut output = Vec::new();
    while let Ok(piece) = said.try_recv() {
        output.push(piece);
    }
    (ran.expect("it comes to its end"), output)
}

#[tokio::test]
async fn a_script_that_cannot_be_watched_for_a_while_ends_as_it_ends() {
    // Each of what the agent does with the disk fails at its first time.
    let mut calls = BTreeMap::new();
    let disk = Faulty::new(move |call, _| {
        let times = calls.entry(call.to_owned()).or_insert(0);
        *times += 1;
        match *times {
            1 => Err(io::Error::other("too many open files")),
            _ => Ok(()),
        }
    });
    let (outcome, output) = run("echo one; sleep 1; echo done", disk, Redactor::default()).await;
    assert_eq!((outcome.end, outcome.exit), (End::Ok, Some(0)));
    let said: String = output.iter().map(|piece| piece.text.as_str()).collect();
    assert_eq!(said, "one\ndone\n");
}

#[tokio::test]
async fn a_script_whose_output_cannot_be_read_ends_as_it_ends() {
    let disk = Faulty::new(|call, _| match call {
        "read_at" => Err(io::Error::other("input/output error")),
        _ => Ok(()),
    });
    let (outcome, output) = run("echo one; exit 3", disk, Redactor::default()).await;
    assert_eq!((outcome.end, outcome.exit), (End::Failed, Some(3)));
    assert_eq!((outcome.detail, output.len()), (None, 0));
}

#[tokio::test]
async fn a_script_whose_runner_is_killed_is_over_before_it_is_interrupted() {
    let script = "kill -9 $PPID; echo $$; sleep 60; echo late";
    let (outcome, output) = run(script, Faulty::new(|_, _| Ok(())), Redactor::default()).await;
    assert_eq!(outcome.end, End::Interrupted);
    let said: String = output.iter().map(|piece| piece.text.as_str()).collect();
    let stat = fs::read_to_string(format!("/proc/{}/stat", said.trim()));
    assert!(!stat.is_ok_and(|stat| !stat.contains(") Z")), "it lives");
}

#[tokio::test]
async fn a_script_that_never_could_be_started_says_why() {
    let disk = Faulty::new(|call, _| match call {
        "create_folders" => Err(io::Error::other("too many open files")),
        _ => Ok(()),
    });
    let (outcome, _) = run("exit 0", disk, Redactor::default()).await;
    let why = "its runner did not start: too many open files".to_owned();
    assert_eq!((outcome.end, outcome.detail), (End::Failed, Some(why)));
}

#[tokio::test]
async fn a_secret_is_cut_out_wherever_a_long_line_is_cut() {
    // Everywhere in one line: some lie across each place where the line is cut into pieces, and across the place where
    // the end begins from which the last line is taken.
    let secrets = || Redactor::new(["correct-horse"]);
    let fine = || Faulty::new(|_, _| Ok(()));
    let script = "for i in $(seq 6000); do printf 'correct-horse.'; done; exit 3";
    let (outcome, output) = run(script, fine(), secrets()).await;
    let last = outcome.detail.expect("the end of the line");
    assert!(last.starts_with(".[secret].[secret]."), "{last}");
    assert!(output.iter().any(|piece| piece.cut));
    assert!(output.len() > 3, "{} pieces", output.len());
    for piece in output {
        let rest = piece.text.replace("[secret]", "").replace('.', "");
        assert_eq!(rest, "", "half a secret");
    }
}
