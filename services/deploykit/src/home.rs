//! Where the command line finds its orchestrator and its key.
//!
//! `--at DIR` (or `DEPLOYKIT_AT`) names the data folder of an `up` or a `demo`. Without it, the first of these that
//! exists: `/etc/deploykit/deploykit.toml`, `$XDG_CONFIG_HOME/deploykit/deploykit.toml`, the default folder of `up`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use events::{EnvironmentName, GroupName, HostName, ProjectName};
use serde::{Deserialize, Serialize};
use world::Disk;

use crate::failure::Failure;

/// The command line's own settings, `deploykit.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Home {
    /// The orchestrator's socket.
    pub socket: PathBuf,
    /// The OpenSSH private key that grants are signed with.
    pub key_file: PathBuf,
    /// The broker that the services use, for `doctor`.
    #[serde(default)]
    pub broker: Option<String>,
    /// Where each project is deployed: a grant for another environment is not signed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environments: BTreeMap<ProjectName, EnvironmentName>,
    /// The hosts that a group may mean: a grant for others is not signed, and for these without a question.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<GroupName, BTreeSet<HostName>>,
}

/// The folders of this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// `$XDG_CONFIG_HOME/deploykit`
    pub config: PathBuf,
    /// `$XDG_DATA_HOME/deploykit`
    pub data: PathBuf,
}

impl Folders {
    /// By the environment: `XDG_CONFIG_HOME`, `XDG_DATA_HOME`, else below `HOME`.
    #[must_use]
    pub fn of_user() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that asks for a person's folders"
        )]
        let folder = |name: &str| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let home = folder("HOME").unwrap_or_else(|| PathBuf::from("/"));
        Self {
            config: folder("XDG_CONFIG_HOME")
                .unwrap_or_else(|| home.join(".config"))
                .join("deploykit"),
            data: folder("XDG_DATA_HOME")
                .unwrap_or_else(|| home.join(".local/share"))
                .join("deploykit"),
        }
    }
}

impl Home {
    /// Finds and reads the settings.
    ///
    /// # Errors
    /// When there are none, or they are wrong; both say what to do.
    pub fn find(at: Option<&Path>, folders: &Folders, disk: &dyn Disk) -> Result<Self, Failure> {
        let candidates = match at {
            Some(folder) => vec![folder.join("deploykit.toml")],
            None => [Path::new("/etc/deploykit"), &folders.config, &folders.data]
                .map(|folder| folder.join("deploykit.toml"))
                .to_vec(),
        };
        for path in &candidates {
            match disk.read(path) {
                Ok(bytes) => return Self::parse(path, &bytes),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(Failure::Settings(format!(
                        "cannot read {}: {error}",
                        path.display()
                    )));
                }
            }
        }
        let looked: Vec<String> = candidates
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        Err(Failure::Settings(format!(
            "no orchestrator is known here (looked for {}): start one with `deploykit up --repo …`, or name its folder with --at",
            looked.join(", ")
        )))
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self, Failure> {
        let text = String::from_utf8_lossy(bytes);
        toml::from_str(&text)
            .map_err(|error| Failure::Settings(format!("{} is wrong: {error}", path.display())))
    }

    /// Writes the settings where [`Home::find`] looks.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, folder: &Path, disk: &dyn Disk) -> std::io::Result<()> {
        let text = toml::to_string(self).map_err(std::io::Error::other)?;
        let text = format!("# Settings of the command line `deploykit`.\n{text}");
        disk.replace(&folder.join("deploykit.toml"), text.as_bytes(), 0o644)
    }
}
