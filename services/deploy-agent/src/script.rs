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
/// Cancelling `end` ends the script; dropping the future does not. An error in watching says nothing about the script: it
/// is watched again, until it must be over.
pub async fn run(world: &World, run: Run, end: &CancellationToken) -> Outcome {
    let began = Instant::now();
    let mut watch = Watch {
        world,
        run,
        end,
        next_look: began,
        start_by: None,
        asked: false,
        left: false,
        trouble: None,
    };
    let spec = &watch.run.spec;
    let limit = Duration::from_secs(spec.limit_s.saturating_add(spec.grace_s));
    loop {
        let looked = watch.look().await;
        let late = began.elapsed() > limit.saturating_add(RUNNER_LIMIT);
        match looked {
            Ok(Some(outcome)) => return outcome,
            Ok(None) if late => return watch.give_up("its runner does not answer").await,
            Ok(None) => tokio::select! {
                () = sleep(pause(began.elapsed())) => {}
                () = end.cancelled(), if !watch.asked => {}
            },
            Err(error) if late => {
                let why = format!("it cannot be watched: {error}");
                return watch.give_up(&why).await;
            }
            Err(error) => {
                watch.complain(&error);
                sleep(LOCK_LOOK).await;
            }
        }
    }
}

struct Watch<'a> {
    world: &'a World,
    run: Run,
    end: &'a CancellationToken,
    /// When its lock is looked at again.
    next_look: Instant,
    /// Until when its runner must have come to its lock; from the first try to start it on.
    start_by: Option<Instant>,
    /// True once it was asked to end.
    asked: bool,
    /// True while its runner is gone without a word, and no other one has come.
    left: bool,
    /// What the last error was.
    trouble: Option<String>,
}

impl Watch<'_> {
    /// Has the script started or ended where that is due; gives its outcome once it is over.
    async fn look(&mut self) -> io::Result<Option<Outcome>> {
        let (world, folder) = (self.world, self.run.folder.clone());
        if Instant::now() >= self.next_look {
            match look(world, &folder).await? {
                Found::Over(status) => return Ok(Some(self.over(&status).await)),
                // Its rights may be others than this process's: a runner ends what the one before it left, and says so.
                Found::Left => {
                    self.left = true;
                    start_runner(world, &self.run)?;
                }
                Found::Fresh => {
                    if let Some(outcome) = self.fresh().await? {
                        return Ok(Some(outcome));
                    }
                }
                Found::UnderWay => self.left = false,
            }
            self.next_look = Instant::now() + LOCK_LOOK;
        }
        if let Err(error) = self.run.tail.pass_on(world, &folder, false).await {
            self.complain(&error);
        }
        let read = folder.clone();
        if let Some(status) = world.on_disk(move |disk| read.outcome(disk)).await? {
            return Ok(Some(self.over(&status).await));
        }
        if self.end.is_cancelled() && !self.asked {
            world.on_disk(move |disk| folder.ask_end(disk)).await?;
            self.asked = true;
        }
        Ok(None)
    }

    /// It was not started yet, or its runner has not come to its lock, or was killed before. A runner that comes second does
    /// nothing.
    async fn fresh(&mut self) -> io::Result<Option<Outcome>> {
        let now = Instant::now();
        let start_by = *self.start_by.get_or_insert(now + START_LIMIT);
        if now <= start_by && !self.end.is_cancelled() {
            start(self.world, &self.run).await?;
            return Ok(None);
        }
        if !forbid(self.world, &self.run.folder).await? {
            return Ok(None);
        }
        Ok(Some(if self.end.is_cancelled() {
            Outcome::of(End::Ended, None)
        } else {
            let why = ["its runner did not start"].into_iter();
            let why: Vec<&str> = why.chain(self.trouble.as_deref()).collect();
            Outcome::of(End::Failed, Some(why.join(": ")))
        }))
    }

    async fn over(&mut self, status: &Status) -> Outcome {
        let last = self.last_words().await;
        outcome(status, last)
    }

    /// Passes on the rest of its output, and gives the last line; without either, the outcome is the same.
    async fn last_words(&mut self) -> Option<String> {
        let (world, folder) = (self.world, self.run.folder.clone());
        if let Err(error) = self.run.tail.pass_on(world, &folder, true).await {
            self.complain(&error);
        }
        match self.run.tail.last_line(world, &folder).await {
            Ok(line) => line,
            Err(error) => {
                self.complain(&error);
                None
            }
        }
    }

    async fn give_up(&mut self, why: &str) -> Outcome {
        if self.left {
            let why = "its runner is gone, and no other one came to end what it left";
            return Outcome::of(End::Interrupted, Some(why.to_owned()));
        }
        let folder = self.run.folder.clone();
        let asked = self.world.on_disk(move |disk| folder.ask_end(disk)).await;
        if let Err(error) = asked {
            self.complain(&error);
        }
        Outcome::of(End::TimedOut, Some(why.to_owned()))
    }

    fn complain(&mut self, error: &io::Error) {
        let error = error.to_string();
        if self.trouble.as_ref() != Some(&error) {
            let folder = self.run.folder.path().display();
            tracing::warn!(%folder, error, "a script cannot be watched, trying again");
            self.trouble = Some(error);
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
    start_runner(world, run)
}

fn start_runner(world: &World, run: &Run) -> io::Result<()> {
    let Some((program, args)) = run.runner.split_first() else {
        return Err(io::Error::other("no program is known that runs a script"));
    };
    let program = Program::new(program)
        .args(args)
        .arg(run.folder.path().to_string_lossy());
    let started = world.processes.start_detached(&program);
    started.map_err(|error| io::Error::other(chassis::causes(&error)))
}

fn outcome(status: &Status, last: Option<String>) -> Outcome {
    let end = match status {
        Status {
            interrupted: true, ..
        } => End::Interrupted,
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
        exit: status.exit,
        duration_ms: status.duration_ms,
        ..Outcome::of(end, (!parts.is_empty()).then(|| parts.join(": ")))
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
            // A secret in a line that is cut stays in one piece.
            let forced = more.then(|| self.redactor.cut_before(&bytes, bytes.len()));
            let rest = forced.or(last.then_some(bytes.len()));
            let take = whole.map(|at| at + 1).or(rest).unwrap_or(0);
            let cut = more && whole.is_none() && room as u64 == left;
            if take == 0 && !cut {
                return Ok(());
            }
            self.say(&bytes[..take], cut);
            if cut {
                self.limit = self.message.offset;
            }
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
        const END: usize = 4096;
        let path = folder.output();
        // What is before the end shows whether the end begins within a secret.
        let before = self.redactor.longest();
        let read = world.on_disk(move |disk| {
            let Some(file) = disk.look(&path)? else {
                return Ok((Vec::new(), 0));
            };
            let length = usize::try_from(file.bytes).unwrap_or(usize::MAX);
            let (end, from) = (
                length.saturating_sub(END),
                length.saturating_sub(END + before),
            );
            let bytes = disk.read_at(&path, from as u64, length - from)?;
            Ok((bytes, end - from))
        });
        let (bytes, end) = read.await?;
        let end = self.redactor.cut_after(&bytes, end);
        let text = self.redactor.clean(&String::from_utf8_lossy(&bytes[end..]));
        Ok(command::last_line(text.as_bytes()))
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
