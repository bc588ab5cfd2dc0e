//! `jenkins-helper`: tells the bus how builds go.
//!
//! With a word (`started`, `succeeded`, `failed`) it is a build step; without one, the receiver for the Notification plugin.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let word = std::env::args_os().nth(1);
    match word.as_deref().and_then(std::ffi::OsStr::to_str) {
        Some(word) if jenkins_helper::is_step(word) => jenkins_helper::step().await,
        _ => chassis::run(chassis::service!(), jenkins_helper::serve).await,
    }
}
