//! The end of a build in the plain-text form. No I/O.

use std::collections::BTreeMap;

use events::{
    JobName, RefKind, RefName, RepoName, TagName,
    message::{BuildResult, Built, CiFailed, CiSucceeded},
};

use crate::{
    names::OldNames,
    text::{Text, Wrong, head, name},
};

/// How a build ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Well.
    Good(CiSucceeded),
    /// Otherwise.
    Bad(CiFailed),
}

/// What the subject has to be.
const SUBJECT: &str = "Complete job NUMBER - [JOB] BRANCH COMMIT";

/// Reads the subject, and of the body the address and the word. The body's `Repo:` is the name of a remote, so the job has to be
/// one that `repositories` knows.
///
/// # Errors
/// See [`Wrong`].
pub fn read(
    subject: &str,
    body: &[u8],
    repositories: &BTreeMap<JobName, RepoName>,
) -> Result<Ended, Wrong> {
    let wrong = || Wrong::Subject { wanted: SUBJECT };
    let (word, rest) = subject.split_once(" job ").ok_or_else(wrong)?;
    let (number, rest) = rest.split_once(" - [").ok_or_else(wrong)?;
    let (job, rest) = rest.rsplit_once("] ").ok_or_else(wrong)?;
    let (branch, commit) = rest.trim().split_once(' ').ok_or_else(wrong)?;
    let number = number.parse().map_err(|_| wrong())?;
    let job: JobName = name(job)?;
    let Some(repository) = repositories.get(&job).cloned() else {
        let why = format!("[jobs] does not say which repository the job {job} builds");
        return Err(Wrong::NotCarried(why));
    };
    let lines: Vec<&str> = head(body)?.split('\n').take(4).collect();
    let of = |key: &str| {
        let found = lines.iter().find_map(|line| line.strip_prefix(key));
        found.map(str::trim)
    };
    let build = Built {
        repository,
        name: branch_name(branch),
        commit: name(commit)?,
        project: None,
        job,
        number,
        // For people; one that is none is left out.
        url: of("URL:").and_then(|text| text.parse().ok()),
    };
    match (word, of("Status:")) {
        ("Complete", Some("Success")) => Ok(Ended::Good(CiSucceeded { build })),
        ("Fail", Some("Cake")) => Ok(Ended::Bad(CiFailed {
            build,
            result: BuildResult::Failure,
        })),
        _ => Err(Wrong::NotCarried(
            "subject and Status: are not those of the end of a build".to_owned(),
        )),
    }
}

/// `origin/main`, `main`; nothing for `origin/HEAD`.
fn branch_name(text: &str) -> Option<RefName> {
    let bare = text.strip_prefix("origin/").unwrap_or(text);
    if matches!(bare, "HEAD" | "detached") {
        return None;
    }
    if bare.starts_with("refs/") {
        return bare.parse().ok();
    }
    bare.parse::<TagName>().ok().map(|it| RefName::branch(&it))
}

/// A good build as the older helper told it, with the `repo:` line that the older fetcher looks for and the helper lacked.
#[must_use]
pub fn write_good(told: &CiSucceeded, names: &OldNames) -> Text {
    write(&told.build, "Complete", "Success", names)
}

/// A bad one.
#[must_use]
pub fn write_bad(told: &CiFailed, names: &OldNames) -> Text {
    write(&told.build, "Fail", "Cake", names)
}

fn write(build: &Built, word: &str, status: &str, names: &OldNames) -> Text {
    let repository = names.theirs(&build.repository);
    let branch = match build.name.as_ref().map(RefName::kind) {
        Some(RefKind::Branch(branch)) => format!("origin/{branch}"),
        Some(RefKind::Tag(tag)) => format!("refs/tags/{tag}"),
        Some(RefKind::Other(_)) | None => "origin/HEAD".to_owned(),
    };
    let (job, number, commit) = (&build.job, build.number, &build.commit);
    let url = build.url.as_ref().map(|url| format!("URL: {url}\n"));
    let url = url.unwrap_or_default();
    Text {
        subject: format!("{word} job {number} - [{job}] {branch} {commit}"),
        body: format!("repo: {repository}\nRepo: {repository}\n{url}Status: {status}\n"),
    }
}
