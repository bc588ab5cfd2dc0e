//! The process between the agent and a script: it runs a script once, and leaves how that went in its folder.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufReader, Read},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Command, ExitCode},
    time::Duration,
};

use deploy_agent::run_folder::{Found, RunFolder, Spec, Status};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use world::{Disk, RealDisk, World};

/// A run of a shell script, made but not started.
async fn step(folder: &Path) -> ExitCode {
    let itself = [env!("CARGO_BIN_EXE_deploy-agent"), "step"];
    deploy_agent::step(&World::real(), folder, &itself).await
}

fn run(script: &str, limit_s: u64) -> (TempDir, RunFolder) {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("script");
    fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("set");
    let spec = Spec {
        program,
        args: vec!["one two".to_owned()],
        folder: folder.path().to_owned(),
        user: None,
        env: BTreeMap::from([("WHO".to_owned(), "ann".to_owned())]),
        limit_s,
        grace_s: 1,
        flush: false,
    };
    let run = RunFolder::at(folder.path().join("steps/one"));
    run.make(&RealDisk, &spec).expect("made");
    (folder, run)
}

fn over(run: &RunFolder) -> Status {
    match run.look(&RealDisk).expect("read") {
        Found::Over(status) => status,
        other => panic!("{other:?}"),
    }
}

fn output(run: &RunFolder) -> String {
    fs::read_to_string(run.output()).expect("read")
}

#[tokio::test]
async fn a_script_leaves_its_output_in_order_and_its_exit_code() {
    let (_folder, run) = run("echo $# $1; echo two >&2; echo $WHO $HOME; exit 3", 20);
    assert_eq!(run.look(&RealDisk).expect("read"), Found::Fresh);
    step(run.path()).await;
    assert_eq!(
        output(&run),
        "1 one two\ntwo\nann\n",
        "and nothing is inherited"
    );
    let status = over(&run);
    assert_eq!(
        (status.exit, status.timed_out, status.ended),
        (Some(3), false, false)
    );
}

#[tokio::test]
async fn a_script_runs_once_however_often_it_is_started() {
    let (_folder, run) = run("echo ran", 20);
    let started = run.path().to_owned();
    tokio::join!(step(&started), step(&started));
    step(&started).await;
    assert_eq!(output(&run), "ran\n");
}

#[tokio::test]
async fn a_script_at_its_limit_is_ended_with_its_children() {
    let (folder, run) = run("(trap '' TERM; sleep 60; echo late) & echo $!; wait", 1);
    step(run.path()).await;
    assert!(over(&run).timed_out);
    let child: u32 = output(&run).trim().parse().expect("the child's id");
    within_limit("the child is killed", || gone(child)).await;
    drop(folder);
}

/// True once a process is no more, or waits only for its parent to notice.
fn gone(process: u32) -> bool {
    !fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|text| !text.contains(") Z"))
}

