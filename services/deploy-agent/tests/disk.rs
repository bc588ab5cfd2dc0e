//! Releases, links and shared paths on a real disk.

use std::{fs, os::unix::fs::symlink, path::Path};

use deploy_agent::layout::Layout;
use tempfile::TempDir;
use world::{Disk, RealDisk};

fn project() -> (TempDir, Layout) {
    let base = tempfile::tempdir().expect("a folder");
    let layout = Layout::new(base.path(), &"shop".parse().expect("a project"));
    layout.make(&RealDisk).expect("folders");
    (base, layout)
}

fn release(layout: &Layout, name: &str, files: &[(&str, &str)]) {
    let partial = layout.partial(name);
    fs::create_dir_all(&partial).expect("made");
    for (path, text) in files {
        let path = partial.join(path);
        fs::create_dir_all(path.parent().expect("it is in a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    layout.complete(&RealDisk, name).expect("complete");
}

#[test]
fn a_release_is_complete_or_absent() {
    let (_base, layout) = project();
    release(&layout, "one", &[("a/b", "x")]);
    fs::create_dir_all(layout.partial("two").join("a")).expect("made");
    let complete = layout.complete_releases(&RealDisk).expect("read");
    assert_eq!(complete, ["one"]);
    layout.make(&RealDisk).expect("again");
    assert!(
        !layout.partial("two").exists(),
        "what a crash left is removed"
    );
    assert!(layout.release("one").join("a/b").exists());
}

#[test]
fn live_is_a_relative_link_that_is_switched_in_place() {
    let (base, layout) = project();
    let disk = RealDisk;
    assert_eq!(layout.live(&disk).expect("read"), None);
    for name in ["one", "two"] {
        release(&layout, name, &[("name", name)]);
        layout.point(&disk, "live", Some(name)).expect("switched");
        assert_eq!(layout.live(&disk).expect("read").as_deref(), Some(name));
        let link = base.path().join("shop/live");
        assert_eq!(
            fs::read_link(&link).expect("a link"),
            Path::new("releases").join(name)
        );
        assert_eq!(fs::read_to_string(link.join("name")).expect("read"), name);
    }
    // A crash between the two halves of a switch.
    symlink("releases/one", base.path().join("shop/.live.new")).expect("made");
    layout.point(&disk, "live", Some("one")).expect("switched");
    layout.point(&disk, "live", None).expect("taken away");
    assert_eq!(layout.live(&disk).expect("read"), None);
    symlink("/etc", base.path().join("shop/live")).expect("made");
    assert!(layout.live(&disk).is_err(), "that is no release");
}

#[test]
fn retired_releases_do_not_count_and_are_swept() {
    let (_base, layout) = project();
    release(&layout, "one", &[("a", "x")]);
    fs::write(layout.manifest("one"), "shared = ['a']").expect("written");
    layout.retire(&RealDisk, "one").expect("retired");
    layout.retire(&RealDisk, "one").expect("repeatable");
    for left in ["two", "three"] {
        fs::create_dir_all(layout.partial(left).join("a")).expect("made");
    }
    layout.retire(&RealDisk, "two").expect("retired");
    assert!(!layout.partial("two").exists(), "half made, and retired");
    let complete = layout.complete_releases(&RealDisk).expect("read");
    assert!(complete.is_empty());
    for step in ["known-check-1", "gone-check-1"] {
        fs::create_dir_all(layout.step(step)).expect("made");
    }
    layout
        .sweep(&RealDisk, |name| name.starts_with("known"))
        .expect("swept");
    assert_eq!(RealDisk.list(&layout.releases()).expect("listed"), []);
    assert!(!layout.manifest("one").exists(), "what was known about it");
    assert!(layout.step("known-check-1").exists() && !layout.step("gone-check-1").exists());
}

#[test]
fn shared_paths_outlive_releases() {
    let (base, layout) = project();
    let kept = base.path().join("shop/shared");
    fs::create_dir_all(kept.join("config")).expect("made");
    fs::write(kept.join("config/db"), "secret").expect("written");
    let own = [("config/db", "sample"), ("log/.keep", ""), ("app", "x")];
    for name in ["one", "two"] {
        release(&layout, name, &own);
        for path in ["config/db", "log", "var/cache"] {
            layout.share(&RealDisk, name, path, None).expect("linked");
            layout
                .share(&RealDisk, name, path, None)
                .expect("repeatable");
        }
    }
    fs::write(layout.release("one").join("log/x"), "1").expect("written through the link");
    assert_eq!(
        fs::read_to_string(layout.release("two").join("log/x")).expect("read"),
        "1"
    );
    assert_eq!(
        fs::read_to_string(layout.release("two").join("config/db")).expect("read"),
        "secret"
    );
    let link = fs::read_link(layout.release("one").join("config/db")).expect("a link");
    assert_eq!(link, Path::new("../../../shared/config/db"));
    assert!(kept.join("var/cache").is_dir());
}

#[test]
fn a_shared_file_that_nobody_put_there_is_named() {
    let (base, layout) = project();
    release(&layout, "one", &[("config/db", "sample")]);
    let error = layout
        .share(&RealDisk, "one", "config/db", None)
        .expect_err("it is missing");
    let path = base.path().join("shop/shared/config/db");
    assert_eq!(
        error,
        format!("shared file {} is missing: put it there", path.display())
    );
}

#[test]
fn a_link_of_the_owner_does_not_lead_a_shared_path_out() {
    let (base, layout) = project();
    let outside = base.path().join("outside");
    fs::create_dir_all(&outside).expect("made");
    release(&layout, "one", &[("a", "x")]);
    let storage = base.path().join("shop/shared/storage");
    fs::create_dir_all(&storage).expect("made");
    symlink(&outside, storage.join("framework")).expect("made");
    for owner in [None, Some((65_534, 65_534))] {
        let error = layout
            .share(&RealDisk, "one", "storage/framework/cache", owner)
            .expect_err("it leads out");
        assert!(
            error.ends_with("shared/storage/framework is no folder"),
            "{error}"
        );
        assert_eq!(fs::read_dir(&outside).expect("read").count(), 0);
    }
}

#[test]
fn a_link_of_the_revision_does_not_lead_a_shared_path_out() {
    let (base, layout) = project();
    let outside = base.path().join("outside");
    fs::create_dir_all(&outside).expect("made");
    release(&layout, "one", &[("a", "x")]);
    symlink(&outside, layout.release("one").join("config")).expect("made");
    let error = layout
        .share(&RealDisk, "one", "config/db", None)
        .expect_err("it leads out");
    assert!(
        error.ends_with("config in the release is no folder"),
        "{error}"
    );
    assert_eq!(fs::read_dir(&outside).expect("read").count(), 0);
}
