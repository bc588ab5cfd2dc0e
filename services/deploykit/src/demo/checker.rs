//! Looks at the disk and says whether a claim of the story is true. Nobody's word is taken for it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use events::CommitId;
use sha1::{Digest, Sha1};
use world::{Disk, Kind};

/// The files of a commit: path → id of its content, as git counts it.
pub type Tree = BTreeMap<String, String>;

/// What `live` of a project on a host is, down to the link itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveLink {
    /// What it leads to; `None` when there is no link.
    pub target: Option<PathBuf>,
    /// The link's own number: another one if it was switched meanwhile, even there and back.
    pub inode: Option<u64>,
}

/// Looks at the `live` link of a project folder.
///
/// # Errors
/// When it cannot be read.
pub fn live_link(project: &Path, disk: &dyn Disk) -> Result<LiveLink, String> {
    let link = project.join("live");
    let shown = |error: std::io::Error| format!("{}: {error}", link.display());
    let target = disk.read_link(&link).map_err(shown)?;
    let inode = disk.look(&link).map_err(shown)?.map(|entry| entry.inode);
    Ok(LiveLink { target, inode })
}

/// True only if `live` leads to a release made from `commit`, holding exactly the files of `tree` (and links named in `shared`).
///
/// # Errors
/// The first thing that is not so.
pub fn live_is(
    project: &Path,
    commit: &CommitId,
    tree: &Tree,
    shared: &[String],
    disk: &dyn Disk,
) -> Result<(), String> {
    let link = live_link(project, disk)?;
    let Some(target) = link.target else {
        return Err(format!("{} is missing", project.join("live").display()));
    };
    let name = target.to_string_lossy().into_owned();
    if !name.ends_with(commit.short()) {
        return Err(format!(
            "{} leads to {name}, not to a release of {}",
            project.join("live").display(),
            commit.short()
        ));
    }
    let release = project.join(&target);
    let found = read_tree(&release, shared, disk)
        .map_err(|error| format!("{}: {error}", release.display()))?;
    compare(tree, &found).map_err(|difference| format!("{}: {difference}", release.display()))
}

/// True only if nothing of `live` has changed between the two looks.
///
/// # Errors
/// What has changed.
pub fn untouched(before: &LiveLink, after: &LiveLink) -> Result<(), String> {
    if before.target != after.target {
        return Err(format!(
            "live led to {:?} and now leads to {:?}",
            before.target, after.target
        ));
    }
    if before.inode != after.inode {
        return Err("live was switched meanwhile, and back".to_owned());
    }
    Ok(())
}

fn compare(wanted: &Tree, found: &Tree) -> Result<(), String> {
    for (path, id) in wanted {
        match found.get(path) {
            None => return Err(format!("{path} is missing")),
            Some(other) if other != id => return Err(format!("{path} has another content")),
            Some(_) => {}
        }
    }
    match found.keys().find(|path| !wanted.contains_key(*path)) {
        Some(extra) => Err(format!("{extra} is not in the revision")),
        None => Ok(()),
    }
}

fn read_tree(root: &Path, shared: &[String], disk: &dyn Disk) -> std::io::Result<Tree> {
    let mut tree = Tree::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in disk.list(&folder)? {
            let path = entry
                .path
                .strip_prefix(root)
                .unwrap_or(&entry.path)
                .display()
                .to_string();
            if shared.contains(&path) {
                continue;
            }
            let content = match entry.kind {
                Kind::Folder => {
                    folders.push(entry.path);
                    continue;
                }
                Kind::Link => disk
                    .read_link(&entry.path)?
                    .unwrap_or_default()
                    .display()
                    .to_string()
                    .into_bytes(),
                Kind::File | Kind::Other => disk.read(&entry.path)?,
            };
            tree.insert(path, blob_id(&content));
        }
    }
    Ok(tree)
}

/// The id that git gives to a file (or a link's target) with this content.
#[must_use]
pub fn blob_id(content: &[u8]) -> String {
    let hash = Sha1::new()
        .chain_update(format!("blob {}\0", content.len()))
        .chain_update(content);
    hex::encode(hash.finalize())
}
