//! `stomp-git`: keeps this host's copies of its repositories up to date.
//!
//! Hears of pushes on the bus and fetches the ones its settings name. `stomp-git status` says how that stands.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let word = std::env::args_os().nth(1);
    match word.as_deref().and_then(std::ffi::OsStr::to_str) {
        Some("status") => stomp_git::status::main(std::env::args_os().skip(1)),
        Some(stomp_git::ERRAND) => stomp_git::errand_main().await,
        _ => chassis::run(chassis::service!(), stomp_git::serve).await,
    }
}
