//! What is laid out for a release: what it may cost, whose it is, and what it takes over from the one before.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use deploy_agent::{
    in_use::in_use,
    machine::End,
    steps::{Work, act},
};
use events::{CommitId, message::Step};
use tokio_util::sync::CancellationToken;
use world::RealDisk;

use crate::{laying_out::work, manifest::Place};

async fn detail(place: &Place, commit: &CommitId, release: &str) -> String {
    let outcome = place.prepare(commit, release).await;
    outcome
        .detail
        .unwrap_or_else(|| format!("{:?}", outcome.end))
}

fn inode(path: &Path) -> u64 {
    fs::metadata(path).expect("it is there").ino()
}

#[tokio::test]
async fn what_the_disk_has_no_room_for_waits_with_the_reason_and_leaves_nothing() {
    for (settings, wanted) in [
        (
            "spare_mb = 999999999",
            "is short: 1 MB are needed beside the 999999999 MB that stay free",
        ),
        (
            "spare_files = 99999999999",
            "is short of inodes: 2 are needed beside the 99999999999 that stay free",
        ),
    ] {
        let place = Place::with(settings);
        let commit = place.commit(&[("a", "x")]);
        for _ in 0..2 {
            let outcome = place.prepare(&commit, "one").await;
            assert_eq!(outcome.end, End::NotYet);
            let reason = outcome.detail.expect("a reason");
            assert!(reason.ends_with(wanted), "{reason}");
        }
        assert_eq!(
            fs::read_dir(place.layout().releases())
                .expect("read")
                .count(),
            0
        );
    }
}

#[tokio::test]
async fn a_release_over_its_limits_is_refused() {
    for (settings, wanted) in [
        ("release_mb = 1", "it has more than 1048576 bytes"),
        ("release_files = 2", "it has more than 2 files and folders"),
    ] {
        // It is not waited for either.
        let place = Place::with(&format!("{settings}\nspare_mb = 999999999"));
        let large = "x".repeat(600_000);
        let commit = place.commit(&[("a", &large), ("b", &large)]);
        let reason = detail(&place, &commit, "one").await;
        assert!(reason.ends_with(wanted), "{reason}");
        assert_eq!(
            fs::read_dir(place.layout().releases())
                .expect("read")
                .count(),
            0
        );
    }
}

#[tokio::test]
async fn what_is_the_same_is_taken_over_and_what_was_touched_since_is_not() {
    let place = Place::with("shared = ['log']");
    let first = place.commit(&[("a", "1"), ("b", "1"), ("c", "1"), ("log", "x")]);
    fs::write(place.layout().shared().join("log"), "kept").expect("written");
    assert_eq!(place.prepare(&first, "r1").await.end, End::Ok);
    // As a build or the service may do; the time is put back, as some tools do.
    let touched = place.in_release("r1", "a");
    let before = fs::metadata(&touched)
        .expect("there")
        .modified()
        .expect("a time");
    fs::write(&touched, "2").expect("written");
    let file = fs::File::options()
        .write(true)
        .open(&touched)
        .expect("opened");
    file.set_modified(before).expect("put back");
    let second = place.commit(&[("b", "2")]);
    assert_eq!(place.prepare(&second, "r2").await.end, End::Ok);
    let text = |path: &str| fs::read_to_string(place.in_release("r2", path)).expect("read");
    assert_eq!(["a", "b", "c", "log"].map(text), ["1", "2", "1", "kept"]);
    let [c1, c2] = ["r1", "r2"].map(|release| inode(&place.in_release(release, "c")));
    assert_ne!(c1, c2, "a copy");
}

#[tokio::test]
async fn releases_that_nobody_writes_to_share_their_files() {
    let place = Place::new();
    let first = place.commit(&[("deploy.toml", "hard_links = true"), ("a", "1"), ("b", "1")]);
    assert_eq!(place.prepare(&first, "r1").await.end, End::Ok);
    let second = place.commit(&[("b", "2")]);
    assert_eq!(place.prepare(&second, "r2").await.end, End::Ok);
    let same = |path: &str, one: &str, two: &str| {
        inode(&place.in_release(one, path)) == inode(&place.in_release(two, path))
    };
    assert!(same("a", "r1", "r2") && !same("b", "r1", "r2"));
    let third = place.commit(&[("c", "1")]);
    assert_eq!(place.prepare(&third, "r3").await.end, End::Ok);
    assert!(same("a", "r1", "r3") && same("b", "r2", "r3"));
    // What is known of the newest is damaged: the one before it will do.
    fs::write(place.layout().laid("r3"), "{").expect("written");
    let fourth = place.commit(&[("c", "2")]);
    assert_eq!(place.prepare(&fourth, "r4").await.end, End::Ok);
    assert!(same("a", "r1", "r4"));
    for release in ["r1", "r2", "r3", "r4"] {
        fs::remove_file(place.layout().laid(release)).expect("removed");
    }
    assert_eq!(place.prepare(&fourth, "r5").await.end, End::Ok);
    assert!(!same("a", "r1", "r5"));
}

