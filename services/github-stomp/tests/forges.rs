//! What each body says, told in one way whoever posted it.

use events::message::Pushed;
use github_stomp::forge::{Kind, Refusal, Said, read};
use serde_json::{Value, json};

use crate::bodies::{BODIES, repositories};

/// A line for each thing that was said.
fn told(said: &Said) -> Vec<String> {
    match said {
        Said::Pushed(pushes) => pushes.iter().map(push).collect(),
        Said::News(news) => vec![news.text().to_owned()],
        Said::Ping => vec!["ping".to_owned()],
        Said::Unhandled => vec!["nobody handles it".to_owned()],
    }
}

fn push(pushed: &Pushed) -> String {
    let side = |commit: &Option<events::CommitId>| match commit {
        Some(commit) => commit.as_str()[..4].to_owned(),
        None => "-".to_owned(),
    };
    let commits = pushed.commits.iter();
    let commits: Vec<String> = commits
        .map(|commit| {
            format!(
                "{} {}: {}",
                side(&Some(commit.id.clone())),
                commit.author,
                commit.title
            )
        })
        .collect();
    let tag_of = match &pushed.commit {
        Some(commit) => format!(", a tag of {}", &commit.as_str()[..4]),
        None => String::new(),
    };
    format!(
        "{} {} {}..{}{tag_of} by {:?}, {} commits {commits:?}, paths {:?}",
        pushed.repository,
        pushed.name,
        side(&pushed.before),
        side(&pushed.after),
        pushed.pusher.as_deref().unwrap_or_default(),
        pushed.commits_total,
        pushed.paths,
    )
}

#[test]
fn every_body_says_what_it_should() {
    let known = repositories();
    let mut all = String::new();
    for body in BODIES {
        let said = read(body.kind, body.event, body.text.as_bytes(), known).unwrap();
        let lines = told(&said).into_iter().map(|line| format!("  {line}\n"));
        all.extend(std::iter::once(format!("{}\n", body.name)).chain(lines));
    }
    assert_eq!(all, include_str!("data/said.txt"), "{all}");
}

/// A body of a file with fields changed.
fn with(name: &str, changes: Value) -> Result<Said, Refusal> {
    let body = BODIES.iter().find(|body| body.name == name).unwrap();
    let mut value: Value = serde_json::from_str(body.text).unwrap();
    for (path, new) in changes.as_object().unwrap() {
        *value.pointer_mut(path).unwrap() = new.clone();
    }
    let bytes = value.to_string().into_bytes();
    read(body.kind, body.event, &bytes, repositories())
}

#[test]
fn of_news_only_what_people_wait_for_is_told() {
    let table = [
        (
            "hand-made/gitlab/release",
            "/action",
            &[
                ("create", "published"),
                ("delete", "deleted"),
                ("update", ""),
            ][..],
        ),
        (
            "hand-made/gitlab/merge-request",
            "/object_attributes/action",
            &[
                ("open", "opened"),
                ("reopen", "reopened"),
                ("close", "closed"),
                ("update", ""),
                ("approved", ""),
            ],
        ),
        (
            "hand-made/gitea/release",
            "/action",
            &[("deleted", "deleted"), ("updated", "")],
        ),
        (
            "hand-made/gitea/pull-request",
            "/action",
            &[
                ("reopened", "reopened"),
                ("closed", "closed"),
                ("label_updated", ""),
            ],
        ),
    ];
    for (name, path, acts) in table {
        for (act, expected) in acts {
            let said = with(name, json!({ path: act })).unwrap();
            match (&said, *expected) {
                (Said::Unhandled, "") => {}
                (Said::News(news), expected) => {
                    assert_eq!(
                        news.fields().get("act"),
                        Some(&Value::from(expected)),
                        "{name} {act}"
                    )
                }
                _ => panic!("{name} {act}: {said:?}"),
            }
        }
    }
}

