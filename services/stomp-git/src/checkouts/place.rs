//! Where the folders, their trees and the marker are.

use std::path::{Path, PathBuf};

use events::CommitId;
use serde::{Deserialize, Serialize};

/// The folder in which links are, and the one beside them with what they lead to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    links: PathBuf,
    store: String,
    /// The only name there is, where there is one.
    one: Option<String>,
}

impl Place {
    /// Any number of links in `folder`.
    #[must_use]
    pub fn many(folder: &Path) -> Self {
        Self {
            links: folder.to_owned(),
            store: ".stomp-git".to_owned(),
            one: None,
        }
    }

    /// `folder` itself is the link; `None` if it has no name.
    #[must_use]
    pub fn one(folder: &Path) -> Option<Self> {
        let name = folder.file_name()?.to_str()?.to_owned();
        Some(Self {
            links: folder.parent()?.to_owned(),
            store: format!(".{name}.stomp-git"),
            one: Some(name),
        })
    }

    /// The only name there is; empty where there are many.
    #[must_use]
    pub fn own_name(&self) -> String {
        self.one.clone().unwrap_or_default()
    }

    /// True if a link of this name can be of this place.
    #[must_use]
    pub fn may_have(&self, name: &str) -> bool {
        self.one.as_ref().is_none_or(|one| one == name)
    }

    /// Where links are.
    #[must_use]
    pub fn links(&self) -> &Path {
        &self.links
    }

    /// A link.
    #[must_use]
    pub fn link(&self, name: &str) -> PathBuf {
        self.links.join(name)
    }

    /// What is stomp-git's own.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.links.join(&self.store)
    }

    /// The marker: it names the repository that the store is for.
    #[must_use]
    pub fn owner(&self) -> PathBuf {
        self.store().join("owner")
    }

    /// Who holds it changes the place.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.store().join("lock")
    }

    /// A link before it has its name.
    #[must_use]
    pub fn next_link(&self) -> PathBuf {
        self.store().join("next")
    }

    /// All trees.
    #[must_use]
    pub fn trees(&self) -> PathBuf {
        self.store().join("trees")
    }

    /// The trees of one folder.
    #[must_use]
    pub fn trees_of(&self, name: &str) -> PathBuf {
        self.trees().join(name)
    }

    /// One tree.
    #[must_use]
    pub fn tree(&self, name: &str, commit: &CommitId) -> PathBuf {
        self.trees_of(name).join(commit.as_str())
    }

    /// The same with an ending: `partial` and `gone` are nobody's, `old` is a note.
    #[must_use]
    pub fn beside(&self, name: &str, commit: &CommitId, ending: &str) -> PathBuf {
        self.trees_of(name).join(format!("{commit}.{ending}"))
    }

    /// What a link says, so that the whole can be moved or mounted elsewhere.
    #[must_use]
    pub fn target(&self, name: &str, commit: &CommitId) -> PathBuf {
        Path::new(&self.store)
            .join("trees")
            .join(name)
            .join(commit.as_str())
    }

    /// The commit that a link of this name leads to, if it is one that is made here.
    #[must_use]
    pub fn led_to(&self, name: &str, target: &Path) -> Option<CommitId> {
        let trees = Path::new(&self.store).join("trees").join(name);
        let commit = target.strip_prefix(trees).ok()?.to_str()?;
        commit.parse().ok()
    }
}
