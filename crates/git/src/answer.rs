//! What git answers, read. Pure.

use std::{collections::BTreeMap, fmt};

use events::{CommitId, RefKind, RefName, message::Commit, message::RefTip};

/// A version of git.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GitVersion {
    /// The 2 of 2.39.5.
    pub major: u32,
    /// The 39 of 2.39.5.
    pub minor: u32,
    /// The 5 of 2.39.5.
    pub patch: u32,
}

impl GitVersion {
    /// The oldest that knows every option that is used: `fetch --no-write-fetch-head` and `--no-auto-maintenance` are of
    /// 2.29, and Debian 11 has 2.30.
    pub const OLDEST: Self = Self {
        major: 2,
        minor: 30,
        patch: 0,
    };
}

impl fmt::Display for GitVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// `git version 2.39.5`, also with words or further numbers after it.
pub(crate) fn version(text: &str) -> Option<GitVersion> {
    let words = text.trim().strip_prefix("git version ")?;
    let mut numbers = words.split([' ', '.', '-']).map(str::parse);
    Some(GitVersion {
        major: numbers.next()?.ok()?,
        minor: numbers.next()?.ok()?,
        patch: numbers.next().and_then(Result::ok).unwrap_or(0),
    })
}

/// What a mirror knows of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) origin: Option<String>,
    /// It takes nothing but what its keeper admits.
    pub(crate) gated: bool,
}

/// `KEY LF VALUE NUL` and so on, as `program::settings` asks for. The last of each counts.
pub(crate) fn settings(text: &str) -> Settings {
    let mut settings = Settings::default();
    for (key, value) in text.split('\0').filter_map(|entry| entry.split_once('\n')) {
        match key {
            "remote.origin.url" => settings.origin = Some(value.to_owned()),
            // Whatever it says: a gate that a later version knows is kept to as well.
            "deploykit.gate" => settings.gated = true,
            _ => {}
        }
    }
    settings
}

/// A ref as `for-each-ref` lists it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// The object that the ref names: a commit, or an annotated tag.
    pub(crate) object: String,
    pub(crate) leads: Leads,
}

/// What a ref leads to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Leads {
    Commit {
        id: CommitId,
        committed_s: i64,
    },
    /// A tag of a tag, which needs one more question.
    Tag,
    /// A tree or a file: of no use here.
    Other,
}

/// The lines of `for-each-ref` in the format of `program::refs`; `None` when they are not that.
pub(crate) fn refs(text: &str) -> Option<Vec<Row>> {
    text.lines().map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let mut fields = line.split('\0');
    let mut field = || fields.next();
    let (name, object) = (field()?, field()?);
    let (kind, time) = (field()?, field()?);
    let (peeled, peeled_kind, peeled_time) = (field()?, field()?, field()?);
    let commit = |id: &str, time: &str| {
        Some(Leads::Commit {
            id: id.parse().ok()?,
            committed_s: time.parse().ok()?,
        })
    };
    let leads = match (kind, peeled_kind) {
        ("commit", _) => commit(object, time)?,
        ("tag", "commit") => commit(peeled, peeled_time)?,
        ("tag", "tag") => Leads::Tag,
        _ => Leads::Other,
    };
    Some(Row {
        name: name.to_owned(),
        object: object.to_owned(),
        leads,
    })
}

/// `ID SECONDS`, as `program::peel` asks for.
pub(crate) fn peeled(text: &str) -> Option<(CommitId, i64)> {
    let (id, time) = text.trim().split_once(' ')?;
    Some((id.parse().ok()?, time.parse().ok()?))
}

/// Tags first, newest first; names decide between the same times.
pub(crate) fn sort(tips: &mut [RefTip]) {
    let key = |tip: &RefTip| {
        (
            !matches!(tip.name.kind(), RefKind::Tag(_)),
            -tip.committed_s,
        )
    };
    tips.sort_by(|a, b| key(a).cmp(&key(b)).then_with(|| a.name.cmp(&b.name)));
}

/// What a branch or tag of the origin is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RemoteRef {
    pub(crate) object: String,
    /// Where an annotated tag leads in the end.
    pub(crate) peeled: Option<String>,
}

/// The lines of `ls-remote`, by full ref; `None` when they are not that.
pub(crate) fn remote_refs(text: &str) -> Option<BTreeMap<String, RemoteRef>> {
    let mut refs: BTreeMap<String, RemoteRef> = BTreeMap::new();
    for line in text.lines() {
        let (object, name) = line.split_once('\t')?;
        // Branches and tags only have ids of objects here, which have the form of a commit's.
        let object = object.parse::<CommitId>().ok()?.to_string();
        match name.strip_suffix("^{}") {
            Some(name) => refs.get_mut(name)?.peeled = Some(object),
            None => {
                let found = RemoteRef {
                    object,
                    peeled: None,
                };
                refs.insert(name.to_owned(), found);
            }
        }
    }
    Some(refs)
}

/// Commits in the format of `program::commits`; titles are cut to 200 characters, names to 100.
pub(crate) fn commits(text: &str) -> Option<Vec<Commit>> {
    let cut = |text: &str, limit| text.chars().take(limit).collect();
    let commit = |entry: &str| {
        let mut fields = entry.splitn(3, '\u{1f}');
        Some(Commit {
            id: fields.next()?.parse().ok()?,
            author: cut(fields.next()?, 100),
            title: cut(fields.next()?, 200),
        })
    };
    let entries = text.split('\0').filter(|entry| !entry.is_empty());
    entries.map(commit).collect()
}

