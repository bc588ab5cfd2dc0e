//! Which sources may be asked for: those of a list that nobody but root can change.

use std::{
    io,
    path::{Path, PathBuf},
};

use events::AptSource;
use world::{NotRoots, RealDisk, only_roots};

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
    /// Somebody else could change it, or it is no file.
    #[error(transparent)]
    NotRoots(#[from] NotRoots),
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
    only_roots(&RealDisk, list)?;
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
    only_roots(&RealDisk, &found)?;
    Ok(found)
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
