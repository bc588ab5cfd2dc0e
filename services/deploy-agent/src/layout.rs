//! Where things are on the disk, and the few changes that count.
//!
//! ```text
//! <base>/mirrors/<repository>.git        kept by stomp-git
//! <base>/orders.in-hand                  ids of orders in hand; counts those that crash the agent
//! <base>/<project>/releases/<release>/   complete, or named `.partial` or `.gone` and nobody's
//!                  live, previous, next  relative links into releases/
//!                  shared/               what outlives releases
//!                  laid-out/<release>.toml  what its revision said in `deploy.toml`, as it was; empty if nothing
//!                  laid-out/<release>.files what was laid out, for the next one to take over what is the same
//!                  journal/journal.jsonl the truth, with `live`
//!                  steps/<order>-<step>-<try>/  each run of a script: specification, output, outcome
//! ```

mod sharing;

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use events::ProjectName;
use world::{Disk, Kind};

pub use sharing::Owner;

/// The end of the name of a release that is being made.
const PARTIAL: &str = ".partial";
/// The end of the name of a release that is being removed.
const GONE: &str = ".gone";

/// The folders of one project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    folder: PathBuf,
}

impl Layout {
    /// The project's folder below `base`.
    #[must_use]
    pub fn new(base: &Path, project: &ProjectName) -> Self {
        Self {
            folder: base.join(project.as_str()),
        }
    }

    /// The project's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// All releases.
    #[must_use]
    pub fn releases(&self) -> PathBuf {
        self.folder.join("releases")
    }

    /// One release.
    #[must_use]
    pub fn release(&self, name: &str) -> PathBuf {
        self.releases().join(name)
    }

    /// A release that is being made.
    #[must_use]
    pub fn partial(&self, name: &str) -> PathBuf {
        self.releases().join(format!("{name}{PARTIAL}"))
    }

    /// What outlives releases.
    #[must_use]
    pub fn shared(&self) -> PathBuf {
        self.folder.join("shared")
    }

    /// What the revision of a release said in its `deploy.toml`.
    #[must_use]
    pub fn manifest(&self, release: &str) -> PathBuf {
        self.laid_out().join(format!("{release}.toml"))
    }

    /// What was laid out for a release, so that the next one can take over what is the same.
    #[must_use]
    pub fn laid(&self, release: &str) -> PathBuf {
        self.laid_out().join(format!("{release}.files"))
    }

    /// What is kept about releases, beside them.
    fn laid_out(&self) -> PathBuf {
        self.folder.join("laid-out")
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.folder.join("journal").join("journal.jsonl")
    }

    /// The folder of one run of a script.
    #[must_use]
    pub fn step(&self, name: &str) -> PathBuf {
        self.folder.join("steps").join(name)
    }

    /// Makes the folders, where missing, and removes what a crash left half made or half removed.
    ///
    /// # Errors
    /// The system's.
    pub fn make(&self, disk: &dyn Disk) -> io::Result<()> {
        let folders = ["releases", "shared", "laid-out", "journal", "steps"]
            .map(|name| self.folder.join(name));
        let mut made = false;
        for folder in &folders {
            if disk.look(folder)?.is_none() {
                disk.create_folders(folder, 0o755)?;
                made = true;
            }
        }
        if made {
            disk.sync_folder(&self.folder)?;
        }
        self.sweep_releases(disk)
    }

    /// The names of the complete releases.
    ///
    /// # Errors
    /// The system's.
    pub fn complete_releases(&self, disk: &dyn Disk) -> io::Result<Vec<String>> {
        let entries = disk.list(&self.releases())?.into_iter();
        let folders = entries.filter(|entry| entry.kind == Kind::Folder);
        let complete = |name: &String| !name.ends_with(PARTIAL) && !name.ends_with(GONE);
        Ok(folders
            .map(|entry| name_of(&entry.path))
            .filter(complete)
            .collect())
    }

