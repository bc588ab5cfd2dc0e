//! Pushes whose hook never came: slowly, each origin that the settings name is asked for its branches and tags.
//!
//! Forges lose hooks by design: GitHub tries once, and sends none at all for more than three tags at a time. Read: this file
//! (what is news in what an origin has; pure), [`known`] (what it had before, as a file), `run` (asking).

pub mod known;
pub(crate) mod run;

use std::collections::{BTreeMap, BTreeSet};

use events::{CommitId, RefKind, RefName, RepoName, message::Pushed};
use git::Tip;
use jiff::Timestamp;

use crate::fold::Heard;

/// What the branches and tags of a repository name: for an annotated tag that is the tag, as in a hook.
pub type Seen = BTreeMap<RefName, CommitId>;

/// What an origin has, for the next look.
#[must_use]
pub fn seen(found: &git::Tips) -> Seen {
    let tips = found.tips.iter();
    tips.map(|tip| (tip.name.clone(), tip.object.clone()))
        .collect()
}

/// What is known of a repository when its origin has answered.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// Which.
    pub repository: &'a RepoName,
    /// What it had at the last look; `None` at the first one ever.
    pub known: Option<&'a Seen>,
    /// What was announced since, by hooks too.
    pub heard: &'a BTreeMap<RefName, Heard>,
    /// When the origin was asked: what was heard since may be newer than its answer.
    pub asked: Timestamp,
}

/// The pushes of which nobody told, given what the origin has.
#[must_use]
pub fn plan(look: &Look<'_>, found: &git::Tips) -> Vec<Pushed> {
    let Look {
        repository, heard, ..
    } = look;
    let (none, found) = (Seen::new(), found.by_name());
    let known = look.known.unwrap_or(&none);
    let names: BTreeSet<&RefName> = found
        .keys()
        .copied()
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
        let tip: Option<&Tip> = found.get(name).copied();
        let same = match (before, tip) {
            // Some hooks name the commit of an annotated tag.
            (Some(before), Some(tip)) => tip.is_at(before),
            (None, None) => true,
            _ => false,
        };
        (!same).then(|| {
            let (repository, name) = ((*repository).clone(), name.clone());
            let after = tip.map(|tip| tip.object.clone());
            let commit = tip.map(|tip| tip.commit.clone());
            Pushed::of(repository, name, before.cloned(), after).leading_to(commit)
        })
    });
    moved.collect()
}
