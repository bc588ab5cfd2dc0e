//! The checker of the demo: each claim is broken once, and it must notice.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use deploykit::demo::checker::{Tree, blob_id, live_is, live_link, untouched};
use events::CommitId;
use world::RealDisk;

const COMMIT: &str = "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd";
const OTHER: &str = "eeeeeeeeeebbbbbbbbbbccccccccccdddddddddd";

/// A project folder whose `live` is the release of [`COMMIT`]; another release lies beside it.
struct Project {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("shop");
        for commit in [COMMIT, OTHER] {
            let release = path.join(release_of(commit));
            fs::create_dir_all(release.join("app")).unwrap();
            fs::write(release.join("index.html"), "hello\n").unwrap();
            fs::write(release.join("app/run"), "#!/bin/sh\n").unwrap();
        }
        let project = Self {
            _folder: folder,
            path,
        };
        project.switch_to(COMMIT);
        project
    }

    fn switch_to(&self, commit: &str) {
        let beside = self.path.join("live.new");
        symlink(release_of(commit), &beside).unwrap();
        fs::rename(beside, self.path.join("live")).unwrap();
    }

    fn live(&self) -> PathBuf {
        self.path.join(release_of(COMMIT))
    }

    fn check(&self) -> Result<(), String> {
        let commit: CommitId = COMMIT.parse().unwrap();
        live_is(
            &self.path,
            &commit,
            &tree(),
            &["data".to_owned()],
            &RealDisk,
        )
    }
}

fn release_of(commit: &str) -> String {
    format!("releases/20261121T030000Z-{}", &commit[..10])
}

fn tree() -> Tree {
    [("index.html", "hello\n"), ("app/run", "#!/bin/sh\n")]
        .map(|(path, text)| (path.to_owned(), blob_id(text.as_bytes())))
        .into()
}

#[test]
fn the_right_release_is_believed() {
    assert_eq!(Project::new().check(), Ok(()));
}

#[test]
fn a_shared_link_is_not_a_part_of_the_revision() {
    let project = Project::new();
    symlink("../../shared/data", project.live().join("data")).unwrap();
    assert_eq!(project.check(), Ok(()));
}

#[test]
fn a_live_link_to_the_wrong_revision_is_noticed() {
    let project = Project::new();
    project.switch_to(OTHER);
    assert!(
        project
            .check()
            .unwrap_err()
            .contains("not to a release of aaaaaaaaaa")
    );
}

#[test]
fn a_missing_live_link_is_noticed() {
    let project = Project::new();
    fs::remove_file(project.path.join("live")).unwrap();
    assert!(project.check().unwrap_err().ends_with("live is missing"));
}

#[test]
fn a_live_link_that_leads_nowhere_is_noticed() {
    let project = Project::new();
    fs::remove_dir_all(project.live()).unwrap();
    assert!(project.check().is_err());
}

#[test]
fn a_changed_missing_or_additional_file_is_noticed() {
    fn broken(change: impl FnOnce(&Path)) -> String {
        let project = Project::new();
        change(&project.live());
        project.check().unwrap_err()
    }
    assert!(
        broken(|live| fs::write(live.join("index.html"), "hellO\n").unwrap())
            .ends_with("index.html has another content")
    );
    assert!(
        broken(|live| fs::remove_file(live.join("app/run")).unwrap())
            .ends_with("app/run is missing")
    );
    assert!(
        broken(|live| fs::write(live.join("app/extra"), "").unwrap())
            .ends_with("app/extra is not in the revision")
    );
}

#[test]
fn a_link_switched_there_and_back_is_noticed() {
    let project = Project::new();
    let before = live_link(&project.path, &RealDisk).unwrap();
    assert_eq!(
        untouched(&before, &live_link(&project.path, &RealDisk).unwrap()),
        Ok(())
    );
    // The old link is kept open under another name, so that its number cannot be used again.
    fs::hard_link(project.path.join("live"), project.path.join("kept")).unwrap();
    project.switch_to(OTHER);
    project.switch_to(COMMIT);
    let after = live_link(&project.path, &RealDisk).unwrap();
    assert_eq!(
        untouched(&before, &after),
        Err("live was switched meanwhile, and back".to_owned())
    );
}

#[test]
fn a_link_that_leads_elsewhere_is_noticed() {
    let project = Project::new();
    let before = live_link(&project.path, &RealDisk).unwrap();
    project.switch_to(OTHER);
    assert!(untouched(&before, &live_link(&project.path, &RealDisk).unwrap()).is_err());
}
