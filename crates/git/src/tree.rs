//! What is in the tree of a commit, without laying it out.

use std::{
    ffi::OsStr,
    io::{self, BufRead, BufReader, Read},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use events::CommitId;
use serde::{Deserialize, Serialize};

use command::Program;

use crate::{
    GitError, Limits, Mirror,
    error::shortened,
    export::unwrap_refusal,
    program,
    unpack::{self, refuse},
};

/// The longest line of git's answer that is read: the longest path there is, and room for the rest.
const LONGEST: u64 = 8192;

/// What is at a path of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TreeKind {
    /// A file.
    File {
        /// True if it can be run.
        executable: bool,
    },
    /// A symbolic link.
    Link,
    /// A folder.
    Folder,
    /// A commit of another repository: an empty folder when laid out.
    Submodule,
}

impl TreeKind {
    /// True if both are laid out as the same kind of thing, with the same mode.
    pub(crate) fn is_like(self, other: Self) -> bool {
        let folder = |kind| matches!(kind, Self::Folder | Self::Submodule);
        self == other || (folder(self) && folder(other))
    }
}

/// A path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Where, below the root.
    pub path: PathBuf,
    /// What.
    pub kind: TreeKind,
    /// The object's id: what has the same id is the same.
    pub object: String,
    /// The size of a file or of a link's target; 0 for others.
    pub bytes: u64,
}

impl TreeEntry {
    /// What it takes in memory.
    fn memory(&self) -> u64 {
        (size_of::<Self>() + self.path.as_os_str().len() + self.object.len()) as u64
    }
}

/// All that is in the tree of a commit, folders before what is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Its paths.
    pub entries: Vec<TreeEntry>,
}

/// The least that a file takes on a disk, in steps.
const BLOCK: u64 = 4096;

impl Tree {
    /// How many bytes it takes on a disk, nearly. What the tree leaves out of exports is counted too.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        let each = self.entries.iter().map(|entry| match entry.kind {
            TreeKind::File { .. } => entry.bytes.div_ceil(BLOCK).saturating_mul(BLOCK),
            TreeKind::Link | TreeKind::Folder | TreeKind::Submodule => BLOCK,
        });
        each.fold(0, u64::saturating_add)
    }

    /// How many files, links and folders it has.
    #[must_use]
    pub fn files(&self) -> u64 {
        self.entries.len() as u64
    }
}

impl Mirror {
    /// All that is in the tree of a commit.
    ///
    /// # Errors
    /// [`GitError::Refused`] when it has more than [`Limits::export_files`], [`Limits::export_bytes`] or [`Limits::export_list_bytes`]
    /// allow, or a path that is none inside; any other of [`GitError`].
    pub async fn tree(&self, commit: &CommitId) -> Result<Tree, GitError> {
        let program = program::tree(self.git(), self.folder(), commit);
        let entries = self.list(&program).await?;
        Ok(Tree { entries })
    }

    /// What has this name at the root of the tree of a commit. Nothing else of the tree is looked at, however large it is.
    ///
    /// # Errors
    /// Any of [`GitError`].
    pub async fn at_root(
        &self,
        commit: &CommitId,
        name: &str,
    ) -> Result<Option<TreeEntry>, GitError> {
        let program = program::at_root(self.git(), self.folder(), commit, name);
        Ok(self.list(&program).await?.into_iter().next())
    }

    async fn list(&self, program: &Program) -> Result<Vec<TreeEntry>, GitError> {
        self.must_exist().await?;
        let git = self.git();
        let (sender, receiver) = tokio::sync::oneshot::channel();
        let most = git.limits;
        let consumer = Box::new(move |listing: &mut dyn Read| {
            let read = entries(listing, &most);
            if read.as_ref().is_err_and(unpack::is_refusal) {
                // No need to read on, however long it is: git is ended by the closed pipe.
                return read.map(drop);
            }
            let _nobody = sender.send(read);
            Ok(())
        });
        let limits = command::Limits::of(git.limits.read);
        let ran = git.world.processes.pipe(program, limits, consumer).await;
        let output =
            ran.map_err(|error| unwrap_refusal(shortened(error, program), self.folder()))?;
        if !output.success() {
            return Err(GitError::failed(program, &output));
        }
        let half = |_| GitError::answer(program, "half a list");
        let read = receiver.await.map_err(half)?;
        read.map_err(|error| GitError::answer(program, &error.to_string()))
    }

    /// What is in a file of a tree of this mirror.
    ///
    /// # Errors
    /// [`GitError::Refused`] when it is no file, or larger than `most_bytes`; any other of [`GitError`].
    pub async fn read(&self, entry: &TreeEntry, most_bytes: u64) -> Result<Vec<u8>, GitError> {
        let refused = |reason: String| {
            let path = entry.path.display().to_string();
            Err(GitError::Refused { path, reason })
        };
        if !matches!(entry.kind, TreeKind::File { .. }) {
            return refused("it is no regular file".to_owned());
        }
        if entry.bytes > most_bytes {
            return refused(format!("it has more than {most_bytes} bytes"));
        }
        let git = self.git();
        let program = program::blob(git, self.folder(), &entry.object);
        Ok(git.must(&program, git.limits.read).await?.stdout)
    }
}

