#![doc = include_str!("../README.md")]

mod connection;
mod core;
mod lifecycle;
mod link;
mod message;
mod rarely;
mod settings;
mod state;
mod store;
mod topic;

pub use lifecycle::{Broker, OpenError, RunError};
pub use settings::{Limits, Settings, User};
