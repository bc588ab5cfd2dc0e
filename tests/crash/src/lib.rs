#![doc = include_str!("../README.md")]
#![expect(
    clippy::disallowed_methods,
    reason = "it is itself the disk, and what tests look at beside it"
)]

mod agent;
mod change;
mod dying;
mod fired;
mod plan;
pub mod sim;

pub use agent::{COMMON, SETTINGS, agent};
pub use change::{Change, Found, Logged};
pub use dying::{BASE, Dying, LEDGER, LOG};
pub use fired::Fired;
pub use plan::{Kill, Plan, When};
