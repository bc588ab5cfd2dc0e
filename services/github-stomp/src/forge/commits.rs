//! The commits of a push, read one by one: the ends of the list and the paths are kept, however long it is.

use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    marker::PhantomData,
};

use events::{
    CommitId, NameError, RefKind, RefName,
    message::{Commit, Pushed},
};
use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use super::{
    Refusal, Said,
    json::Object,
    repositories::Known,
    words::{Called, Title},
};

/// How many commits travel; the others are counted.
const KEPT: usize = 20;
/// Paths of more bytes than this together do not fit into a message.
const PATHS_BYTES: usize = 64 * 1024;

/// A commit as forges list it.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) author: Called,
    pub(super) title: Title,
    /// What it changed, where the forge says it.
    pub(super) paths: Option<PathList>,
}

/// A list of commits.
#[derive(Debug)]
pub(super) struct Commits<C> {
    /// How many are listed.
    pub(super) count: usize,
    first: Vec<Listed>,
    last: VecDeque<Listed>,
    paths: Option<PathList>,
    listed_as: PhantomData<C>,
}

impl<C> Default for Commits<C> {
    fn default() -> Self {
        Self {
            count: 0,
            first: Vec::new(),
            last: VecDeque::new(),
            paths: Some(PathList::default()),
            listed_as: PhantomData,
        }
    }
}

impl<C> Commits<C> {
    fn add(&mut self, mut commit: Listed) {
        self.count += 1;
        self.paths = match (self.paths.take(), commit.paths.take()) {
            (Some(mut all), Some(more)) => {
                all.extend(more);
                Some(all)
            }
            _ => None,
        };
        if self.first.len() < KEPT {
            self.first.push(commit);
            return;
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(commit);
    }

    /// What all of them changed; none where a commit does not say it or they are too many.
    pub(super) fn paths(&mut self) -> Option<Vec<String>> {
        let PathList { paths, bytes } = self.paths.take()?;
        let fits = bytes <= PATHS_BYTES;
        fits.then_some(paths).and_then(Pushed::paths)
    }

    /// The newest ones, newest last. Some forges list the newest first: then the list begins with where the ref is now.
    pub(super) fn newest_last(self, after: Option<&CommitId>) -> Result<Vec<Commit>, NameError> {
        let begins = self.first.first().map(|commit| &*commit.id);
        if begins.is_some() && begins == after.map(CommitId::as_str) {
            return self.first.into_iter().rev().map(commit).collect();
        }
        let spare = (self.first.len() + self.last.len()).saturating_sub(KEPT);
        let all = self.first.into_iter().chain(self.last);
        all.skip(spare).map(commit).collect()
    }
}

fn commit(listed: Listed) -> Result<Commit, NameError> {
    Ok(Commit {
        id: listed.id.parse()?,
        author: listed.author.0,
        title: listed.title.0,
    })
}

impl<'de, C: Deserialize<'de> + Into<Listed>> Deserialize<'de> for Commits<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self::default())
    }
}

impl<'de, C: Deserialize<'de> + Into<Listed>> Visitor<'de> for Commits<C> {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of commits")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
        while let Some(Object(commit)) = list.next_element::<Object<C>>()? {
            self.add(commit.into());
        }
        Ok(self)
    }
}

/// Paths that a push changed, each once, up to a size.
#[derive(Debug, Default)]
pub(super) struct PathList {
    paths: BTreeSet<String>,
    /// Of all different ones, until they are too many.
    bytes: usize,
}

impl PathList {
    fn add(&mut self, path: String) {
        let length = path.len();
        if self.bytes <= PATHS_BYTES && self.paths.insert(path) {
            self.bytes += length;
        }
        if self.bytes > PATHS_BYTES {
            self.paths.clear();
        }
    }

    pub(super) fn extend(&mut self, more: Self) {
        if more.bytes > PATHS_BYTES {
            self.bytes = more.bytes;
        }
        more.paths.into_iter().for_each(|path| self.add(path));
    }
}

impl<'de> Deserialize<'de> for PathList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self::default())
    }
}

impl<'de> Visitor<'de> for PathList {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of paths")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self, A::Error> {
        while let Some(path) = list.next_element::<String>()? {
            self.add(path);
        }
        Ok(self)
    }
}

/// A push of one ref as GitHub, GitLab and Gitea tell it, each in a body of its own.
pub(super) struct OneRef<C> {
    pub(super) known: Known,
    pub(super) name: String,
    pub(super) before: String,
    pub(super) after: String,
    /// The commit that the ref leads to, where it is told.
    pub(super) commit: Option<String>,
    pub(super) pusher: Option<Called>,
    pub(super) commits: Option<Commits<C>>,
    /// How many commits there are, if more than are listed.
    pub(super) total: Option<usize>,
}

impl<C> OneRef<C> {
    /// The push; `whole` says of so many listed commits, and of so many in all, whether they are all that its ref got.
    pub(super) fn read(self, whole: impl FnOnce(usize, usize) -> bool) -> Result<Said, Refusal> {
        let name: RefName = self.name.parse()?;
        let (before, after) = sides(&self.before, &self.after)?;
        let commit = match name.kind() {
            RefKind::Tag(_) => self.commit.map(|id| id.parse()).transpose()?,
            _ => None,
        };
        let mut commits = self.commits.unwrap_or_default();
        let total = self.total.unwrap_or_default().max(commits.count);
        let whole = before.is_some() && commits.count > 0 && whole(commits.count, total);
        let pushed = Pushed {
            pusher: self.pusher.map(|Called(name)| name),
            commits_total: total,
            paths: commits.paths().filter(|_| whole),
            commits: commits.newest_last(after.as_ref())?,
            ..Pushed::of(self.known.name, name, before, after)
        };
        Ok(Said::Pushed(vec![pushed.leading_to(commit)]))
    }
}

/// Where a ref was and where it is.
pub(super) type Sides = (Option<CommitId>, Option<CommitId>);

/// Both sides of a push; all zero stands for none.
pub(super) fn sides(before: &str, after: &str) -> Result<Sides, Refusal> {
    match (side(before)?, side(after)?) {
        (None, None) => Err(Refusal::Nothing),
        sides => Ok(sides),
    }
}

fn side(id: &str) -> Result<Option<CommitId>, NameError> {
    let none = matches!(id.len(), 40 | 64) && id.bytes().all(|digit| digit == b'0');
    if none {
        return Ok(None);
    }
    id.parse().map(Some)
}
