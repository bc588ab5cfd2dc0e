//! Programs that run beside this one.

use std::{fs, time::Duration};

use command::{Processes, Program, Real, RunError};
use tempfile::TempDir;

use crate::watch::{PATIENCE, is_running, pid_in, sh, until};

#[tokio::test]
async fn both_outputs_are_added_to_the_log() {
    let folder = TempDir::new().expect("a folder");
    let log = folder.path().join("log");
    fs::write(&log, "before\n").expect("a file");
    let mut running = Real
        .start(&sh("echo out; echo err >&2; exit 3"), &log)
        .expect("it starts");
    assert_eq!(running.ended().await, "exit 3");
    assert_eq!(
        fs::read_to_string(&log).expect("the log"),
        "before\nout\nerr\n"
    );
}

#[tokio::test]
async fn it_is_told_to_end_and_may_tidy_up_and_its_group_ends_with_it() {
    let folder = TempDir::new().expect("a folder");
    let log = folder.path().join("log");
    let script = "trap 'exit 9' TERM; sleep 1000 & echo $!; wait";
    let mut running = Real.start(&sh(script), &log).expect("it starts");
    let child = pid_in(&log).await;
    assert!(is_running(running.pid()));
    assert_eq!(running.end(PATIENCE).await, "exit 9");
    until("its child is gone", || !is_running(child)).await;
    assert!(!is_running(running.pid()));
}

#[tokio::test]
async fn one_that_takes_no_notice_is_killed_after_the_grace() {
    let folder = TempDir::new().expect("a folder");
    let log = folder.path().join("log");
    let script = "trap '' TERM; echo $$; while :; do sleep 1; done";
    let mut running = Real.start(&sh(script), &log).expect("it starts");
    assert_eq!(pid_in(&log).await, running.pid());
    assert_eq!(running.end(Duration::from_millis(100)).await, "signal 9");
}

#[tokio::test]
async fn dropping_it_kills_its_group() {
    let folder = TempDir::new().expect("a folder");
    let log = folder.path().join("log");
    let running = Real
        .start(&sh("sleep 1000 & echo $!; wait"), &log)
        .expect("it starts");
    let child = pid_in(&log).await;
    let leader = running.pid();
    drop(running);
    until("both are gone", || {
        !is_running(child) && !is_running(leader)
    })
    .await;
}

#[tokio::test]
async fn one_that_cannot_start_is_named() {
    let missing = Program::new("no-such-program");
    let log = TempDir::new().expect("a folder").path().join("log");
    for log in [&log, std::path::Path::new("/dev/null")] {
        let error = Real.start(&missing, log).expect_err("not there");
        assert!(matches!(error, RunError::Start { .. }), "{error:?}");
    }
    let error = Real.start_detached(&missing).expect_err("not there");
    assert_eq!(error.to_string(), "cannot start no-such-program");
}

#[tokio::test]
async fn a_detached_one_leads_a_group_of_its_own() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("pid");
    // The fifth field is its process group.
    let script = format!(
        "cut -d' ' -f5 /proc/$$/stat > {0}; echo $$ > {0}.2",
        file.display()
    );
    Real.start_detached(&sh(&script)).expect("it starts");
    let itself = pid_in(&folder.path().join("pid.2")).await;
    assert_eq!(pid_in(&file).await, itself);
}
