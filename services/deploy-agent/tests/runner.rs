//! The process between the agent and a script: it runs a script once, and leaves how that went in its folder.

use std::{
    collections::BTreeMap, fs, os::unix::fs::PermissionsExt, path::Path, process::ExitCode,
    time::Duration,
};

use deploy_agent::run_folder::{Found, RunFolder, Spec, Status};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use world::{Disk, RealDisk, World};

/// A run of a shell script, made but not started.
async fn step(folder: &Path) -> ExitCode {
    deploy_agent::step(&World::real(), folder).await
}

fn run(script: &str, limit_s: u64) -> (TempDir, RunFolder) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("script");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("set");
    let spec = Spec {
        program,
        args: vec!["one two".to_owned()],
        folder: folder.path().to_owned(),
        env: BTreeMap::from([("WHO".to_owned(), "ann".to_owned())]),
        limit_s,
        grace_s: 1,
        flush: false,
    };
    let run = RunFolder::at(folder.path().join("steps/one"));
    run.make(&RealDisk, &spec).expect("made");
    (folder, run)
}

fn over(run: &RunFolder) -> Status {
    match run.look(&RealDisk).expect("read") {
        Found::Over(status) => status,
        other => panic!("{other:?}"),
    }
}

fn output(run: &RunFolder) -> String {
    fs::read_to_string(run.output()).expect("read")
}

#[tokio::test]
async fn a_script_leaves_its_output_in_order_and_its_exit_code() {
    let (_folder, run) = run("echo $# $1; echo two >&2; echo $WHO $HOME; exit 3", 20);
    assert_eq!(run.look(&RealDisk).expect("read"), Found::Fresh);
    step(run.path()).await;
    assert_eq!(
        output(&run),
        "1 one two\ntwo\nann\n",
        "and nothing is inherited"
    );
    let status = over(&run);
    assert_eq!(
        (status.exit, status.timed_out, status.ended),
        (Some(3), false, false)
    );
}

#[tokio::test]
async fn a_script_runs_once_however_often_it_is_started() {
    let (_folder, run) = run("echo ran", 20);
    let started = run.path().to_owned();
    tokio::join!(step(&started), step(&started));
    step(&started).await;
    assert_eq!(output(&run), "ran\n");
}

#[tokio::test]
async fn a_script_at_its_limit_is_ended_with_its_children() {
    let (folder, run) = run("(trap '' TERM; sleep 60; echo late) & echo $!; wait", 1);
    step(run.path()).await;
    assert!(over(&run).timed_out);
    let child: u32 = output(&run).trim().parse().expect("the child's id");
    within_limit("the child is killed", || gone(child)).await;
    drop(folder);
}

/// True once a process is no more, or waits only for its parent to notice.
fn gone(process: u32) -> bool {
    !fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|text| !text.contains(") Z"))
}

async fn within_limit(what: &str, is_so: impl Fn() -> bool) {
    let waited = timeout(Duration::from_secs(10), async {
        while !is_so() {
            // waits for `is_so`, within the limit around it
            sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain: {what}");
}

#[tokio::test]
async fn a_script_that_is_asked_to_end_ends() {
    let (_folder, run) = run("echo began; sleep 60; echo late", 20);
    let asked = async {
        let began = || fs::read_to_string(run.output()).is_ok_and(|text| text.contains("began"));
        within_limit("it began", began).await;
        assert_eq!(run.look(&RealDisk).expect("read"), Found::UnderWay);
        run.ask_end(&RealDisk).expect("asked");
    };
    tokio::join!(step(run.path()), asked);
    let status = over(&run);
    assert!(status.ended && !status.timed_out);
    assert_eq!(output(&run), "began\n");
}

#[tokio::test]
async fn what_a_script_leaves_in_the_background_goes_on() {
    let (folder, run) = run("(sleep 0.3; echo up > up) & exit 0", 20);
    step(run.path()).await;
    assert_eq!(over(&run).exit, Some(0));
    let up = folder.path().join("up");
    within_limit("the service came up", || up.exists()).await;
}

#[tokio::test]
async fn a_script_that_cannot_be_started_says_why() {
    let (folder, run) = run("exit 0", 20);
    fs::write(folder.path().join("script"), "#!/nowhere/sh\n").expect("written");
    step(run.path()).await;
    let error = over(&run).error.expect("it did not start");
    assert!(error.contains("script"), "{error}");
}

#[tokio::test]
async fn a_run_whose_runner_died_is_interrupted_and_not_started_again() {
    let (_folder, run) = run("echo ran", 20);
    run.begin(&RealDisk).expect("begun");
    assert_eq!(run.look(&RealDisk).expect("read"), Found::Interrupted);
    step(run.path()).await;
    assert_eq!(run.look(&RealDisk).expect("read"), Found::Interrupted);
    assert!(!run.output().exists());
}

#[tokio::test]
async fn a_run_that_is_forbidden_never_starts() {
    let (_folder, run) = run("echo ran", 20);
    assert!(run.forbid(&RealDisk).expect("forbidden"));
    assert!(
        !run.forbid(&RealDisk).expect("read"),
        "only what was not started can be forbidden"
    );
    step(run.path()).await;
    assert!(!run.output().exists());
    let held = RealDisk.lock(&run.lock()).expect("read");
    assert!(
        !run.forbid(&RealDisk).expect("read"),
        "nor what a runner has"
    );
    drop(held);
}
