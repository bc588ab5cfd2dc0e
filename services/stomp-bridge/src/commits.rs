//! A push, or a revision of Subversion, in the plain-text form. Both are on one topic. No I/O.

use std::collections::BTreeSet;

use events::{
    CommitId, RepoName, SvnPath,
    message::{ChangedPath, PathChange, Pushed, SvnCommitted},
};

use crate::{
    names::OldNames,
    text::{Text, Wrong, head, name, no_field, one_line, value},
};

/// What an older hook told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Commit {
    /// A ref moved.
    Push(Pushed),
    /// There is a new revision.
    Revision(SvnCommitted),
}

/// Reads the first lines: `repo:`, `oldrev:`, `newrev:`, `refname:`; or `repo:`, `revname:`.
///
/// # Errors
/// See [`Wrong`].
pub fn read(body: &[u8], names: &OldNames) -> Result<Commit, Wrong> {
    let text = head(body)?;
    let repository = names.ours(value(text, 1, "repo:")?)?;
    if let Ok(revision) = value(text, 2, "revname:") {
        return revision_of(text, repository, revision).map(Commit::Revision);
    }
    let (before, after) = (value(text, 2, "oldrev:")?, value(text, 3, "newrev:")?);
    let name = name(value(text, 4, "refname:")?)?;
    let push = Pushed::of(repository, name, commit(before)?, commit(after)?);
    if push.before.is_none() && push.after.is_none() {
        let why = "the ref neither was there nor is there";
        return Err(Wrong::NotCarried(why.to_owned()));
    }
    Ok(Commit::Push(push))
}

/// All zeros stand for none.
fn commit(text: &str) -> Result<Option<CommitId>, Wrong> {
    if matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte == b'0') {
        return Ok(None);
    }
    name(text).map(Some)
}

fn revision_of(text: &str, repository: RepoName, revision: &str) -> Result<SvnCommitted, Wrong> {
    let number = revision.parse();
    let author = value(text, 3, " Author:").map(one_line);
    // The folders, then an empty line, then what the author wrote.
    let is_empty = |line: &&str| line.trim().is_empty();
    let mut lines = text
        .split('\n')
        .skip_while(|line| line.trim_end() != "Dirs:")
        .skip(1);
    let dirs: Vec<&str> = lines.by_ref().take_while(|line| !is_empty(line)).collect();
    let title = lines.find(|line| !is_empty(line)).unwrap_or_default();
    let changed = |path: SvnPath| ChangedPath {
        change: PathChange::Changed,
        path,
    };
    let paths = dirs.iter().filter_map(|dir| dir.trim().parse().ok());
    let committed = SvnCommitted {
        repository,
        revision: number.map_err(|_| Wrong::Revision(one_line(revision)))?,
        author: author.ok().filter(|it| !it.is_empty()),
        title: one_line(title),
        branches: Vec::new(),
        paths: paths.map(changed).collect(),
        paths_total: dirs.len(),
    };
    Ok(committed.cut_to_frame())
}

/// A push as older hooks told it, without the date, which our messages do not say.
#[must_use]
pub fn write_push(push: &Pushed, names: &OldNames) -> Text {
    let id = |commit: &Option<CommitId>, other: &Option<CommitId>| match (commit, other) {
        (Some(commit), _) => commit.to_string(),
        (None, Some(other)) => "0".repeat(other.as_str().len()),
        (None, None) => "0".repeat(40),
    };
    let repository = names.theirs(&push.repository);
    let (before, after) = (id(&push.before, &push.after), id(&push.after, &push.before));
    let name = &push.name;
    let mut body =
        format!("repo: {repository}\noldrev: {before}\nnewrev: {after}\nrefname: {name}\n");
    if let Some(newest) = push.commits.last() {
        let (author, title) = (no_field(&newest.author), no_field(&newest.title));
        let id = &newest.id;
        body.push_str(&format!(" commit {id}\nAuthor: {author}\n\n    {title}\n"));
    }
    Text {
        subject: format!("[{repository}] {name} {after}"),
        body,
    }
}

/// A revision as older hooks told it, without the date.
#[must_use]
pub fn write_revision(committed: &SvnCommitted, names: &OldNames) -> Text {
    let (repository, revision) = (names.theirs(&committed.repository), committed.revision);
    let mut body = format!("repo: {repository}\nrevname: {revision}\n");
    if let Some(author) = &committed.author {
        body.push_str(&format!(" Author: {}\n", no_field(author)));
    }
    if let Some(project) = project(committed) {
        body.push_str(&format!("Project: {}\n", no_field(project)));
    }
    body.push_str("\nDirs:\n");
    let folder = |path: &str| match path.rfind('/') {
        Some(end) => no_field(&path[..=end]),
        None => "/".to_owned(),
    };
    let paths = committed.paths.iter();
    let folders: BTreeSet<String> = paths.map(|changed| folder(changed.path.as_str())).collect();
    for folder in folders {
        body.push_str(&format!("{folder}\n"));
    }
    body.push_str(&format!("\n{}\n", no_field(&committed.title)));
    Text {
        subject: format!("[{repository}] {revision} "),
        body,
    }
}

/// The folder before the last `trunk`, `branches` or `tags`, as the older CI trigger chose jobs by it.
fn project(committed: &SvnCommitted) -> Option<&str> {
    let branch = committed.branches.last()?.as_str();
    let ends = ["/trunk", "/branches/", "/tags/"].map(|it| branch.find(it));
    let end = ends.into_iter().flatten().min()?;
    branch[..end].rsplit('/').next()
}
