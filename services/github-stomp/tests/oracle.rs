//! A second reader of bodies, to judge the first: written another way, over whole values, by tables of what must be where.

mod bitbucket;
mod gitlab;
mod hub;

use std::collections::BTreeSet;

use events::{CommitId, RefName, RepoName};
use github_stomp::forge::{Kind, Said};
use serde_json::{Map, Value, json};

use crate::bodies::REPOSITORIES;

/// What is to be said of a body; `None` where it is to be refused.
pub(crate) fn expected(kind: Kind, event: &str, body: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(body).ok()?;
    match kind {
        Kind::Github => hub::github(event, &value),
        Kind::Gitlab => gitlab::gitlab(&value),
        Kind::Gitea | Kind::Forgejo => hub::gitea(event, &value),
        Kind::Bitbucket => bitbucket::cloud(event, &value),
        Kind::BitbucketServer => bitbucket::server(event, &value),
    }
}

/// What was said, in the same words.
pub(crate) fn told(said: &Said) -> Value {
    match said {
        Said::Pushed(pushes) => json!(pushes),
        Said::News(news) => {
            let mut record = json!(news.fields());
            record["what"] = news.event().into();
            json!({"line": news.text(), "record": record})
        }
        Said::Ping => json!("ping"),
        Said::Unhandled => json!("unhandled"),
    }
}

/// What must be where, in pairs, parents first: `s`tring, `n`umber, `b`oolean, `o`bject, `a`rray; with `?` it may be null or absent.
type Shape = &'static str;

fn has(value: &Value, shape: Shape) -> Option<()> {
    let words: Vec<&str> = shape.split_whitespace().collect();
    let right = words.chunks(2).all(|rule| {
        let [path, what] = rule else {
            panic!("{shape} is no shape");
        };
        let (parent, key) = path.rsplit_once('/').unwrap();
        let parent = value.pointer(parent).unwrap_or(&Value::Null);
        let found = parent.get(key).unwrap_or(&Value::Null);
        let may = what.ends_with('?') || parent.is_null();
        match &what[..1] {
            _ if found.is_null() => may,
            "s" => found.is_string(),
            "n" => found.is_u64(),
            "b" => found.is_boolean(),
            "o" => found.is_object(),
            _ => found.is_array(),
        }
    });
    (value.is_object() && right).then_some(())
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    let found = value.pointer(path).and_then(Value::as_array);
    found.map_or(&[], Vec::as_slice)
}

/// The first of these that is there.
fn first<'a>(value: &'a Value, paths: &[&str]) -> Option<&'a str> {
    paths
        .iter()
        .find_map(|path| value.pointer(path).and_then(Value::as_str))
}

/// The first line, with spaces for what moves a cursor.
fn cut(text: &str, most: usize) -> String {
    let line = text.split('\n').next().unwrap();
    let line = match text.len() > line.len() {
        true => line.strip_suffix('\r').unwrap_or(line),
        false => line,
    };
    let odd = "\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}";
    let plain = |c: char| {
        if c < ' ' || ('\u{7f}'..='\u{9f}').contains(&c) || odd.contains(c) {
            ' '
        } else {
            c
        }
    };
    text_of(line.chars().map(plain).take(most))
}

fn text_of(characters: impl Iterator<Item = char>) -> String {
    characters.collect()
}

/// Our name of a repository, and whether its branches may be rewritten.
fn repository(full_name: &str, urls: &[&str]) -> Option<(String, bool)> {
    let bare = |alias: &str| alias.strip_suffix(".git").unwrap_or(alias).to_owned();
    for alias in [full_name].iter().chain(urls) {
        for (name, aliases, force) in REPOSITORIES {
            let mut all = aliases.iter().chain([name]);
            if all.any(|known| bare(known) == bare(alias)) {
                return Some(((*name).to_owned(), *force));
            }
        }
    }
    full_name.parse::<RepoName>().ok()?;
    Some((full_name.to_owned(), true))
}

fn known(value: &Value, name: &str, urls: &[&str]) -> Option<(String, bool)> {
    let urls: Vec<&str> = urls
        .iter()
        .filter_map(|path| value.pointer(path)?.as_str())
        .collect();
    repository(text(value, name), &urls)
}

/// One side of a push: a commit, or null for none.
fn side(id: &str) -> Option<Value> {
    if id == "0".repeat(40) || id == "0".repeat(64) {
        return Some(Value::Null);
    }
    id.parse::<CommitId>().ok()?;
    Some(json!(id))
}

/// Of commits as (id, author, title): the newest 20, newest last.
fn newest(commits: &[(String, String, String)], after: &Value) -> Option<Vec<Value>> {
    let mut commits = commits.to_vec();
    if commits.first().is_some_and(|(id, ..)| after == id.as_str()) {
        commits.truncate(20);
        commits.reverse();
    }
    let commits = &commits[commits.len().saturating_sub(20)..];
    commits
        .iter()
        .map(|(id, author, title)| {
            id.parse::<CommitId>().ok()?;
            Some(json!({"id": id, "author": cut(author, 100), "title": cut(title, 200)}))
        })
        .collect()
}

