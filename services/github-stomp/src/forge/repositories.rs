//! Which of our names a forge's repository has.

use std::collections::{BTreeMap, HashMap};

use events::{NameError, RepoName};

use crate::settings::Repository;

/// Our names, by what forges call a repository.
#[derive(Debug, Clone, Default)]
pub struct Repositories(HashMap<String, RepoName>);

impl Repositories {
    /// From the settings.
    #[must_use]
    pub fn new(settings: &BTreeMap<RepoName, Repository>) -> Self {
        let aliases = |(name, repository): (&RepoName, &Repository)| {
            let own = std::iter::once(name.to_string());
            let name = name.clone();
            let all = own.chain(repository.aliases.clone());
            all.map(move |alias| (plain(&alias).to_owned(), name.clone()))
                .collect::<Vec<_>>()
        };
        Self(settings.iter().flat_map(aliases).collect())
    }

    /// By its full name or one of its URLs; else it keeps its full name.
    pub(super) fn name<'a>(
        &self,
        full_name: &str,
        urls: impl IntoIterator<Item = &'a str>,
    ) -> Result<RepoName, NameError> {
        let known = |alias: &str| self.0.get(plain(alias)).cloned();
        known(full_name)
            .or_else(|| urls.into_iter().find_map(known))
            .map_or_else(|| full_name.parse(), Ok)
    }
}

/// With and without `.git` is the same repository.
fn plain(alias: &str) -> &str {
    alias.strip_suffix(".git").unwrap_or(alias)
}
