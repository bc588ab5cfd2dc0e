//! Processor time, which other work on the machine changes less than it changes time by the clock.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What this process has used so far, in user mode and in the kernel, over all its threads.
#[must_use]
pub fn used() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(now).unwrap_or_default()
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
