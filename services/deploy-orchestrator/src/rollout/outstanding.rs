//! An order on its way: when it is to be sent again, and when it is given up.

use events::message::Phase;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Policy, after};

/// An order that was sent and whose last report has not come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outstanding {
    /// What it asks for.
    pub phase: Phase,
    /// When it was first sent.
    pub first: Timestamp,
    /// When it was last sent.
    pub last: Timestamp,
    /// When its first report came.
    pub accepted: Option<Timestamp>,
}

impl Outstanding {
    pub(super) fn new(now: Timestamp, phase: Phase) -> Self {
        Self {
            phase,
            first: now,
            last: now,
            accepted: None,
        }
    }

    /// When it is to be sent again, or given up.
    pub(super) fn next_due(&self, policy: &Policy) -> Timestamp {
        let reach = after(self.first, policy.reach_limit_s);
        match self.accepted {
            Some(accepted) => after(accepted, self.finish_limit_s(policy)),
            None => after(self.last, policy.resend_s).min(reach),
        }
    }

    pub(super) fn finish_limit_s(&self, policy: &Policy) -> u64 {
        match self.phase {
            Phase::Prepare => policy.prepare_limit_s,
            Phase::Activate | Phase::Rollback | Phase::Abort | Phase::Clear => {
                policy.activate_limit_s
            }
        }
    }

    pub(super) fn is_due(&self, now: Timestamp, policy: &Policy) -> Due {
        match self.accepted {
            Some(accepted) if now >= after(accepted, self.finish_limit_s(policy)) => Due::Overdue,
            None if now >= after(self.first, policy.reach_limit_s) => Due::Unreachable,
            None if now >= after(self.last, policy.resend_s) => Due::Again,
            _ => Due::No,
        }
    }
}

/// What is to be done about an order now.
pub(super) enum Due {
    No,
    Again,
    Unreachable,
    Overdue,
}
