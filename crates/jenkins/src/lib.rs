#![doc = include_str!("../README.md")]

mod access;
pub mod answers;
mod ask;
mod client;
mod encode;
mod exchange;
mod tls;
mod trouble;

pub use access::Access;
pub use answers::{Build, Found, Item, Outcome, Queued};
pub use client::Jenkins;
pub use trouble::{Kind, Trouble};
