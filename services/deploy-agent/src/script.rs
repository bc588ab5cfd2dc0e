//! The agent's side of a script: has it started, waits for its outcome, passes on what it says.

use std::{io, sync::Arc, time::Duration};

use command::Program;
use events::message::ScriptOutput;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{
    machine::{End, Outcome},
    redact::Redactor,
    run_folder::{Found, RunFolder, Spec, Status},
};

/// How long a runner may take from its start to its lock.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long after the script's own limits its runner may take to say so.
const RUNNER_LIMIT: Duration = Duration::from_secs(30);
/// How often the lock is looked at, to notice a runner that died.
const LOCK_LOOK: Duration = Duration::from_secs(1);

/// One run of a script.
#[derive(Debug)]
pub struct Run {
    /// Its folder.
    pub folder: RunFolder,
    /// What to run.
    pub spec: Spec,
    /// Its runner: program and first arguments; the folder is added.
    pub runner: Vec<String>,
    /// Where its output goes to.
    pub tail: Tail,
}

/// Runs a script, or finds out how the run went that an agent before this one began.
///
/// Cancelling `end` ends the script; dropping the future does not.
pub async fn run(world: &World, mut run: Run, end: &CancellationToken) -> Outcome {
    match watch(world, &mut run, end).await {
        Ok(outcome) => outcome,
        Err(error) => {
            let folder = run.folder.path().display();
            Outcome::of(End::Failed, Some(format!("{folder}: {error}")))
        }
    }
}

async fn watch(world: &World, run: &mut Run, end: &CancellationToken) -> io::Result<Outcome> {
    if look(world, &run.folder).await? == Found::Fresh {
        if !end.is_cancelled() {
            start(world, run).await?;
        } else if forbid(world, &run.folder).await? {
            return Ok(Outcome::of(End::Ended, None));
        }
    }
    let began = Instant::now();
    let limit = Duration::from_secs(run.spec.limit_s.saturating_add(run.spec.grace_s));
    let mut asked = false;
    let mut next_look = began + LOCK_LOOK;
    loop {
        run.tail.pass_on(world, &run.folder, false).await?;
        let folder = run.folder.clone();
        if let Some(status) = world.on_disk(move |disk| folder.outcome(disk)).await? {
            return over(world, run, &status).await;
        }
        let waited = began.elapsed();
        if Instant::now() >= next_look {
            next_look = Instant::now() + LOCK_LOOK;
            match look(world, &run.folder).await? {
                Found::Over(status) => return over(world, run, &status).await,
                Found::Interrupted => {
                    run.tail.pass_on(world, &run.folder, true).await?;
                    let detail = run.tail.last_line(world, &run.folder).await?;
                    return Ok(Outcome::of(End::Interrupted, detail));
                }
                Found::Fresh if waited > START_LIMIT && forbid(world, &run.folder).await? => {
                    return Err(io::Error::other("its runner did not start"));
                }
                Found::Fresh | Found::UnderWay => {}
            }
        }
        let late = waited > limit + RUNNER_LIMIT;
        if !asked && (late || end.is_cancelled()) {
            let folder = run.folder.clone();
            world.on_disk(move |disk| folder.ask_end(disk)).await?;
            asked = true;
        }
        if late {
            let detail = Some("its runner does not answer".to_owned());
            return Ok(Outcome::of(End::TimedOut, detail));
        }
        tokio::select! {
            () = sleep(pause(waited)) => {}
            () = end.cancelled(), if !asked => {}
        }
    }
}

/// Short scripts are noticed at once, long ones cost next to nothing.
fn pause(waited: Duration) -> Duration {
    Duration::from_millis(match waited.as_secs() {
        0 => 20,
        1..10 => 50,
        _ => 200,
    })
}

async fn look(world: &World, folder: &RunFolder) -> io::Result<Found> {
    let folder = folder.clone();
    world.on_disk(move |disk| folder.look(disk)).await
}

async fn forbid(world: &World, folder: &RunFolder) -> io::Result<bool> {
    let folder = folder.clone();
    world.on_disk(move |disk| folder.forbid(disk)).await
}

