//! Which sources may be asked for: those of a list that nobody but root can change.

use std::{
    io,
    path::{Path, PathBuf},
};

use events::AptSource;
use rustix::{
    fs::{FileType, lstat},
    process::geteuid,
};

/// A list longer than this is no list of sources.
const LIST_BYTES: u64 = 64 * 1024;

/// Why a source is not refreshed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is not in the list.
    #[error("{name} is not in {}: root adds its absolute path there, one a line", list.display())]
    NotListed {
        /// What was asked for.
        name: AptSource,
        /// The list.
        list: PathBuf,
    },
    /// Two of the list have this name.
    #[error("{name} is twice in {}, in different folders", list.display())]
    Ambiguous {
        /// What was asked for.
        name: AptSource,
        /// The list.
        list: PathBuf,
    },
    /// A line that is no absolute path.
    #[error("{line:?} in {} is no absolute path without . and ..", list.display())]
    Line {
        /// The line, cut to 100 characters.
        line: String,
        /// The list.
        list: PathBuf,
    },
    /// Somebody else could change it.
    #[error("{} must be root's, and writable by nobody else (as {})", path.display(), whole.display())]
    NotRoots {
        /// What others can change.
        path: PathBuf,
        /// The file that it leads to.
        whole: PathBuf,
    },
    /// It is no regular file.
    #[error("{} is no regular file", .0.display())]
    NoFile(PathBuf),
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The path of the source with this name, if the list has it and nobody but root could have changed the list or the source.
///
/// # Errors
/// See [`Refusal`].
pub fn allowed(list: &Path, name: &AptSource) -> Result<PathBuf, Refusal> {
    roots(list)?;
    let mut found: Option<PathBuf> = None;
    for line in read(list)?.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let path = Path::new(line);
        let plain = line.split('/').all(|part| part != "." && part != "..");
        let printable = !line.chars().any(|c| c.is_control() || c.is_whitespace());
        if !path.is_absolute() || !plain || !printable {
            return Err(Refusal::Line {
                line: line.chars().take(100).collect(),
                list: list.to_owned(),
            });
        }
        let same_name = path.file_name().is_some_and(|file| file == name.as_str());
        if same_name && found.as_ref().is_some_and(|other| other != path) {
            return Err(Refusal::Ambiguous {
                name: name.clone(),
                list: list.to_owned(),
            });
        }
        if same_name {
            found = Some(path.to_owned());
        }
    }
    let found = found.ok_or_else(|| Refusal::NotListed {
        name: name.clone(),
        list: list.to_owned(),
    })?;
    roots(&found)?;
    Ok(found)
}

/// A regular file that, with all folders above it, belongs to root (or to whom this runs as, which is root where it is installed)
/// and is writable by nobody else. A folder that everybody may write to counts if only owners can rename in it, as in /tmp.
fn roots(file: &Path) -> Result<(), Refusal> {
    for path in file.ancestors() {
        let there = lstat(path).map_err(|source| Refusal::Unreadable {
            path: path.to_owned(),
            source: source.into(),
        })?;
        let kind = FileType::from_raw_mode(there.st_mode);
        if path == file && kind != FileType::RegularFile {
            return Err(Refusal::NoFile(path.to_owned()));
        }
        let mode = there.st_mode;
        let sticky = kind == FileType::Directory && mode & 0o1000 != 0;
        let owner = there.st_uid == 0 || there.st_uid == geteuid().as_raw();
        if !owner || (mode & 0o022 != 0 && !sticky) || kind == FileType::Symlink {
            return Err(Refusal::NotRoots {
                path: path.to_owned(),
                whole: file.to_owned(),
            });
        }
    }
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the root part reads the system's own file, in no world but the real one"
)]
fn read(list: &Path) -> Result<String, Refusal> {
    use io::Read;
    let mut text = String::new();
    let read =
        std::fs::File::open(list).and_then(|file| file.take(LIST_BYTES).read_to_string(&mut text));
    read.map_err(|source| Refusal::Unreadable {
        path: list.to_owned(),
        source,
    })?;
    Ok(text)
}
