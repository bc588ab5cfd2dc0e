//! What is there: links, trees and notes, as read from the disk.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

use events::CommitId;
use world::{Disk, Entry, Kind};

use super::Place;

/// What has the name of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// A link that was made here, and the commit it leads to.
    Ours(CommitId),
    /// Anything else.
    Foreign,
}

/// A whole tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The folder it is for.
    pub name: String,
    /// What it holds.
    pub commit: CommitId,
    /// Since when no folder leads to it, if that was noted: seconds since 1970.
    pub old_since_s: Option<i64>,
}

/// All that counts of a place.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ground {
    /// What has which name.
    pub links: BTreeMap<String, Link>,
    /// What was laid out.
    pub trees: Vec<Tree>,
}

impl Ground {
    /// Reads it; nothing there is an empty one.
    ///
    /// # Errors
    /// The system's.
    pub fn read(disk: &dyn Disk, place: &Place) -> io::Result<Self> {
        let mut ground = Self::default();
        for entry in list(disk, place.links())? {
            let name = name_of(&entry.path);
            let hidden = name.starts_with('.') && name != place.own_name();
            if hidden || !place.may_have(&name) {
                continue;
            }
            let target = match entry.kind {
                Kind::Link => disk.read_link(&entry.path)?,
                Kind::File | Kind::Folder | Kind::Other => None,
            };
            let ours = target.and_then(|target| place.led_to(&name, &target));
            let link = ours.map_or(Link::Foreign, Link::Ours);
            ground.links.insert(name, link);
        }
        let folders = list(disk, &place.trees())?.into_iter();
        for folder in folders.filter(|entry| entry.kind == Kind::Folder) {
            let name = name_of(&folder.path);
            let entries = list(disk, &folder.path)?;
            for tree in entries.iter().filter(|entry| entry.kind == Kind::Folder) {
                let Ok(commit) = name_of(&tree.path).parse::<CommitId>() else {
                    continue;
                };
                let note = place.beside(&name, &commit, "old");
                let noted = entries.iter().any(|entry| entry.path == note);
                let old_since_s = noted.then(|| since(disk, &note)).transpose()?;
                ground.trees.push(Tree {
                    name: name.clone(),
                    commit,
                    old_since_s,
                });
            }
        }
        Ok(ground)
    }

    /// The folders that were made here.
    #[must_use]
    pub fn ours(&self) -> BTreeMap<&str, &CommitId> {
        let ours = self.links.iter().filter_map(|(name, link)| match link {
            Link::Ours(commit) => Some((name.as_str(), commit)),
            Link::Foreign => None,
        });
        ours.collect()
    }

    pub(super) fn names(&self) -> BTreeSet<String> {
        self.ours().into_keys().map(str::to_owned).collect()
    }

    pub(super) fn tree(&self, name: &str, commit: &CommitId) -> Option<&Tree> {
        let trees = self.trees.iter();
        trees
            .filter(|tree| tree.name == name)
            .find(|tree| tree.commit == *commit)
    }

    pub(super) fn leads_to(&self, tree: &Tree) -> bool {
        self.ours().get(tree.name.as_str()) == Some(&&tree.commit)
    }
}

/// What a note says; one that a crash cut short is as one from the future.
fn since(disk: &dyn Disk, note: &Path) -> io::Result<i64> {
    let text = disk.read(note)?;
    let text = String::from_utf8_lossy(&text);
    Ok(text.parse().unwrap_or(i64::MAX))
}

fn list(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<Entry>> {
    match disk.list(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

pub(super) fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
