//! The system's files.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use world::{Disk, Kind, RealDisk, World};

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

fn names(folder: &Path) -> Vec<String> {
    let name = |path: &Path| {
        path.file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned()
    };
    let entries = RealDisk.list(folder).expect("a list");
    entries.iter().map(|entry| name(&entry.path)).collect()
}

fn mode(path: &Path) -> u32 {
    let meta = fs::symlink_metadata(path).expect("it is there");
    meta.permissions().mode() & 0o7777
}

#[test]
fn replace_makes_a_file_and_leaves_nothing_beside_it() {
    let folder = folder();
    let path = folder.path().join("state.json");
    RealDisk.replace(&path, b"one", 0o640).expect("made");
    assert_eq!(RealDisk.read(&path).expect("read"), b"one");
    RealDisk.replace(&path, b"2", 0o600).expect("replaced");
    assert_eq!(RealDisk.read(&path).expect("read"), b"2");
    assert_eq!(mode(&path), 0o600);
    assert_eq!(names(folder.path()), ["state.json"]);
}

#[test]
fn replace_never_writes_into_the_old_file() {
    let folder = folder();
    let path = folder.path().join("state.json");
    RealDisk.replace(&path, b"old", 0o640).expect("made");
    let before = fs::metadata(&path).expect("there").ino();
    // Who has the old one open, or a link to it, keeps it whole.
    let link = folder.path().join("link");
    fs::hard_link(&path, &link).expect("a link");
    RealDisk.replace(&path, b"new", 0o640).expect("replaced");
    assert_eq!(RealDisk.read(&link).expect("read"), b"old");
    assert_ne!(fs::metadata(&path).expect("there").ino(), before);
}

#[test]
fn replace_begins_anew_after_a_crash_in_the_middle() {
    let folder = folder();
    let path = folder.path().join("state.json");
    fs::write(folder.path().join(".state.json.new"), "half a fi").expect("left over");
    RealDisk.replace(&path, b"whole", 0o640).expect("replaced");
    assert_eq!(RealDisk.read(&path).expect("read"), b"whole");
    assert_eq!(names(folder.path()), ["state.json"]);
}

#[test]
fn a_replace_that_fails_leaves_the_old_file_whole() {
    let folder = folder();
    let path = folder.path().join("state.json");
    RealDisk.replace(&path, b"old", 0o640).expect("made");
    // A folder in the place of the file beside cannot be removed as a file.
    fs::create_dir(folder.path().join(".state.json.new")).expect("in the way");
    RealDisk
        .replace(&path, b"new", 0o640)
        .expect_err("it is in the way");
    assert_eq!(RealDisk.read(&path).expect("read"), b"old");
    for nowhere in ["/", ".."] {
        let error = RealDisk
            .replace(Path::new(nowhere), b"", 0o640)
            .expect_err("no file");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{nowhere}");
    }
}

#[test]
fn replace_takes_the_place_of_a_link_and_not_of_what_it_leads_to() {
    let folder = folder();
    let (target, link) = (folder.path().join("target"), folder.path().join("link"));
    fs::write(&target, "target").expect("a file");
    RealDisk.symlink(&target, &link).expect("a link");
    RealDisk.replace(&link, b"new", 0o640).expect("replaced");
    assert_eq!(RealDisk.read(&target).expect("read"), b"target");
    assert_eq!(RealDisk.read(&link).expect("read"), b"new");
}

#[test]
fn create_never_takes_the_place_of_anything() {
    let folder = folder();
    let path = folder.path().join("file");
    RealDisk.create(&path, b"one", 0o600).expect("made");
    assert_eq!(mode(&path), 0o600);
    let error = RealDisk
        .create(&path, b"two", 0o600)
        .expect_err("there is one");
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(RealDisk.read(&path).expect("read"), b"one");
}

#[test]
fn append_adds_and_truncate_cuts() {
    let folder = folder();
    let path = folder.path().join("journal");
    RealDisk.append(&path, b"one\n").expect("made");
    RealDisk.append(&path, b"two\n").expect("added");
    assert_eq!(RealDisk.read(&path).expect("read"), b"one\ntwo\n");
    RealDisk.truncate(&path, 5).expect("cut");
    RealDisk.append(&path, b"2\n").expect("added");
    assert_eq!(RealDisk.read(&path).expect("read"), b"one\nt2\n");
}

