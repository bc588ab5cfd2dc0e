//! `deploy-orchestrator`: decides what is deployed where and when.
//!
//! Takes signed requests, tells agents what to do in waves, and keeps the history.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    chassis::run(chassis::service!(), deploy_orchestrator::serve).await
}
