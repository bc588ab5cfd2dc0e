//! `deploykit demo --exit`, as it is.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Output};

use crate::machine::{processes_with, program, says, signal, until};

/// Runs the demo with a folder of its own for temporary files; says what it left there.
pub(crate) fn demo(prefix: &[&str], home: &Path, args: &[&str]) -> (Output, Vec<String>) {
    let executable = home.join("deploykit");
    fs::copy(env!("CARGO_BIN_EXE_deploykit"), &executable).unwrap();
    let temporary = home.join("tmp");
    fs::create_dir(&temporary).unwrap();
    for folder in [home, &temporary] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let executable = executable.display().to_string();
    let words: Vec<&str> = prefix
        .iter()
        .copied()
        .chain([executable.as_str(), "demo", "--exit"])
        .chain(args.iter().copied())
        .collect();
    let output = program(words[0], home)
        .args(&words[1..])
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    let left = fs::read_dir(&temporary)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    (output, left.collect())
}

pub(crate) fn verified(output: &Output, left: &[String], home: &Path) {
    assert_eq!(output.status.code(), Some(0), "{}", says(output));
    let said = says(output);
    assert!(said.contains("steps were verified"), "{said}");
    assert!(!said.contains('\x1b'), "colour without a terminal: {said}");
    assert_eq!(left, [""; 0], "left behind");
    assert_eq!(
        processes_with(&home.join("tmp").display().to_string()),
        [0; 0],
        "still running"
    );
}

#[test]
fn the_demo_verifies_every_step_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let (output, left) = demo(&[], home.path(), &[]);
    verified(&output, &left, home.path());
    let said = says(&output);
    for expected in [
        "a webhook with a wrong signature is refused (401)",
        "GET /health 500 \"no such table: invoices\"",
        "web3's agent was killed with -9 in the middle of start",
        "web3 came to its end, and start ran once",
        "back on v2 after",
        "web2 was never touched",
        "live is v1, file by file, on web1, web2, web3",
    ] {
        assert!(said.contains(expected), "{expected} is not in: {said}");
    }
}

#[test]
fn the_demo_needs_no_root() {
    // As another user it is the same test as above; without root there is no other user to become.
    let home = tempfile::tempdir().unwrap();
    let root = rustix::process::getuid().is_root();
    let nobody: &[&str] = if root {
        &[
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
        ]
    } else {
        &[]
    };
    let (output, left) = demo(nobody, home.path(), &[]);
    verified(&output, &left, home.path());
}

#[test]
fn the_demo_works_on_a_copy_of_a_repository() {
    let home = tempfile::tempdir().unwrap();
    let theirs = home.path().join("theirs");
    let git = |args: &[&str]| {
        let output = program("git", home.path())
            .args(args)
            .current_dir(&theirs)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", says(&output));
        output.stdout
    };
    fs::create_dir(&theirs).unwrap();
    git(&["init", "--quiet", "--initial-branch=trunk"]);
    fs::write(theirs.join("readme"), "hello\n").unwrap();
    std::os::unix::fs::symlink("readme", theirs.join("link")).unwrap();
    git(&["add", "--all"]);
    git(&["commit", "--quiet", "--message", "one"]);
    git(&["tag", "r1"]);
    fs::write(theirs.join("readme"), "hello again\n").unwrap();
    git(&["commit", "--quiet", "--all", "--message", "two"]);
    git(&["tag", "r2"]);
    let before = git(&["for-each-ref"]);
    let (output, left) = demo(&[], home.path(), &["--repo", theirs.to_str().unwrap()]);
    verified(&output, &left, home.path());
    for theirs in ["live is r1, file by file", "live is r2, file by file"] {
        assert!(says(&output).contains(theirs), "{}", says(&output));
    }
    assert_eq!(
        git(&["for-each-ref"]),
        before,
        "their repository was written to"
    );
}

#[test]
fn a_demo_that_cannot_begin_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let (output, left) = demo(&[], home.path(), &["--repo", "/no/such/repository"]);
    assert_eq!(output.status.code(), Some(1), "{}", says(&output));
    assert_eq!(left, [""; 0], "left behind");
}

#[test]
fn a_demo_that_is_interrupted_is_no_success_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let child = program(env!("CARGO_BIN_EXE_deploykit"), home.path())
        .args(["demo", "--exit"])
        .env("TMPDIR", home.path())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let folders = || fs::read_dir(home.path()).unwrap().count();
    until("the demo has begun", || (folders() == 1).then_some(()));
    signal(child.id(), "TERM");
    let output = child.wait_with_output().unwrap();
    assert_ne!(output.status.code(), Some(0), "{}", says(&output));
    assert_eq!(folders(), 0, "left behind: {}", says(&output));
}
