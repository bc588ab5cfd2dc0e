//! The tree of a commit laid out beside an earlier one: what is the same is taken over from there, the rest comes from git.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use events::CommitId;
use sha2::{Digest, Sha256};
use world::{Disk, Stamp};

use crate::{
    Exported, GitError, Laid, Mirror, Tree, TreeKind,
    export::GITATTRIBUTES_MOST,
    laid::{LaidPath, Steps, compare},
    unpack::{self, Unpacking},
};

/// How a tree is laid out.
#[derive(Debug, Clone, Default)]
pub struct Laying {
    /// Whose everything in it becomes: a user and a group that are not this process's. The top folder stays this
    /// process's own, and closed to all others, so that nobody changes what is in it before the caller opens it.
    pub owner: Option<(u32, u32)>,
    /// What is the same gets a second name in place of a copy: whoever writes into one writes into both.
    pub hard_links: bool,
    /// A tree that was laid out earlier, and what is known of it.
    pub earlier: Option<(PathBuf, Laid)>,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct LaidOut {
    /// All that is there now.
    pub exported: Exported,
    /// How many of its files and links were taken over.
    pub taken_over: u64,
    /// What the next one can take over; `None` where the disk does not tell what was touched.
    pub laid: Option<Laid>,
}

impl Mirror {
    /// Lays out the tree of a commit in the new folder `into`, as [`Mirror::export`] does, with the same result. A file is taken
    /// over from the earlier tree only if git has the same object for it, under the same attributes and settings, and the
    /// file system's own clock says that nobody has touched it since it was laid out (with `hard_links`: that it has the same
    /// size, mode and time of writing).
    ///
    /// `tree` is that of the commit, as [`Mirror::tree`] gives it.
    ///
    /// # Errors
    /// As [`Mirror::export`].
    pub async fn lay_out(
        &self,
        commit: &CommitId,
        tree: Tree,
        into: &Path,
        laying: Laying,
    ) -> Result<LaidOut, GitError> {
        let (ground, of_commit) = self.ground(&tree, &laying).await?;
        let laying = Arc::new(laying);
        let taken = self
            .take_over(&tree, into, &laying, &ground, of_commit)
            .await?;
        let exported = match &taken {
            Some(taken) => self.export_rest(commit, into, taken).await,
            None => self.export_known(commit, into, laying.owner).await,
        };
        let exported = self.or_cleared(into, exported).await?;
        let laid = self.note(tree, into, &laying, ground, of_commit);
        let laid = self.or_cleared(into, laid.await).await?;
        Ok(LaidOut {
            exported,
            taken_over: taken.map_or(0, |taken| taken.exported.files),
            laid,
        })
    }

    async fn or_cleared<T>(&self, into: &Path, done: Result<T, GitError>) -> Result<T, GitError> {
        if done.is_err() {
            let made = into.to_owned();
            let gone = self
                .git()
                .world
                .on_disk(move |disk| disk.remove_tree(&made));
            gone.await.map_err(GitError::disk(into))?;
        }
        done
    }

