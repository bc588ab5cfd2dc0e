#![doc = include_str!("../README.md")]

mod beside;
mod child;
mod go_on;
mod group;
mod program;
mod real;

use std::{future::Future, io, io::Read, path::Path, pin::Pin, time::Duration};

pub use beside::RealBeside;
pub use child::Running;
pub use go_on::go_on_as;
pub use program::Program;
pub use real::Real;

/// A boxed future, as the seams hand them out.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How a program that ran to its end went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// What it wrote to standard output, up to [`Limits::output_bytes`].
    pub stdout: Vec<u8>,
    /// What it wrote to standard error, up to [`Limits::output_bytes`].
    pub stderr: Vec<u8>,
}

impl Output {
    /// True for exit code 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// How it ended, in words: `exit 1`, `signal 9`.
    #[must_use]
    pub fn ending(&self) -> String {
        ending(self.code, self.signal)
    }

    /// The last line of standard error that is not empty, or of standard output, cut to 400 characters.
    #[must_use]
    pub fn last_line(&self) -> String {
        last_line(&self.stderr)
            .or_else(|| last_line(&self.stdout))
            .unwrap_or_default()
    }
}

/// How a program ended, in words: `exit 1`, `signal 9`.
pub(crate) fn ending(code: Option<i32>, signal: Option<i32>) -> String {
    match (code, signal) {
        (Some(code), _) => format!("exit {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// The last line that is not blank, cut to 400 characters.
#[must_use]
pub fn last_line(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let line = text
        .lines()
        .rev()
        .map(str::trim)
        .find(|line| !line.is_empty())?;
    Some(line.chars().take(400).collect())
}

/// What bounds a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// After this the process group gets TERM.
    pub time: Duration,
    /// And this long after TERM it gets KILL.
    pub grace: Duration,
    /// How much of each output is kept; the rest is read and dropped.
    pub output_bytes: usize,
}

impl Limits {
    /// The given time, 2 s of grace, 1 MiB of output.
    #[must_use]
    pub fn of(time: Duration) -> Self {
        Self {
            time,
            grace: Duration::from_secs(2),
            output_bytes: 1 << 20,
        }
    }
}

/// Why a program did not run to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It could not be started: not installed, no right, no such folder.
    #[error("cannot start {program}")]
    Start {
        /// The program as text.
        program: String,
        /// The system's reason.
        source: io::Error,
    },
    /// It took too long and was ended with all its children.
    #[error("{program} was ended after its limit of {} s", limit.as_secs_f32())]
    Limit {
        /// The program as text.
        program: String,
        /// The limit.
        limit: Duration,
    },
    /// It was told to end, and was ended with all its children.
    #[error("{program} was told to end")]
    Ended {
        /// The program as text.
        program: String,
    },
    /// Reading its output, or the consumer of it, failed.
    #[error("cannot use the output of {program}")]
    Output {
        /// The program as text.
        program: String,
        /// The reason.
        source: io::Error,
    },
}

/// Takes a program's standard output while it runs, on a thread of its own.
pub type Consumer = Box<dyn FnOnce(&mut dyn Read) -> io::Result<()> + Send>;

/// The seam to the operating system's processes.
pub trait Processes: Send + Sync + std::fmt::Debug {
    /// Runs a program to its end, and ends what it leaves behind in its process group. Dropping the future ends the group too.
    fn run<'a>(
        &'a self,
        program: &'a Program,
        limits: Limits,
    ) -> Boxed<'a, Result<Output, RunError>>;

    /// Runs a program and hands its standard output to `consumer`; `Output::stdout` stays empty.
    fn pipe<'a>(
        &'a self,
        program: &'a Program,
        limits: Limits,
        consumer: Consumer,
    ) -> Boxed<'a, Result<Output, RunError>>;

    /// Runs a program with standard output and error written to the file `into`, byte for byte and flushed at the end;
    /// `Output` has neither. Once `end` is over, the group is ended as at the limit.
    ///
    /// What it leaves behind in its group when it ends by itself goes on: a start script may start a service so.
    fn run_into<'a>(
        &'a self,
        program: &'a Program,
        limits: Limits,
        into: &'a Path,
        end: Boxed<'a, ()>,
    ) -> Boxed<'a, Result<Output, RunError>>;

    /// Runs a program whose standard output and error are this program's own; `Output` has neither. Otherwise as [`Processes::run`].
    fn run_shown<'a>(
        &'a self,
        program: &'a Program,
        limits: Limits,
    ) -> Boxed<'a, Result<Output, RunError>>;

    /// Starts a program that outlives this one: own process group, no standard streams, nobody waits for it.
    ///
    /// # Errors
    /// [`RunError::Start`].
    fn start_detached(&self, program: &Program) -> Result<(), RunError>;

    /// Starts a program that runs beside this one; both of its outputs are added to the file `log`.
    ///
    /// # Errors
    /// [`RunError::Start`], also when the file cannot be opened.
    fn start(&self, program: &Program, log: &Path) -> Result<Box<dyn Running>, RunError>;
}