#[test]
fn a_part_of_a_file_is_read_by_offset() {
    let folder = folder();
    let path = folder.path().join("output");
    fs::write(&path, "0123456789").expect("a file");
    let read = |offset, limit| RealDisk.read_at(&path, offset, limit).expect("read");
    assert_eq!(read(0, 4), b"0123");
    assert_eq!(read(8, 100), b"89");
    assert_eq!(read(100, 4), b"");
}

#[test]
fn what_is_not_there() {
    let folder = folder();
    let path = folder.path().join("nothing");
    assert_eq!(RealDisk.look(&path).expect("no error"), None);
    assert_eq!(RealDisk.read_link(&path).expect("no error"), None);
    RealDisk.remove_file(&path).expect("nothing to remove");
    RealDisk.remove_tree(&path).expect("nothing to remove");
    for error in [
        RealDisk.read(&path).map(drop),
        RealDisk.list(&path).map(drop),
        RealDisk.truncate(&path, 0),
        RealDisk.rename(&path, folder.path()),
    ] {
        assert_eq!(
            error.expect_err("not there").kind(),
            io::ErrorKind::NotFound
        );
    }
}

#[test]
fn other_errors_are_not_taken_for_absence() {
    let folder = folder();
    let file = folder.path().join("file");
    fs::write(&file, "").expect("a file");
    RealDisk
        .look(&file.join("below"))
        .expect_err("not a folder");
    RealDisk.read_link(&file).expect_err("not a link");
    RealDisk.remove_file(folder.path()).expect_err("not a file");
    RealDisk
        .remove_tree(&file.join("below"))
        .expect_err("not a folder");
}

#[test]
fn a_list_is_sorted_and_says_what_is_there_without_following_links() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    fs::write(at("b"), "four").expect("a file");
    fs::create_dir(at("c")).expect("a folder");
    RealDisk
        .symlink(Path::new("nowhere"), &at("a"))
        .expect("a link");
    drop(std::os::unix::net::UnixListener::bind(at("d")).expect("a socket"));
    let entries = RealDisk.list(folder.path()).expect("a list");
    let seen: Vec<(PathBuf, Kind)> = entries
        .iter()
        .map(|entry| (entry.path.clone(), entry.kind))
        .collect();
    assert_eq!(
        seen,
        [
            (at("a"), Kind::Link),
            (at("b"), Kind::File),
            (at("c"), Kind::Folder),
            (at("d"), Kind::Other),
        ]
    );
    assert_eq!(entries[1].bytes, 4);
    RealDisk.set_mode(&at("b"), 0o751).expect("changed");
    let entry = RealDisk.look(&at("b")).expect("no error").expect("there");
    assert_eq!(entry.mode, 0o751);
    assert_eq!(
        entry.modified_s,
        fs::metadata(at("b")).expect("there").mtime()
    );
}

#[test]
fn a_link_is_switched_by_rename_in_one_step() {
    let folder = folder();
    let (live, next) = (folder.path().join("live"), folder.path().join("next"));
    RealDisk
        .symlink(Path::new("releases/1"), &live)
        .expect("a link");
    RealDisk
        .symlink(Path::new("releases/2"), &live)
        .expect_err("something is there");
    RealDisk
        .symlink(Path::new("releases/2"), &next)
        .expect("a link");
    RealDisk.rename(&next, &live).expect("switched");
    RealDisk.sync_folder(folder.path()).expect("flushed");
    let target = RealDisk.read_link(&live).expect("no error");
    assert_eq!(target, Some(PathBuf::from("releases/2")));
    assert_eq!(names(folder.path()), ["live"]);
}

#[test]
fn a_tree_is_removed_without_following_links_out_of_it() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    RealDisk
        .create_folders(&at("tree/a/b"), 0o750)
        .expect("made");
    RealDisk
        .create_folders(&at("tree/a/b"), 0o750)
        .expect("there already is fine");
    assert_eq!(mode(&at("tree/a/b")), 0o750);
    fs::create_dir(at("outside")).expect("a folder");
    fs::write(at("outside/file"), "").expect("a file");
    RealDisk
        .symlink(&at("outside"), &at("tree/a/link"))
        .expect("a link");
    RealDisk.sync_all(folder.path()).expect("flushed");
    RealDisk.remove_tree(&at("tree")).expect("removed");
    assert_eq!(names(folder.path()), ["outside"]);
    assert_eq!(names(&at("outside")), ["file"]);
}

