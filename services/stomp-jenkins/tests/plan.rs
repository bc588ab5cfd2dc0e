//! What is built for a push, as a table.

use chassis::settings::parse;
use events::message::{Commit, Pushed};
use stomp_jenkins::{
    Settings,
    plan::{Plan, Wanted, plan},
};

const COMMIT: &str = "1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910";

const SETTINGS: &str = r#"
state = "/var/lib/deploykit/stomp-jenkins"
ignore_pushers = ["jenkins"]
ignore_titles = ["[skip ci]"]

[jenkins]
url = "http://ci/"
user = "a"
token_file = "/t"

[[rules]]
repository = "shop"
refs = ["refs/heads/*", "refs/tags/*"]
ignore_refs = ["refs/tags/jenkins-*", "refs/heads/wip/*"]
job = "backend/shop"
parameters = { DEPTH = "full" }

[[rules]]
repository = "mono"
paths = ["api/*", "shared/*"]
job = "mono/api"
project = "api"

[[rules]]
repository = "mono"
paths = ["web/*", "shared/*"]
job = "mono/web"
project = "web"

[[rules]]
repository = "team/*"
job = "{repository}/{branch}"
"#;

fn settings() -> Settings {
    parse(SETTINGS, "x").unwrap().1
}

fn pushed(repository: &str, name: &str) -> Pushed {
    let commit = Some(COMMIT.parse().unwrap());
    Pushed {
        pusher: Some("ann".to_owned()),
        ..Pushed::of(
            repository.parse().unwrap(),
            name.parse().unwrap(),
            None,
            commit,
        )
    }
}

fn builds(pushed: &Pushed) -> Vec<Wanted> {
    match plan(pushed, &settings()) {
        Plan::Build(builds) => builds,
        Plan::Skip(why) => panic!("skipped: {why}"),
    }
}

fn jobs(pushed: &Pushed) -> Vec<String> {
    match plan(pushed, &settings()) {
        Plan::Build(builds) => builds.iter().map(|it| it.job.to_string()).collect(),
        Plan::Skip(why) => vec![format!("skip: {why}")],
    }
}

#[test]
fn rules_choose_by_repository_and_ref() {
    let table = [
        ("shop", "refs/heads/main", "backend/shop"),
        ("shop", "refs/tags/v1", "backend/shop"),
        (
            "shop",
            "refs/tags/jenkins-12",
            "skip: no rule for shop is for refs/tags/jenkins-12",
        ),
        (
            "shop",
            "refs/heads/wip/x",
            "skip: no rule for shop is for refs/heads/wip/x",
        ),
        (
            "shop",
            "refs/notes/x",
            "skip: no rule for shop is for refs/notes/x",
        ),
        ("shop2", "refs/heads/main", "skip: no rule is for shop2"),
        ("team/blog", "refs/heads/main", "team/blog/main"),
        ("team/blog", "refs/heads/feature/x", "team/blog/feature%2Fx"),
        (
            "team/blog",
            "refs/tags/v1",
            "skip: no rule for team/blog is for refs/tags/v1",
        ),
    ];
    for (repository, name, expected) in table {
        assert_eq!(
            jobs(&pushed(repository, name)),
            [expected],
            "{repository} {name}"
        );
    }
}

#[test]
fn in_a_repository_with_several_projects_paths_choose_and_unknown_ones_choose_all() {
    let with = |paths: Option<&[&str]>| Pushed {
        paths: paths.map(|all| all.iter().map(|&it| it.to_owned()).collect()),
        ..pushed("mono", "refs/heads/main")
    };
    assert_eq!(jobs(&with(Some(&["api/a.rs", "README"]))), ["mono/api"]);
    assert_eq!(jobs(&with(Some(&["shared/x"]))), ["mono/api", "mono/web"]);
    assert_eq!(jobs(&with(None)), ["mono/api", "mono/web"]);
    let nothing = ["skip: nothing changed in mono that a rule names"];
    assert_eq!(jobs(&with(Some(&["README"]))), nothing);
    assert_eq!(jobs(&with(Some(&[]))), nothing);
}

