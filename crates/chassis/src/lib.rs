#![doc = include_str!("../README.md")]

mod args;
mod backoff;
pub mod bus;
mod consume;
mod environment;
mod failure;
pub mod http;
mod logs;
pub mod metrics;
pub mod outbox;
mod run;
pub mod settings;
mod signals;
mod status;

pub use bus::{Bus, Delivery, Inbox, Listen, PublishError};
pub use consume::{ATTEMPTS, Handler, Verdict, consume};
pub use environment::environment;
pub use failure::{EXIT_SETTINGS, Failure, causes};
pub use logs::start_logs;
pub use metrics::{Metrics, MetricsSettings};
pub use run::{Service, Start, compose, run, run_with_args};
pub use settings::{BusSettings, Common, Settings};
pub use status::{Said, Status};
pub use stomp::Secret;