async fn within_limit(what: &str, is_so: impl Fn() -> bool) {
    let waited = timeout(Duration::from_secs(10), async {
        while !is_so() {
            // waits for `is_so`, within the limit around it
            sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain: {what}");
}

#[tokio::test]
async fn a_script_that_is_asked_to_end_ends() {
    let (_folder, run) = run("echo began; sleep 60; echo late", 20);
    let asked = async {
        let began = || fs::read_to_string(run.output()).is_ok_and(|text| text.contains("began"));
        within_limit("it began", began).await;
        assert_eq!(run.look(&RealDisk).expect("read"), Found::UnderWay);
        run.ask_end(&RealDisk).expect("asked");
    };
    tokio::join!(step(run.path()), asked);
    let status = over(&run);
    assert!(status.ended && !status.timed_out);
    assert_eq!(output(&run), "began\n");
}

#[tokio::test]
async fn what_a_script_leaves_in_the_background_goes_on() {
    let (folder, run) = run("(sleep 0.3; echo up > up) & exit 0", 20);
    step(run.path()).await;
    assert_eq!(over(&run).exit, Some(0));
    let up = folder.path().join("up");
    within_limit("the service came up", || up.exists()).await;
}

#[tokio::test]
async fn a_script_that_cannot_be_started_says_why() {
    let (folder, run) = run("exit 0", 20);
    fs::write(folder.path().join("script"), "#!/nowhere/sh\n").expect("written");
    step(run.path()).await;
    let error = over(&run).error.expect("it did not start");
    assert!(error.contains("script"), "{error}");
}

#[tokio::test]
async fn a_run_whose_runner_died_is_interrupted_and_not_started_again() {
    let (_folder, run) = run("echo ran", 20);
    run.begin(&RealDisk).expect("begun");
    assert_eq!(run.look(&RealDisk).expect("read"), Found::Left);
    step(run.path()).await;
    let interrupted = Status {
        interrupted: true,
        ..Status::default()
    };
    assert_eq!(over(&run), interrupted);
    // Nor by what that runner had started, and what comes late.
    let late = Command::new(env!("CARGO_BIN_EXE_deploy-agent"))
        .arg("step")
        .arg(run.path())
        .args(["sh", "-c", "echo ran"])
        .output()
        .expect("it runs");
    assert_eq!((late.status.code(), late.stdout), (Some(1), Vec::new()));
    assert!(!run.output().exists());
}

#[tokio::test]
async fn a_script_that_outlives_its_killed_runner_is_ended_before_it_counts_as_interrupted() {
    let root = fs::metadata("/proc/self").expect("there").uid() == 0;
    for user in [None, root.then_some("nobody")] {
        // The leader ignores TERM, and so does what it started.
        let script = "trap '' TERM; sleep 60 & echo $$ $!; kill -9 $PPID; wait";
        let (folder, run) = run(script, 20);
        let user = user.map(|user| user.to_owned().try_into().expect("a name"));
        let spec = Spec {
            user,
            ..run.spec(&RealDisk).expect("read")
        };
        // Another user's script cannot kill the runner.
        let kills = spec.user.is_none();
        run.make(&RealDisk, &spec).expect("made");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("set");
        let mut runner = Command::new(env!("CARGO_BIN_EXE_deploy-agent"))
            .arg("step")
            .arg(run.path())
            .spawn()
            .expect("it starts");
        let ids = || fs::read_to_string(run.output()).unwrap_or_default();
        within_limit("it began", || ids().contains('\n')).await;
        if !kills {
            runner.kill().expect("killed");
        }
        runner.wait().expect("it is gone");
        let ids: Vec<u32> = ids()
            .split_whitespace()
            .filter_map(|id| id.parse().ok())
            .collect();
        assert_eq!(ids.len(), 2);
        assert!(ids.iter().all(|id| !gone(*id)), "the script lives");
        assert_eq!(run.look(&RealDisk).expect("read"), Found::Left);
        step(run.path()).await;
        let status = over(&run);
        assert!(status.interrupted && status.error.is_none(), "{status:?}");
        assert!(ids.iter().all(|id| gone(*id)), "nothing of it lives");
    }
}

#[tokio::test]
async fn a_run_that_is_forbidden_never_starts() {
    let (_folder, run) = run("echo ran", 20);
    assert!(run.forbid(&RealDisk).expect("forbidden"));
    assert!(
        !run.forbid(&RealDisk).expect("read"),
        "only what was not started can be forbidden"
    );
    step(run.path()).await;
    assert!(!run.output().exists());
    let held = RealDisk.lock(&run.lock()).expect("read");
    assert!(
        !run.forbid(&RealDisk).expect("read"),
        "nor what a runner has"
    );
    drop(held);
}

/// The user `nobody` of Debian.
const NOBODY: u32 = 65534;

/// A file's text, as another user sees it.
fn read_as(user: &str, file: &Path) -> Option<String> {
    let read = Command::new("setpriv")
        .arg(format!("--reuid={user}"))
        .args(["--regid=nogroup", "--clear-groups", "cat"])
        .arg(file)
        .output()
        .expect("setpriv runs");
    let text = String::from_utf8_lossy(&read.stdout).into_owned();
    read.status.success().then_some(text)
}

#[tokio::test]
async fn a_script_runs_as_its_user_who_has_no_way_back_and_may_read_what_it_says() {
    let root = fs::metadata("/proc/self").expect("there").uid() == 0;
    let said = "id -un; id -G; echo \"$WHO $HOME\"; grep NoNewPrivs /proc/self/status; touch new; sleep 0.1; exit 4";
    let (folder, run) = run(said, 20);
    let user = if root { "nobody" } else { "root" };
    let spec = Spec {
        user: Some(user.to_owned().try_into().expect("a name")),
        ..run.spec(&RealDisk).expect("read")
    };
    run.make(&RealDisk, &spec).expect("made");
    for folder in [folder.path(), &folder.path().join("steps")] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("set");
    }
    if !root {
        step(run.path()).await;
        let error = over(&run).error.expect("it is not started");
        assert!(error.contains("only root can run it as root"), "{error}");
        return;
    }
    std::os::unix::fs::chown(folder.path(), Some(NOBODY), None).expect("given");
    step(run.path()).await;
    assert_eq!(over(&run).exit, Some(4));
    assert_eq!(
        output(&run),
        "nobody\n65534\nann /nonexistent\nNoNewPrivs:\t1\n"
    );
    let made = fs::metadata(folder.path().join("new")).expect("it made it");
    assert_eq!(made.uid(), NOBODY);
    assert_eq!(read_as("nobody", &run.output()), Some(output(&run)));
    let kept = fs::metadata(run.output()).expect("kept");
    assert_eq!(
        (kept.uid(), kept.gid(), kept.mode() & 0o777),
        (0, NOBODY, 0o640),
        "nobody else reads it, and they cannot change it"
    );
    assert_eq!(
        read_as("nobody", &run.path().join("spec.json")),
        None,
        "nor see more than that"
    );
}

#[tokio::test]
async fn another_users_script_is_ended_at_its_limit_too() {
    let (folder, run) = run("(trap '' TERM; sleep 60) & echo $!; wait", 1);
    if fs::metadata("/proc/self").expect("there").uid() == 0 {
        let spec = Spec {
            user: Some("nobody".to_owned().try_into().expect("a name")),
            ..run.spec(&RealDisk).expect("read")
        };
        run.make(&RealDisk, &spec).expect("made");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("set");
    }
    step(run.path()).await;
    assert!(over(&run).timed_out);
    let child: u32 = output(&run).trim().parse().expect("the child's id");
    within_limit("the child is killed", || gone(child)).await;
}

#[tokio::test]
async fn a_user_who_is_not_there_is_said() {
    let (_folder, run) = run("echo ran", 20);
    let spec = Spec {
        user: Some("no-such-user".to_owned().try_into().expect("a name")),
        ..run.spec(&RealDisk).expect("read")
    };
    run.make(&RealDisk, &spec).expect("made");
    step(run.path()).await;
    let error = over(&run).error.expect("it is not started");
    assert!(error.contains("there is no user no-such-user"), "{error}");
    assert!(!run.output().exists());
}

#[tokio::test]
async fn output_of_100_mb_stays_byte_for_byte() {
    const BYTES: u64 = 100 << 20;
    let (_folder, run) = run("yes 0123456789abcdef | head -c 104857600", 60);
    step(run.path()).await;
    assert_eq!(over(&run).exit, Some(0));
    assert_eq!(fs::metadata(run.output()).expect("kept").len(), BYTES);
    let mut kept = BufReader::new(fs::File::open(run.output()).expect("kept"));
    let mut piece = [0; 17];
    let whole = (0..BYTES / 17).all(|_| {
        kept.read_exact(&mut piece).expect("read");
        piece == *b"0123456789abcdef\n"
    });
    assert!(whole);
}
