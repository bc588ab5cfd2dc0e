//! What a service is told: defaults, then `/etc/deploykit/<name>.toml`, then `/etc/deploykit/<name>.d/*.toml` in the
//! order of their names, then `DEPLOYKIT_<NAME>__SECTION__KEY` of the environment. Later ones go first, key by key.
//!
//! Read: `layers` (texts in, settings or the reason out; no I/O), `load` (finding the files), `bus` (the keys of `[bus]`).

mod bus;
mod layers;
mod load;

use events::{HostName, NameError};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use world::World;

pub use crate::metrics::MetricsSettings;
pub use bus::BusSettings;
pub(crate) use bus::{host, is_address};
pub use layers::{Layer, SettingsError, exactly, parse, switched_on, together};
pub use load::load;

/// A service's own settings: one struct, one file.
pub trait Settings: DeserializeOwned + Send + 'static {
    /// The file as shipped (`dist/<name>.toml`): every key, optional ones commented out as `#key = value`.
    const SHIPPED: &'static str;

    /// What no type can say: names the key and the rule.
    ///
    /// # Errors
    /// One sentence that names the key.
    fn check(&self) -> Result<(), String> {
        Ok(())
    }

    /// What only shows on the machine and under the user that the service runs as. Asked by `--check` and at a start as a
    /// process, not where settings are only read.
    ///
    /// # Errors
    /// One sentence that names the key.
    fn check_here(&self, _world: &World) -> Result<(), String> {
        Ok(())
    }
}

/// The keys that every service's file may have beside its own: `host`, `log`, `[bus]`, `[metrics]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Common {
    /// This host's name on the bus. Default: the system's host name.
    pub host: Option<HostName>,
    /// What is logged: `info`, or as in `RUST_LOG`, which goes first. Default `info`.
    pub log: Option<String>,
    /// The bus.
    pub bus: BusSettings,
    /// What is measured, for Prometheus.
    pub metrics: MetricsSettings,
}

impl Common {
    /// The host's name: as set, else the system's.
    ///
    /// # Errors
    /// When the system's is no [`HostName`]; then `host` must be set.
    pub fn host_name(&self) -> Result<HostName, NameError> {
        if let Some(host) = &self.host {
            return Ok(host.clone());
        }
        let system = rustix::system::uname();
        system.nodename().to_string_lossy().to_lowercase().parse()
    }

    /// What no type can say about these keys.
    ///
    /// # Errors
    /// One sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        let bus = self.bus.check().map_err(|wrong| format!("bus.{wrong}"));
        let metrics = self.metrics.check();
        bus.and(metrics.map_err(|wrong| format!("metrics.{wrong}")))
    }
}
