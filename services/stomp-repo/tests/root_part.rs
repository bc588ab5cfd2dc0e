//! The root part as systemd starts it, with the real apt.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
};

use rustix::fs::{FlockOperation, fcntl_lock};
use stomp_repo::refresh::{Answer, ask};
use testkit::{AptHost, AptRepository, LONG, Mirror, SOON};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stomp-repo");

async fn refresh(socket: &Path, name: &str) -> Answer {
    ask(socket, &name.parse().unwrap(), LONG).await
}

#[tokio::test]
async fn it_refreshes_one_source_and_keeps_the_lists_of_the_others() {
    let repository = AptRepository::new();
    repository.upload("shop", "1.0");
    let host = AptHost::new();
    let file = format!("file:{}", repository.path().display());
    host.add_source("acme.sources", &file, &repository);
    let mirror = Mirror::start().await;
    mirror.sync(&repository.path());
    host.add_source("other.sources", &mirror.url(), &repository);
    let part = host.root_part(PROGRAM).await;
    assert_eq!(
        refresh(part.socket(), "other.sources").await,
        Answer::Refreshed
    );
    let before = host.lists();
    assert!(!before.is_empty());
    repository.upload("shop", "1.1");
    assert_eq!(
        refresh(part.socket(), "acme.sources").await,
        Answer::Refreshed
    );
    assert_eq!(host.candidate("shop"), "1.1");
    for list in before {
        assert!(host.lists().contains(&list), "{list} is gone");
    }
    assert_eq!(mirror.asked(), 1, "the other source was left alone");
}

#[tokio::test]
async fn an_unreachable_source_is_a_failure_with_its_cause() {
    let repository = AptRepository::new();
    let mut mirror = Mirror::start().await;
    let host = AptHost::new();
    host.add_source("acme.sources", &mirror.url(), &repository);
    mirror.stop().await;
    let part = host.root_part(PROGRAM).await;
    let Answer::Failed { why } = refresh(part.socket(), "acme.sources").await else {
        panic!("apt could not have done it");
    };
    assert!(
        why.contains("exit 100") && why.contains("Could not connect"),
        "{why}"
    );
}

#[tokio::test]
async fn a_source_that_is_signed_by_somebody_else_is_a_failure() {
    let (repository, other) = (AptRepository::new(), AptRepository::new());
    repository.upload("shop", "1.0");
    let host = AptHost::new();
    let file = format!("file:{}", repository.path().display());
    host.add_source("acme.sources", &file, &other);
    let part = host.root_part(PROGRAM).await;
    let answer = refresh(part.socket(), "acme.sources").await;
    assert!(matches!(answer, Answer::Failed { .. }), "{answer:?}");
    assert_eq!(host.candidate("shop"), "(unknown)");
}

#[tokio::test]
async fn another_apt_at_work_is_told_apart_from_a_failure() {
    let repository = AptRepository::new();
    let host = AptHost::new();
    let file = format!("file:{}", repository.path().display());
    host.add_source("acme.sources", &file, &repository);
    let part = host.root_part(PROGRAM).await;
    let lock = std::fs::File::create(host.root().join("var/lib/apt/lists/lock")).unwrap();
    fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).unwrap();
    let answer = refresh(part.socket(), "acme.sources").await;
    assert!(
        matches!(&answer, Answer::Busy { why } if why.contains("Could not get lock")),
        "{answer:?}"
    );
    drop(lock);
    assert_eq!(
        refresh(part.socket(), "acme.sources").await,
        Answer::Refreshed
    );
}

/// Sends bytes, and reads the answer to its end.
fn say(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    // It may answer and close before all of a long text is written.
    let _sent = stream
        .write_all(bytes)
        .and_then(|()| stream.shutdown(Shutdown::Write));
    let mut answer = String::new();
    let _closed = stream.read_to_string(&mut answer);
    answer
}

#[tokio::test]
async fn what_is_no_listed_name_is_refused() {
    let repository = AptRepository::new();
    let host = AptHost::new();
    let file = format!("file:{}", repository.path().display());
    host.add_source("acme.sources", &file, &repository);
    let part = host.root_part(PROGRAM).await;
    let long = [b"a".repeat(100_000), b".list\n".to_vec()].concat();
    for hostile in [
        &b"other.sources\n"[..],
        b"../acme.sources\n",
        b"/etc/apt/sources.list\n",
        b"acme.sources -o APT::Update::Pre-Invoke::=id\n",
        b"-o.list\n",
        b"acme.sources\0\n",
        b"\n",
        b"",
        b"\xff\xfe\n",
        b"acme.sources\r\n",
        &long,
    ] {
        let answer = say(part.socket(), hostile);
        assert!(
            answer.is_empty() || answer.starts_with("{\"outcome\":\"refused\""),
            "{answer}"
        );
    }
    assert!(host.lists().is_empty(), "apt ran");
    assert_eq!(
        say(part.socket(), b"acme.sources\n"),
        "{\"outcome\":\"refreshed\"}\n"
    );
}

#[test]
fn started_by_hand_it_says_what_it_is_for() {
    let output = Command::new(PROGRAM)
        .arg("refresh")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("this is started by stomp-repo-refresh.socket"),
        "{said}"
    );
    let output = Command::new(PROGRAM)
        .args(["refresh", "--help"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("--list <FILE>"));
}

#[tokio::test]
async fn a_root_part_that_is_not_there_is_a_failure_with_the_next_step() {
    let answer = refresh(Path::new("/nowhere/refresh.sock"), "acme.sources").await;
    let Answer::Failed { why } = answer else {
        panic!("{answer:?}");
    };
    assert!(
        why.contains("systemctl enable --now stomp-repo-refresh.socket"),
        "{why}"
    );
}
