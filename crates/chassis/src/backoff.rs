//! Waiting longer each time, and never all at once.

use std::time::Duration;

use world::Entropy;

/// Doubles from `first` to `limit`; each wait is a random part, at least half, of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Backoff {
    pub(crate) first: Duration,
    pub(crate) limit: Duration,
}

impl Backoff {
    /// The wait before the try after `failed` failed ones (1 or more).
    pub(crate) fn wait(self, failed: u32, entropy: &dyn Entropy) -> Duration {
        let doublings = failed.saturating_sub(1).min(20);
        let whole = self.first.saturating_mul(1 << doublings).min(self.limit);
        let mut random = [0; 2];
        entropy.fill(&mut random);
        let part = f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX);
        whole.mul_f64(0.5 + part / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Constant(u8);
    impl Entropy for Constant {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn it_doubles_up_to_its_limit_and_jitters_down_to_half() {
        let backoff = Backoff {
            first: Duration::from_millis(100),
            limit: Duration::from_secs(1),
        };
        let waits = |byte| {
            [1, 2, 3, 4, 5, 99].map(|failed| backoff.wait(failed, &Constant(byte)).as_millis())
        };
        assert_eq!(waits(0xff), [100, 200, 400, 800, 1000, 1000]);
        assert_eq!(waits(0), [50, 100, 200, 400, 500, 500]);
    }
}
