//! What to do about a push. Values in, values out.

use std::collections::BTreeMap;

use events::{RefName, RepoName, message::Pushed};

use crate::settings::Repository;

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Plan {
    /// Nothing, for this reason.
    Skip(Skip),
    /// Fetch this mirror.
    Fetch(RepoName),
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// It is none of this host's repositories, by name or alias.
    #[error("no mirror of {0} is kept here")]
    UnknownRepository(RepoName),
    /// It is, but this ref is none of those that are followed at once.
    #[error("{pushed} of {repository} is not followed here")]
    NotFollowed {
        /// The repository.
        repository: RepoName,
        /// The ref.
        pushed: RefName,
    },
}

/// A push is a hint: what it says about commits is not used, the origin is asked.
#[must_use]
pub fn plan(pushed: &Pushed, repositories: &BTreeMap<RepoName, Repository>) -> Plan {
    let named = repositories.get_key_value(&pushed.repository);
    let found = named.or_else(|| {
        let is_alias = |alias: &String| alias == pushed.repository.as_str();
        repositories
            .iter()
            .find(|(_, repository)| repository.aliases.iter().any(is_alias))
    });
    let Some((name, repository)) = found else {
        return Plan::Skip(Skip::UnknownRepository(pushed.repository.clone()));
    };
    if repository
        .follow
        .iter()
        .any(|follow| follow.matches(&pushed.name))
    {
        return Plan::Fetch(name.clone());
    }
    Plan::Skip(Skip::NotFollowed {
        repository: name.clone(),
        pushed: pushed.name.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(repository: &str, name: &str) -> Plan {
        let text = r#"
            [repositories.shop]
            origin = "/srv/git/shop.git"
            aliases = ["group/shop", "shop-old"]
            [repositories.docs]
            origin = "git@git.example.org:docs.git"
            follow = ["refs/heads/main", "refs/heads/release-*", "refs/tags/*"]
        "#;
        let (_, settings) = chassis::settings::parse::<crate::Settings>(text, "test").unwrap();
        let pushed = Pushed::of(
            repository.parse().unwrap(),
            name.parse().unwrap(),
            None,
            None,
        );
        plan(&pushed, &settings.repositories)
    }

    fn fetch(repository: &str) -> Plan {
        Plan::Fetch(repository.parse().unwrap())
    }

    #[test]
    fn a_push_to_a_repository_of_this_host_is_fetched() {
        assert_eq!(decide("shop", "refs/heads/topic/x"), fetch("shop"));
        assert_eq!(decide("shop", "refs/tags/v1"), fetch("shop"));
        assert_eq!(decide("shop", "refs/notes/commits"), fetch("shop"));
    }

    #[test]
    fn a_push_under_an_alias_is_fetched_under_the_one_name() {
        assert_eq!(decide("group/shop", "refs/heads/main"), fetch("shop"));
        assert_eq!(decide("shop-old", "refs/heads/main"), fetch("shop"));
    }

    #[test]
    fn push_to_unknown_repository_is_skipped() {
        let expected = Skip::UnknownRepository("other/shop".parse().unwrap());
        assert_eq!(
            decide("other/shop", "refs/heads/main"),
            Plan::Skip(expected.clone())
        );
        assert_eq!(expected.to_string(), "no mirror of other/shop is kept here");
    }

    #[test]
    fn a_push_to_a_followed_ref_is_fetched() {
        for name in ["refs/heads/main", "refs/heads/release-7", "refs/tags/v1/x"] {
            assert_eq!(decide("docs", name), fetch("docs"));
        }
    }

    #[test]
    fn a_push_to_another_ref_is_skipped() {
        for name in ["refs/heads/main2", "refs/heads/topic", "refs/notes/main"] {
            let expected = Skip::NotFollowed {
                repository: "docs".parse().unwrap(),
                pushed: name.parse().unwrap(),
            };
            assert_eq!(decide("docs", name), Plan::Skip(expected));
        }
    }
}
