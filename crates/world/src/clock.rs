//! Wall time and randomness.

use std::fmt::Debug;

use jiff::Timestamp;

/// Wall time.
pub trait Clock: Send + Sync + Debug {
    /// Now, UTC.
    fn now(&self) -> Timestamp;
}

/// Random bytes, fit for keys.
pub trait Entropy: Send + Sync + Debug {
    /// Fills all of `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

impl Entropy for SystemEntropy {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("Linux gives random bytes once it has booted");
    }
}