#[test]
fn there_is_room_on_a_disk_that_is_written_to() {
    let folder = folder();
    let space = RealDisk.space(folder.path()).expect("a file system");
    assert!(space.free_bytes > 0);
    RealDisk
        .space(&folder.path().join("missing"))
        .expect_err("not there");
}

#[tokio::test]
async fn work_on_the_disk_gives_back_what_it_made_or_why_not() {
    for world in [World::real(), World::real().with_inline_disk()] {
        let folder = folder();
        let path = folder.path().join("file");
        let written = path.clone();
        let done = world
            .on_disk(move |disk| {
                disk.replace(&written, b"x", 0o640)?;
                disk.read(&written)
            })
            .await;
        assert_eq!(done.expect("written and read"), b"x");
        let failed = world.on_disk(move |disk| disk.list(&path)).await;
        assert_eq!(
            failed.expect_err("a file").kind(),
            io::ErrorKind::NotADirectory
        );
    }
}

#[test]
fn a_log_grows_at_its_end_and_is_read_anywhere() {
    let folder = folder();
    let path = folder.path().join("1.log");
    let log = RealDisk.open_log(&path).expect("made");
    assert_eq!(
        mode(&path) & 0o137,
        0,
        "nobody else may write, others not even read"
    );
    log.append(b"one").expect("added");
    log.sync().expect("flushed");
    drop(log);
    let log = RealDisk.open_log(&path).expect("opened");
    log.append(b"two").expect("added");
    assert_eq!(log.read_at(2, 3).expect("read"), b"etw");
    let beyond = log.read_at(4, 3).expect_err("it ends before");
    assert_eq!(beyond.kind(), io::ErrorKind::UnexpectedEof);
}

#[test]
fn a_stamp_tells_that_a_file_was_touched_whatever_its_times_say() {
    let folder = folder();
    let path = folder.path().join("a");
    fs::write(&path, "one").expect("written");
    let stamp = || RealDisk.stamp(&path).expect("asked").expect("there");
    let before = stamp();
    assert_eq!((before.kind, before.bytes), (Kind::File, 3));
    let times = fs::File::open(&path)
        .and_then(|file| file.metadata())
        .and_then(|meta| meta.modified())
        .expect("a time");
    // The clock of the file system is coarse: write until it has moved on.
    while stamp().changed_ns == before.changed_ns {
        fs::write(&path, "two").expect("written");
    }
    let file = fs::File::options().write(true).open(&path).expect("opened");
    file.set_modified(times).expect("set back");
    let after = stamp();
    assert_eq!(after.modified_ns, before.modified_ns);
    assert_ne!(after.changed_ns, before.changed_ns);
    assert_eq!(
        RealDisk.stamp(&folder.path().join("b")).expect("asked"),
        None
    );
}

#[test]
fn a_copy_has_the_bytes_and_the_mode_and_is_another_file() {
    let folder = folder();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    fs::write(&from, vec![7; 100_000]).expect("written");
    let known = RealDisk.stamp(&from).expect("asked");
    let read = RealDisk.copy(&from, &to, 0o755).expect("copied");
    assert_eq!(Some(read), known);
    assert_eq!(
        (fs::read(&to).expect("read"), mode(&to)),
        (vec![7; 100_000], 0o755)
    );
    fs::write(&to, "x").expect("written");
    assert_eq!(fs::metadata(&from).expect("there").len(), 100_000);
    assert!(
        RealDisk.copy(&from, &to, 0o644).is_err(),
        "never over another"
    );
}

#[test]
fn nothing_but_a_regular_file_is_copied() {
    let folder = folder();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("file"), "x").expect("written");
    std::os::unix::fs::symlink("file", path("link")).expect("made");
    let made = std::process::Command::new("mkfifo")
        .arg(path("pipe"))
        .status();
    assert!(made.expect("mkfifo runs").success());
    for from in ["link", "pipe", "."] {
        assert!(
            RealDisk.copy(&path(from), &path("to"), 0o644).is_err(),
            "{from}"
        );
        assert!(!path("to").exists(), "{from}");
    }
}

#[test]
fn a_hard_link_is_the_same_file() {
    let folder = folder();
    let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
    fs::write(&from, "x").expect("written");
    RealDisk.hard_link(&from, &to).expect("linked");
    let inode = |path| RealDisk.look(path).expect("asked").expect("there").inode;
    assert_eq!(inode(&from), inode(&to));
    assert!(
        RealDisk.hard_link(&from, &to).is_err(),
        "never over another"
    );
}
