//! The lock of a file.

use std::{
    io::Read,
    process::{Command, Stdio},
};

use tempfile::TempDir;
use world::{Disk, RealDisk};

#[test]
fn a_second_holder_is_turned_away_until_the_first_lets_go() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("lock");
    let first = RealDisk.lock(&path).expect("no error");
    assert!(first.is_some());
    assert!(RealDisk.lock(&path).expect("no error").is_none());
    drop(first);
    assert!(RealDisk.lock(&path).expect("no error").is_some());
}

#[test]
fn another_process_is_a_holder_like_any_other_and_lets_go_when_it_dies() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("lock");
    // flock(1) holds the lock as long as the program that it runs.
    let mut other = Command::new("flock")
        .args(["--exclusive", "--no-fork"])
        .arg(&path)
        .args(["sh", "-c", "echo held; exec sleep 1000"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("flock starts; it is in Debian's essential package util-linux");
    let mut said = [0; 5];
    let mut output = other.stdout.take().expect("its output");
    output.read_exact(&mut said).expect("it has the lock");
    assert!(RealDisk.lock(&path).expect("no error").is_none());

    other.kill().expect("it is killed");
    other.wait().expect("it is reaped");
    let lock = RealDisk.lock(&path).expect("no error");
    assert!(lock.is_some(), "the kernel let go");

    let tried = Command::new("flock")
        .args(["--exclusive", "--nonblock"])
        .arg(&path)
        .arg("true")
        .status()
        .expect("flock starts");
    assert!(!tried.success(), "it holds against other processes too");
}

#[test]
fn what_is_in_the_file_stays() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("lock");
    std::fs::write(&path, "content").expect("a file");
    let _lock = RealDisk.lock(&path).expect("no error");
    assert_eq!(std::fs::read_to_string(&path).expect("the file"), "content");
}

#[test]
fn a_lock_that_cannot_be_made_is_an_error_and_not_a_holder() {
    let folder = TempDir::new().expect("a folder");
    assert!(RealDisk.lock(&folder.path().join("missing/lock")).is_err());
}
