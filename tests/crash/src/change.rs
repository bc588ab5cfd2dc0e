//! A change that is made on the disk, as a value: what it does, and under what name it is known in every run.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A file that was found when everything was flushed: scripts make files too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Its permission bits.
    pub mode: u32,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// What is done to the disk. Paths are below the host's folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// A new file, flushed.
    Create(PathBuf, Vec<u8>, u32),
    /// A new file, not flushed.
    CreateFrom(PathBuf, Vec<u8>, u32),
    /// A file put in place of another.
    Replace(PathBuf, Vec<u8>, u32),
    /// Bytes at the end of a file, flushed.
    Append(PathBuf, Vec<u8>),
    /// A file made for adding to, if it was not there.
    OpenLog(PathBuf),
    /// Bytes at the end of it, not flushed.
    AppendLog(PathBuf, Vec<u8>),
    /// Its flush.
    SyncLog(PathBuf),
    /// A file cut short, flushed.
    Truncate(PathBuf, u64),
    /// A folder and those above it.
    CreateFolders(PathBuf, u32),
    /// A link: its target, and where it is.
    Symlink(PathBuf, PathBuf),
    /// A second name of a file: the first one, and the new one.
    HardLink(PathBuf, PathBuf),
    /// Another user and group.
    SetOwner(PathBuf),
    /// Another name.
    Rename(PathBuf, PathBuf),
    /// A file or link taken away.
    RemoveFile(PathBuf),
    /// A folder and all in it taken away.
    RemoveTree(PathBuf),
    /// Permission bits.
    SetMode(PathBuf, u32),
    /// A folder's entries flushed.
    SyncFolder(PathBuf),
    /// Everything flushed; with the files that are there below the path.
    SyncAll(PathBuf, Vec<Found>),
}

/// A change as it was noted in a run that nothing disturbed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Logged {
    /// Its name, the same in each run.
    pub name: String,
    /// What was done.
    pub change: Change,
    /// How many bytes scripts had written into the ledger before it.
    pub ledger_bytes: u64,
}

impl Change {
    /// Its kind and path, without what differs from run to run: ids and times.
    #[must_use]
    pub fn label(&self) -> String {
        let (kind, path, what) = match self {
            Self::Create(path, ..) => ("create", path, None),
            Self::CreateFrom(path, ..) => ("create-from", path, None),
            Self::Replace(path, ..) => ("replace", path, None),
            Self::Append(path, bytes) => ("append", path, fact(bytes)),
            Self::OpenLog(path) => ("open-log", path, None),
            Self::AppendLog(path, _) => ("append-log", path, None),
            Self::SyncLog(path) => ("sync-log", path, None),
            Self::Truncate(path, _) => ("truncate", path, None),
            Self::CreateFolders(path, _) => ("create-folders", path, None),
            Self::Symlink(_, path) => ("symlink", path, None),
            Self::HardLink(_, path) => ("hard-link", path, None),
            Self::SetOwner(path) => ("set-owner", path, None),
            Self::Rename(_, path) => ("rename", path, None),
            Self::RemoveFile(path) => ("remove-file", path, None),
            Self::RemoveTree(path) => ("remove-tree", path, None),
            Self::SetMode(path, _) => ("set-mode", path, None),
            Self::SyncFolder(path) => ("sync-folder", path, None),
            Self::SyncAll(path, _) => ("sync-all", path, None),
        };
        let what = what.map_or_else(String::new, |what| format!(" {what}"));
        format!("{kind} {}{what}", lasting(path))
    }

    /// True if a crash can come when a part of it is done: the others are one call of the system.
    #[must_use]
    pub fn has_parts(&self) -> bool {
        match self {
            Self::Create(_, bytes, _)
            | Self::CreateFrom(_, bytes, _)
            | Self::Append(_, bytes)
            | Self::AppendLog(_, bytes) => bytes.len() > 1,
            Self::Replace(..) | Self::CreateFolders(..) | Self::RemoveTree(..) => true,
            _ => false,
        }
    }
}

/// What a line of a journal is about.
fn fact(line: &[u8]) -> Option<String> {
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    let (kind, fact) = line
        .get("record")?
        .get("what")?
        .as_object()?
        .iter()
        .next()?;
    let step = fact.get("step").and_then(|step| step.as_str());
    let phase = fact.get("order").and_then(|order| order.get("phase"));
    let about = step.or(phase.and_then(|phase| phase.as_str()));
    Some(match about {
        Some(about) => format!("{kind} {about}"),
        None => kind.clone(),
    })
}

/// A path without the ids of orders and the times of releases.
fn lasting(path: &Path) -> String {
    const ID: usize = "01234567-0123-0123-0123-0123456789ab".len();
    const TIME: usize = "20261121T101112.345Z".len();
    let part = |part: &str| {
        let is_id = part.len() > ID
            && part.as_bytes()[..ID]
                .iter()
                .enumerate()
                .all(|(at, byte)| match at {
                    8 | 13 | 18 | 23 => *byte == b'-',
                    _ => byte.is_ascii_hexdigit(),
                });
        let is_release =
            part.len() > TIME && part.as_bytes()[8] == b'T' && part.as_bytes()[TIME - 1] == b'Z';
        match (is_id, is_release) {
            (true, _) => format!("ORDER{}", &part[ID..]),
            (_, true) => format!("TIME{}", &part[TIME..]),
            _ => part.to_owned(),
        }
    };
    let path = path.to_string_lossy();
    let parts: Vec<String> = path.split('/').map(part).collect();
    parts.join("/")
}
