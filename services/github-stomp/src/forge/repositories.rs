//! Which of our names a forge's repository has.

use std::collections::{BTreeMap, HashMap};

use events::{NameError, RepoName};

use crate::settings::Repository;

/// What is known of repositories, by what forges call them.
#[derive(Debug, Clone, Default)]
pub struct Repositories(HashMap<String, Known>);

/// What is known of a repository.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Our name of it.
    pub(super) name: RepoName,
    /// True unless nobody can rewrite its branches.
    pub(super) force_pushes: bool,
}

impl Repositories {
    /// From the settings.
    #[must_use]
    pub fn new(settings: &BTreeMap<RepoName, Repository>) -> Self {
        let aliases = |(name, repository): (&RepoName, &Repository)| {
            let known = Known {
                name: name.clone(),
                force_pushes: repository.force_pushes,
            };
            let own = std::iter::once(name.to_string());
            let all = own.chain(repository.aliases.clone());
            all.map(move |alias| (plain(&alias).to_owned(), known.clone()))
                .collect::<Vec<_>>()
        };
        Self(settings.iter().flat_map(aliases).collect())
    }

    /// By its full name or one of its URLs; else it keeps its full name.
    pub(super) fn find<'a>(
        &self,
        full_name: &str,
        urls: impl IntoIterator<Item = &'a str>,
    ) -> Result<Known, NameError> {
        let known = |alias: &str| self.0.get(plain(alias)).cloned();
        if let Some(known) = known(full_name).or_else(|| urls.into_iter().find_map(known)) {
            return Ok(known);
        }
        Ok(Known {
            name: full_name.parse()?,
            force_pushes: true,
        })
    }
}

/// With and without `.git` is the same repository.
fn plain(alias: &str) -> &str {
    alias.strip_suffix(".git").unwrap_or(alias)
}
