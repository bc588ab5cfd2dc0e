//! Processor time, which other work on the machine changes less than it changes time by the clock.

use std::{fs, time::Duration};

use rustix::time::{ClockId, clock_gettime};

/// What this process has used so far, in user mode and in the kernel, over all its threads.
#[must_use]
pub fn used() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(now).unwrap_or_default()
}

/// What another process has used so far, in steps of 10 ms.
///
/// # Errors
/// It is gone.
pub fn of(pid: u32) -> Result<Duration, String> {
    times(&format!("/proc/{pid}/stat"), 11, 2)
}

/// The same with what the processes have used that it started and waited for.
///
/// # Errors
/// It is gone.
pub fn of_family(pid: u32) -> Result<Duration, String> {
    times(&format!("/proc/{pid}/stat"), 11, 4)
}

/// What the processes that this one started and waited for have used so far, in steps of 10 ms.
///
/// # Errors
/// There is no `/proc`.
pub fn of_children() -> Result<Duration, String> {
    times("/proc/self/stat", 13, 2)
}

/// User and system time: the sum of so many fields, so many fields after the name.
fn times(path: &str, skipped: usize, taken: usize) -> Result<Duration, String> {
    let stat = fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    // The name, in brackets, may hold spaces.
    let ticks = stat.rsplit(')').next().map(|rest| {
        let fields = rest.split_whitespace().skip(skipped).take(taken);
        fields.filter_map(|field| field.parse::<u64>().ok()).sum()
    });
    let ticks: u64 = ticks.ok_or_else(|| format!("{path}: {stat}"))?;
    Ok(Duration::from_millis(ticks * 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_uses_it_and_waiting_does_not() {
        let start = used();
        // waits for nothing: that waiting is free is the question.
        std::thread::sleep(Duration::from_millis(20));
        let waited = used() - start;
        let start = used();
        let mut sum = 0_u64;
        while used() - start < Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(waited < Duration::from_millis(10), "{waited:?}");
    }
}
