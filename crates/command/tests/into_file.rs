//! Output into a file, and a program that can be told to end.

use std::{fs, future::pending};

use command::{Processes, Real, RunError};
use tempfile::TempDir;

use crate::watch::{ample, is_running, pid_in, sh, short, until};

#[tokio::test]
async fn both_outputs_are_in_the_file_in_their_order() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("output");
    for _ in 0..2 {
        let program = sh("echo out; echo err >&2; printf '\\377\\000'; exit 3");
        let output = Real
            .run_into(&program, ample(), &file, Box::pin(pending()))
            .await
            .expect("it runs");
        assert_eq!(output.code, Some(3));
        assert!(output.stdout.is_empty() && output.stderr.is_empty());
    }
    let once = b"out\nerr\n\xff\0";
    assert_eq!(
        fs::read(&file).expect("the file"),
        [&once[..], once].concat()
    );
}

#[tokio::test]
async fn what_it_leaves_behind_goes_on() {
    let folder = TempDir::new().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    // The child says something only once it is asked to, which is after the end of its parent.
    let script = "mkfifo ask; (read word < ask; echo $word > answer) & exit 0";
    let program = sh(script).folder(folder.path());
    let file = at("output");
    let output = Real.run_into(&program, ample(), &file, Box::pin(pending()));
    assert!(output.await.expect("it runs").success());
    let ask = sh("echo alive > ask").folder(folder.path());
    let asked = Real.run(&ask, short(5000, 100)).await;
    asked.expect("somebody listens");
    until("the child has answered", || {
        fs::read_to_string(at("answer")).is_ok_and(|answer| answer == "alive\n")
    })
    .await;
}

#[tokio::test]
async fn told_to_end_the_whole_group_ends() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("output");
    let program = sh("sleep 1000 & echo $!; wait");
    let told = Box::pin(async {
        pid_in(&file).await;
    });
    let error = Real.run_into(&program, ample(), &file, told).await;
    assert!(matches!(error, Err(RunError::Ended { .. })), "{error:?}");
    let child = pid_in(&file).await;
    until("the child is gone", || !is_running(child)).await;
}

#[tokio::test]
async fn at_the_limit_the_whole_group_ends() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("output");
    let program = sh("sleep 1000 & echo $!; wait");
    let error = Real.run_into(&program, short(1000, 200), &file, Box::pin(pending()));
    let error = error.await;
    assert!(matches!(error, Err(RunError::Limit { .. })), "{error:?}");
    let child = pid_in(&file).await;
    until("the child is gone", || !is_running(child)).await;
}
