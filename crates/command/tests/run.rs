//! A run: output, input, environment, limits.

use std::{fs, pin::pin};

use command::{Limits, Processes, Program, Real, RunError};
use tempfile::TempDir;

use crate::watch::{ample, is_running, pid_in, sh, short, until};

#[tokio::test]
async fn output_and_exit_code() {
    let output = Real
        .run(&sh("echo out; echo err >&2; exit 3"), ample())
        .await
        .expect("it runs");
    assert_eq!(output.stdout, b"out\n");
    assert_eq!(output.stderr, b"err\n");
    assert_eq!((output.code, output.signal), (Some(3), None));
    assert!(!output.success());
    assert_eq!(output.ending(), "exit 3");
    assert_eq!(output.last_line(), "err");
}

#[tokio::test]
async fn a_signal_is_no_exit_code() {
    let output = Real.run(&sh("kill -9 $$"), ample()).await.expect("it runs");
    assert_eq!((output.code, output.signal), (None, Some(9)));
    assert_eq!(output.ending(), "signal 9");
}

#[tokio::test]
async fn output_is_kept_up_to_its_limit_and_the_rest_is_read() {
    let limits = Limits {
        output_bytes: 1000,
        ..ample()
    };
    let program = sh("head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; exit 4");
    let output = Real.run(&program, limits).await.expect("it runs");
    assert_eq!((output.stdout.len(), output.stderr.len()), (1000, 1000));
    assert_eq!(output.code, Some(4), "it could write all of it");
}

#[tokio::test]
async fn the_environment_is_what_was_given_and_nothing_else() {
    let program = Program::new("env").env("SHOP", "blue socks");
    let output = Real.run(&program, ample()).await.expect("it runs");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "LC_ALL=C.UTF-8",
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "SHOP=blue socks",
        ]
    );
}

#[tokio::test]
async fn what_was_given_wins_over_the_defaults() {
    let program = Program::new("/usr/bin/env")
        .env("PATH", "/x")
        .env("LC_ALL", "C");
    let output = Real.run(&program, ample()).await.expect("it runs");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "LC_ALL=C\nPATH=/x\n"
    );
}

#[tokio::test]
async fn it_runs_in_its_folder() {
    let folder = TempDir::new().expect("a folder");
    let folder = folder.path().canonicalize().expect("a path");
    let program = Program::new("pwd").folder(&folder);
    let output = Real.run(&program, ample()).await.expect("it runs");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).trim_end(),
        folder.to_string_lossy()
    );
}

#[tokio::test]
async fn input_larger_than_a_pipe_arrives_whole() {
    let input = vec![b'x'; 300_000];
    let program = Program::new("cat").stdin(input.clone());
    let output = Real.run(&program, ample()).await.expect("it runs");
    assert!(output.stdout == input);
}

#[tokio::test]
async fn without_input_there_is_nothing_to_read() {
    let output = Real
        .run(&Program::new("cat"), ample())
        .await
        .expect("it runs");
    assert!(output.success() && output.stdout.is_empty());
}

#[tokio::test]
async fn a_program_need_not_read_its_input() {
    let program = sh("exit 5").stdin(vec![b'x'; 300_000]);
    let output = Real.run(&program, ample()).await.expect("it runs");
    assert_eq!(output.code, Some(5));
}

#[tokio::test]
async fn one_that_cannot_start_is_named() {
    let missing = Program::new("no-such-program").arg("-x");
    let error = Real
        .run(&missing, ample())
        .await
        .expect_err("it is not there");
    assert_eq!(error.to_string(), "cannot start no-such-program -x");
    let RunError::Start { source, .. } = error else {
        panic!("{error:?}");
    };
    assert_eq!(source.kind(), std::io::ErrorKind::NotFound);

    let lost = Program::new("true").folder("/no/such/folder");
    let error = Real.run(&lost, ample()).await.expect_err("no such folder");
    assert!(matches!(error, RunError::Start { .. }), "{error:?}");
}

#[tokio::test]
async fn the_whole_group_ends_at_the_limit() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
    let error = Real
        .run(&sh(&script), short(1000, 500))
        .await
        .expect_err("too long");
    assert!(matches!(error, RunError::Limit { .. }), "{error:?}");
    assert!(
        error.to_string().ends_with("after its limit of 1 s"),
        "{error}"
    );
    let child = pid_in(&file).await;
    until("the child of the shell is gone", || !is_running(child)).await;
}

#[tokio::test]
async fn one_that_takes_no_notice_of_term_is_killed_after_the_grace() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("pid");
    let script = format!(
        "trap '' TERM; echo $$ > {}; while :; do sleep 1; done",
        file.display()
    );
    let error = Real
        .run(&sh(&script), short(500, 200))
        .await
        .expect_err("too long");
    assert!(matches!(error, RunError::Limit { .. }), "{error:?}");
    assert!(!is_running(pid_in(&file).await));
}

#[tokio::test]
async fn one_that_is_told_to_end_may_tidy_up() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("tidied");
    // More than a pipe holds, so that it has to be read for the shell to come to its end.
    let last_words = format!("head -c 200000 /dev/zero; touch {}", file.display());
    let script = format!("trap '{last_words}; exit' TERM; sleep 1000 & wait");
    let error = Real
        .run(&sh(&script), short(500, 10_000))
        .await
        .expect_err("too long");
    assert!(matches!(error, RunError::Limit { .. }), "{error:?}");
    assert!(file.exists(), "it had no time to tidy up");
}

#[tokio::test]
async fn dropping_the_future_ends_the_group() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
    let program = sh(&script);
    let child = {
        let mut run = pin!(Real.run(&program, ample()));
        let pid = pid_in(&file);
        tokio::select! {
            ended = &mut run => panic!("{ended:?}"),
            pid = pid => pid,
        }
    };
    until("the child of the shell is gone", || !is_running(child)).await;
}

#[tokio::test]
async fn a_run_that_is_dropped_before_its_first_step_starts_nothing() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("started");
    let program = sh(&format!("touch {}", file.display()));
    drop(Real.run(&program, ample()));
    let other = Real.run(&sh("exit 0"), ample()).await;
    assert!(other.is_ok() && fs::metadata(&file).is_err());
}

#[tokio::test]
async fn a_shown_program_has_its_input_and_its_limit_and_leaves_nothing_behind() {
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("pid");
    let script = format!(
        "read line; [ \"$line\" = hello ]; code=$?; sleep 1000 & echo $! > {}; exit $((code + 5))",
        file.display()
    );
    let output = Real
        .run_shown(&sh(&script).stdin("hello\n"), ample())
        .await
        .expect("it runs");
    assert_eq!(
        (output.code, output.stdout, output.stderr),
        (Some(5), vec![], vec![])
    );
    let pid = pid_in(&file).await;
    until("what it left behind is gone", || !is_running(pid)).await;
    let ended = Real.run_shown(&sh("sleep 1000"), short(100, 100)).await;
    assert!(matches!(ended, Err(RunError::Limit { .. })), "{ended:?}");
}
