//! Decisions as tables, checkouts with real git, and the service with a real broker.

#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests make origins by hand, and end at the first surprise"
)]

mod folders;
mod gate;
mod process;
mod service;
mod unattended;
mod wish;
mod work;
