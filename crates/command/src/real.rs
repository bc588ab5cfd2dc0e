//! Programs run by the operating system. The only place in the workspace that starts one.

use std::{
    fs::{File, OpenOptions},
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::Path,
    pin::Pin,
    process::Stdio,
    time::Duration,
};

use rustix::process::Signal;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, Command},
    time::timeout,
};

use crate::{
    Boxed, Consumer, Limits, Output, Processes, Program, RunError, Running, child,
    group::{Group, Place},
};

/// How long the outputs may stay open once the program itself has ended, and how long a killed process may take to go.
const LINGER: Duration = Duration::from_secs(1);

/// The operating system's processes, each program in a process group of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Real;

/// Where programs are found, here and by them.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Processes for Real {
    fn run<'a>(
        &'a self,
        program: &'a Program,
        limits: Limits,
    ) -> Boxed<'a, Result<Output, RunError>> {
        Box::pin(run(program, limits, Place::Own))
    }

    fn pipe<'a>(
        &'a self,
        program: &'a Program,
        limits: Limits,
        consumer: Consumer,
    ) -> Boxed<'a, Result<Output, RunError>> {
        Box::pin(pipe(program, limits, consumer, Place::Own))
    }

    fn run_into<'a>(
        &'a self,
        program: &'a Program,
        limits: Limits,
        into: &'a Path,
        end: Boxed<'a, ()>,
    ) -> Boxed<'a, Result<Output, RunError>> {
        Box::pin(run_into(program, limits, into, end))
    }

    fn run_shown<'a>(
        &'a self,
        program: &'a Program,
        limits: Limits,
    ) -> Boxed<'a, Result<Output, RunError>> {
        Box::pin(async move {
            let (child, group) = spawn(program, [Stdio::inherit(), Stdio::inherit()], Place::Own)?;
            run_to_end(
                program,
                limits,
                child,
                group,
                async { Ok(()) },
                Some(LINGER),
            )
            .await
        })
    }

    fn start_detached(&self, program: &Program) -> Result<(), RunError> {
        // Not waited for: its outcome is in files of its own. The runtime reaps it; once this process is gone, init does.
        let null = Stdio::null;
        spawn_into(program, null(), null()).map(drop)
    }

    fn start(&self, program: &Program, log: &Path) -> Result<Box<dyn Running>, RunError> {
        let log = output_file(log).map_err(|source| start_error(program, source))?;
        child::start(program, log)
    }
}

pub(crate) async fn run(
    program: &Program,
    limits: Limits,
    place: Place,
) -> Result<Output, RunError> {
    let (mut child, group) = spawn(program, [Stdio::piped(), Stdio::piped()], place)?;
    let mut kept = Vec::new();
    let stdout = read_bounded(child.stdout.take(), limits.output_bytes, &mut kept);
    let output = run_to_end(program, limits, child, group, stdout, Some(LINGER)).await?;
    Ok(Output {
        stdout: kept,
        ..output
    })
}

pub(crate) async fn pipe(
    program: &Program,
    limits: Limits,
    consumer: Consumer,
    place: Place,
) -> Result<Output, RunError> {
    let (mut reader, writer) = io::pipe().map_err(|source| start_error(program, source))?;
    let stdout = Stdio::from(OwnedFd::from(writer));
    let (child, group) = spawn(program, [stdout, Stdio::piped()], place)?;
    let stdout = on_thread(move || {
        consumer(&mut reader)?;
        // What the consumer left must be read, or the program would wait for ever.
        io::copy(&mut reader, &mut io::sink()).map(drop)
    });
    // What the program wrote may take the consumer a while; the limit of time still holds.
    run_to_end(program, limits, child, group, stdout, None).await
}

#[expect(
    clippy::disallowed_methods,
    reason = "reading a pipe blocks, whatever the disk seam does"
)]
async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}

pub(crate) fn prepare(command: &mut std::process::Command, program: &Program, place: Place) {
    use std::os::unix::process::CommandExt;
    if place == Place::Own {
        command.process_group(0);
    }
    command
        .args(&program.args)
        .env_clear()
        .env("PATH", PATH)
        .env("LC_ALL", "C.UTF-8")
        .envs(&program.env);
    if let Some(folder) = &program.folder {
        command.current_dir(folder);
    }
}

impl Program {
    /// This process becomes that program, in its own terminal and process group. Comes back only with why it could not.
    pub fn replace_this_process(&self) -> io::Error {
        use std::os::unix::process::CommandExt;
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the place that starts programs"
        )]
        let mut command = std::process::Command::new(&self.name);
        prepare(&mut command, self, Place::Callers);
        command.exec()
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a running program needs a real file, whatever the disk seam does"
)]
fn output_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o640).open(path)
}

fn spawn_into(program: &Program, stdout: Stdio, stderr: Stdio) -> Result<Child, RunError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that starts programs"
    )]
    let mut command = Command::new(&program.name);
    prepare(command.as_std_mut(), program, Place::Own);
    command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
    command
        .spawn()
        .map_err(|source| start_error(program, source))
}

fn spawn(
    program: &Program,
    [stdout, stderr]: [Stdio; 2],
    place: Place,
) -> Result<(Child, Group), RunError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that starts programs"
    )]
    let mut command = Command::new(&program.name);
    prepare(command.as_std_mut(), program, place);
    let stdin = if program.stdin.is_empty() {
        Stdio::null()
    } else {
        Stdio::piped()
    };
    command.stdin(stdin).stdout(stdout).stderr(stderr);
    let not_started = |source| start_error(program, source);
    let child = command.spawn().map_err(not_started)?;
    let group = Group::of(&child, place).map_err(not_started)?;
    Ok((child, group))
}

