//! What the embedded broker promises, seen from its connections.

#![expect(
    clippy::disallowed_methods,
    reason = "tests look at files and time themselves"
)]

mod acknowledge;
mod crash;
mod durable;
mod expiry;
mod foreign;
mod heart_beat;
mod hostile;
mod lifecycle;
mod limits;
mod process;
mod publish;
mod support;
