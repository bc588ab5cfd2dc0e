//! `crash agent HOST` and `crash step HOST DIR`: the agent and its runner on a disk that notes what is done to it, or kills
//! its process where the plan in the folder HOST says so. Composed as `deploy-agent` composes them.

use std::{env, ffi::OsString, path::Path, process::ExitCode};

use crash::Dying;
use world::World;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words[..] {
        ["agent", host] => crash::agent(Path::new(host)).await,
        ["step", host, folder] => {
            let folder = Path::new(folder);
            let itself = ["/proc/self/exe", "step", host];
            let world = Dying::world_of_step(Path::new(host), folder);
            deploy_agent::step(&world, folder, &itself).await
        }
        ["step", _, folder, ..] => {
            let script: Vec<OsString> = args[3..].iter().map(OsString::from).collect();
            deploy_agent::enter(&World::real(), Path::new(folder), &script).await
        }
        _ => ExitCode::from(2),
    }
}