pub(crate) fn start_error(program: &Program, source: io::Error) -> RunError {
    RunError::Start {
        program: program.to_string(),
        source,
    }
}

/// Runs a started program to its end. `Output::stdout` stays empty: `stdout` reads it.
///
/// The end is the end of the program itself. What it leaves behind in its group has [`LINGER`] to close the outputs and is
/// killed then. Only a process that left the group can hold an output open longer; it is waited for as long as
/// `patience` says, without one until the limit.
async fn run_to_end(
    program: &Program,
    limits: Limits,
    mut child: Child,
    mut group: Group,
    stdout: impl Future<Output = io::Result<()>>,
    patience: Option<Duration>,
) -> Result<Output, RunError> {
    let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
    let mut errors = Vec::new();
    let streams = async {
        let stderr = read_bounded(stderr, limits.output_bytes, &mut errors);
        let ((), stdout, stderr) = tokio::join!(feed(stdin, &program.stdin), stdout, stderr);
        stdout.and(stderr)
    };
    let mut streams = Streams::new(streams);

    let work = async {
        streams.read_until(group.leader_ended()).await?;
        let _closed = timeout(LINGER, streams.read()).await;
        group.signal(Signal::KILL);
        let _closed = timeout(patience.unwrap_or(limits.time), streams.read()).await;
        Ok(())
    };
    let Ok(ended) = timeout(limits.time, work).await else {
        group.signal(Signal::TERM);
        // Still read, so that a last word does not keep it from ending.
        let last_words = streams.read_until(group.leader_ended());
        let _graceful = timeout(limits.grace, last_words).await;
        kill(&mut group, &mut child).await;
        return Err(RunError::Limit {
            program: program.to_string(),
            limit: limits.time,
        });
    };
    group.kill_rest();
    let status = child.wait().await;
    let status = ended.and(streams.outcome()).and(status);
    let status = status.map_err(|source| RunError::Output {
        program: program.to_string(),
        source,
    })?;
    Ok(Output {
        code: status.code(),
        signal: status.signal(),
        stdout: Vec::new(),
        stderr: errors,
    })
}

/// Ends a group for good.
async fn kill(group: &mut Group, child: &mut Child) {
    group.kill_rest();
    // A process that the kernel cannot end yet is left to be reaped later.
    let _reaped = timeout(LINGER, child.wait()).await;
}

async fn run_into(
    program: &Program,
    limits: Limits,
    into: &Path,
    end: Boxed<'_, ()>,
) -> Result<Output, RunError> {
    let not_started = |source| start_error(program, source);
    let of_output = |source| RunError::Output {
        program: program.to_string(),
        source,
    };
    let file = output_file(into).map_err(not_started)?;
    let stdout = file.try_clone().map_err(not_started)?;
    let stderr = file.try_clone().map_err(not_started)?;
    let mut child = spawn_into(program, Stdio::from(stdout), Stdio::from(stderr))?;
    let mut group = Group::of(&child, Place::Own).map_err(not_started)?;
    let told = RunError::Ended {
        program: program.to_string(),
    };
    let late = RunError::Limit {
        program: program.to_string(),
        limit: limits.time,
    };
    let ended = tokio::select! {
        ended = timeout(limits.time, group.leader_ended()) => ended.map_err(|_| late),
        () = end => Err(told),
    };
    if ended.is_err() {
        group.signal(Signal::TERM);
        let _graceful = timeout(limits.grace, group.leader_ended()).await;
        kill(&mut group, &mut child).await;
    }
    on_thread(move || file.sync_all())
        .await
        .map_err(of_output)?;
    ended?.map_err(of_output)?;
    group.leave();
    let status = child.wait().await.map_err(of_output)?;
    Ok(Output {
        code: status.code(),
        signal: status.signal(),
        stdout: Vec::new(),
        stderr: Vec::new(),
    })
}

/// The work on a program's standard streams, which can be left and taken up again.
struct Streams<F> {
    work: Option<Pin<Box<F>>>,
    outcome: io::Result<()>,
}

impl<F: Future<Output = io::Result<()>>> Streams<F> {
    fn new(work: F) -> Self {
        Self {
            work: Some(Box::pin(work)),
            outcome: Ok(()),
        }
    }

    /// Works until all of them are closed.
    async fn read(&mut self) {
        if let Some(work) = &mut self.work {
            self.outcome = work.await;
            self.work = None;
        }
    }

    /// Works until something else has happened, however early they are closed.
    async fn read_until(&mut self, event: impl Future<Output = io::Result<()>>) -> io::Result<()> {
        let read = async {
            self.read().await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            happened = event => happened,
            () = read => Ok(()),
        }
    }

    /// What came of it so far; streams that are still open are given up.
    fn outcome(self) -> io::Result<()> {
        self.outcome
    }
}

async fn feed(stdin: Option<ChildStdin>, bytes: &[u8]) {
    if let Some(mut stdin) = stdin {
        // A program may end without reading all of its input; its exit code tells.
        let _broken_pipe = stdin.write_all(bytes).await;
    }
}

/// Reads to the end and keeps the first `limit` bytes; what was read so far is in `kept` at any time.
async fn read_bounded(
    from: Option<impl AsyncRead + Unpin>,
    limit: usize,
    kept: &mut Vec<u8>,
) -> io::Result<()> {
    let Some(mut from) = from else {
        return Ok(());
    };
    let mut chunk = vec![0; 16 * 1024];
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return Ok(());
        }
        let room = limit.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(&chunk[..room]);
    }
}