#[test]
fn of_an_annotated_tag_its_commit_is_built() {
    let tag = Pushed {
        after: Some("e".repeat(40).parse().unwrap()),
        commit: Some(COMMIT.parse().unwrap()),
        ..pushed("shop", "refs/tags/v1")
    };
    let (built, branch) = (builds(&tag), builds(&pushed("shop", "refs/heads/main")));
    assert_eq!(built[0].commit.as_str(), COMMIT);
    assert_eq!(built[0].id, branch[0].id, "the same build as the branch's");
}

#[test]
fn what_builds_themselves_push_is_not_built() {
    let by_jenkins = Pushed {
        pusher: Some("jenkins".to_owned()),
        ..pushed("shop", "refs/heads/main")
    };
    assert_eq!(
        jobs(&by_jenkins),
        ["skip: pushes of \"jenkins\" are not built (ignore_pushers)"]
    );
    let titled = |title: &str| {
        let commit = |title: &str| Commit {
            id: COMMIT.parse().unwrap(),
            author: "Ann".to_owned(),
            title: title.to_owned(),
        };
        Pushed {
            commits: vec![commit("[skip ci] an older one"), commit(title)],
            ..pushed("shop", "refs/heads/main")
        }
    };
    assert_eq!(
        jobs(&titled("all fine")),
        ["backend/shop"],
        "only the newest counts"
    );
    let skipped = jobs(&titled("version 1.2 [skip ci]"));
    assert_eq!(
        skipped,
        ["skip: its newest commit has \"[skip ci]\" in its title (ignore_titles)"]
    );
}

#[test]
fn a_deleted_ref_is_not_built() {
    let deleted = Pushed {
        after: None,
        ..pushed("shop", "refs/heads/main")
    };
    assert_eq!(jobs(&deleted), ["skip: refs/heads/main was deleted"]);
}

#[test]
fn a_build_is_told_its_commit_ref_and_project_and_has_one_id_per_commit_and_job() {
    let build = builds(&pushed("shop", "refs/heads/main")).remove(0);
    let told: Vec<_> = build
        .parameters
        .iter()
        .map(|(a, b)| format!("{a}={b}"))
        .collect();
    let expected = [
        format!("DEPLOYKIT_COMMIT={COMMIT}"),
        "DEPLOYKIT_PROJECT=".to_owned(),
        "DEPLOYKIT_REF=refs/heads/main".to_owned(),
        "DEPLOYKIT_REPOSITORY=shop".to_owned(),
        "DEPTH=full".to_owned(),
    ];
    assert_eq!(told, expected);
    let tag = builds(&pushed("shop", "refs/tags/v1")).remove(0);
    assert_eq!(tag.id, build.id, "the same commit under another name");
    let mono = builds(&pushed("mono", "refs/heads/main"));
    assert_eq!(mono[0].parameters["DEPLOYKIT_PROJECT"], "api");
    assert_ne!(mono[0].id, mono[1].id);
    let other = Pushed {
        after: Some("2".repeat(40).parse().unwrap()),
        ..pushed("shop", "refs/heads/main")
    };
    assert_ne!(builds(&other)[0].id, build.id);
}

#[test]
fn a_branch_that_makes_no_job_name_is_skipped_with_the_reason() {
    let odd = jobs(&pushed(
        "team/blog",
        &format!("refs/heads/{}", "x".repeat(239)),
    ));
    assert_eq!(odd.len(), 1);
    let long = jobs(&pushed(
        "team/blog",
        &format!("refs/heads/{}", "é/".repeat(70).trim_end_matches('/')),
    ));
    assert_eq!(long, ["skip: the job of a rule cannot be named for it"]);
}
