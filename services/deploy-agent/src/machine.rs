//! What a project's state is, and what comes next: values in, values out, no clock, no files.
//!
//! Read: [`record`] (what the journal says), [`state`] (what it comes to; `fold` is how), [`mod@accept`] (what an order becomes),
//! [`mod@decide`] (the next step), [`report`] (what is told to the orchestrator).

pub mod accept;
pub mod decide;
mod fold;
pub mod here;
pub mod record;
pub mod report;
pub mod state;

pub use accept::{Ground, OnDisk, accept};
pub use decide::{Decision, Facts, Rules, decide};
pub use record::{Asked, AtHost, End, Outcome, Record, Task, What, cut};
pub use state::{Known, State, Stuck, Taken};
