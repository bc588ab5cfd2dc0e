//! What repositories were called before. No I/O.

use std::collections::BTreeMap;

use events::RepoName;
use serde::Deserialize;

use crate::text::Wrong;

/// Our name of a repository → the one that older daemons know it by. One that is not named here is called the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct OldNames(BTreeMap<RepoName, RepoName>);

impl OldNames {
    /// As older daemons call it.
    #[must_use]
    pub fn theirs<'a>(&'a self, ours: &'a RepoName) -> &'a RepoName {
        self.0.get(ours).unwrap_or(ours)
    }

    /// As we call it.
    ///
    /// # Errors
    /// When it is no name of a repository.
    pub fn ours(&self, theirs: &str) -> Result<RepoName, Wrong> {
        let theirs: RepoName = theirs.parse()?;
        let found = self.0.iter().find(|(_, old)| **old == theirs);
        Ok(found.map_or(theirs, |(ours, _)| ours.clone()))
    }

    /// Says what is wrong, if anything.
    ///
    /// # Errors
    /// When two would be one.
    pub fn check(&self) -> Result<(), String> {
        let mut taken = BTreeMap::new();
        for (ours, theirs) in &self.0 {
            if let Some(other) = taken.insert(theirs, ours) {
                return Err(format!(
                    "old_names: {other} and {ours} would both be {theirs}"
                ));
            }
        }
        Ok(())
    }
}
