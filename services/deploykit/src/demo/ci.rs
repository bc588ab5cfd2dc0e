//! The demo's own CI: no Jenkins, but a real check of the pushed revision, told to the bus as a build step tells it.

use std::{path::PathBuf, time::Duration};

use command::{Limits, Program};
use world::World;

use super::source::{Release, Source, TEST};
use crate::{failure::Failure, pipeline::Pipeline};

/// A test of the demo must end within this time.
const TEST_LIMIT: Duration = Duration::from_secs(20);
/// Telling of a build takes some milliseconds; it waits for no broker.
const TELL_LIMIT: Duration = Duration::from_secs(20);

/// The name of its only job.
pub const JOB: &str = "the-demos-ci";

/// Builds one revision after the other.
#[derive(Debug)]
pub struct Ci<'a> {
    pipeline: &'a Pipeline,
    source: &'a Source,
    world: &'a World,
    number: u64,
}

impl<'a> Ci<'a> {
    /// With nothing built yet.
    #[must_use]
    pub fn new(pipeline: &'a Pipeline, source: &'a Source, world: &'a World) -> Self {
        Self {
            pipeline,
            source,
            world,
            number: 0,
        }
    }

    /// Lays a revision out, runs its test, and tells of both. What the test said, if it failed.
    ///
    /// # Errors
    /// When that cannot be done at all.
    pub async fn build(&mut self, release: &Release) -> Result<Result<(), String>, Failure> {
        self.number += 1;
        self.tell("started", release).await?;
        let data = &self.pipeline.layout.data;
        let folder = data.join("ci").join(self.number.to_string());
        { self.source }
            .lay_out(data, release, &folder, self.world)
            .await?;
        let passed = self.test(folder).await?;
        let word = if passed.is_ok() {
            "succeeded"
        } else {
            "failed"
        };
        self.tell(word, release).await?;
        Ok(passed)
    }

    /// A revision that brings no test of the demo's has nothing that could fail.
    async fn test(&self, folder: PathBuf) -> Result<Result<(), String>, Failure> {
        let test = folder.join(TEST);
        if self.world.disk.look(&test)?.is_none() {
            return Ok(Ok(()));
        }
        let program = Program::new("sh")
            .arg(test.display().to_string())
            .folder(folder);
        let output = self.run(&program, TEST_LIMIT).await?;
        let said = output.last_line();
        Ok(if output.success() { Ok(()) } else { Err(said) })
    }

    /// As a build step of any CI does.
    async fn tell(&self, word: &str, release: &Release) -> Result<(), Failure> {
        let program = Program::new(std::env::current_exe()?)
            .args(["announce", "build", word, "--job", JOB, "--number"])
            .arg(self.number.to_string())
            .args(["--repository", self.source.repository.as_str()])
            .args(["--commit", release.commit.as_str(), "--spool"])
            .arg(self.pipeline.layout.spool().display().to_string());
        let output = self.run(&program, TELL_LIMIT).await?;
        if output.success() {
            return Ok(());
        }
        let (ending, said) = (output.ending(), output.last_line());
        Err(Failure::Failed(format!("{program}: {ending}: {said}")))
    }

    async fn run(&self, program: &Program, limit: Duration) -> Result<command::Output, Failure> {
        let ran = self.world.processes.run(program, Limits::of(limit)).await;
        ran.map_err(|error| Failure::Failed(chassis::causes(&error)))
    }
}