/// True when git itself names an error, other than refusing to move a tag (which it does without a word).
pub(crate) fn names_an_error(stderr: &[u8]) -> bool {
    let text = String::from_utf8_lossy(stderr);
    text.lines()
        .any(|line| line.starts_with("error: ") || line.starts_with("fatal: "))
}

/// A server that has been given a wrong login by `.netrc` asks as one that was given none.
const LOGIN: &str =
    "the origin wants a name and a password, and takes none that .netrc in the home folder has";

/// What git and ssh say, what that means, and what to do.
const MEANINGS: [(&str, &str); 8] = [
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "the origin has another host key than the one in known_hosts; if that is meant, put the new one there",
    ),
    (
        "Host key verification failed",
        "the origin's host key is not known here; put it into known_hosts of the user that fetches",
    ),
    (
        "Permission denied (",
        "the origin takes no key of the user that fetches; give it one, without a passphrase, and let the origin know it",
    ),
    ("terminal prompts disabled", LOGIN),
    ("could not read Username", LOGIN),
    ("could not read Password", LOGIN),
    ("Authentication failed", LOGIN),
    (
        "certificate",
        "the origin's certificate is not trusted here; add its authority to the system's, or name it as http.sslCAInfo in .gitconfig",
    ),
];

/// What of standard error a person needs: what it means, if that is known, and the first lines that say something, in one
/// line of at most 400 characters.
pub(crate) fn said(stderr: &[u8]) -> String {
    const NOISE: [&str; 14] = [
        "Cloning into",
        "hint:",
        "Please make sure",
        "and the repository exists",
        "Another git process",
        "To add an exception",
        "@",
        "Warning: Permanently added",
        "no such identity",
        "IT IS POSSIBLE",
        "Someone could",
        "It is also possible",
        "Please contact",
        "error: unable to read askpass",
    ];
    let text = String::from_utf8_lossy(stderr);
    let meant = MEANINGS.iter().find(|(words, _)| text.contains(words));
    let meant = meant.map(|(_, meaning)| *meaning);
    let lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !NOISE.iter().any(|noise| line.starts_with(noise)))
        .take(3);
    let lines: Vec<&str> = meant.into_iter().chain(lines).collect();
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    lines.join("; ").chars().map(printable).take(400).collect()
}

/// A name that can be used here; `None` for one that `RefName` refuses.
pub(crate) fn ref_name(name: &str) -> Option<RefName> {
    name.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    #[test]
    fn versions_of_debian_apple_and_windows_are_read() {
        let of = |major, minor, patch| GitVersion {
            major,
            minor,
            patch,
        };
        let table = [
            ("git version 2.39.5\n", Some(of(2, 39, 5))),
            ("git version 2.39.5 (Apple Git-154)", Some(of(2, 39, 5))),
            ("git version 2.47.1.windows.1", Some(of(2, 47, 1))),
            ("git version 2.50-rc1", Some(of(2, 50, 0))),
            ("git version next", None),
            ("hg 1.0", None),
        ];
        for (text, expected) in table {
            assert_eq!(version(text), expected, "{text}");
        }
    }

    #[test]
    fn a_ref_leads_to_its_commit_through_an_annotated_tag() {
        let text = format!(
            "refs/heads/main\0{ONE}\0commit\0{}\0\0\0\nrefs/tags/v1\0{TWO}\0tag\0\0{ONE}\0commit\0{}\n\
             refs/tags/v2\0{TWO}\0tag\0\0{ONE}\0tag\0\nrefs/tags/tree\0{TWO}\0tree\0\0\0\0\n",
            7, 7
        );
        let leads: Vec<Leads> = refs(&text)
            .unwrap()
            .into_iter()
            .map(|row| row.leads)
            .collect();
        let commit = || Leads::Commit {
            id: ONE.parse().unwrap(),
            committed_s: 7,
        };
        assert_eq!(leads, [commit(), commit(), Leads::Tag, Leads::Other]);
    }

    #[test]
    fn a_line_that_is_cut_off_is_not_understood() {
        assert_eq!(refs(&format!("refs/heads/main\0{ONE}\0commit")), None);
    }

    #[test]
    fn what_git_said_is_one_line_without_its_advice() {
        let stderr = b"Cloning into bare repository 'x'...\ngit@host: Permission denied (publickey).\nfatal: Could not read from \
            remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.\n";
        assert_eq!(
            said(stderr),
            "the origin takes no key of the user that fetches; give it one, without a passphrase, and let the origin know \
             it; git@host: Permission denied (publickey).; fatal: Could not read from remote repository."
        );
        let other = b"fatal: '/nowhere' does not appear to be a git repository\n";
        assert_eq!(
            said(other),
            "fatal: '/nowhere' does not appear to be a git repository"
        );
    }

    #[test]
    fn tags_come_before_branches_and_new_before_old() {
        let tip = |name: &str, committed_s| RefTip {
            name: name.parse().unwrap(),
            commit: ONE.parse().unwrap(),
            committed_s,
        };
        let mut tips = [
            tip("refs/heads/main", 9),
            tip("refs/tags/v1", 1),
            tip("refs/tags/v3", 2),
            tip("refs/tags/v2", 2),
        ];
        sort(&mut tips);
        let names: Vec<&str> = tips.iter().map(|tip| tip.name.as_str()).collect();
        assert_eq!(
            names,
            [
                "refs/tags/v2",
                "refs/tags/v3",
                "refs/tags/v1",
                "refs/heads/main"
            ]
        );
    }
}