async fn start(world: &World, run: &Run) -> io::Result<()> {
    let (folder, spec) = (run.folder.clone(), run.spec.clone());
    world.on_disk(move |disk| folder.make(disk, &spec)).await?;
    let Some((program, args)) = run.runner.split_first() else {
        return Err(io::Error::other("no program is known that runs a script"));
    };
    let program = Program::new(program)
        .args(args)
        .arg(run.folder.path().to_string_lossy());
    let started = world.processes.start_detached(&program);
    started.map_err(|error| io::Error::other(chassis::causes(&error)))
}

async fn over(world: &World, run: &mut Run, status: &Status) -> io::Result<Outcome> {
    run.tail.pass_on(world, &run.folder, true).await?;
    let last = run.tail.last_line(world, &run.folder).await?;
    Ok(outcome(status, last))
}

fn outcome(status: &Status, last: Option<String>) -> Outcome {
    let end = match status {
        Status {
            timed_out: true, ..
        } => End::TimedOut,
        Status { ended: true, .. } => End::Ended,
        Status { exit: Some(0), .. } => End::Ok,
        _ => End::Failed,
    };
    let signal = status.signal.map(|signal| format!("signal {signal}"));
    let parts: Vec<String> = [signal, status.error.clone(), last]
        .into_iter()
        .flatten()
        .collect();
    Outcome {
        end,
        exit: status.exit,
        duration_ms: status.duration_ms,
        detail: (!parts.is_empty()).then(|| parts.join(": ")),
    }
}

/// Passes a script's output on while it runs: whole lines, without secrets, up to a total, by offset. Best effort: what the
/// bus does not take in time is left out, and a reader sees that by the offsets.
#[derive(Debug)]
pub struct Tail {
    /// The message to fill in. Its offset counts on from the tries of the step before this one.
    pub message: ScriptOutput,
    /// How much of this run's output was passed on.
    pub read: u64,
    /// Where it goes.
    pub voice: mpsc::Sender<ScriptOutput>,
    /// What is cut out.
    pub redactor: Arc<Redactor>,
    /// How many bytes of a step are passed on at most.
    pub limit: u64,
}

impl Tail {
    async fn pass_on(&mut self, world: &World, folder: &RunFolder, last: bool) -> io::Result<()> {
        loop {
            let left = self.limit.saturating_sub(self.message.offset);
            let room = usize::try_from(left).unwrap_or(usize::MAX);
            let room = room.min(ScriptOutput::MAX_BYTES);
            if room == 0 {
                return Ok(());
            }
            let (path, from) = (folder.output(), self.read);
            // One more than there is room for, to know whether that is all.
            let read = world.on_disk(move |disk| disk.read_at(&path, from, room + 1));
            let mut bytes = match read.await {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                read => read?,
            };
            let more = bytes.len() > room;
            bytes.truncate(room);
            let whole = bytes.iter().rposition(|byte| *byte == b'\n');
            let rest = (more || last).then_some(bytes.len());
            let take = whole.map(|at| at + 1).or(rest).unwrap_or(0);
            if take == 0 {
                return Ok(());
            }
            self.say(&bytes[..take], more && take as u64 == left);
        }
    }

    fn say(&mut self, bytes: &[u8], cut: bool) {
        let text = self.redactor.clean(&String::from_utf8_lossy(bytes));
        let said = ScriptOutput {
            text: cut_to(text, ScriptOutput::MAX_BYTES),
            cut,
            ..self.message.clone()
        };
        // Full: the bus is slower than the script. The whole output stays on this host.
        let _full = self.voice.try_send(said);
        self.read += bytes.len() as u64;
        self.message.offset += bytes.len() as u64;
    }

    async fn last_line(&self, world: &World, folder: &RunFolder) -> io::Result<Option<String>> {
        const END: u64 = 4096;
        let path = folder.output();
        let read = world.on_disk(move |disk| {
            let Some(file) = disk.look(&path)? else {
                return Ok(Vec::new());
            };
            disk.read_at(&path, file.bytes.saturating_sub(END), END as usize)
        });
        let line = command::last_line(&read.await?);
        Ok(line.map(|line| self.redactor.clean(&line)))
    }
}

fn cut_to(mut text: String, bytes: usize) -> String {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
