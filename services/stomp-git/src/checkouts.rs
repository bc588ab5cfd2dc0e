//! Which folders there are to be, and how to get there. Values in, values out.
//!
//! Each folder is a link to a whole tree, switched by one rename:
//!
//! ```text
//! <folder>/production -> .stomp-git/trees/production/<commit>      modes branches and tags
//! <folder>/.stomp-git/  owner, lock, trees/<name>/<commit>/, trees/<name>/<commit>.old
//!
//! /srv/www/site -> .site.stomp-git/trees/site/<commit>             mode branch, folder = "/srv/www/site"
//! /srv/www/.site.stomp-git/ …
//! ```

mod doing;
mod ground;
mod place;

use std::collections::{BTreeMap, BTreeSet};

use events::{CommitId, RefKind, RefName, message::RefTip};
use serde::{Deserialize, Serialize};

pub use doing::{CheckedOut, Switched, Trouble, check_out};
pub use ground::{Ground, Link, Tree};
pub use place::Place;

use crate::settings::{Follow, Mode, Repository};

/// Folders of branches that are made where nothing else is set.
const BRANCHES: usize = 100;
/// Folders of tags that are kept where nothing else is set.
const TAGS: usize = 10;

/// What is to be checked out of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkouts {
    /// What.
    pub what: What,
    /// Where.
    pub place: Place,
    /// Where an old tree is no longer needed after so many seconds.
    pub keep_s: u64,
}

/// Which refs become folders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// One branch, under the place's own name.
    Branch(RefName),
    /// Each followed branch.
    Branches {
        /// Which are followed.
        follow: Vec<Follow>,
        /// How many folders there may be.
        at_most: usize,
    },
    /// The newest of the followed tags.
    Tags {
        /// Which are followed.
        follow: Vec<Follow>,
        /// How many folders there may be.
        at_most: usize,
    },
}

impl Checkouts {
    /// What the settings ask for; `None` in mode `mirror`, and for settings that were not checked.
    #[must_use]
    pub fn of(repository: &Repository, keep_s: u64) -> Option<Self> {
        let folder = repository.folder.as_deref()?;
        let (follow, at_most) = (repository.follow.clone(), repository.at_most);
        let what = match repository.mode {
            Mode::Mirror => return None,
            Mode::Branch => What::Branch(repository.branch_ref().ok()??),
            Mode::Branches => What::Branches {
                follow,
                at_most: at_most.unwrap_or(BRANCHES),
            },
            Mode::Tags => What::Tags {
                follow,
                at_most: at_most.unwrap_or(TAGS),
            },
        };
        let place = match what {
            What::Branch(_) => Place::one(folder)?,
            What::Branches { .. } | What::Tags { .. } => Place::many(folder),
        };
        Some(Self {
            what,
            place,
            keep_s,
        })
    }
}

/// What there is to be.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// Folders and their commits.
    pub folders: BTreeMap<String, CommitId>,
    /// Folders that stay as they are, whatever they are.
    pub held: BTreeSet<String>,
    /// What cannot be had, and what to do.
    pub troubles: Vec<String>,
}

/// A branch's folder: as r10k and Puppet have it, letters, digits and `_`; everything else becomes `_`.
#[must_use]
pub fn branch_folder(branch: &str) -> String {
    plain(branch, "_")
}

/// A tag's folder: letters, digits and `. _ - +`; everything else becomes `_`.
#[must_use]
pub fn tag_folder(tag: &str) -> String {
    plain(tag, "._-+")
}

fn plain(text: &str, more: &str) -> String {
    let one = |c: char| {
        let fits = c.is_ascii_alphanumeric() || more.contains(c);
        if fits { c } else { '_' }
    };
    text.chars().map(one).collect()
}

/// What there is to be, from what the mirror has (tags newest first) and which folders there are.
#[must_use]
pub fn wish(what: &What, place: &Place, refs: &[RefTip], there: &BTreeSet<String>) -> Wish {
    match what {
        What::Branch(branch) => one(branch, place, refs),
        What::Branches { follow, at_most } => {
            let branch = |name: &RefName| match name.kind() {
                RefKind::Branch(branch) => Some(branch_folder(branch)),
                RefKind::Tag(_) | RefKind::Other(_) => None,
            };
            let mut wish = many(refs, follow, branch);
            hold_if_empty(&mut wish, refs, there);
            limit_branches(&mut wish, *at_most, there);
            wish
        }
        What::Tags { follow, at_most } => {
            let tag = |name: &RefName| match name.kind() {
                RefKind::Tag(tag) => Some(tag_folder(tag)),
                RefKind::Branch(_) | RefKind::Other(_) => None,
            };
            let tags = refs.iter().filter(|tip| tag(&tip.name).is_some());
            let followed = tags.filter(|tip| follow.iter().any(|one| one.matches(&tip.name)));
            let newest: Vec<RefTip> = followed.take(*at_most).cloned().collect();
            let mut wish = many(&newest, follow, tag);
            hold_if_empty(&mut wish, refs, there);
            wish
        }
    }
}

