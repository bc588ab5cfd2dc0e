//! A program that runs beside this one until it is told to end.

use std::{fs::File, process::Stdio, time::Duration};

use rustix::process::Signal;
use tokio::process::{Child, Command};

use crate::{
    Boxed, Program, RunError,
    group::{Group, Place},
    real,
};

/// A started program. Dropping it kills its process group.
pub trait Running: Send + std::fmt::Debug {
    /// Its process id.
    fn pid(&self) -> u32;
    /// Waits until it ends by itself, and says how: `exit 0`, `signal 9`. What it leaves behind in its group is killed.
    fn ended(&mut self) -> Boxed<'_, String>;
    /// Tells it to end (TERM), and once it has, or after `grace`, kills its whole group. Says how it ended.
    fn end(&mut self, grace: Duration) -> Boxed<'_, String>;
}

/// Starts `program` with both outputs added to `output`.
pub(crate) fn start(program: &Program, output: File) -> Result<Box<dyn Running>, RunError> {
    let failed = |source| real::start_error(program, source);
    let errors = output.try_clone().map_err(failed)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place that starts programs"
    )]
    let mut command = Command::new(&program.name);
    real::prepare(command.as_std_mut(), program, Place::Own);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::from(output))
        .stderr(Stdio::from(errors));
    let child = command.spawn().map_err(failed)?;
    let id = child.id().unwrap_or_default();
    let group = Group::of(&child, Place::Own).map_err(failed)?;
    Ok(Box::new(RealChild { child, id, group }))
}

#[derive(Debug)]
struct RealChild {
    // Dropped in this order: the group is killed while the leader's id is still its own.
    group: Group,
    child: Child,
    id: u32,
}

impl RealChild {
    async fn wait(&mut self) -> String {
        use std::os::unix::process::ExitStatusExt;
        if let Err(error) = self.group.leader_ended().await {
            return format!("cannot be waited for: {error}");
        }
        self.group.kill_rest();
        match self.child.wait().await {
            Ok(status) => crate::ending(status.code(), status.signal()),
            Err(error) => format!("cannot be waited for: {error}"),
        }
    }
}

impl Running for RealChild {
    fn pid(&self) -> u32 {
        self.id
    }

    fn ended(&mut self) -> Boxed<'_, String> {
        Box::pin(self.wait())
    }

    fn end(&mut self, grace: Duration) -> Boxed<'_, String> {
        Box::pin(async move {
            self.group.signal_leader(Signal::TERM);
            if let Ok(ending) = tokio::time::timeout(grace, self.wait()).await {
                return ending;
            }
            self.group.signal(Signal::KILL);
            self.wait().await
        })
    }
}
