//! Git origins.

use std::process::Command;

use testkit::{Folder, Origin};

/// What git says in the bare repository.
fn bare(origin: &Origin, args: &[&str]) -> String {
    let output = Command::new("git")
        .arg("-C")
        .arg(origin.path())
        .args(args)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn what_is_committed_and_tagged_is_pushed() {
    let origin = Origin::new();
    origin
        .commit(&[("page", "one"), ("deploy/check", "#!/bin/sh\n")])
        .tag("v1");
    let first = origin.commit_of("v1");
    origin
        .commit(&[("page", "two")])
        .delete("deploy/check")
        .tag("v2");
    assert_eq!(
        bare(&origin, &["rev-parse", "refs/tags/v1^{commit}"]),
        first.as_str()
    );
    assert_eq!(bare(&origin, &["show", "v1:page"]), "one");
    assert_eq!(
        bare(&origin, &["ls-tree", "-r", "--name-only", "v2"]),
        "page"
    );
    assert!(bare(&origin, &["ls-tree", "v1", "deploy/check"]).starts_with("100755"));
    assert_eq!(
        bare(&origin, &["rev-parse", "refs/heads/main"]),
        origin.commit_of("HEAD").as_str()
    );
}

#[test]
fn the_same_history_has_the_same_ids() {
    let [one, two] = [Origin::new(), Origin::new()].map(|origin| {
        origin.commit(&[("page", "one")]).tag("v1");
        origin.commit_of("v1")
    });
    assert_eq!(one, two);
}

#[test]
fn a_tag_can_move_and_a_branch_can_be_rewound() {
    let origin = Origin::new();
    origin
        .commit(&[("page", "one")])
        .tag("v1")
        .commit(&[("page", "two")])
        .tag("v1");
    assert_eq!(bare(&origin, &["show", "v1:page"]), "two");
    origin.rewind();
    assert_eq!(bare(&origin, &["show", "main:page"]), "one");
    origin
        .branch("fix")
        .commit(&[("page", "fixed")])
        .branch("main");
    assert_eq!(bare(&origin, &["show", "fix:page"]), "fixed");
    assert_eq!(bare(&origin, &["show", "main:page"]), "one");
}

#[test]
fn a_push_runs_the_hooks() {
    let origin = Origin::new();
    let seen = Folder::new();
    let log = seen.join("log");
    origin.commit(&[("page", "one")]);
    origin.hook(
        "post-receive",
        &format!("#!/bin/sh\ncat >> {}\n", log.display()),
    );
    origin.commit(&[("page", "two")]).tag("v1");
    let lines = seen.read("log");
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(
        lines.contains("refs/heads/main") && lines.contains("refs/tags/v1"),
        "{lines}"
    );
}
