//! `deploy-agent`: carries out deploy orders on this host.
//!
//! `deploy-agent step DIR` runs one script, apart from the service, so that the script outlives it. `deploy-agent status` and
//! others are for a person at the host.

use std::{env, ffi::OsString, path::Path, process::ExitCode};

use chassis::Service;
use deploy_agent::local::command;
use world::World;

const SERVICE: Service = Service {
    about: "Carries out deploy orders on this host\n\nFor a person at the host: deploy-agent \
            status|history|verify|rollback|clear|apply --help",
    ..chassis::service!()
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<OsString> = env::args_os().collect();
    let first = args.get(1).and_then(|first| first.to_str());
    match (first, args.get(2..)) {
        (Some("step"), Some([folder])) => {
            let itself = ["/proc/self/exe", "step"];
            deploy_agent::step(&World::real(), Path::new(folder), &itself).await
        }
        (Some("step"), Some([folder, script @ ..])) => {
            deploy_agent::enter(&World::real(), Path::new(folder), script).await
        }
        (Some(name), _) if command::NAMES.contains(&name) => command::main(args).await,
        _ => chassis::run(SERVICE, deploy_agent::serve).await,
    }
}
