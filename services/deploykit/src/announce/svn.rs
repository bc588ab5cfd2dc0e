//! A commit to Subversion, as svnlook tells it.

use std::{
    collections::BTreeSet,
    io::{self, BufRead, Read},
};

use events::{
    RepoName, SvnPath,
    message::{ChangedPath, PathChange, SvnCommitted},
};

/// A line is read up to this; a path of Subversion's is shorter.
const LINE_BYTES: u64 = 8 * 1024;
/// A log message is read up to this.
const LOG_BYTES: u64 = 64 * 1024;

/// Why the input is not a commit.
#[derive(Debug, thiserror::Error)]
pub enum SvnError {
    /// The beginning is not what `svnlook info` prints.
    #[error("line {0} of the input is not what `svnlook info` prints")]
    Info(usize),
    /// It cannot be read.
    #[error("the input cannot be read")]
    Read(#[from] io::Error),
}

/// Reads the output of `svnlook info` and, after it, of `svnlook changed`. The log message has its length before it, so nothing in it is taken
/// for a path. Paths that are none of ours are only counted.
///
/// # Errors
/// See [`SvnError`].
pub fn committed(
    repository: &RepoName,
    revision: u64,
    input: &mut dyn BufRead,
) -> Result<SvnCommitted, SvnError> {
    let author = line(input)?.ok_or(SvnError::Info(1))?;
    let _date = line(input)?.ok_or(SvnError::Info(2))?;
    let size = line(input)?.and_then(|size| size.parse::<u64>().ok());
    let size = size.ok_or(SvnError::Info(3))?;
    let mut log = Vec::new();
    input.take(size.min(LOG_BYTES)).read_to_end(&mut log)?;
    io::copy(
        &mut input.take(size.saturating_sub(LOG_BYTES)),
        &mut io::sink(),
    )?;
    let _end_of_log = line(input)?;
    let log = String::from_utf8_lossy(&log);
    let mut commit = SvnCommitted {
        repository: repository.clone(),
        revision,
        author: Some(plain(&author, 100)).filter(|author| !author.is_empty()),
        title: plain(log.trim_start().lines().next().unwrap_or_default(), 200),
        branches: Vec::new(),
        paths: Vec::new(),
        paths_total: 0,
    };
    let mut branches: BTreeSet<SvnPath> = BTreeSet::new();
    while let Some(text) = line(input)? {
        if text.is_empty() {
            continue;
        }
        commit.paths_total += 1;
        let Some(path) = changed(&text) else {
            continue;
        };
        if branches.len() < SvnCommitted::MAX_BRANCHES {
            branches.extend(branch(&path.path));
        }
        if commit.paths.len() < SvnCommitted::MAX_PATHS {
            commit.paths.push(path);
        }
    }
    commit.branches = branches.into_iter().collect();
    Ok(commit.cut_to_frame())
}

fn plain(text: &str, length: usize) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(length)
        .collect()
}

/// The next line without its end; of a longer one the beginning.
fn line(input: &mut dyn BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    input.take(LINE_BYTES).read_until(b'\n', &mut bytes)?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let mut whole = bytes.ends_with(b"\n");
    while !whole {
        let mut rest = Vec::new();
        input.take(LINE_BYTES).read_until(b'\n', &mut rest)?;
        whole = rest.is_empty() || rest.ends_with(b"\n");
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(text.trim_end_matches('\n').to_owned()))
}

/// `U   trunk/x`, `_U  trunk/x`, `UU  trunk/x`, `A   trunk/`, `D   trunk/x`.
fn changed(text: &str) -> Option<ChangedPath> {
    let (columns, path) = text.split_at_checked(4)?;
    let change = match columns.as_bytes().first()? {
        b'A' => PathChange::Added,
        b'D' => PathChange::Deleted,
        b'U' => PathChange::Changed,
        b'_' => PathChange::Properties,
        _ => return None,
    };
    let path = path.parse().ok()?;
    Some(ChangedPath { change, path })
}

/// The folder above, or the path itself, that is a trunk, a branch or a tag by convention.
fn branch(path: &SvnPath) -> Option<SvnPath> {
    let is_folder = path.as_str().ends_with('/');
    let parts: Vec<&str> = path.as_str().trim_end_matches('/').split('/').collect();
    let folders = if is_folder {
        parts.len()
    } else {
        parts.len() - 1
    };
    let at = parts
        .iter()
        .position(|part| matches!(*part, "trunk" | "branches" | "tags"))?;
    let depth = if parts[at] == "trunk" { at + 1 } else { at + 2 };
    let whole = depth <= folders;
    whole.then(|| parts[..depth].join("/").parse().ok())?
}
