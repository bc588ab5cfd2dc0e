//! Deliveries as they are kept for people to look at: who sent what, what it was answered, what became of it.
//!
//! Read: [`record`] (one delivery as bytes; pure), [`shelf`] (files with a bound), [`clerk`] (writes beside the requests).

pub mod clerk;
pub mod record;
pub mod shelf;

pub use clerk::{Clerk, Kept, Notes};
pub use record::{Became, Delivery, Outcome};
pub use shelf::{Bounds, Shelf};
