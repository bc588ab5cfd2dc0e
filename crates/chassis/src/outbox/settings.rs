//! `[outbox]`: where messages wait for the broker, and how many.

use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::Limits;

/// `[outbox]` of a service that has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OutboxSettings {
    /// The folder; each service that has an outbox says its own default.
    pub folder: Option<PathBuf>,
    /// Messages that it holds at most.
    pub messages: usize,
    /// MiB of messages that it holds at most.
    pub mib: u64,
    /// A warning when the oldest message is older than this, in seconds. It is never dropped.
    pub warn_age_s: u64,
}

impl Default for OutboxSettings {
    fn default() -> Self {
        Self {
            folder: None,
            messages: 10_000,
            mib: 256,
            warn_age_s: 300,
        }
    }
}

impl OutboxSettings {
    /// What no type can say about these keys.
    ///
    /// # Errors
    /// One sentence that names the key.
    pub fn check(&self) -> Result<(), String> {
        if let Some(folder) = &self.folder
            && !folder.is_absolute()
        {
            return Err(format!(
                "outbox.folder: {} is no absolute path",
                folder.display()
            ));
        }
        if !(1..=1_000_000).contains(&self.messages) {
            return Err("outbox.messages must be 1 to 1000000".to_owned());
        }
        if !(1..=65_536).contains(&self.mib) {
            return Err("outbox.mib must be 1 to 65536".to_owned());
        }
        if !(1..=604_800).contains(&self.warn_age_s) {
            return Err("outbox.warn_age_s must be 1 to 604800, which is a week".to_owned());
        }
        Ok(())
    }

    /// The folder, or else this one.
    #[must_use]
    pub fn folder_or(&self, default: impl AsRef<Path>) -> PathBuf {
        let default = || default.as_ref().to_owned();
        self.folder.clone().unwrap_or_else(default)
    }

    /// How much it holds.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            messages: self.messages,
            bytes: self.mib.saturating_mul(1 << 20),
        }
    }

    pub(super) fn warn_age(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::try_from(self.warn_age_s).unwrap_or(i64::MAX))
    }
}
