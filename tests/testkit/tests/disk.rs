//! Folders, time and chance.

use std::{os::unix::fs::PermissionsExt, path::PathBuf};

use testkit::{CountedBytes, Folder, HandClock};
use world::{Clock, Entropy};

#[test]
fn a_folder_is_gone_after_the_test() {
    let folder = Folder::new();
    let script = folder.write("deploy/check", "#!/bin/sh\n");
    folder.write("deploy/page", "one");
    assert_eq!(folder.names("deploy"), ["check", "page"]);
    assert_eq!(folder.read("deploy/page"), "one");
    assert!(folder.has("deploy") && !folder.has("gone"));
    let mode = |path: &PathBuf| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&script), 0o755);
    assert_eq!(mode(&folder.join("deploy/page")), 0o644);
    let path = folder.path().to_owned();
    drop(folder);
    assert!(!path.exists());
}

#[test]
fn time_moves_only_by_hand() {
    let start: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let clock = HandClock::at(start);
    assert_eq!(clock.now(), start);
    clock.advance(jiff::SignedDuration::from_secs(-5));
    assert_eq!(clock.now().to_string(), "2025-12-31T23:59:55Z");
}

#[test]
fn chance_is_the_same_in_every_run_and_never_twice() {
    let entropy = CountedBytes::default();
    let mut ids = [[9; 10]; 3];
    for id in &mut ids {
        entropy.fill(id);
    }
    assert_eq!(ids[0], [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
}
