//! The process between the agent and a script: `deploy-agent step DIR`. It outlives the agent, so the script does too.

use std::{io, path::Path, process::ExitCode, time::Duration};

use command::{Limits, Program, RunError};
use tokio::time::{Instant, sleep};
use world::{Lock, User, World};

use crate::run_folder::{RunFolder, Spec, Status};

/// How long to wait for the lock: the agent holds it for a moment when it looks.
const LOCK_LIMIT: Duration = Duration::from_secs(5);
/// How often the lock is tried, and `end` looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the script of a run's folder, once, and leaves its output and outcome there.
///
/// Exit code 0 means that the outcome is in the folder, or that another runner has it; 1, that the folder cannot be used.
pub async fn step(world: &World, folder: &Path) -> ExitCode {
    match run(world, &RunFolder::at(folder)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(folder = %folder.display(), %error, "a script could not be run");
            ExitCode::FAILURE
        }
    }
}

async fn run(world: &World, folder: &RunFolder) -> io::Result<()> {
    let disk = &*world.disk;
    let spec = folder.spec(disk)?;
    let Some(_lock) = take(world, folder).await? else {
        return Ok(());
    };
    if folder.outcome(disk)?.is_some() {
        return Ok(());
    }
    match folder.begin(disk) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        begun => begun?,
    }
    let mut status = script(world, folder, &spec).await;
    if spec.flush
        && let Err(error) = disk.sync_all(&spec.folder)
    {
        status.error = Some(format!("what it wrote cannot be flushed: {error}"));
        status.exit = None;
    }
    folder.finish(disk, &status)
}

async fn take(world: &World, folder: &RunFolder) -> io::Result<Option<Box<dyn Lock>>> {
    let until = Instant::now() + LOCK_LIMIT;
    loop {
        let lock = world.disk.lock(&folder.lock())?;
        if lock.is_some() || Instant::now() >= until {
            return Ok(lock);
        }
        sleep(LOOK).await;
    }
}

/// The script as a program, run by its user.
async fn program(world: &World, folder: &RunFolder, spec: &Spec) -> Result<Program, String> {
    let mut program = Program::new(&spec.program);
    if let Some(name) = &spec.user {
        let user = User::find(world, name).await;
        let user = user.map_err(|error| chassis::causes(&error))?;
        if user.is_another() {
            if !rustix::process::geteuid().is_root() {
                return Err(format!(
                    "only root can run it as {name}: start deploy-agent as root, or as {name}"
                ));
            }
            folder
                .show_to(&*world.disk, &user)
                .map_err(|error| error.to_string())?;
            program = user.program(&spec.program);
        }
        program = program.env("HOME", user.home().display().to_string());
    }
    for (name, value) in &spec.env {
        program = program.env(name, value);
    }
    Ok(program.args(&spec.args).folder(&spec.folder))
}

async fn script(world: &World, folder: &RunFolder, spec: &Spec) -> Status {
    let program = match program(world, folder, spec).await {
        Ok(program) => program,
        Err(error) => {
            return Status {
                error: Some(error),
                ..Status::default()
            };
        }
    };
    let limits = Limits {
        time: Duration::from_secs(spec.limit_s),
        grace: Duration::from_secs(spec.grace_s),
        output_bytes: 0,
    };
    let began = Instant::now();
    let ended = start(world, folder, &program, limits).await;
    let mut status = Status {
        duration_ms: u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
        ..Status::default()
    };
    match ended {
        Ok(output) => (status.exit, status.signal) = (output.code, output.signal),
        Err(RunError::Limit { .. }) => status.timed_out = true,
        Err(RunError::Ended { .. }) => status.ended = true,
        Err(error) => status.error = Some(chassis::causes(&error)),
    }
    status
}

async fn start(
    world: &World,
    folder: &RunFolder,
    program: &Program,
    limits: Limits,
) -> Result<command::Output, RunError> {
    const BUSY_TRIES: u32 = 20;
    let output = folder.output();
    for _ in 1..BUSY_TRIES {
        let end = Box::pin(asked_to_end(world, folder));
        match world
            .processes
            .run_into(program, limits, &output, end)
            .await
        {
            // Another process was started while the release was written, and has not come to its own program yet.
            Err(RunError::Start { source, .. })
                if source.kind() == io::ErrorKind::ExecutableFileBusy =>
            {
                sleep(LOOK).await;
            }
            ended => return ended,
        }
    }
    let end = Box::pin(asked_to_end(world, folder));
    world
        .processes
        .run_into(program, limits, &output, end)
        .await
}

async fn asked_to_end(world: &World, folder: &RunFolder) {
    while !folder.end_asked(&*world.disk) {
        sleep(LOOK).await;
    }
}
