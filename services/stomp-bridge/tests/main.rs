//! The older form read and written, loops, and the service between real brokers' clients.
#![expect(clippy::unwrap_used, reason = "tests may panic")]

mod between;
mod loops;
mod plan;
mod readers;
mod rig;
mod settings;
mod texts;
