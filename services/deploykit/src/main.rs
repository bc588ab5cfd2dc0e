//! `deploykit`: the whole pipeline in one program, and the command line of people.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    deploykit::run().await
}
