//! Programs in the process group of the caller.

use std::{io, path::Path};

use crate::{
    Boxed, Consumer, Limits, Output, Processes, Program, RunError, Running, group::Place, real,
};

/// The operating system's processes, for a short-lived process whose own group is ended as a whole by whoever started it:
/// what it runs is in that group too. A limit ends the program itself; what that leaves behind goes with the group.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealBeside;

impl RealBeside {
    fn refused(program: &Program) -> RunError {
        let reason = "this process runs programs to their end only";
        real::start_error(program, io::Error::new(io::ErrorKind::Unsupported, reason))
    }
}

impl Processes for RealBeside {
    fn run<'a>(
        &'a self,
        program: &'a Program,
        limits: Limits,
    ) -> Boxed<'a, Result<Output, RunError>> {
        Box::pin(real::run(program, limits, Place::Callers))
    }

    fn pipe<'a>(
        &'a self,
        program: &'a Program,
        limits: Limits,
        consumer: Consumer,
    ) -> Boxed<'a, Result<Output, RunError>> {
        Box::pin(real::pipe(program, limits, consumer, Place::Callers))
    }

    fn run_into<'a>(
        &'a self,
        program: &'a Program,
        _limits: Limits,
        _into: &'a Path,
        _end: Boxed<'a, ()>,
    ) -> Boxed<'a, Result<Output, RunError>> {
        Box::pin(async move { Err(Self::refused(program)) })
    }

    fn run_shown<'a>(
        &'a self,
        program: &'a Program,
        _limits: Limits,
    ) -> Boxed<'a, Result<Output, RunError>> {
        Box::pin(async move { Err(Self::refused(program)) })
    }

    fn start_detached(&self, program: &Program) -> Result<(), RunError> {
        Err(Self::refused(program))
    }

    fn start(&self, program: &Program, _log: &Path) -> Result<Box<dyn Running>, RunError> {
        Err(Self::refused(program))
    }
}
