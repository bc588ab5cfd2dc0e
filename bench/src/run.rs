//! Running a program to its end, timed or watched.

use std::{
    io,
    process::{Command, ExitCode, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::Builder;

use crate::family::{Family, Memory, total};

/// How often the processes of a watched run are looked at.
const EVERY: Duration = Duration::from_millis(20);

/// How long processes may need to end after the program itself has.
const FAREWELL: Duration = Duration::from_secs(2);

/// How a program here ends: with 0 if what it measured is within its limits, else with the reason and 1.
#[expect(
    clippy::print_stderr,
    reason = "a measuring program at a person's terminal"
)]
pub fn outcome(measured: Result<(), String>) -> ExitCode {
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs it and says how long it took.
///
/// # Errors
/// It could not be started or did not end well; with the end of what it printed.
pub fn timed(mut command: Command) -> Result<Duration, String> {
    let start = Instant::now();
    let output = command.stdin(Stdio::null()).output();
    let took = start.elapsed();
    ended_well(output)?;
    Ok(took)
}

/// Runs it and gives the memory of all its processes at the moment when it was most.
///
/// # Errors
/// As [`timed`], or a process was left behind.
pub fn watched(mut command: Command) -> Result<Memory, String> {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    let mut family = Family::of(child.id());
    let running = thread::spawn(move || child.wait_with_output());
    let mut peak = Memory::new();
    while !running.is_finished() {
        let now = family.sample();
        if total(&now) > total(&peak) {
            peak = now;
        }
        thread::sleep(EVERY);
    }
    ended_well(running.join().map_err(|_| "the reading thread panicked")?)?;
    let end = Instant::now();
    loop {
        let left = family.sample();
        if left.is_empty() {
            return Ok(peak);
        }
        if end.elapsed() > FAREWELL {
            let names: Vec<&String> = left.keys().collect();
            return Err(format!("left behind: {names:?}"));
        }
        thread::sleep(EVERY);
    }
}

fn ended_well(output: io::Result<Output>) -> Result<(), String> {
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8_lossy(&printed);
    let mut last: Vec<&str> = printed.lines().rev().take(20).collect();
    last.reverse();
    Err(format!("{}\n{}", output.status, last.join("\n")))
}

/// How many a second.
#[must_use]
pub fn per_second(count: u32, took: Duration) -> f64 {
    f64::from(count) / took.as_secs_f64()
}

/// Runs a future on this thread.
///
/// # Errors
/// Its own.
pub fn block_on<T>(work: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(work)
}

/// The middle one.
#[must_use]
pub fn median<T: Ord + Copy>(mut values: Vec<T>) -> Option<T> {
    values.sort();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn the_median_is_the_middle_one() {
        let times = [5, 1, 9].map(Duration::from_secs).to_vec();
        assert_eq!(median(times), Some(Duration::from_secs(5)));
        assert_eq!(median(Vec::<u64>::new()), None);
    }

    #[test]
    fn a_run_that_fails_shows_what_it_said() {
        let failed = timed(shell("echo no such tag >&2; exit 3")).unwrap_err();
        assert!(
            failed.contains("exit status: 3") && failed.contains("no such tag"),
            "{failed}"
        );
    }

    #[test]
    fn memory_of_children_is_counted() {
        let peak = watched(shell("sleep 0.3 & sleep 0.3; wait")).unwrap();
        assert_eq!(
            peak.get("sleep").map(|(count, _)| *count),
            Some(2),
            "{peak:?}"
        );
        assert!(total(&peak) > 100_000);
    }

    #[test]
    fn a_process_left_behind_is_found() {
        let script = "sleep 4 >/dev/null 2>&1 & sleep 0.2";
        assert_eq!(
            watched(shell(script)),
            Err("left behind: [\"sleep\"]".to_owned())
        );
    }
}
