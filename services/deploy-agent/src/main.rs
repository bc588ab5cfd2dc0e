//! `deploy-agent`: carries out deploy orders on this host.
//!
//! `deploy-agent step DIR` runs one script, apart from the service, so that the script outlives it.

use std::{env, path::PathBuf, process::ExitCode};

use world::World;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    match (args.next(), args.next(), args.next()) {
        (Some(step), Some(folder), None) if step == "step" => {
            deploy_agent::step(&World::real(), &PathBuf::from(folder)).await
        }
        _ => chassis::run(chassis::service!(), deploy_agent::serve).await,
    }
}
