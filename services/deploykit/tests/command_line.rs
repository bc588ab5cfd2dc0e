//! The built program: help, exit codes, completions.

use std::{
    io::Write,
    process::{Output, Stdio},
};

use clap::CommandFactory;
use deploykit::cli::Cli;

pub(crate) fn deploykit(args: &[&str]) -> Output {
    given("", args)
}

fn given(input: &str, args: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_deploykit"))
        .args(args)
        .env_clear()
        .env("HOME", home.path())
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // What does not read its input closes it.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn help_has_examples_and_exit_codes() {
    let output = deploykit(&["--help"]);
    assert_eq!(output.status.code(), Some(0));
    for expected in ["deploykit demo", "deploykit rollback shop", "Exit codes:"] {
        assert!(says(&output).contains(expected), "{expected}");
    }
}

#[test]
fn no_orchestrator_is_said_in_one_sentence() {
    let output = deploykit(&["status"]);
    assert_eq!(output.status.code(), Some(78), "{}", says(&output));
    assert!(
        says(&output).contains("deploykit up --repo"),
        "{}",
        says(&output)
    );
    assert_eq!(says(&output).lines().count(), 1);
}

#[test]
fn a_dead_orchestrator_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let home = format!(
        "socket = \"{0}/none.sock\"\nkey_file = \"{0}/key\"\n",
        folder.path().display()
    );
    std::fs::write(folder.path().join("deploykit.toml"), home).unwrap();
    let output = deploykit(&["--at", folder.path().to_str().unwrap(), "status"]);
    assert_eq!(output.status.code(), Some(69), "{}", says(&output));
    assert!(says(&output).contains("none.sock"), "{}", says(&output));
}

#[test]
fn hostile_names_are_refused_when_typed() {
    for args in [
        ["deploy", "../x", "v1"],
        ["deploy", "; rm -rf", "v1"],
        ["tags", "Shop!", ""],
    ] {
        let args: Vec<&str> = args.into_iter().filter(|arg| !arg.is_empty()).collect();
        let output = deploykit(&args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", says(&output));
    }
}

#[test]
fn a_push_is_never_failed_by_its_announcement() {
    let output = deploykit(&[
        "announce",
        "git",
        "--repository",
        "shop",
        "--spool",
        "/proc/none",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", says(&output));
    let output = deploykit(&["announce", "git", "--repository", "../x"]);
    assert_eq!(output.status.code(), Some(0), "{}", says(&output));
    assert!(says(&output).contains("../x"), "{}", says(&output));
}

#[test]
fn each_hook_obeys_the_limits_of_what_delivers_its_spool() {
    const COMMIT: &str = "1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910";
    let none = "0".repeat(40);
    let push = format!("{none} {COMMIT} refs/heads/main\n");
    let svn = "ann\n2026-11-21 13:46:30 +0000\n1\nx\nA   trunk/x\n";
    let package = "add bookworm deb main amd64 shop 1.0\n";
    let build = ["--commit", COMMIT, "--job", "shop", "--number", "7"];
    let commands: [(&[&str], &[&str], &str); 4] = [
        (&["git"], &[], &push),
        (&["svn"], &["--revision", "7"], svn),
        (&["package"], &[], package),
        (&["build", "started"], &build, ""),
    ];
    for (command, more, input) in commands {
        let folder = tempfile::tempdir().unwrap();
        let (file, spool) = (
            folder.path().join("announce.toml"),
            folder.path().join("spool"),
        );
        let announce = || {
            let mut args = vec!["announce"];
            args.extend(command);
            args.extend(["--repository", "shop", "--config", file.to_str().unwrap()]);
            args.extend(more);
            let output = given(input, &args);
            assert_eq!(output.status.code(), Some(0), "{}", says(&output));
            says(&output)
        };
        let waiting = || {
            let entries = std::fs::read_dir(&spool).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name());
            // Beside the messages there is a note of what was refused.
            names.filter(|name| name != ".refused").count()
        };
        let settings = |limits: &str| {
            let text = format!("[outbox]\nfolder = {spool:?}\n{limits}\n");
            std::fs::write(&file, text).unwrap();
        };
        settings("messages = 2");
        assert_eq!([announce(), announce()], ["", ""], "{command:?}");
        let refused = announce();
        let full = format!("the outbox {} is full: 2 messages", spool.display());
        assert!(refused.contains(&full), "{refused}");
        assert_eq!(waiting(), 2, "{command:?}");
        settings("messages = 3");
        assert_eq!((announce().as_str(), waiting()), ("", 3), "{command:?}");
    }
}

#[test]
fn a_hook_announces_within_the_default_limits_where_the_settings_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let (file, spool) = (
        folder.path().join("announce.toml"),
        folder.path().join("spool"),
    );
    std::fs::write(&file, "[outbox]\nmessages = 0\n").unwrap();
    let output = given(
        "add bookworm deb main amd64 shop 1.0\n",
        &[
            "announce",
            "package",
            "--repository",
            "acme",
            "--spool",
            spool.to_str().unwrap(),
            "--config",
            file.to_str().unwrap(),
        ],
    );
    let said = says(&output);
    assert!(
        said.contains("outbox.messages must be 1 to 1000000") && said.lines().count() == 1,
        "{said}"
    );
    assert_eq!(std::fs::read_dir(&spool).unwrap().count(), 1);
}

#[test]
fn what_delivers_the_spool_reads_its_settings_as_a_service() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("announce.toml");
    let check = |text: &str| {
        std::fs::write(&file, text).unwrap();
        deploykit(&[
            "announce",
            "deliver",
            "--check",
            "--config",
            file.to_str().unwrap(),
        ])
    };
    let good = check("[outbox]\nfolder = \"/var/spool/deploykit\"\n");
    assert_eq!(good.status.code(), Some(0), "{}", says(&good));
    let wrong = check("[outbox]\nfoldr = \"/var/spool/deploykit\"\n");
    assert_eq!(wrong.status.code(), Some(78), "{}", says(&wrong));
    assert!(
        says(&wrong).contains("announce.toml") && says(&wrong).contains("foldr"),
        "{}",
        says(&wrong)
    );
}

