//! `stomp-keepalive`: beats on the bus and measures its round trip.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    chassis::run(chassis::service!(), stomp_keepalive::serve).await
}
