//! Orders by their ids: which of them a report is about, and whether anybody waits for it.

use events::message::{Phase, Reported, State};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::HostRecord;

/// An order as it was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Its id.
    pub order: Uuid,
    /// Hosts refuse to begin it after this.
    pub expires: Timestamp,
}

impl HostRecord {
    pub(super) fn issued(&mut self, phase: Phase, issued: Issued) {
        let orders = self.issued.entry(phase).or_default();
        if orders.iter().all(|known| known.order != issued.order) {
            orders.push(issued);
        }
    }

    /// Which of the orders of a phase it is. Not by its id: the clock that ids are made from may step back.
    pub(super) fn place(&self, phase: Phase, order: Uuid) -> Option<usize> {
        let orders = self.issued.get(&phase)?;
        orders.iter().position(|issued| issued.order == order)
    }

    /// True if a host refuses what nobody waits for any more: an order that was given up, or that expired. A new one
    /// follows it, or it counts as unreachable.
    pub(super) fn is_idle_refusal(&self, now: Timestamp, report: &Reported) -> bool {
        if !matches!(report.state, State::Refused { .. }) {
            return false;
        }
        let awaited = self.orders().any(|order| order.phase == report.phase);
        let newest = self.issued.get(&report.phase).and_then(|all| all.last());
        let valid =
            newest.is_some_and(|newest| newest.order == report.order && now < newest.expires);
        !awaited || !valid
    }
}
