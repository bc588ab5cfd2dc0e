//! Pushes whose hook never came: slowly, each origin that the settings name is asked for its branches and tags.
//!
//! Forges lose hooks by design: GitHub tries once, and sends none at all for more than three tags at a time. Read: this file
//! (what is news in what an origin has; pure), [`known`] (what it had before, as a file), [`run`] (asking).

pub mod known;
pub(crate) mod run;

use std::collections::BTreeMap;

use events::{CommitId, RefKind, RefName, RepoName, message::Pushed};
use jiff::Timestamp;

use crate::fold::Heard;

/// Where the branches and tags of a repository are.
pub type Tips = BTreeMap<RefName, CommitId>;

/// What is known of a repository when its origin has answered.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Which.
    pub repository: &'a RepoName,
    /// What it had at the last look; `None` at the first one ever.
    pub known: Option<&'a Tips>,
    /// What was announced since, by hooks too.
    pub heard: &'a BTreeMap<RefName, Heard>,
    /// When the origin was asked: what was heard since may be newer than its answer.
    pub asked: Timestamp,
}

/// The pushes of which nobody told, given what the origin has. `is_at` says whether a ref of it is at an object that a hook
/// named, which for a tag may be the tag itself.
#[must_use]
pub fn plan(
    look: &Look<'_>,
    found: &Tips,
    is_at: impl Fn(&RefName, &CommitId) -> bool,
) -> Vec<Pushed> {
    let Look {
        repository, heard, ..
    } = look;
    let none = Tips::new();
    let known = look.known.unwrap_or(&none);
    let names: std::collections::BTreeSet<&RefName> = found
        .keys()
        .chain(known.keys())
        .chain(heard.keys())
        .collect();
    // Of other refs hooks may tell, but an origin is asked for branches and tags only.
    let asked = |name: &&RefName| !matches!(name.kind(), RefKind::Other(_));
    let moved = names.into_iter().filter(asked).filter_map(|name| {
        let heard = heard.get(name);
        if heard.is_some_and(|heard| heard.at >= look.asked) {
            return None;
        }
        let before = match heard {
            Some(heard) => heard.after.as_ref(),
            // At the first look a ref of which nobody has told is no news.
            None if look.known.is_none() => return None,
            None => known.get(name),
        };
        let after = found.get(name);
        let same = match (before, after) {
            (Some(before), Some(after)) => before == after || is_at(name, before),
            (None, None) => true,
            _ => false,
        };
        (!same).then(|| Pushed {
            repository: (*repository).clone(),
            name: name.clone(),
            before: before.cloned(),
            after: after.cloned(),
            pusher: None,
            commits: Vec::new(),
            commits_total: 0,
            paths: None,
        })
    });
    moved.collect()
}
