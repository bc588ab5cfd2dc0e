//! The tree of a commit as files.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use git::{Exported, GitError, Limits, Mirror, TreeKind};

use crate::place::{Place, limits};

/// `mode path content` of all that is below, links with their targets.
fn tree(root: &Path, folder: &Path, lines: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let meta = fs::symlink_metadata(&path).unwrap();
        if name == ".git" {
            continue;
        }
        if meta.is_symlink() {
            lines.push(format!("link {name} {:?}", fs::read_link(&path).unwrap()));
            continue;
        }
        let mode = meta.permissions().mode() & 0o7777;
        if meta.is_dir() {
            lines.push(format!("{mode:o} {name}/"));
            tree(root, &path, lines);
        } else {
            lines.push(format!("{mode:o} {name} {:?}", fs::read(&path).unwrap()));
        }
    }
}

pub(crate) fn listed(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    tree(root, root, &mut lines);
    lines.sort();
    lines
}

/// A work tree with a bit of everything.
fn furnish(place: &Place) {
    let origin = place.path("origin");
    let long = "a-long-name/".repeat(15) + "file-with-a-path-over-the-limit-of-old-tar.txt";
    for (path, text) in [
        ("bin/run", "#!/bin/sh\n"),
        ("empty", ""),
        ("a file, with spaces and ümläuts", "x\n"),
        ("deep/er/still/file", "deep"),
        (&long, "long"),
    ] {
        let path = origin.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::set_permissions(origin.join("bin/run"), fs::Permissions::from_mode(0o755)).unwrap();
    symlink("run", origin.join("bin/again")).unwrap();
    symlink("../../a.txt", origin.join("deep/er/up")).unwrap();
    symlink("deep/er", origin.join("short")).unwrap();
    symlink("not/there", origin.join("dangling")).unwrap();
    symlink("..", origin.join("deep/root")).unwrap();
}

#[tokio::test]
async fn an_export_equals_what_git_checks_out() {
    let place = Place::new();
    furnish(&place);
    let commit = place.commit_all();
    place.mirror().ensure(&place.origin()).await.unwrap();
    place.say(&place.path(""), &["clone", "-q", "origin", "work"]);
    let exported = place
        .mirror()
        .export(&commit, &place.path("tree"))
        .await
        .unwrap();
    let found = listed(&place.path("tree"));
    assert_eq!(found, listed(&place.path("work")));
    let folders = found.iter().filter(|line| line.ends_with('/')).count();
    assert_eq!(exported.files as usize, found.len() - folders);
    assert_eq!(exported.bytes, 10 + 2 + 4 + 4 + 4);
}

#[tokio::test]
async fn a_tree_lists_what_an_export_lays_out() {
    let place = Place::new();
    furnish(&place);
    let commit = place.commit_all();
    place.mirror().ensure(&place.origin()).await.unwrap();
    let into = place.path("tree");
    place.mirror().export(&commit, &into).await.unwrap();
    let tree = place.mirror().tree(&commit).await.unwrap();
    let mut found = listed(&into);
    for entry in &tree.entries {
        let path = entry.path.display();
        let line = match entry.kind {
            TreeKind::Folder => format!("755 {path}/"),
            TreeKind::Link => {
                let target = fs::read_link(into.join(&entry.path)).unwrap();
                assert_eq!(entry.bytes, target.as_os_str().len() as u64);
                format!("link {path} {target:?}")
            }
            TreeKind::File { executable } => {
                let text = place.mirror().read(entry, 100).await.unwrap();
                assert_eq!(entry.bytes, text.len() as u64);
                let mode = if executable { 755 } else { 644 };
                format!("{mode} {path} {text:?}")
            }
            TreeKind::Submodule => unreachable!("there is none"),
        };
        let at = found.iter().position(|there| *there == line);
        found.remove(at.unwrap_or_else(|| panic!("{line} is not in {found:#?}")));
    }
    assert_eq!(found, Vec::<String>::new());
    assert_eq!(tree.disk_bytes(), 4096 * (tree.files() - 1), "one is empty");
    let at = |path| {
        tree.entries
            .iter()
            .find(|entry| entry.path == Path::new(path))
    };
    let long = at("deep/er/still/file").unwrap();
    let error = place.mirror().read(long, 3).await.unwrap_err();
    assert!(matches!(error, GitError::Refused { .. }), "{error}");
    let folder = at("deep").unwrap();
    let mirror = place.mirror();
    assert_eq!(
        mirror.at_root(&commit, "deep").await.unwrap().as_ref(),
        Some(folder)
    );
    for none in ["dee*", "deep/er", "no"] {
        let found = mirror.at_root(&commit, none).await.unwrap();
        assert!(
            found.is_none_or(|found| found.path == Path::new(none)),
            "{none}"
        );
    }
    assert!(place.mirror().read(folder, 3).await.is_err());
    let few = place.git.clone().with_limits(Limits {
        export_files: tree.files() - 1,
        ..limits()
    });
    let error = Mirror::at(place.mirror().folder(), &few)
        .tree(&commit)
        .await;
    assert!(matches!(error, Err(GitError::Refused { .. })));
}

#[tokio::test]
async fn what_the_tree_marks_as_not_for_export_is_left_out() {
    let place = Place::new();
    place.commit(
        ".gitattributes",
        "secret export-ignore\nversion export-subst\n",
    );
    place.commit("secret/key", "x");
    let commit = place.commit("version", "$Format:%H$");
    place.mirror().ensure(&place.origin()).await.unwrap();
    let tree = place.path("tree");
    place.mirror().export(&commit, &tree).await.unwrap();
    assert!(!tree.join("secret").exists());
    assert_eq!(
        fs::read_to_string(tree.join("version")).unwrap(),
        commit.as_str()
    );
}

#[tokio::test]
async fn a_commit_that_is_not_there_is_named_and_no_folder_made() {
    let place = Place::mirrored().await;
    let later = place.commit("a.txt", "2");
    let tree = place.path("tree");
    let error = place.mirror().export(&later, &tree).await.unwrap_err();
    assert!(
        matches!(&error, GitError::NoCommit { commit, .. } if commit == &later),
        "{error}"
    );
    assert!(!tree.exists());
}

#[tokio::test]
async fn a_folder_that_is_there_is_never_written_into() {
    let place = Place::mirrored().await;
    let commit = place.work(&["rev-parse", "HEAD"]).parse().unwrap();
    let tree = place.path("tree");
    symlink(place.path("elsewhere"), &tree).unwrap();
    let error = place.mirror().export(&commit, &tree).await.unwrap_err();
    assert!(matches!(error, GitError::Exists { .. }), "{error}");
    assert!(fs::symlink_metadata(&tree).unwrap().is_symlink());
}

#[tokio::test]
async fn too_many_bytes_or_files_are_refused_and_cleared() {
    let place = Place::new();
    place.commit("b/c.txt", "12345");
    let commit = place.commit("b/d.txt", "12345");
    place.mirror().ensure(&place.origin()).await.unwrap();
    let tree = place.path("tree");
    let export = async |export_bytes, export_files| {
        let git = place.git.clone().with_limits(Limits {
            export_bytes,
            export_files,
            ..limits()
        });
        Mirror::at(place.mirror().folder(), &git)
            .export(&commit, &tree)
            .await
    };
    for (bytes, files, path) in [(13, 4, "b/d.txt"), (14, 3, "b/d.txt")] {
        let error = export(bytes, files).await.unwrap_err();
        assert!(
            matches!(&error, GitError::Refused { path: p, .. } if p == path),
            "{error}"
        );
        assert!(!tree.exists());
    }
    let whole = Exported {
        files: 3,
        bytes: 14,
    };
    assert_eq!(export(14, 4).await.unwrap(), whole);
}

#[tokio::test]
async fn a_damaged_mirror_is_git_s_error_and_leaves_no_half_tree() {
    let place = Place::new();
    place.commit("a.txt", "1");
    let commit = place.commit("z.txt", "2");
    let damaged = place.work(&["rev-parse", "HEAD:z.txt"]);
    place.mirror().ensure(&place.origin()).await.unwrap();
    let objects = place.mirror().folder().join("objects");
    // Loose objects, so that one of them can be taken away.
    for pack in fs::read_dir(objects.join("pack")).unwrap().flatten() {
        if pack.path().extension().is_some_and(|end| end == "pack") {
            let to = place.path("taken.pack");
            fs::rename(pack.path(), &to).unwrap();
            fs::remove_file(pack.path().with_extension("idx")).unwrap();
            let script = format!(
                "!git --git-dir='{}' unpack-objects -q < '{}'",
                place.mirror().folder().display(),
                to.display()
            );
            place.work(&["-c", &format!("alias.loose={script}"), "loose"]);
        }
    }
    fs::remove_file(objects.join(&damaged[..2]).join(&damaged[2..])).unwrap();
    let tree = place.path("tree");
    let error = place.mirror().export(&commit, &tree).await.unwrap_err();
    assert!(
        matches!(&error, GitError::Failed { said, .. } if said.contains(&damaged)),
        "{error}"
    );
    assert!(!tree.exists());
}
