//! The rules of a rollout, as they were when it was asked for.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::waves::Size;

/// What happens to hosts that a failing rollout has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// They go back to what they had.
    #[default]
    Restore,
    /// They stay as they are, for somebody to look at.
    Stop,
}

/// The rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// An order that is not accepted is sent again after so many seconds.
    pub resend_s: u64,
    /// A host that has not accepted an order after so many seconds is unreachable.
    pub reach_limit_s: u64,
    /// A host that accepted to prepare and has not done so after so many seconds cannot prepare.
    pub prepare_limit_s: u64,
    /// A host that accepted to activate (or go back) and has not finished after so many seconds is lost, which is a failure.
    pub activate_limit_s: u64,
    /// Seconds between a wave that is good and the next one.
    pub bake_s: u64,
    /// How many hosts may be unreachable.
    pub max_unreachable: Size,
    /// How many hosts may fail, over all waves.
    pub failure_budget: u32,
    /// What happens to changed hosts when it stops.
    pub on_failure: OnFailure,
    /// No wave starts after this: the grant would run out under it.
    pub no_wave_after: Timestamp,
}
