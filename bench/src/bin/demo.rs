//! How long `deploykit demo --exit` takes, and how much memory all its processes use together at most.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{
    env,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Duration,
};

use bench::{
    family::{Memory, total},
    machine::Machine,
    run::{median, outcome, timed, watched},
};

const TIME_LIMIT: Duration = Duration::from_secs(15);
const MEMORY_LIMIT: u64 = 60_000_000;
const WATCHED_RUNS: usize = 3;

fn main() -> ExitCode {
    outcome(measure())
}

fn measure() -> Result<(), String> {
    let (runs, program) = asked(env::args().skip(1))?;
    if !program.is_file() {
        let path = program.display();
        return Err(format!("{path} is not there; first: cargo build --release"));
    }
    println!("{} demo --exit", program.display());
    println!("{}", Machine::this());
    let demo = || {
        let mut command = Command::new(&program);
        command.args(["demo", "--exit"]);
        command
    };
    let times = (0..runs).map(|_| timed(demo()));
    let times = times.collect::<Result<Vec<Duration>, String>>()?;
    let middle = median(times.clone()).ok_or("--runs must be at least 1")?;
    let seconds: Vec<String> = times
        .iter()
        .map(|it| format!("{:.2}", it.as_secs_f64()))
        .collect();
    println!(
        "wall time: median {:.2} s of {}",
        middle.as_secs_f64(),
        seconds.join(", ")
    );

    let mut peak = Memory::new();
    for _ in 0..WATCHED_RUNS {
        let memory = watched(demo())?;
        if total(&memory) > total(&peak) {
            peak = memory;
        }
    }
    println!(
        "memory: at most {} PSS in {WATCHED_RUNS} runs, then in",
        megabytes(total(&peak))
    );
    for (name, (count, bytes)) in &peak {
        println!("  {count} × {name}: {}", megabytes(*bytes));
    }
    within_limits(middle, total(&peak))
}

fn within_limits(time: Duration, memory: u64) -> Result<(), String> {
    if time > TIME_LIMIT {
        return Err(format!("too slow: the limit is {} s", TIME_LIMIT.as_secs()));
    }
    if memory > MEMORY_LIMIT {
        return Err(format!(
            "too much memory: the limit is {}",
            megabytes(MEMORY_LIMIT)
        ));
    }
    Ok(())
}

/// `[--runs N] [PROGRAM]`.
fn asked(mut args: impl Iterator<Item = String>) -> Result<(usize, PathBuf), String> {
    let (mut runs, mut program) = (5, built());
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--runs" => {
                let count = args.next().and_then(|count| count.parse().ok());
                runs = count.ok_or("--runs wants a number")?;
            }
            _ if arg.starts_with('-') => return Err("usage: demo [--runs N] [PROGRAM]".to_owned()),
            _ => program = PathBuf::from(arg),
        }
    }
    Ok((runs, program))
}

/// Where `cargo build --release` puts it.
fn built() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    target.join("release/deploykit")
}

fn megabytes(bytes: u64) -> String {
    let tenths = bytes / 100_000;
    format!("{}.{} MB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_with(args: &[&str]) -> Result<(usize, PathBuf), String> {
        asked(args.iter().map(|&arg| arg.to_owned()))
    }

    #[test]
    fn the_limits_are_those_of_the_table() {
        assert!(within_limits(Duration::from_secs(15), 60_000_000).is_ok());
        assert!(within_limits(Duration::from_millis(15_001), 0).is_err());
        assert!(within_limits(Duration::ZERO, 60_000_001).is_err());
    }

    #[test]
    fn arguments_are_few() {
        assert_eq!(
            asked_with(&["--runs", "2", "/x"]),
            Ok((2, PathBuf::from("/x")))
        );
        assert_eq!(asked_with(&[]), Ok((5, built())));
        assert!(asked_with(&["--runs"]).is_err());
        assert!(asked_with(&["--fast"]).is_err());
    }
}