    /// What files depend on beside their objects, and whether the text of some depends on the commit.
    async fn ground(&self, tree: &Tree, laying: &Laying) -> Result<(String, bool), GitError> {
        let mut digest = Sha256::new();
        digest.update(format!("1 {:?} {}\n", laying.owner, laying.hard_links));
        let mut of_commit = false;
        let attributes = tree
            .entries
            .iter()
            .filter(|entry| entry.path.ends_with(".gitattributes"));
        for (number, entry) in attributes.enumerate() {
            digest.update(format!("{} {}\n", entry.path.display(), entry.object));
            // One that is no plain file of a usual size, or the next of very many, may say anything.
            let plain = matches!(entry.kind, TreeKind::File { .. });
            of_commit |= match number < 16 && plain && entry.bytes < GITATTRIBUTES_MOST {
                true => names_subst(&self.read(entry, GITATTRIBUTES_MOST).await?),
                false => true,
            };
        }
        let own = ["config", "info/attributes"].map(|name| self.folder().join(name));
        let read = self.git().world.on_disk(move |disk| {
            let read = own.iter().map(|path| match disk.read(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                read => read,
            });
            read.collect::<io::Result<Vec<_>>>()
        });
        for text in read.await.map_err(GitError::disk(self.folder()))? {
            of_commit |= names_subst(&text);
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
        Ok((format!("{:x}", digest.finalize()), of_commit))
    }

    /// Makes the folder with all that can be taken over; `None` (and no folder) where that is not worth it.
    async fn take_over(
        &self,
        tree: &Tree,
        into: &Path,
        laying: &Arc<Laying>,
        ground: &str,
        of_commit: bool,
    ) -> Result<Option<Taken>, GitError> {
        let usable = |laid: &Laid| laid.ground == ground && !laid.of_commit && !of_commit;
        let Some((_, laid)) = laying.earlier.as_ref().filter(|(_, laid)| usable(laid)) else {
            return Ok(None);
        };
        let steps = compare(tree, laid);
        if steps.too_many() {
            return Ok(None);
        }
        self.make_fresh(into, laying.owner).await?;
        let (made, laying) = (into.to_owned(), Arc::clone(laying));
        // Gone once nobody waits any more: then the thread ends too.
        let wanted = Arc::new(());
        let waited_for = Arc::downgrade(&wanted);
        let taken = self
            .git()
            .world
            .on_disk(move |disk| take(disk, steps, &made, &laying, &waited_for));
        let taken = self
            .or_cleared(into, taken.await.map_err(GitError::disk(into)))
            .await?;
        let text = |path: &PathBuf| path.to_str().is_some();
        if taken.steps.too_many() || !taken.steps.asked.iter().all(text) {
            let made = into.to_owned();
            let gone = self
                .git()
                .world
                .on_disk(move |disk| disk.remove_tree(&made));
            gone.await.map_err(GitError::disk(into))?;
            return Ok(None);
        }
        Ok(Some(taken))
    }

    /// Brings what was not taken over.
    async fn export_rest(
        &self,
        commit: &CommitId,
        into: &Path,
        taken: &Taken,
    ) -> Result<Exported, GitError> {
        let limits = self.git().limits;
        let mut unpacking = Unpacking::new(
            Arc::clone(&self.git().world.disk),
            into.to_owned(),
            limits.export_bytes,
            limits.export_files,
        );
        unpacking.beside(&taken.steps.folders, taken.exported);
        let asked: Vec<&str> = taken
            .steps
            .asked
            .iter()
            .filter_map(|path| path.to_str())
            .collect();
        if asked.is_empty() {
            return unpacking.check().map_err(|error| unpack_error(error, into));
        }
        self.unpack(commit, &asked, into, unpacking).await
    }

    /// Gives all of it to its owner, and notes how each path was left.
    async fn note(
        &self,
        tree: Tree,
        into: &Path,
        laying: &Arc<Laying>,
        ground: String,
        of_commit: bool,
    ) -> Result<Option<Laid>, GitError> {
        let (made, owner) = (into.to_owned(), laying.owner);
        let noted = self.git().world.on_disk(move |disk| {
            let mut laid = Laid {
                ground,
                of_commit,
                paths: Default::default(),
            };
            for entry in tree.entries {
                let path = made.join(&entry.path);
                let stamp = match stamped(disk, &path, owner) {
                    Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(None),
                    stamp => stamp?,
                };
                let target = match entry.kind {
                    TreeKind::Link => disk.read_link(&path)?,
                    _ => None,
                };
                let path = LaidPath {
                    kind: entry.kind,
                    object: entry.object,
                    stamp,
                    target,
                };
                laid.paths.insert(entry.path, path);
            }
            Ok(Some(laid))
        });
        noted.await.map_err(GitError::disk(into))
    }
}

fn names_subst(attributes: &[u8]) -> bool {
    let word = b"export-subst";
    attributes.windows(word.len()).any(|part| part == word)
}

fn unpack_error(error: io::Error, into: &Path) -> GitError {
    match unpack::refusal(error) {
        Ok(unpack::Refusal { path, reason }) => GitError::Refused { path, reason },
        Err(error) => GitError::disk(into)(error),
    }
}

/// How a path is left, once it is its owner's; `None` if it was not laid out.
fn stamped(disk: &dyn Disk, path: &Path, owner: Option<(u32, u32)>) -> io::Result<Option<Stamp>> {
    let Some(stamp) = disk.stamp(path)? else {
        return Ok(None);
    };
    match owner.filter(|owner| *owner != stamp.owner) {
        Some(owner) => {
            disk.set_owner(path, owner)?;
            disk.stamp(path)
        }
        None => Ok(Some(stamp)),
    }
}

/// What was taken over, and what is left to ask for.
#[derive(Debug)]
struct Taken {
    steps: Steps,
    exported: Exported,
}

fn take(
    disk: &dyn Disk,
    mut steps: Steps,
    into: &Path,
    laying: &Laying,
    waited_for: &Weak<()>,
) -> io::Result<Taken> {
    let mut exported = Exported::default();
    for folder in &steps.folders {
        unpack::folder(disk, &into.join(folder))?;
    }
    let Some((from, laid)) = &laying.earlier else {
        return Ok(Taken { steps, exported });
    };
    let mut changed = BTreeSet::new();
    for path in &steps.same {
        if waited_for.strong_count() == 0 {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let known = laid.paths.get(path);
        let known = known.and_then(|known| Some((known.stamp?, known.target.as_deref())));
        let taken = match known {
            Some((_, Some(target))) => {
                disk.symlink(target, &into.join(path))?;
                Some(0)
            }
            Some((stamp, None)) => one(disk, &from.join(path), &into.join(path), &stamp, laying)?,
            None => None,
        };
        match taken {
            Some(bytes) => {
                exported.files += 1;
                exported.bytes += bytes;
            }
            None => drop(changed.insert(path.clone())),
        }
    }
    steps.same.retain(|path| !changed.contains(path));
    steps.asked.append(&mut changed);
    Ok(Taken { steps, exported })
}

/// Takes one file over if it is as it was left; says how many bytes it has.
fn one(
    disk: &dyn Disk,
    from: &Path,
    to: &Path,
    known: &Stamp,
    laying: &Laying,
) -> io::Result<Option<u64>> {
    let found = match laying.hard_links {
        true => disk.hard_link(from, to).and_then(|()| disk.stamp(to)),
        false => disk.copy(from, to, known.mode).map(Some),
    };
    let found = match found {
        Ok(found) => found,
        // A full disk is one for git's copy too.
        Err(error) if error.kind() == io::ErrorKind::StorageFull => return Err(error),
        Err(_) => None,
    };
    let wanted = |found: &Stamp| Stamp {
        // A second name changes that.
        changed_ns: match laying.hard_links {
            true => found.changed_ns,
            false => known.changed_ns,
        },
        ..*known
    };
    if found.is_some_and(|found| found == wanted(&found)) {
        return Ok(Some(known.bytes));
    }
    disk.remove_file(to)?;
    Ok(None)
}
