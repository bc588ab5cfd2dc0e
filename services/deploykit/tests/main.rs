//! What the command line says, and what the demo's checker notices.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests make and break files themselves, and may panic"
)]

mod announce;
mod announced;
mod arrivals;
mod checker;
mod command_line;
mod consent;
mod demo;
mod doctor;
mod elsewhere;
mod hooks;
mod layout;
mod machine;
mod metrics;
mod on;
mod records;
mod story;
mod tail;
mod up;
mod webhooks;
mod words;
