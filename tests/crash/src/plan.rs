//! What a run is for: a file in the host's folder that each of its processes reads when it starts.

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

/// What the disk of a run does beside its work.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Plan {
    /// Nothing.
    #[default]
    Nothing,
    /// It notes each change.
    Record,
    /// It kills the process that makes a change.
    Kill(Kill),
}

/// Where a process is killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kill {
    /// The name of the change.
    pub name: String,
    /// When.
    pub when: When,
}

/// When around a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// Nothing of it is done.
    Before,
    /// A part of it is done.
    Within,
    /// It is done, and nothing after it.
    After,
}

impl Plan {
    const FILE: &str = "plan.json";

    /// What a host's folder says.
    ///
    /// # Panics
    /// The file is not what [`Plan::write`] wrote.
    #[must_use]
    pub fn read(host: &Path) -> Self {
        fs::read(host.join(Self::FILE)).map_or(Self::Nothing, |bytes| {
            serde_json::from_slice(&bytes).expect("a plan")
        })
    }

    /// Says it to the processes that start from now on.
    ///
    /// # Panics
    /// The disk is full.
    pub fn write(&self, host: &Path) {
        let bytes = serde_json::to_vec(self).expect("it is JSON");
        fs::write(host.join(Self::FILE), bytes).expect("the plan is written");
    }
}
