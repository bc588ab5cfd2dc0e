//! Silence, crashes and leftovers: what must not stop a mirror for ever.

use std::{
    fs::{self, File},
    io::Read,
    net::TcpListener,
    path::Path,
    time::{Duration, SystemTime},
};

use command::RunError;
use git::{Ensured, GitError, Limits, Mirror, Origin};

use crate::place::{Place, limits};

/// A server that takes connections and says nothing; `true` from the returned function once somebody has asked.
pub(crate) fn mute_server() -> (Origin, std::sync::mpsc::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (asked, was_asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _some = stream.read(&mut [0; 1]);
            let _nobody_waits = asked.send(());
            held.push(stream);
        }
    });
    let origin = format!("http://127.0.0.1:{port}/shop.git");
    (origin.parse().unwrap(), was_asked)
}

fn processes_that_name(text: &str) -> usize {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let line = |process: fs::DirEntry| fs::read(process.path().join("cmdline")).unwrap_or_default();
    processes
        .filter(|process| process.file_name().to_string_lossy().parse::<u32>().is_ok())
        .filter(|process| process.file_name().to_string_lossy() != std::process::id().to_string())
        .map(line)
        .filter(|line| String::from_utf8_lossy(line).contains(text))
        .count()
}

#[tokio::test]
async fn a_stale_lock_and_half_pack_are_removed_and_fresh_ones_are_not() {
    let place = Place::mirrored().await;
    let lock = place.mirror().folder().join("refs/heads/main.lock");
    let pack = place.mirror().folder().join("objects/pack/tmp_pack_x");
    let fresh = place.mirror().folder().join("objects/pack/tmp_pack_y");
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    File::create(&fresh).unwrap();
    for path in [&lock, &pack] {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(path).unwrap().set_modified(hour_ago).unwrap();
    }
    place.commit("a.txt", "2");
    assert_eq!(place.mirror().fetch().await.unwrap().changed.len(), 1);
    assert!(!lock.exists() && !pack.exists() && fresh.exists());

    place.commit("a.txt", "3");
    File::create(&lock).unwrap();
    let error = place.mirror().fetch().await.unwrap_err();
    assert!(
        matches!(&error, GitError::Failed { said, .. } if said.contains("main.lock")),
        "{error}"
    );
    assert!(lock.exists());
}

/// Makes a file of a mirror that is this old.
fn old_file(path: &Path, seconds: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let when = SystemTime::now() - Duration::from_secs(seconds);
    File::create(path).unwrap().set_modified(when).unwrap();
}

#[tokio::test]
async fn what_a_killed_git_left_goes_soon_unless_a_process_is_in_the_mirror() {
    let place = Place::mirrored().await;
    let mirror = place.mirror().folder().to_owned();
    let left = [
        "refs/heads/main.lock",
        "packed-refs.lock",
        "objects/pack/tmp_pack_x",
        "objects/pack/.tmp-1-pack-x.pack",
        "objects/info/commit-graphs/commit-graph-chain.lock",
    ]
    .map(|name| mirror.join(name));
    let mut inside = std::process::Command::new("sleep")
        .arg("100")
        .current_dir(&mirror)
        .spawn()
        .unwrap();
    for path in &left {
        old_file(path, 12);
    }
    place.commit("a.txt", "2");
    assert!(
        place.mirror().fetch().await.is_err(),
        "the branch is locked"
    );
    assert!(
        left.iter().all(|path| path.exists()),
        "somebody may be at work"
    );
    inside.kill().unwrap();
    inside.wait().unwrap();
    assert_eq!(place.mirror().fetch().await.unwrap().changed.len(), 1);
    assert!(!left.iter().any(|path| path.exists()));
}

