//! `stomp-jenkins`: has Jenkins build what was pushed, and tells the bus how it ended.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    chassis::run(chassis::service!(), stomp_jenkins::serve).await
}
