//! `stomp-bridge`: carries messages between deploykit and daemons that speak the older plain-text form.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    chassis::run(chassis::service!(), stomp_bridge::serve).await
}
