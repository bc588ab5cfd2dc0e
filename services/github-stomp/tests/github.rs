//! What GitHub says, without HTTP.

use events::{Payload, RefKind, message::Pushed};
use github_stomp::forge::{Kind, Refusal, Repositories, Said, read as read_any};
use serde_json::{Value, json};

const PUSH: &str = include_str!("data/recorded/github/push.json");
const ZERO: &str = "0000000000000000000000000000000000000000";

fn push() -> Value {
    serde_json::from_str(PUSH).unwrap()
}

/// The recorded push with some fields changed.
fn with(changes: Value) -> Vec<u8> {
    let mut push = push();
    for (path, value) in changes.as_object().unwrap() {
        *push.pointer_mut(path).unwrap() = value.clone();
    }
    push.to_string().into_bytes()
}

fn github(event: &str, body: &[u8], known: &Repositories) -> Result<Said, Refusal> {
    read_any(Kind::Github, event, body, known)
}

/// The one push of a body.
fn one(said: Said) -> Pushed {
    match said {
        Said::Pushed(mut pushes) if pushes.len() == 1 => pushes.remove(0),
        other => panic!("{other:?} is not one push"),
    }
}

fn read(body: &[u8]) -> Result<Pushed, Refusal> {
    github("push", body, &Repositories::default()).map(one)
}

#[test]
fn the_recorded_push_is_read() {
    let pushed = read(PUSH.as_bytes()).unwrap();
    let expected = json!({
        "repository": "binkkatal/sample_app",
        "ref": "refs/heads/master",
        "before": "737d38c599c1b2991664dfc6155d6bf516fcce36",
        "after": "fd489864e7642b48eaad6e3f155c10e46810ec72",
        "pusher": "binkkatal",
        "commits": [{
            "id": "fd489864e7642b48eaad6e3f155c10e46810ec72",
            "author": "binkkatal",
            "title": "test a push event",
        }],
        "commits_total": 1,
        "paths": [".razorops.yaml", "app/controllers/application_controller.rb"],
    });
    assert_eq!(serde_json::to_value(pushed).unwrap(), expected);
}

#[test]
fn changed_paths_are_told_only_where_the_body_has_all_of_them() {
    let listed = json!({"added": ["b"], "modified": ["a"], "removed": ["c"]});
    let commit = |lists: &Value| {
        let mut commit = json!({"id": "f".repeat(40), "message": "m"});
        let lists = lists.as_object().unwrap().clone();
        commit.as_object_mut().unwrap().extend(lists);
        commit
    };
    let paths = |changes: Value| read(&with(changes)).unwrap().paths;
    let two = json!([commit(&listed), commit(&listed)]);
    assert_eq!(paths(json!({"/commits": two})).unwrap(), ["a", "b", "c"]);
    for whole_is_unknown in [
        json!({"/commits": two, "/before": ZERO}),
        json!({"/commits": two, "/forced": true}),
        json!({"/commits": []}),
        json!({"/commits": [commit(&listed), commit(&json!({"added": []}))]}),
        json!({"/commits": vec![commit(&listed); 2048]}),
    ] {
        assert_eq!(paths(whole_is_unknown), None);
    }
}

#[test]
fn new_and_deleted_refs_and_tags_are_pushes_too() {
    let new_tag = read(&with(
        json!({"/ref": "refs/tags/v1", "/before": ZERO, "/commits": []}),
    ))
    .unwrap();
    assert_eq!(new_tag.name.kind(), RefKind::Tag("v1"));
    assert!(new_tag.before.is_none() && new_tag.after.is_some() && new_tag.commits.is_empty());
    let deleted = read(&with(
        json!({"/after": ZERO, "/deleted": true, "/head_commit": null, "/commits": []}),
    ));
    let deleted = deleted.unwrap();
    assert!(deleted.before.is_some() && deleted.after.is_none());
    let nothing = read(&with(json!({"/before": ZERO, "/after": ZERO})));
    assert!(matches!(nothing, Err(Refusal::Nothing)), "{nothing:?}");
}

#[test]
fn of_many_commits_the_newest_travel_and_all_are_counted() {
    let commit = |number: usize| {
        let title = format!("number {number}\u{7}{}\nand a body", "x".repeat(500));
        json!({"id": format!("{number:040x}"), "message": title, "author": {"name": "Ann\nrepo: other"}})
    };
    let commits: Vec<Value> = (1..=2048).map(commit).collect();
    let pushed = read(&with(json!({"/commits": commits}))).unwrap();
    assert_eq!((pushed.commits.len(), pushed.commits_total), (20, 2048));
    let newest = pushed.commits.last().unwrap();
    assert_eq!(newest.id.as_str(), format!("{:040x}", 2048));
    assert!(
        newest.title.starts_with("number 2048 xxx"),
        "{}",
        newest.title
    );
    assert_eq!(
        (newest.title.chars().count(), newest.author.as_str()),
        (200, "Ann")
    );
    let bytes = serde_json::to_vec(&pushed).unwrap().len();
    assert!(bytes < events::MAX_FRAME_BYTES / 2, "{bytes}");
}

