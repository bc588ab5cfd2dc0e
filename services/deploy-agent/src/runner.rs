//! The process between the agent and a script: `deploy-agent step DIR`. It outlives the agent, so the script does too.
//!
//! It starts `deploy-agent step DIR PROGRAM ARGS`, which says in the folder who it is and then becomes the script. So a script
//! that outlives its runner is known, whenever that was killed, and the next runner ends it.

use std::{ffi::OsString, io, path::Path, process::ExitCode, time::Duration};

use command::{Limits, Program, RunError};
use tokio::time::{Instant, sleep};
use world::{Lock, User, World};

use crate::{
    leftover::Group,
    run_folder::{RunFolder, Spec, Status},
};

/// How long to wait for the lock: the agent holds it for a moment when it looks.
const LOCK_LIMIT: Duration = Duration::from_secs(5);
/// How often the lock is tried, and `end` looked for.
const LOOK: Duration = Duration::from_millis(50);

/// Runs the script of a run's folder, once, and leaves its output and outcome there.
///
/// `itself` starts this same program up to the folder: followed by a script's program and arguments it comes to [`enter`].
/// Where a runner before this one was killed, what it left is ended, and the script counts as interrupted.
///
/// Exit code 0 means that the outcome is in the folder, or that another runner has it; 1, that the folder cannot be used.
pub async fn step(world: &World, folder: &Path, itself: &[&str]) -> ExitCode {
    match run(world, &RunFolder::at(folder), itself).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(folder = %folder.display(), %error, "a script could not be run");
            ExitCode::FAILURE
        }
    }
}

/// How often a script is tried to become that somebody still writes: another process was started while it was written, and has
/// not come to its own program yet.
const BUSY_TRIES: u32 = 20;

/// Says in a run's folder who this process is, and becomes the script. Comes back only if that fails.
pub async fn enter(world: &World, folder: &Path, program: &[OsString]) -> ExitCode {
    let (disk, folder) = (&*world.disk, RunFolder::at(folder));
    let claimed = Group::own(disk).and_then(|own| folder.claim(disk, &own));
    let error = match (claimed, program.split_first()) {
        (Ok(()), Some((name, args))) => become_it(name, args).await,
        (Ok(()), None) => return ExitCode::FAILURE,
        // A later runner has said that the script was interrupted.
        (Err(error), _) if error.kind() == io::ErrorKind::AlreadyExists => {
            return ExitCode::FAILURE;
        }
        (Err(error), _) => error,
    };
    let name = program.first().map(|name| name.display().to_string());
    let why = format!("cannot start {}: {error}", name.unwrap_or_default());
    if folder.refuse(disk, &why).is_err() {
        tracing::error!(%error, "a script could not be started");
    }
    ExitCode::FAILURE
}

async fn become_it(name: &OsString, args: &[OsString]) -> io::Error {
    let mut tried = 0;
    loop {
        tried += 1;
        let error = command::go_on_as(name, args);
        if error.kind() != io::ErrorKind::ExecutableFileBusy || tried == BUSY_TRIES {
            return error;
        }
        sleep(LOOK).await;
    }
}

async fn run(world: &World, folder: &RunFolder, itself: &[&str]) -> io::Result<()> {
    let disk = &*world.disk;
    let spec = folder.spec(disk)?;
    let Some(_lock) = take(world, folder).await? else {
        return Ok(());
    };
    if folder.outcome(disk)?.is_some() {
        return Ok(());
    }
    match folder.begin(disk) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let status = end_left(world, folder, &spec).await?;
            return folder.finish(disk, &status);
        }
        begun => begun?,
    }
    let mut status = script(world, folder, &spec, itself).await;
    if spec.flush
        && let Err(error) = disk.sync_all(&spec.folder)
    {
        status.error = Some(format!("what it wrote cannot be flushed: {error}"));
        status.exit = None;
    }
    folder.finish(disk, &status)
}

/// Ends what a runner left that was killed.
async fn end_left(world: &World, folder: &RunFolder, spec: &Spec) -> io::Result<Status> {
    let mut status = Status {
        interrupted: true,
        ..Status::default()
    };
    if let Some(group) = folder.group_or_none(&*world.disk)? {
        let ended = group.end(world, Duration::from_secs(spec.grace_s)).await;
        status.error = ended
            .err()
            .map(|error| format!("what it left still runs and cannot be ended: {error}"));
    }
    Ok(status)
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

async fn script(world: &World, folder: &RunFolder, spec: &Spec, itself: &[&str]) -> Status {
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
    let Some((first, rest)) = itself.split_first() else {
        return Status {
            error: Some("no program is known that becomes a script".to_owned()),
            ..Status::default()
        };
    };
    let path = folder.path().to_string_lossy();
    let rest = rest.iter().copied().chain([&*path]);
    let program = program.behind(*first, rest);
    let began = Instant::now();
    let end = Box::pin(asked_to_end(world, folder));
    let ended = world
        .processes
        .run_into(&program, limits, &folder.output(), end)
        .await;
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
    if let Some(why) = folder.refused(&*world.disk) {
        status.error = Some(why);
        status.exit = None;
    }
    status
}

async fn asked_to_end(world: &World, folder: &RunFolder) {
    while !folder.end_asked(&*world.disk) {
        sleep(LOOK).await;
    }
}