    /// Makes a laid-out tree count: flushes it, then gives it its name.
    ///
    /// # Errors
    /// The system's; there is then no release of that name.
    pub fn complete(&self, disk: &dyn Disk, name: &str) -> io::Result<()> {
        let partial = self.partial(name);
        disk.sync_all(&partial)?;
        disk.rename(&partial, &self.release(name))?;
        disk.sync_folder(&self.releases())
    }

    /// The release that `live` leads to.
    ///
    /// # Errors
    /// The system's, or that `live` is no link to a release.
    pub fn live(&self, disk: &dyn Disk) -> io::Result<Option<String>> {
        let live = self.folder.join("live");
        let Some(target) = disk.read_link(&live)? else {
            return Ok(None);
        };
        match target.strip_prefix("releases") {
            Ok(name) if name.components().count() == 1 => Ok(Some(name_of(name))),
            _ => Err(io::Error::other(format!(
                "{} leads to {}, which is no release of this project",
                live.display(),
                target.display()
            ))),
        }
    }

    /// Makes a link lead to a release, or takes it away; in one step, and flushed.
    ///
    /// # Errors
    /// The system's; the link then leads to the old release or to the new one.
    pub fn point(&self, disk: &dyn Disk, link: &str, release: Option<&str>) -> io::Result<()> {
        let path = self.folder.join(link);
        match release {
            Some(release) => {
                let beside = self.folder.join(format!(".{link}.new"));
                disk.remove_file(&beside)?;
                disk.symlink(&Path::new("releases").join(release), &beside)?;
                disk.rename(&beside, &path)?;
            }
            None => disk.remove_file(&path)?,
        }
        disk.sync_folder(&self.folder)
    }

    /// Makes a derived link (`previous`, `next`) right; does nothing if it is.
    ///
    /// # Errors
    /// The system's.
    pub fn derive(&self, disk: &dyn Disk, link: &str, release: Option<&str>) -> io::Result<()> {
        let wanted = release.map(|release| Path::new("releases").join(release));
        if disk.read_link(&self.folder.join(link))? == wanted {
            return Ok(());
        }
        self.point(disk, link, release)
    }

    /// Takes the name from a release, so that it no longer counts, and removes what was laid out for it and not completed.
    /// [`Layout::sweep`] removes the rest.
    ///
    /// # Errors
    /// The system's.
    pub fn retire(&self, disk: &dyn Disk, name: &str) -> io::Result<()> {
        if disk.look(&self.release(name))?.is_some() {
            let gone = self.releases().join(format!("{name}{GONE}"));
            disk.remove_tree(&gone)?;
            disk.rename(&self.release(name), &gone)?;
        }
        disk.remove_tree(&self.partial(name))?;
        // Or it would be back after a power loss, with nobody who knows it.
        disk.sync_folder(&self.releases())
    }

    /// Removes retired and half-made releases, and the records of scripts of orders that `known` does not know. Only
    /// while nothing is being laid out.
    ///
    /// # Errors
    /// The system's.
    pub fn sweep(&self, disk: &dyn Disk, known: impl Fn(&str) -> bool) -> io::Result<()> {
        self.sweep_releases(disk)?;
        for entry in disk.list(&self.folder.join("steps"))? {
            if !known(&name_of(&entry.path)) {
                disk.remove_tree(&entry.path)?;
            }
        }
        Ok(())
    }

    fn sweep_releases(&self, disk: &dyn Disk) -> io::Result<()> {
        let mut complete = BTreeSet::new();
        for entry in disk.list(&self.releases())? {
            let name = name_of(&entry.path);
            if name.ends_with(PARTIAL) || name.ends_with(GONE) {
                disk.remove_tree(&entry.path)?;
            } else {
                complete.insert(name);
            }
        }
        for entry in disk.list(&self.laid_out())? {
            let about = entry.path.file_stem().unwrap_or_default();
            if !complete.contains(&*about.to_string_lossy()) {
                disk.remove_file(&entry.path)?;
            }
        }
        Ok(())
    }
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
