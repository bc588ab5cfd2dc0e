//! Names that come from outside, as types that cannot hold a bad one.
//!
//! Each is made by `parse` only. The error says the input, the rule, and so the next step.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a text is not a name of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{input:?} is not a {kind}: {rule}")]
pub struct NameError {
    /// The kind of name, in words: "host name".
    pub kind: &'static str,
    /// The text as given, cut to 80 characters.
    pub input: String,
    /// The rule it breaks.
    pub rule: &'static str,
}

fn refuse<T>(kind: &'static str, input: &str, rule: &'static str) -> Result<T, NameError> {
    let input = input.chars().take(80).collect();
    Err(NameError { kind, input, rule })
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                $check(text).map(Self)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }
    };
}

mod ci;
mod package;
mod svn;

pub use ci::{JobName, PageUrl};
pub use package::{AptSource, Architecture, ComponentName, PackageName, PackageVersion, SuiteName};
pub use svn::SvnPath;

name! {
    /// A server, by its DNS name in lower case: `web1`, `web1.example.org`.
    ///
    /// No `_`, so that [`HostName::segment`] can be undone.
    HostName, host
}
name! {
    /// A repository as the bus knows it: `shop`, `group/shop`. No `.git` at the end.
    RepoName, repository
}
name! {
    /// What is deployed: `shop`. One word, so that it can be a folder and a part of a topic.
    ProjectName, project
}
name! {
    /// Where it is deployed: `prod`, `staging`, `dev`.
    EnvironmentName, environment
}
name! {
    /// A named set of hosts: `web`, `db-replicas`.
    GroupName, group
}
name! {
    /// A component: `stomp-git`. One word, so that it can be a part of a topic.
    ServiceName, service
}
name! {
    /// A full git ref: `refs/heads/main`, `refs/tags/v1`.
    RefName, full_ref
}
name! {
    /// A tag or branch without its `refs/…/`: `v1.2.3`. What is valid here is so after `refs/tags/` too, and the other way round.
    TagName, tag
}
name! {
    /// A commit id: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits, not all zero.
    CommitId, commit
}
name! {
    /// The hash of a journal's last line: 64 lower-case hex digits (SHA-256).
    JournalHash, journal_hash
}

impl HostName {
    /// The name as one segment of a topic: `web1_example_org`.
    #[must_use]
    pub fn segment(&self) -> String {
        self.0.replace('.', "_")
    }

    /// The reverse of [`HostName::segment`].
    ///
    /// # Errors
    /// When the segment does not stand for a host name.
    pub fn from_segment(segment: &str) -> Result<Self, NameError> {
        if segment.contains('.') {
            return refuse("host segment", segment, "it has _ where the host has dots");
        }
        segment.replace('_', ".").parse()
    }
}

impl CommitId {
    /// The first 10 digits, for people and folder names.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..10]
    }
}

