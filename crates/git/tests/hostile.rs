//! Trees that somebody made to get out of their folder.

use std::{fs, os::unix::fs::symlink};

use events::CommitId;
use git::{GitError, Limits, Mirror};

use crate::place::{Place, limits};

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
    crafted_of(place, &tree)
}

fn crafted_of(place: &Place, tree: &str) -> CommitId {
    let commit = place.work(&["commit-tree", "-m", "crafted", tree]);
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

/// A folder of this name, with the tree of this id in it, as git writes it: also where it would not.
fn named(place: &Place, name: &str, inner: &str) -> String {
    let id = (0..inner.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&inner[at..at + 2], 16).unwrap());
    let mut tree = format!("40000 {name}\0").into_bytes();
    tree.extend(id);
    fs::write(place.path("tree"), tree).unwrap();
    let tree = place.path("tree").display().to_string();
    place.work(&["hash-object", "-t", "tree", "-w", "--literally", &tree])
}

/// Nothing is in these folders, so an archive leaves them out, and git's own rules do not look at them.
#[tokio::test]
async fn an_empty_folder_that_is_outside_is_not_listed() {
    for (names, refused) in [
        (&["..", "etc"][..], ".."),
        (&["x", "..", "..", "etc"], "x/.."),
        (&[".git"], ".git"),
        (&["x", ".GIT"], "x/.GIT"),
        (&["/etc"], "/etc"),
        (&["x", "/etc"], "x//etc"),
        (&["x", "."], "x/."),
    ] {
        let place = Place::new();
        let mut inner = place.say_with(&place.path("origin"), &["mktree"], "");
        for name in names[1..].iter().rev() {
            inner = named(&place, name, &inner);
        }
        let (first, file) = (names[0], blob(&place, "x"));
        let (outside, lines) = (
            named(&place, first, &inner),
            format!("100644 blob {file}\ta\n"),
        );
        let commit = match first.contains('/') {
            true => crafted_of(&place, &outside),
            false => crafted(&place, &format!("040000 tree {inner}\t{first}\n{lines}")),
        };
        place.mirror().ensure(&place.origin()).await.unwrap();
        let error = place.mirror().tree(&commit).await.unwrap_err();
        let GitError::Refused { path, .. } = error else {
            panic!("{names:?}: {error}")
        };
        assert_eq!(path, refused);
    }
}

#[tokio::test]
async fn a_small_repository_of_a_tree_without_end_is_refused_at_the_limit() {
    let place = Place::new();
    let file = blob(&place, "x");
    let name = "n".repeat(200);
    let mut lines = format!("100644 blob {file}\t{name}\n");
    // Ten in each of ten in each …: 10,000,000,000 files.
    for _ in 0..10 {
        let inner = place.say_with(&place.path("origin"), &["mktree"], &lines);
        lines = (0..10)
            .map(|n| format!("040000 tree {inner}\t{n}{name}\n"))
            .collect();
    }
    let commit = crafted(&place, &lines);
    place.mirror().ensure(&place.origin()).await.unwrap();
    let read = std::time::Duration::from_secs(20);
    for (export_files, export_list_bytes, wanted) in [
        (1000, u64::MAX, "it has more than 1000 files and folders"),
        (
            u64::MAX,
            100_000,
            "it has more than 100000 bytes of names, and what is kept with each",
        ),
    ] {
        let git = place.git.clone().with_limits(Limits {
            read,
            export_files,
            export_list_bytes,
            ..limits()
        });
        let mirror = Mirror::at(place.mirror().folder(), &git);
        let error = mirror.tree(&commit).await.unwrap_err();
        let GitError::Refused { reason, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(reason, wanted);
        assert_eq!(mirror.at_root(&commit, "deploy.toml").await.unwrap(), None);
    }
}
