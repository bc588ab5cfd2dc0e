//! `jenkins-helper`: tells the bus how builds go.
//!
//! With a word (`started`, `succeeded`, `failed`) it is a build step; without one, the receiver for the Notification plugin.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match std::env::args().nth(1) {
        Some(word) if jenkins_helper::is_step(&word) => jenkins_helper::step().await,
        _ => chassis::run(chassis::service!(), jenkins_helper::serve).await,
    }
}
