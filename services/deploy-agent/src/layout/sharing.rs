//! What outlives releases: kept in `shared/`, linked into each release.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use world::{Disk, Kind};

use super::Layout;

/// A user and a group.
pub type Owner = (u32, u32);

impl Layout {
    /// Links one path of a release to the same path in `shared/`. Repeatable.
    ///
    /// What the release has at that path gives way. A missing shared folder is made, and becomes `owner`'s; a missing shared file
    /// is an error, because nobody but its owner knows what is in it.
    ///
    /// # Errors
    /// One sentence.
    pub fn share(
        &self,
        disk: &dyn Disk,
        release: &str,
        path: &str,
        owner: Option<Owner>,
    ) -> Result<(), String> {
        let failed = |error: io::Error| format!("shared path {path}: {error}");
        let inside = self.release(release).join(path);
        let kept = self.shared().join(path);
        let own = disk.look(&inside).map_err(failed)?;
        let parts: Vec<Component<'_>> = Path::new(path).components().collect();
        let there = disk.look(&kept).map_err(failed)?;
        if there.is_none() && own.as_ref().is_some_and(|own| own.kind == Kind::File) {
            return Err(format!(
                "shared file {} is missing: put it there",
                kept.display()
            ));
        }
        if there.is_none_or(|there| there.kind == Kind::Folder) {
            self.make_shared(disk, &parts, owner).map_err(failed)?;
        }
        // From <project>/releases/<release>/a/b to <project>/shared/a/b.
        let up: PathBuf = std::iter::repeat_n("..", parts.len() + 1).collect();
        let target = up.join("shared").join(path);
        if own.as_ref().is_some_and(|own| own.kind == Kind::Link)
            && disk.read_link(&inside).map_err(failed)? == Some(target.clone())
        {
            return Ok(());
        }
        let parent = self.parent_in(disk, release, &parts, owner)?;
        match own {
            Some(own) if own.kind == Kind::Folder => disk.remove_tree(&inside),
            Some(_) => disk.remove_file(&inside),
            None => Ok(()),
        }
        .and_then(|()| disk.symlink(&target, &inside))
        .and_then(|()| disk.sync_folder(&parent))
        .map_err(failed)
    }

    /// Whose a release is already, if not this process's: nothing in it is safe from them any more.
    ///
    /// # Errors
    /// The system's.
    pub fn handed_over(&self, disk: &dyn Disk, release: &str) -> io::Result<Option<Owner>> {
        let own = rustix::process::geteuid().as_raw();
        match disk.stamp(&self.release(release)) {
            Ok(stamp) => Ok(stamp
                .map(|stamp| stamp.owner)
                .filter(|owner| owner.0 != own)),
            // Such a disk gives nothing away either.
            Err(error) if error.kind() == io::ErrorKind::Unsupported => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets the owner of a release into it, once all that the agent changes there is done. Repeatable.
    ///
    /// # Errors
    /// The system's.
    pub fn hand_over(&self, disk: &dyn Disk, release: &str, owner: Owner) -> io::Result<()> {
        let release = self.release(release);
        disk.set_owner(&release, owner)?;
        disk.set_mode(&release, 0o755)?;
        disk.sync_folder(&release)
    }

    /// Makes a shared folder and those above it where missing, each whole with its owner or not there. All of them last then, also
    /// those that a crash left unflushed.
    fn make_shared(
        &self,
        disk: &dyn Disk,
        parts: &[Component<'_>],
        owner: Option<Owner>,
    ) -> io::Result<()> {
        let mut folder = self.shared();
        for part in parts {
            let above = folder.clone();
            folder.push(part);
            match (disk.look(&folder)?.map(|there| there.kind), owner) {
                (Some(Kind::Folder), _) => {}
                // A link of its owner's, say, to where only root may make anything.
                (Some(_), _) => {
                    let wrong = format!("{} is no folder", folder.display());
                    return Err(io::Error::other(wrong));
                }
                (None, Some(owner)) => {
                    let beside = self.folder().join(".shared.new");
                    disk.remove_tree(&beside)?;
                    disk.create_folders(&beside, 0o755)?;
                    disk.set_owner(&beside, owner)?;
                    disk.rename(&beside, &folder)?;
                }
                (None, None) => disk.create_folders(&folder, 0o755)?,
            }
            disk.sync_folder(&above)?;
        }
        Ok(())
    }

    /// The folder in the release that a shared path is in; made where missing, never through a link of the revision.
    fn parent_in(
        &self,
        disk: &dyn Disk,
        release: &str,
        parts: &[Component<'_>],
        owner: Option<Owner>,
    ) -> Result<PathBuf, String> {
        let mut folder = self.release(release);
        for part in parts.split_last().map_or(&[][..], |(_, above)| above) {
            let above = folder.clone();
            folder.push(part);
            let failed = |error: io::Error| format!("{}: {error}", folder.display());
            match disk.look(&folder).map_err(failed)? {
                Some(entry) if entry.kind == Kind::Folder => {}
                Some(_) => {
                    return Err(format!("{} in the release is no folder", folder.display()));
                }
                None => disk
                    .create_folders(&folder, 0o755)
                    .and_then(|()| disk.sync_folder(&above))
                    .map_err(failed)?,
            }
            if let Some(owner) = owner {
                disk.set_owner(&folder, owner).map_err(failed)?;
            }
        }
        Ok(folder)
    }
}