#[tokio::test]
async fn upkeep_packs_refs_and_objects_and_notes_when() {
    let place = Place::mirrored().await;
    let mirror = place.mirror();
    assert_eq!(mirror.maintained_s().await.unwrap(), None);
    let limit = ["config", "gc.autoPackLimit", "2"];
    place.say(mirror.folder(), &limit);
    for number in 0..3 {
        place.commit("a.txt", &number.to_string());
        mirror.fetch().await.unwrap();
    }
    let packs = || {
        let files = fs::read_dir(mirror.folder().join("objects/pack")).unwrap();
        let names = files.flatten().map(|file| file.path());
        names
            .filter(|path| path.extension().is_some_and(|end| end == "pack"))
            .count()
    };
    assert!(packs() > 2);
    let before = mirror.refs().await.unwrap();
    mirror.maintain().await.unwrap();
    assert_eq!(packs(), 1);
    assert!(!mirror.folder().join("refs/heads/main").exists());
    let graph = |name: &str| mirror.folder().join("objects/info").join(name).exists();
    assert!(graph("commit-graph") || graph("commit-graphs"));
    assert_eq!(mirror.refs().await.unwrap(), before);
    let now_s = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let noted = mirror.maintained_s().await.unwrap().unwrap();
    assert!(now_s.abs_diff(noted.unsigned_abs()) < 60);
    place.commit("a.txt", "more");
    assert_eq!(mirror.fetch().await.unwrap().changed.len(), 1);
}

#[tokio::test]
async fn a_mute_server_is_left_at_the_limit_with_all_processes() {
    let place = Place::mirrored().await;
    let (origin, was_asked) = mute_server();
    let git = place.git.clone().with_limits(Limits {
        fetch: Duration::from_secs(1),
        ..limits()
    });
    let mirror = Mirror::at(place.mirror().folder(), &git);
    assert_eq!(mirror.ensure(&origin).await.unwrap(), Ensured::Moved);
    let error = mirror.fetch().await.unwrap_err();
    assert!(
        matches!(error, GitError::Run(RunError::Limit { .. })),
        "{error}"
    );
    was_asked.recv_timeout(Duration::from_secs(10)).unwrap();
    // `git-remote-http` has the address in its arguments; the kernel may take a moment to end it.
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while processes_that_name(origin.as_str()) > 0 {
        assert!(std::time::Instant::now() < end, "a process was left behind");
        tokio::task::yield_now().await;
    }
    assert_eq!(
        mirror.refs().await.unwrap().len(),
        1,
        "the mirror is as it was"
    );
}

#[tokio::test]
async fn a_clone_that_is_killed_midway_leaves_no_mirror_and_the_next_one_works() {
    let place = Place::new();
    let (origin, was_asked) = mute_server();
    let mirror = place.mirror();
    let asked =
        tokio::task::spawn_blocking(move || was_asked.recv_timeout(Duration::from_secs(20)));
    tokio::select! {
        ended = mirror.ensure(&origin) => panic!("a mute server was cloned: {ended:?}"),
        asked = asked => asked.unwrap().unwrap(),
    }
    let beside = place.path("mirrors/group/shop.git.new");
    assert!(beside.exists(), "it was under way");
    assert!(!mirror.exists().await.unwrap());
    assert_eq!(
        mirror.ensure(&place.origin()).await.unwrap(),
        Ensured::Cloned
    );
    assert!(!beside.exists());
    assert_eq!(mirror.refs().await.unwrap().len(), 1);
}

#[tokio::test]
async fn two_who_fetch_at_once_take_turns_and_one_who_waits_too_long_says_so() {
    let place = Place::mirrored().await;
    place.commit("a.txt", "2");
    let (mirror, other) = (place.mirror(), place.mirror());
    let (one, two) = tokio::join!(mirror.fetch(), other.fetch());
    assert_eq!(one.unwrap().changed.len() + two.unwrap().changed.len(), 1);

    let held = File::create(place.path("mirrors/group/shop.git.lock")).unwrap();
    held.lock().unwrap();
    let git = place.git.clone().with_limits(Limits {
        lock: Duration::from_millis(100),
        ..limits()
    });
    let error = Mirror::at(mirror.folder(), &git).fetch().await.unwrap_err();
    assert!(matches!(error, GitError::Busy { .. }), "{error}");
}
