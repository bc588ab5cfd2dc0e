//! Older readers, in every way that they may read: whatever people wrote, they see only what is meant.

use events::{
    RepoName,
    message::{ChangedPath, Commit, PathChange, Pushed, SvnCommitted},
};
use proptest::prelude::*;
use stomp_bridge::{commits, names::OldNames, text::Text};

/// What older readers look for.
const KEYS: [&str; 10] = [
    "repo", "refname", "oldrev", "newrev", "revname", "Project", "JSON", "Repo", "Site", "package",
];

/// `key, value = line.split(":", 2)`, with the blanks around the key as they are or not.
fn by_colon<'a>(body: &'a str, key: &str) -> Vec<&'a str> {
    let fields = body.lines().filter_map(|line| line.split_once(':'));
    let wanted = fields.filter(|(it, _)| it.trim() == key);
    wanted.map(|(_, value)| value.trim()).collect()
}

/// `body.scan(/key:\s*(.*)/)`, wherever it stands.
fn by_pattern<'a>(body: &'a str, key: &str) -> Vec<&'a str> {
    let key = format!("{key}:");
    let found = body.match_indices(&key);
    let rest = found.map(|(at, key)| &body[at + key.len()..]);
    rest.map(|rest| rest.lines().next().unwrap_or_default().trim())
        .collect()
}

fn sees(text: &Text, meant: &[(&str, &str)]) {
    for key in KEYS {
        let meant = meant.iter().filter(|(it, _)| *it == key);
        let meant: Vec<&str> = meant.map(|(_, value)| *value).collect();
        let body = &text.body;
        assert_eq!(by_colon(body, key), meant, "{key} in {body:?}");
        assert_eq!(by_pattern(body, key), meant, "{key} in {body:?}");
    }
    assert!(!text.subject.contains(['\n', '\r']), "{:?}", text.subject);
}

/// Texts that would be fields if they could.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("repo: other".to_owned()),
        Just("\nrepo: other\n".to_owned()),
        Just("\r\nrefname: refs/heads/evil\r".to_owned()),
        Just("\u{2028}Project: evil\u{85}".to_owned()),
        Just("\x0bJSON: {}\x0c".to_owned()),
        "\\PC{0,20}",
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..5).prop_map(|all| all.concat())
}

const COMMIT: &str = "aa794ab6cc1a4a504fd908efc938c0f241557ad4";

proptest! {
    #[test]
    fn what_people_wrote_of_a_push_is_no_field(author in hostile(), title in hostile()) {
        let id = || COMMIT.parse().unwrap();
        let (repository, name) = ("shop".parse().unwrap(), "refs/heads/main".parse().unwrap());
        let push = Pushed {
            pusher: Some(author.clone()),
            commits: vec![Commit { id: id(), author, title }],
            commits_total: 1,
            ..Pushed::of(repository, name, None, Some(id()))
        };
        let text = commits::write_push(&push, &OldNames::default());
        let zeros = "0".repeat(40);
        sees(&text, &[("repo", "shop"), ("refname", "refs/heads/main"), ("oldrev", &zeros), ("newrev", COMMIT)]);
    }

    #[test]
    fn what_people_wrote_of_a_revision_is_no_field(author in hostile(), title in hostile()) {
        let path = |text: &str| text.parse().unwrap();
        let committed = SvnCommitted {
            repository: "legacy".parse::<RepoName>().unwrap(),
            revision: 7,
            author: Some(author),
            title,
            branches: vec![path("repo: y/trunk")],
            paths: vec![ChangedPath { change: PathChange::Added, path: path("repo: x/trunk/") }],
            paths_total: 1,
        };
        let text = commits::write_revision(&committed, &OldNames::default());
        sees(&text, &[("repo", "legacy"), ("revname", "7"), ("Project", "repo; y")]);
    }
}