#[test]
fn the_same_push_from_two_forges_is_one_event() {
    let settings = "shop".parse().unwrap();
    let aliases = serde_json::from_value(json!({"aliases": [
        "https://github.com/binkkatal/sample_app.git", "mirror/sample"
    ]}));
    let repositories = Repositories::new(&[(settings, aliases.unwrap())].into());
    let key = |body: &[u8]| {
        let pushed = one(github("push", body, &repositories).unwrap());
        (pushed.repository.to_string(), pushed.dedupkey())
    };
    let mirror = with(
        json!({"/repository/full_name": "mirror/sample", "/repository/clone_url": "x", "/repository/html_url": "x"}),
    );
    assert_eq!(key(PUSH.as_bytes()).0, "shop");
    assert_eq!(key(PUSH.as_bytes()), key(&mirror));
    let other = with(
        json!({"/repository/full_name": "mirror/other", "/repository/clone_url": "x", "/repository/html_url": "x"}),
    );
    assert_eq!(key(&other).0, "mirror/other");
}

#[test]
fn hostile_names_are_refused_with_the_rule() {
    let table = [
        (
            "/ref",
            "refs/heads/; rm -rf",
            "use letters, digits and . _ - + / @ # = ,",
        ),
        (
            "/ref",
            "refs/tags/../../etc",
            "it may not be @ nor contain .. or @{",
        ),
        (
            "/ref",
            "refs/heads/-x",
            "no part may be empty, begin with . or -",
        ),
        ("/ref", "main", "it begins with refs/"),
        ("/ref", "refs/heads/a\nb", "use letters, digits"),
        (
            "/repository/full_name",
            "../x",
            "no part may begin with . or -",
        ),
        (
            "/repository/full_name",
            "a/$(id)",
            "use letters, digits, ., _ and -",
        ),
        (
            "/repository/full_name",
            "--upload-pack=x",
            "use letters, digits",
        ),
        ("/after", "HEAD", "it has 40 or 64 digits"),
        ("/before", "", "it has 40 or 64 digits"),
        ("/commits/0/id", "x", "it has 40 or 64 digits"),
    ];
    for (path, text, rule) in table {
        let refused = read(&with(json!({ path: text })));
        let Err(Refusal::Name(error)) = refused else {
            panic!("{path} = {text:?} gave {refused:?}");
        };
        assert!(error.rule.starts_with(rule), "{error}");
    }
}

#[test]
fn what_is_no_push_is_told_apart() {
    let none = Repositories::default();
    let create = include_bytes!("data/recorded/github/create.json");
    assert_eq!(github("create", create, &none).unwrap(), Said::Unhandled);
    let ping = include_bytes!("data/recorded/github/ping.json");
    assert_eq!(github("ping", ping, &none).unwrap(), Said::Ping);
    let wrong = github("push", create, &none).unwrap_err();
    assert!(
        matches!(wrong, Refusal::Shape { event: "push", .. }),
        "{wrong:?}"
    );
    for event in ["push", "ping", "create"] {
        let wrong = github(event, b"payload=x", &none).unwrap_err();
        assert!(matches!(wrong, Refusal::NotJson(_)), "{wrong:?}");
    }
}

/// An event of GitHub's in its outlines, as its documentation has it.
fn about(action: &str, merged: bool) -> [(&'static str, Vec<u8>); 2] {
    let repository = json!({"full_name": "acme/shop", "html_url": "https://github.com/acme/shop"});
    let release = json!({
        "action": action, "repository": repository, "sender": {"login": "ann"},
        "release": {"tag_name": "v1.2", "name": "Spring\u{202e}\nrepo: other"},
    });
    let request = json!({
        "action": action, "repository": repository, "sender": {"login": "ann"}, "number": 12,
        "pull_request": {
            "title": "Mend the door", "merged": merged,
            "head": {"ref": "fix-door"}, "base": {"ref": "main"},
        },
    });
    [("release", release), ("pull_request", request)]
        .map(|(event, body)| (event, body.to_string().into_bytes()))
}

#[test]
fn releases_and_pull_requests_are_lines_for_the_feed() {
    let none = Repositories::default();
    let table = [
        (
            "published",
            false,
            Some("acme/shop release v1.2 published by ann: Spring "),
            None,
        ),
        (
            "unpublished",
            false,
            Some("acme/shop release v1.2 unpublished by ann: Spring "),
            None,
        ),
        (
            "deleted",
            false,
            Some("acme/shop release v1.2 deleted by ann: Spring "),
            None,
        ),
        ("created", false, None, None),
        ("opened", false, None, Some("opened")),
        ("reopened", false, None, Some("reopened")),
        ("closed", false, None, Some("closed")),
        ("closed", true, None, Some("merged")),
        ("labeled", false, None, None),
    ];
    for (action, merged, release, request) in table {
        let request = request.map(|act| {
            format!("acme/shop merge request 12 (fix-door into main) {act} by ann: Mend the door")
        });
        for ((event, body), line) in about(action, merged)
            .into_iter()
            .zip([release.map(str::to_owned), request])
        {
            match (github(event, &body, &none).unwrap(), line) {
                (Said::News(news), Some(line)) => {
                    assert_eq!(news.text(), line);
                    assert_eq!(news.fields().get("repository"), Some(&"acme/shop".into()));
                    assert_eq!(news.fields().get("by"), Some(&"ann".into()));
                }
                (Said::Unhandled, None) => {}
                (other, line) => panic!("{event} {action}: {other:?}, not {line:?}"),
            }
        }
    }
}
