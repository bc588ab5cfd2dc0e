//! The stand-ins do what they say.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests, which look at the disk and at programs directly"
)]

mod brokers;
mod bus;
mod disk;
mod documented;
mod jenkins;
mod origins;
mod proxy;
mod trusting;
mod waits;
