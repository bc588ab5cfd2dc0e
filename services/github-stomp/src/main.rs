//! `github-stomp`: takes webhooks of forges, verifies them, and announces pushes on the bus.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    chassis::run(chassis::service!(), github_stomp::serve).await
}
