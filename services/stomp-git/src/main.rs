//! `stomp-git`: keeps this host's mirrors of its repositories up to date.
//!
//! Hears of pushes on the bus, fetches what its settings name, and says what this host has.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    chassis::run(chassis::service!(), stomp_git::serve).await
}
