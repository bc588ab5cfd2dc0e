//! What is known of a repository, in a file: for `stomp-git status`, which needs neither the bus nor the service.

use std::{
    io,
    path::{Path, PathBuf},
};

use events::{RefKind, RepoName, message::RefTip};
use serde::{Deserialize, Serialize};
use world::Disk;

use crate::work::Told;

/// How it stands with a repository.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// When it was last looked at, seconds since 1970.
    pub tried_s: Option<i64>,
    /// When it was last as its origin was, seconds since 1970.
    pub fetched_s: Option<i64>,
    /// How many looks have failed since.
    pub failures: u32,
    /// How many branches the mirror has.
    pub branches: usize,
    /// How many tags.
    pub tags: usize,
    /// What was said about it: why it fails, moved tags, refs that are left out, folders that cannot be had.
    pub told: Told,
}

/// The file of a repository. No name of a repository has a `%`.
#[must_use]
pub fn file(base: &Path, repository: &RepoName) -> PathBuf {
    let name = repository.as_str().replace('/', "%");
    base.join("stomp-git").join(format!("{name}.json"))
}

impl Kept {
    /// Reads it; one that is missing or cannot be read as such is an empty one.
    ///
    /// # Errors
    /// The system's.
    pub fn read(disk: &dyn Disk, base: &Path, repository: &RepoName) -> io::Result<Self> {
        match disk.read(&file(base, repository)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
        }
    }

    /// It is as its origin is.
    pub(crate) fn fetched(&mut self, now_s: i64, refs: &[RefTip]) {
        let tags = refs
            .iter()
            .filter(|tip| matches!(tip.name.kind(), RefKind::Tag(_)));
        self.tags = tags.count();
        self.branches = refs.len() - self.tags;
        self.fetched_s = Some(now_s);
        self.failures = 0;
    }

    /// Writes it, whole or not at all.
    ///
    /// # Errors
    /// The system's.
    pub fn write(&self, disk: &dyn Disk, base: &Path, repository: &RepoName) -> io::Result<()> {
        let file = file(base, repository);
        if let Some(folder) = file.parent() {
            disk.create_folders(folder, 0o755)?;
        }
        disk.replace(&file, &serde_json::to_vec(self)?, 0o644)
    }
}
