//! What a push waits for: `deploykit announce git`, and the whole `post-receive` around it.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use bench::{
    cpu,
    machine::Machine,
    run::{median, outcome},
};

const RUNS: u32 = 100;

/// Refs that a push moves.
const REFS: [usize; 2] = [1, 50];

/// The command, at most.
const LIMIT: Duration = Duration::from_millis(10);

const HOOK: &str = include_str!("../../../hooks/post-receive");

fn main() -> ExitCode {
    outcome(measure())
}

fn measure() -> Result<(), String> {
    println!("{}", Machine::this());
    let program = env::current_exe()
        .map_err(text)?
        .with_file_name("deploykit");
    if !program.exists() {
        return Err(format!(
            "{} is missing: cargo build --release",
            program.display()
        ));
    }
    let folder = tempfile::tempdir().map_err(text)?;
    let (repository, hook) = repository(folder.path(), &program)?;
    let mut worst = Duration::ZERO;
    for refs in REFS {
        let spool = folder.path().join("spool");
        let spool = spool.display().to_string();
        let command = runs(refs, &repository, || {
            let mut command = Command::new(&program);
            command.args(["announce", "git", "--repository", "shop", "--spool", &spool]);
            command
        })?;
        let whole = runs(refs, &repository, || {
            let mut command = Command::new("sh");
            command.arg(&hook);
            command
        })?;
        for (what, (clock, processor)) in
            [("deploykit announce git", command), ("post-receive", whole)]
        {
            println!(
                "{refs} refs, {what}: median {clock:.1?}, of the processor {processor:.1?} on average"
            );
        }
        worst = worst.max(command.0);
    }
    if worst > LIMIT {
        return Err(format!("too slow: the limit is {LIMIT:?}"));
    }
    Ok(())
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

/// A bare repository with the hook, and the hook.
fn repository(folder: &Path, program: &Path) -> Result<(PathBuf, PathBuf), String> {
    let repository = folder.join("shop.git");
    git(Command::new("git")
        .args(["init", "--quiet", "--bare"])
        .arg(&repository))?;
    let spool = folder.join("spool");
    for (key, value) in [
        ("deploykit.spool", spool.as_path()),
        ("deploykit.command", program),
    ] {
        git(Command::new("git")
            .arg("-C")
            .arg(&repository)
            .args(["config", key])
            .arg(value))?;
    }
    let hook = repository.join("hooks/post-receive");
    fs::write(&hook, HOOK).map_err(text)?;
    Ok((repository, hook))
}

fn git(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(text)?;
    status
        .success()
        .then_some(())
        .ok_or_else(|| format!("{command:?}: {status}"))
}

/// The median by the clock, and the processor time of a run.
fn runs(
    refs: usize,
    repository: &Path,
    command: impl Fn() -> Command,
) -> Result<(Duration, Duration), String> {
    let old = "0".repeat(40);
    let mut times = Vec::new();
    let before = cpu::of_children()?;
    for run in 0..RUNS {
        let lines =
            (0..refs).map(|number| format!("{old} {:040x} refs/heads/b{number}\n", run + 1));
        let lines: String = lines.collect();
        let began = Instant::now();
        let mut child = command()
            .current_dir(repository)
            .stdin(Stdio::piped())
            .spawn()
            .map_err(text)?;
        let mut input = child.stdin.take().ok_or("no input")?;
        input.write_all(lines.as_bytes()).map_err(text)?;
        drop(input);
        let status = child.wait().map_err(text)?;
        times.push(began.elapsed());
        if !status.success() {
            return Err(format!("it ended with {status}"));
        }
    }
    let used = cpu::of_children()? - before;
    let spool = repository.with_file_name("spool");
    let left = fs::read_dir(&spool).map_err(text)?.count();
    if left != RUNS as usize {
        return Err(format!(
            "{left} files in the spool, not one for each of {RUNS} pushes"
        ));
    }
    fs::remove_dir_all(&spool).map_err(text)?;
    let middle = median(times).ok_or("no run")?;
    Ok((middle, used / RUNS))
}
