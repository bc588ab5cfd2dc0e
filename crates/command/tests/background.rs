//! What a program leaves behind when it ends by itself.

use std::time::Instant;

use command::{Processes, Real};
use tempfile::TempDir;

use crate::watch::{PATIENCE, ample, is_running, sh, until};

fn number(text: &[u8]) -> u32 {
    let text = String::from_utf8_lossy(text);
    text.trim().parse().unwrap_or_else(|_| panic!("{text:?}"))
}

#[tokio::test]
async fn a_child_that_holds_the_output_open_does_not_hold_up_the_run() {
    let began = Instant::now();
    let output = Real
        .run(&sh("sleep 1000 & echo $!"), ample())
        .await
        .expect("it ended by itself");
    assert!(output.success());
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    let child = number(&output.stdout);
    until("the child is gone", || !is_running(child)).await;
}

#[tokio::test]
async fn what_a_child_writes_soon_after_is_still_read() {
    // The child waits for its parent to be gone, so what it says comes after the end of the run's program.
    let script = "(while kill -0 $$ && ! grep -q ') Z' /proc/$$/stat; do :; done; echo late) 2>/dev/null & echo early";
    let output = Real
        .run(&sh(script), ample())
        .await
        .expect("it ended by itself");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "early\nlate\n");
}

#[tokio::test]
async fn a_child_that_closed_the_output_is_ended_too() {
    let script = "sleep 1000 >/dev/null 2>&1 & echo $!";
    let output = Real
        .run(&sh(script), ample())
        .await
        .expect("it ended by itself");
    let child = number(&output.stdout);
    until("the child is gone", || !is_running(child)).await;
}

#[tokio::test]
async fn one_that_left_the_group_goes_on_and_holds_nothing_up() {
    let began = Instant::now();
    let folder = TempDir::new().expect("a folder");
    let told = folder.path().join("told");
    let script = format!(
        "mkfifo {0}; setsid sh -c 'echo $$; echo > {0}; exec sleep 1000' & read x < {0}; exit 6",
        told.display()
    );
    let output = Real
        .run(&sh(&script), ample())
        .await
        .expect("it ended by itself");
    assert_eq!(output.code, Some(6));
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
    let escaped = number(&output.stdout);
    assert!(is_running(escaped));
    let killed = Real.run(&sh(&format!("kill -9 {escaped}")), ample()).await;
    assert!(killed.expect("it runs").success());
}
