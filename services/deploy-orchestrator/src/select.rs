//! Which hosts are meant: from selectors to a set of hosts. Pure.
//!
//! All hosts are meant only when no selector is given; an empty list or an unknown name is an error that says what exists.

use std::collections::{BTreeMap, BTreeSet};

use events::{GroupName, HostName};

/// Named sets of hosts.
pub type Groups = BTreeMap<GroupName, BTreeSet<HostName>>;

/// Why selectors do not name hosts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// There was a list, with nothing in it.
    #[error("no host is named: leave the list out to mean all hosts")]
    Empty,
    /// Neither a host nor a group.
    #[error("{name:?} is neither a host nor a group of this project")]
    Unknown {
        /// What was asked for, cut to 80 characters.
        name: String,
        /// The hosts and groups that could have been.
        exists: Vec<String>,
    },
    /// A group whose hosts do not run this project.
    #[error("group {group} has no host of this project")]
    EmptyGroup {
        /// The group.
        group: GroupName,
        /// The hosts and groups that could have been.
        exists: Vec<String>,
    },
    /// The project has no hosts at all.
    #[error("this project has no hosts yet")]
    NoHosts,
}

/// The hosts that `on` names out of `hosts`, sorted, each once.
///
/// # Errors
/// See [`SelectError`].
pub fn select(
    hosts: &BTreeSet<HostName>,
    groups: &Groups,
    on: Option<&[String]>,
) -> Result<Vec<HostName>, SelectError> {
    if hosts.is_empty() {
        return Err(SelectError::NoHosts);
    }
    let Some(on) = on else {
        return Ok(hosts.iter().cloned().collect());
    };
    if on.is_empty() {
        return Err(SelectError::Empty);
    }
    let mut chosen = BTreeSet::new();
    for name in on {
        chosen.extend(named(hosts, groups, name)?);
    }
    Ok(chosen.into_iter().collect())
}

fn named(
    hosts: &BTreeSet<HostName>,
    groups: &Groups,
    name: &str,
) -> Result<Vec<HostName>, SelectError> {
    if let Some(host) = hosts.iter().find(|host| host.as_str() == name) {
        return Ok(vec![host.clone()]);
    }
    let Some((group, members)) = groups.iter().find(|(group, _)| group.as_str() == name) else {
        return Err(SelectError::Unknown {
            name: name.chars().take(80).collect(),
            exists: exists(hosts, groups),
        });
    };
    let members: Vec<_> = members.intersection(hosts).cloned().collect();
    if members.is_empty() {
        return Err(SelectError::EmptyGroup {
            group: group.clone(),
            exists: exists(hosts, groups),
        });
    }
    Ok(members)
}

fn exists(hosts: &BTreeSet<HostName>, groups: &Groups) -> Vec<String> {
    let useful = groups
        .iter()
        .filter(|(_, members)| !members.is_disjoint(hosts));
    let groups = useful.map(|(group, _)| group.to_string());
    hosts
        .iter()
        .map(HostName::to_string)
        .chain(groups)
        .collect()
}
