//! Folders, files and links, each with what lasts and what does not yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
};

use super::{
    chance::Chance,
    image::{Image, Thing},
};
use crate::{Change, change::Found};

/// What came to the disk of that which was not flushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing.
    All,
    /// All names, in their order, and no bytes: a journaling file system that delays the data.
    Bytes,
    /// Everything: the process and all scripts are gone, the disk is well.
    Nothing,
    /// By chance from this seed: names each by itself, and of a file's bytes the first ones, or zeros in their place.
    Chance(u64),
}

type Id = usize;

#[derive(Debug, Clone)]
enum Node {
    Folder {
        mode: u32,
    },
    File {
        bytes: Vec<u8>,
        kept: Vec<u8>,
        mode: u32,
    },
    Link(PathBuf),
}

/// Names that change together: in which folder, which name, what it leads to from then on.
type Names = Vec<(Id, OsString, Option<Id>)>;

/// A simulated disk.
#[derive(Debug, Clone)]
pub struct Sim {
    nodes: Vec<Node>,
    /// The entries of each folder as they last.
    kept: BTreeMap<Id, BTreeMap<OsString, Id>>,
    /// The entries as processes see them.
    seen: BTreeMap<Id, BTreeMap<OsString, Id>>,
    /// What was changed and does not last yet, oldest first.
    pending: Vec<Names>,
}

const ROOT: Id = 0;

impl Sim {
    /// A disk with these things on it, all flushed.
    #[must_use]
    pub fn holding(image: &Image) -> Self {
        let mut sim = Self {
            nodes: vec![Node::Folder { mode: 0o755 }],
            kept: BTreeMap::from([(ROOT, BTreeMap::new())]),
            seen: BTreeMap::from([(ROOT, BTreeMap::new())]),
            pending: Vec::new(),
        };
        for (path, thing) in image.things() {
            match thing {
                Thing::Folder(mode) => sim.folders(path, *mode),
                Thing::File(bytes, mode) => sim.file(path, bytes, *mode),
                Thing::Link(target) => sim.put(path, Node::Link(target.clone())),
            }
        }
        sim.flush();
        sim
    }

