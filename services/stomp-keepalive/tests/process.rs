//! The program as systemd runs it.
#![expect(
    clippy::disallowed_methods,
    reason = "the program is run as its users run it, not as a program of ours"
)]

use std::{
    os::unix::net::UnixDatagram,
    process::{Command, Output, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};
use testkit::{Folder, LONG, TestBroker};

const PROGRAM: &str = env!("CARGO_BIN_EXE_stomp-keepalive");

fn run(arguments: &[&str]) -> (Option<i32>, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(PROGRAM).args(arguments).output().unwrap();
    let text = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.code(), text)
}

#[test]
fn wrong_settings_are_named_and_exit_with_78() {
    let folder = Folder::new();
    let wrong = folder.write("wrong.toml", "every_s = 1\nslow = 2\n");
    let wrong = wrong.to_str().unwrap();
    for arguments in [&["--config", wrong, "--check"][..], &["--config", wrong]] {
        let (code, text) = run(arguments);
        assert_eq!(code, Some(78), "{text}");
        assert!(
            text.contains("wrong.toml:2: key `slow`: unknown field"),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
    }
    let (code, text) = run(&["--config", "/nowhere.toml"]);
    assert_eq!(code, Some(78), "{text}");
    assert!(
        text.contains("cannot read settings /nowhere.toml"),
        "{text}"
    );
}

#[test]
fn the_arguments_of_every_service_are_there() {
    let folder = Folder::new();
    let fine = folder.write("fine.toml", "every_s = 1\nhost = 'hub1'\n");
    let (code, text) = run(&["--config", fine.to_str().unwrap(), "--check"]);
    assert_eq!(
        (code, text.as_str()),
        (Some(0), "stomp-keepalive: the settings are fine\n")
    );
    let (code, text) = run(&["--version"]);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("stomp-keepalive 0."), "{text}");
    let (code, text) = run(&["--help"]);
    assert_eq!(code, Some(0));
    assert!(
        text.contains("Example:") && text.contains("/etc/deploykit/stomp-keepalive.toml"),
        "{text}"
    );
}

#[tokio::test]
async fn systemd_hears_ready_status_and_stopping_and_sigterm_ends_it_cleanly() {
    let broker = TestBroker::start().await;
    let folder = Folder::new();
    let settings = format!(
        "every_s = 1\nhost = 'hub1'\n[bus]\nbrokers = ['{}']\nlogin = 'guest'\npasscode_file = '{}'\n",
        broker.address(),
        broker.passcode_file().display()
    );
    let config = folder.write("k.toml", &settings);
    let notify = folder.join("notify");
    let socket = UnixDatagram::bind(&notify).unwrap();
    socket.set_read_timeout(Some(LONG)).unwrap();
    let mut child = Command::new(PROGRAM)
        .args(["--config", config.to_str().unwrap()])
        .env("NOTIFY_SOCKET", &notify)
        .env("NO_COLOR", "1")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    let ended = tokio::task::spawn_blocking(move || {
        let mut heard = Vec::new();
        let mut hear = |wanted: &str| loop {
            let mut buffer = [0; 512];
            let Ok(size) = socket.recv(&mut buffer) else {
                panic!("{wanted} was not heard, only {heard:?}");
            };
            let text = String::from_utf8_lossy(&buffer[..size]).trim().to_owned();
            heard.push(text.clone());
            if text.starts_with(wanted) {
                return text;
            }
        };
        hear("READY=1");
        hear("STATUS=round trip ");
        kill_process(pid, Signal::TERM).unwrap();
        hear("STOPPING=1");
        let status = child.wait().unwrap();
        let mut log = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut log).unwrap();
        (status.code(), log)
    });
    let (code, log) = ended.await.unwrap();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("connected to the bus") && log.contains("stopped"),
        "{log}"
    );
    assert!(!log.contains("ERROR") && !log.contains("guest"), "{log}");
}