#[test]
fn completions_and_man_pages_are_there() {
    assert!(says(&deploykit(&["completions", "bash"])).contains("deploykit"));
    let folder = tempfile::tempdir().unwrap();
    let output = deploykit(&["man", folder.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", says(&output));
    assert!(folder.path().join("deploykit-deploy.1").exists());
}

#[test]
fn setup_makes_keys_and_settings_once_and_the_doctor_is_content() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    let first = deploykit(&["setup", "--dir", dir, "--name", "ann@example.org"]);
    assert_eq!(first.status.code(), Some(0), "{}", says(&first));
    let key = std::fs::read(folder.path().join("keys/operator")).unwrap();
    let again = deploykit(&["setup", "--dir", dir, "--name", "ann@example.org"]);
    assert_eq!(again.status.code(), Some(0), "{}", says(&again));
    assert_eq!(
        std::fs::read(folder.path().join("keys/operator")).unwrap(),
        key
    );
    assert!(says(&again).contains("kept"), "{}", says(&again));
    let policy = std::fs::read_to_string(folder.path().join("policy.toml")).unwrap();
    assert!(
        policy.contains("principals = [\"ann@example.org\"]"),
        "the page, which has no login, is not let in unasked: {policy}"
    );
}

#[test]
fn the_doctor_names_a_key_that_others_can_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().to_str().unwrap();
    deploykit(&["setup", "--dir", dir]);
    let key = folder.path().join("keys/orchestrator");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let output = deploykit(&["doctor", "--dir", dir]);
    assert_eq!(output.status.code(), Some(1), "{}", says(&output));
    assert!(
        says(&output).contains(&format!("chmod 600 {}", key.display())),
        "{}",
        says(&output)
    );
}

#[test]
fn the_broker_stays_on_loopback_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passcode");
    std::fs::write(&file, "let-me-in\n").unwrap();
    let file = file.to_str().unwrap();
    let user = format!("guest={file}");
    let table: [(&[&str], &str); 5] = [
        (&[], "has no TLS: listen on 127.0.0.1"),
        (
            &["--login", "ann", "--passcode-file", file],
            "or say --allow-outside",
        ),
        (&["--allow-outside"], "guest is for loopback only"),
        (
            &["--allow-outside", "--user", &user],
            "guest is for loopback only",
        ),
        (&["--user", "ann"], "--user \"ann\" is not LOGIN=FILE"),
    ];
    for (more, expected) in table {
        let output = deploykit(&[&["broker", "--listen", "0.0.0.0:0"], more].concat());
        assert_eq!(output.status.code(), Some(78), "{}", says(&output));
        assert!(says(&output).contains(expected), "{}", says(&output));
    }
}
