//! What a service is told: defaults, then `/etc/deploykit/<name>.toml`, then `/etc/deploykit/<name>.d/*.toml` in the
//! order of their names, then `DEPLOYKIT_<NAME>__SECTION__KEY` of the environment. Later ones go first, key by key.
//!
//! Read: `layers` (texts in, settings or the reason out; no I/O), `load` (finding the files).

mod layers;
mod load;

use std::path::PathBuf;

use events::{HostName, NameError, Names};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

pub use layers::{Layer, SettingsError, parse, switched_on, together};
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
}

/// The keys that every service's file may have beside its own: `host`, `log`, `[bus]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Common {
    /// This host's name on the bus. Default: the system's host name.
    pub host: Option<HostName>,
    /// What is logged: `info`, or as in `RUST_LOG`, which goes first. Default `info`.
    pub log: Option<String>,
    /// The bus.
    pub bus: BusSettings,
}

/// How to reach the bus: `[bus]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusSettings {
    /// Brokers as `host:port`, in the order they are tried.
    pub brokers: Vec<String>,
    /// User name at the broker.
    pub login: Option<String>,
    /// File with the passcode; read at each connection, so a changed one is taken up.
    pub passcode_file: Option<PathBuf>,
    /// STOMP's `host`: the virtual host.
    pub virtual_host: String,
    /// Heart-beats both ways, seconds.
    pub heart_beat_s: u64,
    /// One attempt to connect, handshake included, seconds.
    pub connect_limit_s: u64,
    /// A publish, from the call to the receipt, waiting for a connection included, seconds.
    pub publish_limit_s: u64,
    /// The longest wait between two attempts to connect, seconds.
    pub backoff_limit_s: u64,
    /// Messages that the broker sends ahead of acknowledgements.
    pub prefetch: u32,
    /// How topics are named here.
    pub topics: Names,
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
        self.bus.check().map_err(|wrong| format!("bus.{wrong}"))
    }
}

impl BusSettings {
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.brokers.is_empty() {
            return Err(
                "brokers is empty: name at least one, such as \"127.0.0.1:61613\"".to_owned(),
            );
        }
        if let Some(broker) = self.brokers.iter().find(|broker| !is_address(broker)) {
            return Err(format!("brokers has {broker:?}, which is not host:port"));
        }
        let portable = |text: &str| !text.contains(['\\', ':', '\r', '\n', '\0']);
        if self.login.as_deref().is_some_and(|login| !portable(login)) {
            return Err(
                "login holds a \\, a : or a control character, which not all brokers read alike"
                    .to_owned(),
            );
        }
        if self.login.is_some() != self.passcode_file.is_some() {
            return Err("login and bus.passcode_file go together: set both or none".to_owned());
        }
        let limits = [
            ("heart_beat_s", self.heart_beat_s),
            ("connect_limit_s", self.connect_limit_s),
            ("publish_limit_s", self.publish_limit_s),
            ("backoff_limit_s", self.backoff_limit_s),
            ("prefetch", u64::from(self.prefetch)),
        ];
        if let Some((key, _)) = limits.iter().find(|(_, value)| !(1..=3600).contains(value)) {
            return Err(format!("{key} must be 1 to 3600"));
        }
        self.topics
            .check()
            .map_err(|wrong| format!("topics: {wrong}"))
    }
}

fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        !host.is_empty()
            && !host.contains(['/', ' ', '@'])
            && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

impl Default for BusSettings {
    fn default() -> Self {
        Self {
            brokers: vec!["127.0.0.1:61613".to_owned()],
            login: None,
            passcode_file: None,
            virtual_host: "/".to_owned(),
            heart_beat_s: 5,
            connect_limit_s: 10,
            publish_limit_s: 30,
            backoff_limit_s: 30,
            prefetch: 64,
            topics: Names::default(),
        }
    }
}
