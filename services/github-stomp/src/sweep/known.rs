//! What an origin had at the last look: a file for each repository, replaced whole, `OBJECT REF` a line.

use std::{
    io,
    path::{Path, PathBuf},
};

use events::RepoName;
use world::Disk;

use super::Seen;

const MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// The file of a repository.
#[must_use]
pub fn file(folder: &Path, repository: &RepoName) -> PathBuf {
    // No name has a `+`.
    folder.join(repository.as_str().replace('/', "+"))
}

/// Reads what was kept; `None` where nothing is, or nothing that can be read.
///
/// # Errors
/// The system's.
pub fn read(disk: &dyn Disk, folder: &Path, repository: &RepoName) -> io::Result<Option<Seen>> {
    match disk.read(&file(folder, repository)) {
        Ok(bytes) => Ok(parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(bytes: &[u8]) -> Option<Seen> {
    let text = std::str::from_utf8(bytes).ok()?;
    let tip = |line: &str| {
        let (object, name) = line.split_once(' ')?;
        Some((name.parse().ok()?, object.parse().ok()?))
    };
    text.lines().map(tip).collect()
}

/// Keeps them: the old file or the new one is there, whole, whenever the machine stops.
///
/// # Errors
/// The system's.
pub fn write(disk: &dyn Disk, folder: &Path, repository: &RepoName, seen: &Seen) -> io::Result<()> {
    let lines = seen
        .iter()
        .map(|(name, object)| format!("{object} {name}\n"));
    disk.create_folders(folder, FOLDER_MODE)?;
    let text: String = lines.collect();
    disk.replace(&file(folder, repository), text.as_bytes(), MODE)
}
