//! The agent on such a disk, until it is killed.

use std::{fs, path::Path, process::ExitCode};

use chassis::Common;
use deploy_agent::Settings;
use tokio_util::sync::CancellationToken;

use crate::Dying;

/// The settings of the bus, in a host's folder.
pub const COMMON: &str = "common.json";
/// The agent's own settings there.
pub const SETTINGS: &str = "agent.toml";

/// Serves as `deploy-agent` does, with the settings in a host's folder.
///
/// # Panics
/// The settings are not there or not understood.
pub async fn agent(host: &Path) -> ExitCode {
    chassis::start_logs("info");
    let text = |name: &str| fs::read_to_string(host.join(name)).expect("settings");
    let common: Common = serde_json::from_str(&text(COMMON)).expect("settings of the bus");
    let settings: Settings = toml::from_str(&text(SETTINGS)).expect("the agent's settings");
    let served = chassis::compose(
        "deploy-agent",
        common,
        settings,
        Dying::world_of_agent(host),
        CancellationToken::new(),
        deploy_agent::serve,
    );
    match served.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tracing::error!("{failure}");
            failure.exit_code()
        }
    }
}
