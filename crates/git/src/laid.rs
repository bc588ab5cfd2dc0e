//! What was laid out of a tree, so that the next one can take over what is the same. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};
use world::Stamp;

use crate::tree::{Tree, TreeKind};

/// More changed paths than this are not asked for one by one: git compares each with each of the tree.
const MOST_ASKED: usize = 1000;

/// What was laid out of the tree of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Laid {
    /// What the files depend on beside the tree: only where it is the same, the same object is the same file.
    pub(crate) ground: String,
    /// True if a file's text may depend on the commit (`export-subst`).
    pub(crate) of_commit: bool,
    /// Each path of the tree.
    pub(crate) paths: BTreeMap<PathBuf, LaidPath>,
}

/// A path of a tree that was laid out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LaidPath {
    pub(crate) kind: TreeKind,
    pub(crate) object: String,
    /// As it was left; `None` if the tree keeps it out of exports.
    pub(crate) stamp: Option<Stamp>,
    /// Where a link leads.
    pub(crate) target: Option<PathBuf>,
}

impl Laid {
    /// When the newest of its files was last changed, by the file system's clock. What was changed since cannot be told from
    /// what was not before that clock has moved on.
    #[must_use]
    pub fn newest_ns(&self) -> i64 {
        let stamps = self.paths.values().filter_map(|path| path.stamp.as_ref());
        stamps.map(|stamp| stamp.changed_ns).max().unwrap_or(0)
    }
}

/// What to do for a tree, given what was laid out of another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Steps {
    /// Folders to make, those above first.
    pub(crate) folders: Vec<PathBuf>,
    /// Files and links that are the same.
    pub(crate) same: Vec<PathBuf>,
    /// All else that git may have to say about.
    pub(crate) asked: BTreeSet<PathBuf>,
}

impl Steps {
    /// True if there is more to ask for than is worth it.
    pub(crate) fn too_many(&self) -> bool {
        self.asked.len() > MOST_ASKED || self.asked.len() > self.same.len()
    }
}

/// Compares the trees. What was kept out of exports, and is the same, is kept out again.
pub(crate) fn compare(tree: &Tree, earlier: &Laid) -> Steps {
    let mut steps = Steps::default();
    for entry in &tree.entries {
        let before = earlier.paths.get(&entry.path);
        let before = before.filter(|before| before.kind.is_like(entry.kind));
        let folder = matches!(entry.kind, TreeKind::Folder | TreeKind::Submodule);
        match before {
            Some(before) if folder && before.stamp.is_some() => {
                steps.folders.push(entry.path.clone());
            }
            Some(before) if !folder && before.object == entry.object => {
                if before.stamp.is_some() {
                    steps.same.push(entry.path.clone());
                }
            }
            // What is in a folder is asked for itself, and git makes the folder.
            _ if entry.kind == TreeKind::Folder => {}
            _ => drop(steps.asked.insert(entry.path.clone())),
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use world::Kind;

    use super::*;
    use crate::TreeEntry;

    fn tree(lines: &[&str]) -> Tree {
        let entry = |line: &&str| {
            let mut words = line.split(' ');
            let mut word = || words.next().unwrap();
            let kind = match word() {
                "file" => TreeKind::File { executable: false },
                "run" => TreeKind::File { executable: true },
                "link" => TreeKind::Link,
                "folder" => TreeKind::Folder,
                _ => TreeKind::Submodule,
            };
            TreeEntry {
                kind,
                path: word().into(),
                object: words.next().unwrap_or_default().to_owned(),
                bytes: 0,
            }
        };
        Tree {
            entries: lines.iter().map(entry).collect(),
        }
    }

    fn laid(lines: &[&str], ignored: &str) -> Laid {
        let stamp = Stamp {
            kind: Kind::File,
            bytes: 0,
            mode: 0,
            owner: (0, 0),
            inode: 0,
            modified_ns: 0,
            changed_ns: 0,
        };
        let path = |entry: TreeEntry| {
            let path = LaidPath {
                kind: entry.kind,
                object: entry.object,
                stamp: Some(stamp).filter(|_| !entry.path.starts_with(ignored)),
                target: None,
            };
            (entry.path, path)
        };
        Laid {
            ground: String::new(),
            of_commit: false,
            paths: tree(lines).entries.into_iter().map(path).collect(),
        }
    }

    #[test]
    fn only_what_is_the_same_is_taken_over() {
        let before = [
            "folder d a1",
            "file d/x 1",
            "file d/y 2",
            "link l 3",
            "folder no a2",
            "file no/a 4",
            "file no/b 5",
            "file was 6",
            "folder was2 a3",
            "file was2/z 7",
            "file mode 8",
            "sub s 9",
        ];
        let now = [
            "folder d b1",
            "file d/x 1",
            "file d/y changed",
            "link l 3",
            "folder no b2",
            "file no/a 4",
            "file no/b changed",
            "folder was b3",
            "file was/in 6",
            "file was2 7",
            "run mode 8",
            "sub s other",
            "folder new b4",
            "file new/x 1",
        ];
        let steps = compare(&tree(&now), &laid(&before, "no"));
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(steps.folders, paths(&["d", "s"]));
        assert_eq!(steps.same, paths(&["d/x", "l"]));
        let asked: Vec<_> = steps.asked.into_iter().collect();
        assert_eq!(
            asked,
            paths(&["d/y", "mode", "new/x", "no/b", "was/in", "was2"])
        );
    }
}