#[tokio::test]
async fn a_release_becomes_its_owner_s_once_the_agent_has_done_with_it() {
    assert!(
        rustix::process::geteuid().is_root(),
        "this test gives files away: run it as root"
    );
    let place = Place::with("owner = 'nobody'\nshared = ['var/log', 'd/x']");
    let commit = place.commit(&[("a", "1")]);
    assert_eq!(place.prepare(&commit, "r1").await.end, End::Ok);
    let meta = |path: &Path| fs::symlink_metadata(path).expect("it is there");
    // As after a crash behind the handing over, once the owner has done what it can to lead root elsewhere.
    let outside = place.folder.path().join("outside");
    fs::create_dir_all(&outside).expect("made");
    fs::remove_dir_all(place.in_release("r1", "d")).expect("removed");
    std::os::unix::fs::symlink(&outside, place.in_release("r1", "d")).expect("made");
    let again = Work {
        step: Step::Shared,
        release: Some("r1".to_owned()),
        ..work(&commit)
    };
    let outcome = act(Arc::clone(&place.site), again, CancellationToken::new()).await;
    assert_eq!(outcome.end, End::Ok, "{outcome:?}");
    assert_eq!(fs::read_dir(&outside).expect("read").count(), 0);
    let nobody = meta(&place.in_release("r1", "a")).uid();
    assert_ne!(nobody, 0);
    for path in ["", "var"] {
        let meta = meta(&place.in_release("r1", path));
        assert_eq!((meta.uid(), meta.mode() & 0o777), (nobody, 0o755), "{path}");
    }
    for path in ["var", "var/log", "d/x"] {
        assert_eq!(
            meta(&place.layout().shared().join(path)).uid(),
            nobody,
            "{path}"
        );
    }
    let place = Place::with("owner = 'nobody-has-this-name'");
    let reason = detail(&place, &commit_of(&place), "r1").await;
    assert!(
        reason.starts_with("there is no user nobody-has-this-name"),
        "{reason}"
    );
}

fn commit_of(place: &Place) -> CommitId {
    place.commit(&[("a", "1")])
}

/// A process that ends with the test.
struct Sleeper(Child);

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn a_release_is_in_use_by_who_is_in_it_runs_from_it_has_a_file_open_or_its_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let names: Vec<String> = [
        "20260101-unused",
        "20260102-in",
        "20260103-runs",
        "20260104-open",
        "20260105-named",
    ]
    .map(str::to_owned)
    .to_vec();
    let release = |at: usize| folder.path().join("releases").join(&names[at]);
    for at in 0..names.len() {
        fs::create_dir_all(release(at)).expect("made");
    }
    fs::copy("/bin/sleep", release(2).join("sleep")).expect("copied");
    fs::write(release(3).join("file"), "").expect("written");
    let started = |command: &mut Command| Sleeper(command.spawn().expect("started"));
    let open = fs::File::open(release(3).join("file")).expect("opened");
    let name = release(4).display().to_string();
    let sleepers = [
        started(Command::new("sleep").arg("300").current_dir(release(1))),
        started(Command::new(release(2).join("sleep")).arg("300")),
        started(Command::new("sleep").arg("300").stdin(Stdio::from(open))),
        // `read` waits for the end of its input.
        started(
            Command::new("sh")
                .args(["-c", "read x", &name])
                .stdin(Stdio::piped()),
        ),
    ];
    let used = in_use(&RealDisk, &names).expect("looked");
    assert_eq!(used.into_iter().collect::<Vec<_>>(), names[1..]);
    drop(sleepers);
    assert!(in_use(&RealDisk, &names).expect("looked").is_empty());
}