struct Push<'a> {
    repository: &'a str,
    name: &'a str,
    before: Value,
    after: Value,
    /// What a tag leads to, where it is told.
    commit: Option<&'a str>,
    pusher: Option<&'a str>,
    commits: Vec<Value>,
    total: usize,
    paths: Option<Vec<String>>,
}

impl Push<'_> {
    fn value(self) -> Option<Value> {
        self.name.parse::<RefName>().ok()?;
        let mut push = Map::new();
        if let Some(commit) = self.commit.filter(|_| self.name.starts_with("refs/tags/")) {
            commit.parse::<CommitId>().ok()?;
            if !self.after.is_null() && self.after != commit {
                push.insert("commit".to_owned(), json!(commit));
            }
        }
        push.insert("repository".to_owned(), json!(self.repository));
        push.insert("ref".to_owned(), json!(self.name));
        for (key, side) in [("before", self.before), ("after", self.after)] {
            if !side.is_null() {
                push.insert(key.to_owned(), side);
            }
        }
        if let Some(pusher) = self.pusher {
            push.insert("pusher".to_owned(), json!(cut(pusher, 100)));
        }
        push.insert("commits".to_owned(), json!(self.commits));
        push.insert("commits_total".to_owned(), json!(self.total));
        if let Some(paths) = self.paths {
            push.insert("paths".to_owned(), json!(paths));
        }
        Some(Value::Object(push))
    }
}

/// A push of which no commits are told.
fn bare(
    repository: &str,
    name: &str,
    before: Value,
    after: Value,
    pusher: Option<&str>,
) -> Option<Value> {
    let push = Push {
        repository,
        name,
        before,
        after,
        commit: None,
        pusher,
        commits: Vec::new(),
        total: 0,
        paths: None,
    };
    push.value()
}

/// What an event is about, by a table of events; `None` for what is not in it.
fn act(event: &str, acts: &[(&str, &'static str)]) -> Option<&'static str> {
    let found = acts.iter().find(|(name, _)| *name == event);
    found.map(|(_, act)| *act)
}

/// Both sides, of which one must be there.
fn sides(value: &Value, before: &str, after: &str) -> Option<[Value; 2]> {
    let sides = [side(text(value, before))?, side(text(value, after))?];
    (sides != [Value::Null, Value::Null]).then_some(sides)
}

/// The commits of GitHub, GitLab and Gitea, and what they changed in all.
type Listed = (Vec<(String, String, String)>, Option<Vec<String>>);

fn listed(value: &Value) -> Option<Listed> {
    let mut paths = Some(BTreeSet::new());
    let mut commits = Vec::new();
    for commit in list(value, "/commits") {
        has(
            commit,
            "/id s  /message s?  /author o?  /author/name s?  /added a?  /modified a?  /removed a?",
        )?;
        for key in ["added", "modified", "removed"] {
            match commit.get(key).and_then(Value::as_array) {
                None => paths = None,
                Some(all) => {
                    for path in all {
                        let path = path.as_str()?;
                        if let Some(paths) = &mut paths {
                            paths.insert(path.to_owned());
                        }
                    }
                }
            }
        }
        commits.push((
            text(commit, "/id").to_owned(),
            text(commit, "/author/name").to_owned(),
            text(commit, "/message").to_owned(),
        ));
    }
    let plain = |path: &String| !path.is_empty() && !path.chars().any(char::is_control);
    let paths = paths
        .filter(|paths| paths.iter().all(plain) && json!(paths).to_string().len() <= 32 * 1024);
    Some((commits, paths.map(|paths| paths.into_iter().collect())))
}

const REFS: Shape = "/ref s  /before s  /after s  /commits a?";

fn end(by: &str, title: &str) -> String {
    let by = if by.is_empty() {
        String::new()
    } else {
        format!(" by {by}")
    };
    if title.is_empty() {
        by
    } else {
        format!("{by}: {title}")
    }
}

fn release(repository: &str, act: &str, tag: &str, title: &str, by: &str) -> Option<Value> {
    let (tag, title, by) = (cut(tag, 100), cut(title, 200), cut(by, 100));
    let line = format!("{repository} release {tag} {act}{}", end(&by, &title));
    Some(
        json!({"line": line, "record": {"what": "release", "repository": repository, "act": act, "tag": tag, "title": title, "by": by}}),
    )
}

fn request(
    repository: &str,
    act: &str,
    number: &Value,
    [title, from, into]: [&str; 3],
    by: &str,
) -> Option<Value> {
    let (title, by) = (cut(title, 200), cut(by, 100));
    let [from, into] = [from, into].map(|branch| cut(branch, 100));
    let line = format!(
        "{repository} merge request {number} ({from} into {into}) {act}{}",
        end(&by, &title)
    );
    Some(
        json!({"line": line, "record": {"what": "merge-request", "repository": repository, "act": act, "number": number, "title": title, "from": from, "into": into, "by": by}}),
    )
}

fn all(pushes: Vec<Value>) -> Value {
    if pushes.is_empty() {
        json!("unhandled")
    } else {
        json!(pushes)
    }
}
