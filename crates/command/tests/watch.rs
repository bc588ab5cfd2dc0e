//! Looking at processes from outside.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use command::{Limits, Program};

/// How long anything here may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// `sh -c SCRIPT`
pub(crate) fn sh(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

/// Enough time for any program here that ends by itself.
pub(crate) fn ample() -> Limits {
    Limits::of(PATIENCE)
}

/// Limits that are over soon.
pub(crate) fn short(time_ms: u64, grace_ms: u64) -> Limits {
    Limits {
        time: Duration::from_millis(time_ms),
        grace: Duration::from_millis(grace_ms),
        output_bytes: 1 << 20,
    }
}

/// False for one that has ended, also if nobody has reaped it yet.
pub(crate) fn is_running(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
        return false;
    };
    // The name in parentheses can hold anything; the state comes after it.
    let state = stat.rsplit(')').next().unwrap_or_default().trim_start();
    !state.starts_with(['Z', 'X'])
}

/// Waits for a condition, at most [`PATIENCE`].
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain until {what}");
        // waits for another process, which nothing reports: looked at again until the limit above
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The process id that a program wrote into a file, once it did.
pub(crate) async fn pid_in(file: &Path) -> u32 {
    let read = || {
        fs::read_to_string(file)
            .ok()?
            .strip_suffix('\n')?
            .parse()
            .ok()
    };
    until("the program has written its id", || read().is_some()).await;
    read().expect("it was there")
}