/// Rather an emptied origin than a wish to have nothing.
fn hold_if_empty(wish: &mut Wish, refs: &[RefTip], there: &BTreeSet<String>) {
    if refs.is_empty() && !there.is_empty() {
        wish.held.extend(there.iter().cloned());
        wish.troubles.push(
            "its origin has no branches or tags at all, so all folders stay; remove them by hand if that is meant"
                .to_owned(),
        );
    }
}

fn one(branch: &RefName, place: &Place, refs: &[RefTip]) -> Wish {
    let mut wish = Wish::default();
    let name = place.own_name();
    match refs.iter().find(|tip| tip.name == *branch) {
        Some(tip) => drop(wish.folders.insert(name, tip.commit.clone())),
        None => {
            wish.held.insert(name);
            wish.troubles
                .push(format!("it has no {branch}, so the folder stays as it is"));
        }
    }
    wish
}

fn many(refs: &[RefTip], follow: &[Follow], folder: impl Fn(&RefName) -> Option<String>) -> Wish {
    let mut claims: BTreeMap<String, Vec<&RefTip>> = BTreeMap::new();
    for tip in refs {
        if let Some(name) = folder(&tip.name)
            && follow.iter().any(|follow| follow.matches(&tip.name))
        {
            claims.entry(name).or_default().push(tip);
        }
    }
    let mut wish = Wish::default();
    for (name, tips) in claims {
        if let [tip] = tips[..] {
            wish.folders.insert(name, tip.commit.clone());
            continue;
        }
        let names: Vec<&str> = tips.iter().map(|tip| tip.name.as_str()).collect();
        wish.troubles.push(format!(
            "{} would all be the folder {name}, so it stays as it is; rename all but one, or narrow `follow`",
            names.join(" and ")
        ));
        wish.held.insert(name);
    }
    wish
}

/// Folders that are there never give way for the limit; new ones are made in the order of their names while there is room.
fn limit_branches(wish: &mut Wish, at_most: usize, there: &BTreeSet<String>) {
    let stay = |name: &String| there.contains(name);
    let kept = wish.held.iter().chain(wish.folders.keys());
    let mut room = at_most.saturating_sub(kept.filter(|name| stay(name)).count());
    let mut left_out = 0;
    wish.folders.retain(|name, _| {
        let fits = there.contains(name) || room > 0;
        if fits && !there.contains(name) {
            room -= 1;
        }
        left_out += usize::from(!fits);
        fits
    });
    if left_out > 0 {
        wish.troubles.push(format!(
            "{left_out} branches have no folder, because at_most is {at_most}; raise it, or narrow `follow`"
        ));
    }
}

/// A change of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Move {
    /// The folder is to have this commit.
    Lead {
        /// Its name.
        name: String,
        /// The commit.
        to: CommitId,
        /// True if its tree is there already.
        laid_out: bool,
    },
    /// The folder is to be no longer.
    TakeAway {
        /// Its name.
        name: String,
    },
    /// Something that is not ours has this name: nothing is done.
    Leave {
        /// Its name.
        name: String,
    },
}

/// What has to change, folder by folder.
#[must_use]
pub fn moves(wish: &Wish, ground: &Ground) -> Vec<Move> {
    let mut moves = Vec::new();
    for (name, to) in &wish.folders {
        let lead = Move::Lead {
            name: name.clone(),
            to: to.clone(),
            laid_out: ground.tree(name, to).is_some(),
        };
        match ground.links.get(name) {
            Some(Link::Ours(commit)) if commit == to && ground.tree(name, to).is_some() => {}
            Some(Link::Foreign) => moves.push(Move::Leave { name: name.clone() }),
            Some(Link::Ours(_)) | None => moves.push(lead),
        }
    }
    for (name, link) in &ground.links {
        let wanted = wish.folders.contains_key(name) || wish.held.contains(name);
        if !wanted && matches!(link, Link::Ours(_)) {
            moves.push(Move::TakeAway { name: name.clone() });
        }
    }
    moves
}

/// What becomes of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// A folder leads to it, and a note says that none does.
    Unmark(Tree),
    /// No folder leads to it from now on.
    Mark(Tree),
    /// Nobody can be reading it any more.
    Remove(Tree),
}

/// What has to happen to the trees.
#[must_use]
pub fn fates(ground: &Ground, now_s: i64, keep_s: u64) -> Vec<Fate> {
    let keep_s = i64::try_from(keep_s).unwrap_or(i64::MAX);
    let fate = |tree: &Tree| match (ground.leads_to(tree), tree.old_since_s) {
        (true, Some(_)) => Some(Fate::Unmark(tree.clone())),
        (true, None) => None,
        (false, None) => Some(Fate::Mark(tree.clone())),
        // A note from the future was written by a clock that has been put right since.
        (false, Some(since)) if since > now_s => Some(Fate::Mark(tree.clone())),
        (false, Some(since)) => (now_s - since >= keep_s).then(|| Fate::Remove(tree.clone())),
    };
    ground.trees.iter().filter_map(fate).collect()
}