    /// Does a change.
    ///
    /// # Panics
    /// It cannot be done: the notes and the simulation do not agree.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Create(path, bytes, mode) => {
                self.file(path, bytes, *mode);
                self.keep_bytes(path);
            }
            Change::CreateFrom(path, bytes, mode) => self.file(path, bytes, *mode),
            Change::Replace(path, bytes, mode) => {
                let beside = beside(path);
                self.take_away(&beside);
                self.file(&beside, bytes, *mode);
                self.keep_bytes(&beside);
                self.rename(&beside, path);
                self.sync_folder(path.parent().expect("it is in a folder"));
            }
            Change::Append(path, bytes) => {
                self.append(path, bytes);
                self.keep_bytes(path);
            }
            Change::OpenLog(path) => self.append(path, b""),
            Change::AppendLog(path, bytes) => self.append(path, bytes),
            Change::SyncLog(path) => self.keep_bytes(path),
            Change::Truncate(path, length) => {
                let length = usize::try_from(*length).expect("it is small");
                self.bytes(path).truncate(length);
                self.keep_bytes(path);
            }
            Change::CreateFolders(path, mode) => self.folders(path, *mode),
            Change::Symlink(target, path) => self.put(path, Node::Link(target.clone())),
            Change::HardLink(from, to) => {
                let id = self.find(from);
                let id = id.unwrap_or_else(|| panic!("{} is not there", from.display()));
                let (folder, name) = self.place(to);
                self.change(vec![(folder, name, Some(id))]);
            }
            // Whose it is is not simulated.
            Change::SetOwner(_) => {}
            Change::Rename(from, to) => self.rename(from, to),
            Change::RemoveFile(path) => self.take_away(path),
            Change::RemoveTree(path) => {
                if let Some(id) = self.find(path) {
                    self.remove_tree(path, id);
                }
            }
            Change::SetMode(path, new) => {
                let id = self.find(path).expect("it is there");
                match &mut self.nodes[id] {
                    Node::Folder { mode } | Node::File { mode, .. } => *mode = *new,
                    Node::Link(_) => {}
                }
            }
            Change::SyncFolder(path) => self.sync_folder(path),
            Change::SyncAll(_, found) => {
                for Found { path, mode, bytes } in found {
                    if self.find(path).is_none() {
                        self.file(path, bytes, *mode);
                    }
                }
                self.flush();
            }
        }
    }

    /// Does the first half of a change, as far as it has one.
    pub fn apply_part(&mut self, change: &Change) {
        let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
        match change {
            Change::Create(path, bytes, mode) | Change::CreateFrom(path, bytes, mode) => {
                self.file(path, &half(bytes), *mode);
            }
            Change::Replace(path, bytes, mode) => {
                let beside = beside(path);
                self.take_away(&beside);
                self.file(&beside, &half(bytes), *mode);
            }
            Change::Append(path, bytes) | Change::AppendLog(path, bytes) => {
                self.append(path, &half(bytes));
            }
            Change::RemoveTree(path) => {
                let mut files = Vec::new();
                if let Some(id) = self.find(path) {
                    self.files(path, id, &mut files);
                }
                for file in &files[..files.len().div_ceil(2)] {
                    self.take_away(file);
                }
            }
            // One call of the system: it is on its way to the disk, flushed or not.
            Change::Symlink(..)
            | Change::HardLink(..)
            | Change::Rename(..)
            | Change::RemoveFile(_) => self.apply(change),
            _ => {}
        }
    }

    /// What is on the disk when the power comes back.
    #[must_use]
    pub fn after(&self, loss: Loss) -> Image {
        let mut chance = Chance::of(match loss {
            Loss::Chance(seed) => seed,
            _ => 0,
        });
        let mut entries = self.kept.clone();
        let mut skipped: BTreeSet<(Id, OsString)> = BTreeSet::new();
        for names in &self.pending {
            let comes = match loss {
                Loss::All => false,
                Loss::Bytes | Loss::Nothing => true,
                Loss::Chance(_) => {
                    // The same name twice comes in its order.
                    let key =
                        |(folder, name, _): &(Id, OsString, Option<Id>)| (*folder, name.clone());
                    chance.coin() && !names.iter().any(|name| skipped.contains(&key(name)))
                }
            };
            for (folder, name, leads) in names {
                if !comes {
                    skipped.insert((*folder, name.clone()));
                    continue;
                }
                let folder = entries.entry(*folder).or_default();
                match leads {
                    Some(id) => folder.insert(name.clone(), *id),
                    None => folder.remove(name),
                };
            }
        }
        let mut image = Image::default();
        self.lay_out(ROOT, Path::new(""), &entries, loss, &mut chance, &mut image);
        image
    }

    fn lay_out(
        &self,
        folder: Id,
        path: &Path,
        entries: &BTreeMap<Id, BTreeMap<OsString, Id>>,
        loss: Loss,
        chance: &mut Chance,
        image: &mut Image,
    ) {
        for (name, id) in entries.get(&folder).into_iter().flatten() {
            let path = path.join(name);
            match &self.nodes[*id] {
                Node::Folder { mode } => {
                    image.add(&path, Thing::Folder(*mode));
                    self.lay_out(*id, &path, entries, loss, chance, image);
                }
                Node::Link(target) => image.add(&path, Thing::Link(target.clone())),
                Node::File { bytes, kept, mode } => {
                    let bytes = match loss {
                        Loss::All | Loss::Bytes => kept.clone(),
                        Loss::Nothing => bytes.clone(),
                        Loss::Chance(_) => chance.torn(kept, bytes),
                    };
                    image.add(&path, Thing::File(bytes, *mode));
                }
            }
        }
    }

    fn find(&self, path: &Path) -> Option<Id> {
        let step = |folder: Id, name| self.seen.get(&folder)?.get(name).copied();
        path.iter().try_fold(ROOT, step)
    }

    fn place(&self, path: &Path) -> (Id, OsString) {
        let folder = path.parent().and_then(|folder| self.find(folder));
        let folder =
            folder.unwrap_or_else(|| panic!("{}: there is no such folder", path.display()));
        (folder, path.file_name().expect("it has a name").to_owned())
    }

    fn change(&mut self, names: Names) {
        for (folder, name, leads) in &names {
            let folder = self.seen.entry(*folder).or_default();
            match leads {
                Some(id) => folder.insert(name.clone(), *id),
                None => folder.remove(name),
            };
        }
        self.pending.push(names);
    }

    fn put(&mut self, path: &Path, node: Node) {
        let (folder, name) = self.place(path);
        let id = self.nodes.len();
        if matches!(node, Node::Folder { .. }) {
            self.seen.insert(id, BTreeMap::new());
        }
        self.nodes.push(node);
        self.change(vec![(folder, name, Some(id))]);
    }

    fn file(&mut self, path: &Path, bytes: &[u8], mode: u32) {
        let (bytes, kept) = (bytes.to_vec(), Vec::new());
        self.put(path, Node::File { bytes, kept, mode });
    }

    fn folders(&mut self, path: &Path, mode: u32) {
        let above: Vec<&Path> = path.ancestors().collect();
        for folder in above.into_iter().rev() {
            if self.find(folder).is_none() {
                self.put(folder, Node::Folder { mode });
            }
        }
    }

    fn append(&mut self, path: &Path, more: &[u8]) {
        if self.find(path).is_none() {
            self.file(path, b"", 0o640);
        }
        self.bytes(path).extend_from_slice(more);
    }

    fn bytes(&mut self, path: &Path) -> &mut Vec<u8> {
        let id = self.find(path);
        match id.map(|id| &mut self.nodes[id]) {
            Some(Node::File { bytes, .. }) => bytes,
            _ => panic!("{} is no file", path.display()),
        }
    }

    fn keep_bytes(&mut self, path: &Path) {
        let id = self.find(path);
        if let Some(Node::File { bytes, kept, .. }) = id.map(|id| &mut self.nodes[id]) {
            kept.clone_from(bytes);
        }
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        let id = self.find(from);
        let id = id.unwrap_or_else(|| panic!("{} is not there", from.display()));
        let (old, new) = (self.place(from), self.place(to));
        self.change(vec![(old.0, old.1, None), (new.0, new.1, Some(id))]);
    }

    fn take_away(&mut self, path: &Path) {
        if self.find(path).is_some() {
            let (folder, name) = self.place(path);
            self.change(vec![(folder, name, None)]);
        }
    }

    fn files(&self, path: &Path, id: Id, files: &mut Vec<PathBuf>) {
        for (name, inner) in self.seen.get(&id).into_iter().flatten() {
            let path = path.join(name);
            match self.nodes[*inner] {
                Node::Folder { .. } => self.files(&path, *inner, files),
                _ => files.push(path),
            }
        }
    }

    fn remove_tree(&mut self, path: &Path, id: Id) {
        let inner = self.seen.get(&id).cloned().unwrap_or_default();
        for (name, inner) in inner {
            self.remove_tree(&path.join(name), inner);
        }
        self.take_away(path);
    }

    fn sync_folder(&mut self, path: &Path) {
        let id = self.find(path);
        let id = id.unwrap_or_else(|| panic!("{} is not there", path.display()));
        let pending = std::mem::take(&mut self.pending);
        for names in pending {
            if names.iter().any(|(folder, ..)| *folder == id) {
                self.keep(names);
            } else {
                self.pending.push(names);
            }
        }
    }

    fn keep(&mut self, names: Names) {
        for (folder, name, leads) in names {
            let folder = self.kept.entry(folder).or_default();
            match leads {
                Some(id) => folder.insert(name, id),
                None => folder.remove(&name),
            };
        }
    }

    fn flush(&mut self) {
        for names in std::mem::take(&mut self.pending) {
            self.keep(names);
        }
        for node in &mut self.nodes {
            if let Node::File { bytes, kept, .. } = node {
                kept.clone_from(bytes);
            }
        }
    }
}

/// Where [`world::Disk::replace`] writes first.
fn beside(path: &Path) -> PathBuf {
    let name = path.file_name().expect("it has a name").to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}
