//! Files that nobody but root could have changed.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{Disk, Kind};

/// Why a file is not believed to be root's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotRoots {
    /// Somebody else could change it.
    #[error("{} must be root's, and writable by nobody else (as {})", path.display(), whole.display())]
    Others {
        /// What others can change.
        path: PathBuf,
        /// The file that it leads to.
        whole: PathBuf,
    },
    /// It is no regular file.
    #[error("{} is no regular file", .0.display())]
    NoFile(PathBuf),
    /// It cannot be looked at.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// A regular file that, with all folders above it, belongs to root (or to whom this runs as, which is root where root's files
/// are needed) and is writable by nobody else. A folder that everybody may write to counts if only owners can rename in it, as in
/// /tmp.
///
/// # Errors
/// See [`NotRoots`].
pub fn only_roots(disk: &dyn Disk, file: &Path) -> Result<(), NotRoots> {
    let own = rustix::process::geteuid().as_raw();
    for path in file.ancestors() {
        let unreadable = |source| NotRoots::Unreadable {
            path: path.to_owned(),
            source,
        };
        let there = disk.stamp(path).map_err(unreadable)?;
        let there = there.ok_or_else(|| unreadable(io::ErrorKind::NotFound.into()))?;
        if path == file && there.kind != Kind::File {
            return Err(NotRoots::NoFile(path.to_owned()));
        }
        let sticky = there.kind == Kind::Folder && there.mode & 0o1000 != 0;
        let owner = [0, own].contains(&there.owner.0);
        if !owner || (there.mode & 0o022 != 0 && !sticky) || there.kind == Kind::Link {
            return Err(NotRoots::Others {
                path: path.to_owned(),
                whole: file.to_owned(),
            });
        }
    }
    Ok(())
}
