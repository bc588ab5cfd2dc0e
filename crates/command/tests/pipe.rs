//! Output that is used while the program runs.

use std::{io, io::Read, sync::mpsc};

use command::{Processes, Program, Real, RunError};

use crate::watch::{ample, is_running, sh, short, until};

#[tokio::test]
async fn the_consumer_gets_all_of_the_output() {
    let (sender, receiver) = mpsc::channel();
    let consumer = Box::new(move |from: &mut dyn Read| {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        sender.send(bytes.len()).map_err(io::Error::other)
    });
    let program = sh("head -c 3000000 /dev/zero; echo err >&2; exit 2");
    let output = Real
        .pipe(&program, ample(), consumer)
        .await
        .expect("it runs");
    assert_eq!(receiver.recv(), Ok(3_000_000));
    assert!(output.stdout.is_empty());
    assert_eq!((output.code, &output.stderr[..]), (Some(2), &b"err\n"[..]));
}

#[tokio::test]
async fn a_consumer_may_stop_early() {
    let consumer = Box::new(|from: &mut dyn Read| from.read_exact(&mut [0; 10]));
    let program = sh("head -c 3000000 /dev/zero; exit 7");
    let output = Real
        .pipe(&program, ample(), consumer)
        .await
        .expect("it runs");
    assert_eq!(output.code, Some(7), "it could write all of it");
}

#[tokio::test]
async fn a_consumer_that_fails_is_told_from_a_program_that_fails() {
    let consumer = Box::new(|_: &mut dyn Read| Err(io::Error::other("the disk is full")));
    let program = Program::new("yes");
    let error = Real.pipe(&program, ample(), consumer).await;
    let Err(RunError::Output { program, source }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        (program.as_str(), source.to_string().as_str()),
        ("yes", "the disk is full")
    );
}

#[tokio::test]
async fn a_slow_consumer_has_the_time_that_the_limit_leaves() {
    let (sender, receiver) = mpsc::channel();
    let consumer = Box::new(move |from: &mut dyn Read| {
        let mut first = [0; 5];
        from.read_exact(&mut first)?;
        let program: u32 = String::from_utf8_lossy(&first[..])
            .trim()
            .parse()
            .unwrap_or(0);
        sender.send(program).map_err(io::Error::other)?;
        // waits for longer than what is left behind may hold the output open: the slowness is what is tested
        std::thread::sleep(std::time::Duration::from_millis(2500));
        let mut rest = Vec::new();
        from.read_to_end(&mut rest)?;
        sender
            .send(u32::try_from(rest.len()).unwrap_or_default())
            .map_err(io::Error::other)
    });
    let output = Real
        .pipe(&sh("echo 1234; head -c 50000 /dev/zero"), ample(), consumer)
        .await;
    assert!(output.expect("it runs").success());
    assert_eq!(
        (receiver.try_recv(), receiver.try_recv()),
        (Ok(1234), Ok(50_000))
    );
}

#[tokio::test]
async fn a_child_that_holds_the_pipe_open_does_not_hold_up_the_consumer() {
    let (sender, receiver) = mpsc::channel();
    let consumer = Box::new(move |from: &mut dyn Read| {
        let mut text = String::new();
        from.read_to_string(&mut text)?;
        sender.send(text).map_err(io::Error::other)
    });
    let output = Real
        .pipe(&sh("sleep 1000 & echo $!"), ample(), consumer)
        .await;
    assert!(output.expect("it ended by itself").success());
    let text = receiver.try_recv().expect("the consumer came to the end");
    let child: u32 = text.trim().parse().expect("a process id");
    until("the child is gone", || !is_running(child)).await;
}

#[tokio::test]
async fn the_limit_holds_for_the_program_of_a_pipe_too() {
    let (sender, receiver) = mpsc::channel();
    let consumer = Box::new(move |from: &mut dyn Read| {
        let mut text = String::new();
        from.read_to_string(&mut text)?;
        sender.send(text).map_err(io::Error::other)
    });
    let program = sh("sleep 1000 & echo $!; wait");
    let error = Real.pipe(&program, short(500, 200), consumer).await;
    assert!(matches!(error, Err(RunError::Limit { .. })), "{error:?}");
    // The consumer too comes to an end, since nobody holds the pipe any more.
    let text = receiver.recv().expect("the consumer ended");
    let child: u32 = text.trim().parse().expect("a process id");
    until("the child is gone", || !is_running(child)).await;
}
