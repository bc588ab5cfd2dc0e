//! What a host's state counts as.

use events::message::Running;

use super::HostRecord;
use crate::api::HostState;

impl HostRecord {
    /// True if it counts against the failure budget.
    #[must_use]
    pub fn failed(&self) -> bool {
        use HostState::{Broken, Failed, PutBack, Refused};
        self.lost || matches!(self.state, Failed | PutBack | Broken | Refused)
    }

    /// True if it came to what was asked for.
    #[must_use]
    pub fn good(&self) -> bool {
        matches!(self.state, HostState::Live | HostState::Cleared)
    }

    /// True if it runs something else than before.
    #[must_use]
    pub fn changed(&self) -> bool {
        let release = |running: &Option<Running>| running.as_ref().map(|r| r.release.clone());
        release(&self.before) != release(&self.now)
    }
}
