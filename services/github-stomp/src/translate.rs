//! A body into an event. Pure.

use std::collections::{BTreeMap, HashMap};

use events::{
    CommitId, NameError, RefName, RepoName,
    message::{Commit, Pushed},
};
use serde::Deserialize;

use crate::settings::Repository;

/// How many commits travel; the others are counted.
const COMMITS: usize = 20;
/// GitHub lists at most this many commits of a push ("up to 2048").
const LISTED: usize = 2048;
/// Characters of a commit's title.
const TITLE: usize = 200;
/// Characters of a person's name.
const PERSON: usize = 100;

/// What a webhook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The forge asks whether somebody is there.
    Ping,
    /// Somebody pushed.
    Pushed(Box<Pushed>),
    /// Something that nobody handles.
    Unhandled,
}

/// Why a body is not an event.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is no JSON at all.
    #[error("the body is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// It is JSON, but not such an event.
    #[error("the body is not a {event} event")]
    Shape {
        /// The event that the forge named.
        event: &'static str,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A name in it is not one that is let in.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Neither side of the push is a commit.
    #[error("a push from nothing to nothing: before and after are both zero")]
    Nothing,
}

/// Which of our names a forge's repository has.
#[derive(Debug, Clone, Default)]
pub struct Repositories(HashMap<String, RepoName>);

impl Repositories {
    /// From the settings.
    #[must_use]
    pub fn new(settings: &BTreeMap<RepoName, Repository>) -> Self {
        let aliases = |(name, repository): (&RepoName, &Repository)| {
            let own = std::iter::once(name.to_string());
            let name = name.clone();
            let all = own.chain(repository.aliases.clone());
            all.map(move |alias| (plain(&alias).to_owned(), name.clone()))
                .collect::<Vec<_>>()
        };
        Self(settings.iter().flat_map(aliases).collect())
    }

    fn name(&self, repository: &ForgeRepository) -> Result<RepoName, NameError> {
        let ForgeRepository {
            full_name,
            clone_url,
            ssh_url,
            html_url,
        } = repository;
        [
            Some(full_name),
            clone_url.as_ref(),
            ssh_url.as_ref(),
            html_url.as_ref(),
        ]
        .into_iter()
        .flatten()
        .find_map(|alias| self.0.get(plain(alias)).cloned())
        .map_or_else(|| full_name.parse(), Ok)
    }
}

/// With and without `.git` is the same repository.
fn plain(alias: &str) -> &str {
    alias.strip_suffix(".git").unwrap_or(alias)
}

#[derive(Debug, Deserialize)]
struct ForgeRepository {
    full_name: String,
    clone_url: Option<String>,
    ssh_url: Option<String>,
    html_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct ForgePush {
    #[serde(rename = "ref")]
    name: String,
    before: String,
    after: String,
    repository: ForgeRepository,
    #[serde(default)]
    commits: Option<Vec<ForgeCommit>>,
    #[serde(default)]
    pusher: Option<ForgePerson>,
    #[serde(default)]
    forced: bool,
}

#[derive(Debug, Deserialize)]
struct ForgeCommit {
    id: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    author: Option<ForgePerson>,
    added: Option<Vec<String>>,
    modified: Option<Vec<String>>,
    removed: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct ForgePerson {
    #[serde(default)]
    name: Option<String>,
}

/// Reads the body of an event of GitHub.
///
/// # Errors
/// See [`Refusal`].
pub fn github(event: &str, body: &[u8], repositories: &Repositories) -> Result<Said, Refusal> {
    match event {
        "push" => {
            let push = ForgePush::deserialize(&json(body)?);
            let push = push.map_err(|source| Refusal::Shape {
                event: "push",
                source,
            })?;
            let pushed = pushed(push, repositories)?;
            Ok(Said::Pushed(Box::new(pushed)))
        }
        "ping" => json(body).map(|_| Said::Ping),
        _ => json(body).map(|_| Said::Unhandled),
    }
}

fn json(body: &[u8]) -> Result<serde_json::Value, Refusal> {
    serde_json::from_slice(body).map_err(Refusal::NotJson)
}

fn pushed(push: ForgePush, repositories: &Repositories) -> Result<Pushed, Refusal> {
    let repository = repositories.name(&push.repository)?;
    let name: RefName = push.name.parse()?;
    let (before, after) = (side(&push.before)?, side(&push.after)?);
    if before.is_none() && after.is_none() {
        return Err(Refusal::Nothing);
    }
    let commits = push.commits.unwrap_or_default();
    let newest = commits.len().saturating_sub(COMMITS);
    let paths = paths(before.as_ref(), push.forced, &commits);
    Ok(Pushed {
        repository,
        name,
        before,
        after,
        pusher: push.pusher.and_then(person),
        commits_total: commits.len(),
        commits: commits
            .into_iter()
            .skip(newest)
            .map(commit)
            .collect::<Result<_, _>>()?,
        paths,
    })
}

/// What a push changed, where the body has the whole of it: not after a new or a rewritten branch.
fn paths(before: Option<&CommitId>, forced: bool, commits: &[ForgeCommit]) -> Option<Vec<String>> {
    let whole = before.is_some() && !forced && (1..LISTED).contains(&commits.len());
    let lists = commits.iter().map(|commit| {
        let [added, modified, removed] = [&commit.added, &commit.modified, &commit.removed];
        Some([added.as_ref()?, modified.as_ref()?, removed.as_ref()?])
    });
    let lists: Option<Vec<_>> = lists.collect();
    let all = lists.filter(|_| whole)?.into_iter().flatten().flatten();
    Pushed::paths(all.cloned())
}

/// One side of a push; all zero stands for none.
fn side(id: &str) -> Result<Option<CommitId>, NameError> {
    if !id.is_empty() && id.chars().all(|c| c == '0') {
        return Ok(None);
    }
    id.parse().map(Some)
}

fn commit(commit: ForgeCommit) -> Result<Commit, NameError> {
    Ok(Commit {
        id: commit.id.parse()?,
        author: commit.author.and_then(person).unwrap_or_default(),
        title: one_line(commit.message.lines().next().unwrap_or_default(), TITLE),
    })
}

fn person(person: ForgePerson) -> Option<String> {
    person.name.map(|name| one_line(&name, PERSON))
}

/// People's own words, short and without control characters.
fn one_line(text: &str, characters: usize) -> String {
    let visible = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(visible).take(characters).collect()
}