/// `MODE SP TYPE SP OBJECT SP+ SIZE TAB PATH NUL` and so on. More than `most` allows is refused.
fn entries(listing: &mut dyn Read, most: &Limits) -> io::Result<Vec<TreeEntry>> {
    let mut listing = BufReader::with_capacity(64 << 10, listing);
    let mut entries = Vec::new();
    let mut line = Vec::new();
    let (mut bytes, mut list_bytes) = (0_u64, 0_u64);
    loop {
        line.clear();
        (&mut listing).take(LONGEST).read_until(0, &mut line)?;
        if line.is_empty() {
            return Ok(entries);
        }
        let read = line.strip_suffix(&[0]).and_then(entry);
        let wrong = || io::Error::other(String::from_utf8_lossy(&line).into_owned());
        let entry = read.ok_or_else(wrong)?;
        unpack::exactly_inside(&entry.path)?;
        if matches!(entry.kind, TreeKind::File { .. }) {
            bytes = bytes.saturating_add(entry.bytes);
        }
        list_bytes += entry.memory();
        entries.push(entry);
        let limits = [
            (entries.len() as u64, most.export_files, "files and folders"),
            (bytes, most.export_bytes, "bytes"),
            (
                list_bytes,
                most.export_list_bytes,
                "bytes of names, and what is kept with each",
            ),
        ];
        if let Some((_, most, what)) = limits.iter().find(|(found, most, _)| found > most) {
            return refuse(Path::new("."), format!("it has more than {most} {what}"));
        }
    }
}

fn entry(line: &[u8]) -> Option<TreeEntry> {
    let tab = line.iter().position(|byte| *byte == b'\t')?;
    let facts = std::str::from_utf8(&line[..tab]).ok()?;
    let path = PathBuf::from(OsStr::from_bytes(&line[tab + 1..]));
    let mut facts = facts.split_ascii_whitespace();
    let (mode, _type, object, size) = (facts.next()?, facts.next()?, facts.next()?, facts.next()?);
    let kind = match mode {
        "100644" => TreeKind::File { executable: false },
        "100755" => TreeKind::File { executable: true },
        "120000" => TreeKind::Link,
        "040000" => TreeKind::Folder,
        "160000" => TreeKind::Submodule,
        _ => return None,
    };
    let bytes = match size {
        "-" => 0,
        size => size.parse().ok()?,
    };
    let object = object.to_owned();
    Some(TreeEntry {
        path,
        kind,
        object,
        bytes,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_that_is_not_understood_is_an_error_and_no_shorter_tree() {
        let id = "0123456789012345678901234567890123456789";
        let good = format!("100755 blob {id}      12\ta b\0");
        let read = |text: &str| entries(&mut text.as_bytes(), &Limits::default());
        assert_eq!(read(&good).unwrap()[0].bytes, 12);
        for bad in [
            good.replace("100755", "100664"),
            good.replace('\t', " "),
            good.replace("12", "x"),
            good.replace('\0', ""),
            format!("{good}{}", good.replace('\0', "")),
            "\0".to_owned(),
        ] {
            let error = read(&bad).expect_err(&bad);
            assert!(!unpack::is_refusal(&error), "{bad:?}");
        }
    }

    #[test]
    fn more_than_the_limits_allow_is_refused() {
        let line = "100755 blob 0123456789012345678901234567890123456789      12\ta b\0".repeat(3);
        let limits = Limits::default();
        for (limits, wanted) in [
            (
                Limits {
                    export_files: 2,
                    ..limits
                },
                "it has more than 2 files and folders",
            ),
            (
                Limits {
                    export_bytes: 35,
                    ..limits
                },
                "it has more than 35 bytes",
            ),
            (
                Limits {
                    export_list_bytes: 300,
                    ..limits
                },
                "it has more than 300 bytes of names, ",
            ),
        ] {
            let error = entries(&mut line.as_bytes(), &limits).expect_err(wanted);
            let refusal = unpack::refusal(error).expect(wanted);
            assert!(refusal.reason.starts_with(wanted), "{}", refusal.reason);
        }
    }

    #[test]
    fn a_path_that_is_none_inside_is_refused() {
        for path in [
            "..",
            "../..",
            "a/..",
            "a/../b",
            "../../../../etc",
            "/etc",
            "//etc",
            "a//b",
            "a/",
            ".",
            "a/./b",
            "",
            ".git",
            "a/.GIT/hooks",
        ] {
            let line =
                format!("040000 tree 0123456789012345678901234567890123456789       -\t{path}\0");
            let error = entries(&mut line.as_bytes(), &Limits::default()).expect_err(path);
            assert!(unpack::is_refusal(&error), "{path}: {error}");
        }
    }
}