#[test]
fn of_pull_requests_of_bitbucket_only_what_people_wait_for_is_told() {
    let known = repositories();
    let pulls = [
        (
            Kind::Bitbucket,
            "hand-made/bitbucket/pullrequest",
            [
                ("pullrequest:fulfilled", "merged"),
                ("pullrequest:rejected", "declined"),
                ("pullrequest:approved", ""),
            ],
        ),
        (
            Kind::BitbucketServer,
            "hand-made/bitbucket-server/pr-merged",
            [
                ("pr:opened", "opened"),
                ("pr:declined", "declined"),
                ("pr:modified", ""),
            ],
        ),
    ];
    for (kind, name, events) in pulls {
        let body = BODIES.iter().find(|body| body.name == name).unwrap();
        for (event, expected) in events {
            match (
                read(kind, event, body.text.as_bytes(), known).unwrap(),
                expected,
            ) {
                (Said::Unhandled, "") => {}
                (Said::News(news), expected) => {
                    assert_eq!(
                        news.fields().get("act"),
                        Some(&Value::from(expected)),
                        "{event}"
                    )
                }
                (said, _) => panic!("{event}: {said:?}"),
            }
        }
    }
}

#[test]
fn changed_paths_are_told_where_nothing_can_be_missing() {
    let paths = |name: &str, changes: Value| match with(name, changes).unwrap() {
        Said::Pushed(pushes) => pushes[0].paths.clone(),
        other => panic!("{other:?}"),
    };
    let (gitlab, gitea) = ("hand-made/gitlab/push", "hand-made/gitea/push-two-commits");
    assert!(paths(gitlab, json!({})).is_some() && paths(gitea, json!({})).is_some());
    let zero = "0".repeat(40);
    for (name, changes) in [
        (gitlab, json!({"/total_commits_count": 3})),
        (gitlab, json!({"/before": zero})),
        (gitlab, json!({"/commits": [], "/total_commits_count": 0})),
        (gitlab, json!({"/commits/0/added": null})),
        // Not in the settings: its branches may be rewritten, and these forges do not say when they are.
        (
            gitlab,
            json!({"/project/path_with_namespace": "acme/other"}),
        ),
        (gitea, json!({"/total_commits": 3})),
        // An older version, which does not count them.
        (gitea, json!({"/total_commits": null})),
        (gitea, json!({"/before": zero})),
        (
            gitea,
            json!({"/repository/clone_url": "x", "/repository/html_url": "x"}),
        ),
    ] {
        assert_eq!(paths(name, changes.clone()), None, "{name} {changes}");
    }
}

#[test]
fn of_thousands_of_commits_that_touch_one_file_the_path_is_told() {
    let commit = |number: usize| json!({"id": format!("{number:040x}"), "added": ["a/file/of/forty/characters/or/more"], "modified": [], "removed": []});
    let commits: Vec<Value> = (1..=2000).map(commit).collect();
    let said = with("recorded/github/push", json!({"/commits": commits})).unwrap();
    let Said::Pushed(pushes) = said else {
        panic!("{said:?}")
    };
    assert_eq!(
        pushes[0].paths.as_deref(),
        Some(&["a/file/of/forty/characters/or/more".to_owned()][..])
    );
    assert_eq!(
        (pushes[0].commits.len(), pushes[0].commits_total),
        (20, 2000)
    );
}

#[test]
fn more_refs_than_a_forge_sends_are_refused_and_none_is_nothing() {
    let change = |number: usize| json!({"ref": {"id": format!("refs/tags/v{number}")}, "fromHash": "0".repeat(40), "toHash": "a".repeat(40)});
    let name = "hand-made/bitbucket-server/refs-changed-several";
    let changes = |count| (1..=count).map(change).collect::<Vec<Value>>();
    let said = with(name, json!({"/changes": changes(5000)})).unwrap();
    assert!(matches!(&said, Said::Pushed(pushes) if pushes.len() == 5000));
    let refused = with(name, json!({"/changes": changes(5001)})).unwrap_err();
    let why = chassis::causes(&refused);
    assert!(why.contains("at most 5000"), "{why}");
    assert_eq!(
        with(name, json!({"/changes": []})).unwrap(),
        Said::Unhandled
    );
    let name = "hand-made/bitbucket/push-several";
    assert_eq!(
        with(name, json!({"/push/changes": []})).unwrap(),
        Said::Unhandled
    );
}

#[test]
fn a_list_is_no_object_and_a_float_is_no_number() {
    let name = "hand-made/gitea/pull-request";
    for changes in [
        // As many values as there are fields.
        json!({"/repository": ["acme/shop", null, null, null]}),
        json!({"/sender": ["ann"]}),
        json!({"/pull_request": []}),
        json!({"/number": 12.0}),
        json!({"/number": -12}),
        json!({"/sender": "ann"}),
    ] {
        let refused = with(name, changes.clone());
        assert!(
            matches!(refused, Err(Refusal::Shape { .. })),
            "{changes}: {refused:?}"
        );
    }
}
