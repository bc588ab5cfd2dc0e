//! Trees that somebody made to get out of their folder.

use std::{fs, os::unix::fs::symlink};

use events::CommitId;
use git::GitError;

use crate::place::Place;

/// Exports `commit` and gives the path that was refused.
async fn refused(place: &Place, commit: &CommitId) -> String {
    place.mirror().ensure(&place.origin()).await.unwrap();
    let tree = place.path("out/tree");
    let error = place.mirror().export(commit, &tree).await.unwrap_err();
    let GitError::Refused { path, .. } = error else {
        panic!("not refused: {error}")
    };
    assert!(!tree.exists(), "what was laid out is gone");
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 0);
    path
}

#[tokio::test]
async fn a_link_that_leads_out_is_refused_by_name() {
    let table = [
        ("l", "/etc"),
        ("l", "../x"),
        ("l", ".."),
        ("sub/l", "../../x"),
        ("sub/deep/l", "../../../x"),
        ("l", "./../x"),
        // `up` leads to the root of the tree, which is allowed; from there `..` is outside.
        ("l", "sub/up/../x"),
        ("sub/deep/l", "../up/../x"),
        ("l", "sub/.."),
    ];
    for (link, target) in table {
        let place = Place::new();
        let origin = place.path("origin");
        fs::create_dir_all(origin.join("sub/deep")).unwrap();
        symlink("..", origin.join("sub/up")).unwrap();
        symlink(target, origin.join(link)).unwrap();
        let commit = place.commit_all();
        assert_eq!(refused(&place, &commit).await, link, "{target}");
    }
}

/// A commit of a tree with these lines, which git's own `add` would never make.
fn crafted(place: &Place, tree: &str) -> CommitId {
    let origin = place.path("origin");
    let tree = place.say_with(&origin, &["mktree"], tree);
    let commit = place.work(&["commit-tree", "-m", "crafted", &tree]);
    place.work(&["update-ref", "refs/heads/crafted", &commit]);
    commit.parse().unwrap()
}

fn blob(place: &Place, text: &str) -> String {
    place.say_with(
        &place.path("origin"),
        &["hash-object", "-w", "--stdin"],
        text,
    )
}

/// Git has rules of its own about such trees, and may be the first to refuse; what is refused here is tested in `unpack.rs`.
async fn stopped(place: &Place, commit: &CommitId) {
    place.mirror().ensure(&place.origin()).await.unwrap();
    let tree = place.path("out/tree");
    let error = place.mirror().export(commit, &tree).await.unwrap_err();
    assert!(
        matches!(error, GitError::Refused { .. } | GitError::Failed { .. }),
        "{error}"
    );
    assert_eq!(fs::read_dir(place.path("out")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_path_that_climbs_gets_nowhere() {
    let place = Place::new();
    let file = blob(&place, "x");
    let inner = place.say_with(
        &place.path("origin"),
        &["mktree"],
        &format!("100644 blob {file}\tescaped\n"),
    );
    let commit = crafted(&place, &format!("040000 tree {inner}\t..\n"));
    stopped(&place, &commit).await;
}

#[tokio::test]
async fn a_repository_in_the_tree_gets_nowhere() {
    for name in [".git", ".GIT"] {
        let place = Place::new();
        let file = blob(&place, "x");
        let inner = place.say_with(
            &place.path("origin"),
            &["mktree"],
            &format!("100644 blob {file}\tconfig\n"),
        );
        let commit = crafted(&place, &format!("040000 tree {inner}\t{name}\n"));
        stopped(&place, &commit).await;
    }
}

#[tokio::test]
async fn nothing_is_written_through_a_link() {
    let place = Place::new();
    let (file, target) = (blob(&place, "x"), blob(&place, "sub"));
    let inner = place.say_with(
        &place.path("origin"),
        &["mktree"],
        &format!("100644 blob {file}\tf\n"),
    );
    let twice =
        format!("040000 tree {inner}\tsub\n120000 blob {target}\tl\n040000 tree {inner}\tl\n");
    let commit = crafted(&place, &twice);
    stopped(&place, &commit).await;
}
