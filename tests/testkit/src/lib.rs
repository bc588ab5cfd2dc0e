#![doc = include_str!("../README.md")]

mod broker;
mod chance;
mod folder;
mod member;
mod origin;
mod running;
mod trust;
mod waiting;

pub use broker::TestBroker;
pub use chance::{CountedBytes, HandClock};
pub use folder::Folder;
pub use member::{Ear, Member};
pub use origin::Origin;
pub use running::Running;
pub use trust::Trust;
pub use waiting::{LONG, SOON, until};