/// What a ref is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefKind<'a> {
    /// `refs/heads/NAME`
    Branch(&'a str),
    /// `refs/tags/NAME`
    Tag(&'a str),
    /// Anything else below `refs/`.
    Other(&'a str),
}

impl RefName {
    /// The ref of a branch.
    #[must_use]
    pub fn branch(name: &TagName) -> Self {
        Self(format!("refs/heads/{name}"))
    }

    /// The ref of a tag.
    #[must_use]
    pub fn tag(name: &TagName) -> Self {
        Self(format!("refs/tags/{name}"))
    }

    /// Branch, tag or something else, with its short name.
    #[must_use]
    pub fn kind(&self) -> RefKind<'_> {
        if let Some(name) = self.0.strip_prefix("refs/heads/") {
            RefKind::Branch(name)
        } else if let Some(name) = self.0.strip_prefix("refs/tags/") {
            RefKind::Tag(name)
        } else {
            RefKind::Other(&self.0["refs/".len()..])
        }
    }

    /// The name of the tag, if this is one.
    #[must_use]
    pub fn tag_name(&self) -> Option<TagName> {
        match self.kind() {
            RefKind::Tag(name) => Some(TagName(name.to_owned())),
            RefKind::Branch(_) | RefKind::Other(_) => None,
        }
    }
}

impl ProjectName {
    /// Folder names that a project may not take, because a base folder has them already.
    pub const RESERVED: [&'static str; 2] = ["mirrors", "orchestrator"];
}

fn host(text: &str) -> Result<String, NameError> {
    const KIND: &str = "host name";
    if text.is_empty() || text.len() > 253 {
        return refuse(KIND, text, "it has 1 to 253 characters");
    }
    for label in text.split('.') {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if label.is_empty() || label.len() > 63 || !label.chars().all(inner) {
            return refuse(
                KIND,
                text,
                "use a-z, 0-9 and -, in parts of 1 to 63 characters with dots between",
            );
        }
        if label.starts_with('-') || label.ends_with('-') {
            return refuse(KIND, text, "no part may begin or end with -");
        }
    }
    Ok(text.to_owned())
}

fn repository(text: &str) -> Result<String, NameError> {
    const KIND: &str = "repository name";
    if text.is_empty() || text.len() > 200 {
        return refuse(KIND, text, "it has 1 to 200 characters");
    }
    for part in text.split('/') {
        let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if part.is_empty() || !part.chars().all(inner) {
            return refuse(
                KIND,
                text,
                "use letters, digits, ., _ and -, in parts with / between",
            );
        }
        if part.starts_with(['.', '-']) || part.ends_with('.') || part.ends_with(".lock") {
            return refuse(
                KIND,
                text,
                "no part may begin with . or -, nor end with . or .lock",
            );
        }
        // Else one repository's mirror could be a folder inside of another's.
        if part.ends_with(".git") {
            return refuse(KIND, text, "leave out the .git at the end");
        }
    }
    Ok(text.to_owned())
}

fn word(kind: &'static str, text: &str) -> Result<String, NameError> {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 63 || !text.chars().all(inner) {
        return refuse(kind, text, "use a-z, 0-9 and -, 1 to 63 characters");
    }
    if text.starts_with('-') || text.ends_with('-') {
        return refuse(kind, text, "it may not begin or end with -");
    }
    Ok(text.to_owned())
}

fn project(text: &str) -> Result<String, NameError> {
    const KIND: &str = "project name";
    if ProjectName::RESERVED.contains(&text) {
        return refuse(KIND, text, "that word is a folder of deploykit's own");
    }
    word(KIND, text)
}

fn environment(text: &str) -> Result<String, NameError> {
    word("environment name", text)
}

fn service(text: &str) -> Result<String, NameError> {
    word("service name", text)
}

fn group(text: &str) -> Result<String, NameError> {
    word("group name", text)
}

fn tag(text: &str) -> Result<String, NameError> {
    ref_path("tag or branch name", text, text)
}

fn full_ref(text: &str) -> Result<String, NameError> {
    const KIND: &str = "git ref";
    let Some(rest) = text.strip_prefix("refs/") else {
        return refuse(
            KIND,
            text,
            "it begins with refs/, such as refs/heads/main or refs/tags/v1",
        );
    };
    let Some((kind, name)) = rest.split_once('/') else {
        return refuse(KIND, text, "it has a kind and a name, such as refs/tags/v1");
    };
    ref_path(KIND, text, kind)?;
    // The name alone keeps the rules too, so that a tag can always be taken out of its ref.
    ref_path(KIND, text, name)?;
    Ok(text.to_owned())
}

/// The rules of `git check-ref-format`, and stricter: no character that a shell or a page gives a meaning.
fn ref_path(kind: &'static str, text: &str, path: &str) -> Result<String, NameError> {
    if path.is_empty() || path.len() > 240 {
        return refuse(kind, text, "it has 1 to 240 bytes");
    }
    let inner = |c: char| {
        c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '+' | '/' | '@' | '#' | '=' | ',')
    };
    if !path.chars().all(inner) {
        return refuse(kind, text, "use letters, digits and . _ - + / @ # = ,");
    }
    if path == "@" || path.contains("..") || path.contains("@{") {
        return refuse(kind, text, "it may not be @ nor contain .. or @{");
    }
    for part in path.split('/') {
        if part.is_empty()
            || part.starts_with(['.', '-'])
            || part.ends_with('.')
            || part.ends_with(".lock")
        {
            return refuse(
                kind,
                text,
                "no part may be empty, begin with . or -, nor end with . or .lock",
            );
        }
    }
    Ok(text.to_owned())
}

fn commit(text: &str) -> Result<String, NameError> {
    const KIND: &str = "commit id";
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if !matches!(text.len(), 40 | 64) || !text.chars().all(hex) {
        return refuse(KIND, text, "it has 40 or 64 digits of 0-9 and a-f");
    }
    if text.chars().all(|c| c == '0') {
        return refuse(KIND, text, "all zero means 'no commit'");
    }
    Ok(text.to_owned())
}

fn journal_hash(text: &str) -> Result<String, NameError> {
    let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
    if text.len() != 64 || !text.chars().all(hex) {
        return refuse("hash of a journal", text, "it has 64 digits of 0-9 and a-f");
    }
    Ok(text.to_owned())
}
