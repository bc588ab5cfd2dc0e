//! `deploykit on`: what a message becomes, and the built program at a broker.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Stdio},
};

use chassis::{
    Common, Settings as _, Verdict,
    settings::{parse, switched_on},
};
use deploykit::{
    cli::{Cli, Command, On},
    on::{
        OnSettings,
        message::{Said, is_wanted},
        outcome::{Outcome, verdict},
    },
};
use events::{
    Envelope, Topic,
    message::{Built, CiSucceeded, DeadLetter, Pushed},
};
use serde_json::{Value, json};
use testkit::{Folder, LONG, Member, TestBroker, until};

use crate::machine::{program, says, signal};

const PROGRAM: &str = env!("CARGO_BIN_EXE_deploykit");
const COMMIT: &str = "1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910";
/// A goldenfile of each message.
const GOLDEN: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../crates/events/tests/golden"
);

fn args(words: &[&str]) -> On {
    use clap::Parser;
    let words = [&["deploykit", "on"], words, &["--", "true"]].concat();
    match Cli::try_parse_from(words).unwrap().command {
        Command::On(args) => args,
        other => panic!("{other:?}"),
    }
}

fn envelope(kind: &str, data: &Value) -> Envelope {
    let text = json!({
        "specversion": "1.0", "id": "0199b6a0-0000-7000-8000-000000000000", "source": "/x", "type": kind,
        "time": "2026-11-21T12:58:21Z", "data": data, "subject": "repo: $(id)",
    });
    Envelope::parse(text.to_string().as_bytes()).unwrap()
}

fn read(data: &Value) -> Result<Said, String> {
    let said = Said::read(
        &Topic::GitCommits,
        &envelope("deploykit.git.pushed.v1", data),
    );
    said.map_err(|wrong| wrong.to_string())
}

#[test]
fn a_message_says_what_it_is_about_in_checked_names_only() {
    let said = read(&json!({
        "repository": "shop", "ref": "refs/heads/main", "after": COMMIT, "pusher": "$(id)", "host": "web1",
        "number": 7, "project": "api", "commits": [{"title": "repo: other"}], "result": "not-built",
    }));
    let said = said.unwrap();
    let all: Vec<String> = said
        .variables()
        .map(|(name, text)| format!("{name}={text}"))
        .collect();
    assert_eq!(
        all,
        [
            "TOPIC=git.commits",
            "TYPE=deploykit.git.pushed.v1",
            "ID=0199b6a0-0000-7000-8000-000000000000",
            "TIME=2026-11-21T12:58:21Z",
            "REPOSITORY=shop",
            "REF=refs/heads/main",
            &format!("COMMIT={COMMIT}"),
            "HOST=web1",
            "PROJECT=api",
            "NUMBER=7",
            "RESULT=not-built",
        ]
    );
    assert_eq!(
        said.line(),
        "git.commits web1 shop refs/heads/main 1f0c1e9d5b"
    );
    let tag = read(&json!({"commit": COMMIT, "after": "e".repeat(40)})).unwrap();
    let commits: Vec<_> = tag.variables().filter(|it| it.0 == "COMMIT").collect();
    assert_eq!(
        commits,
        [("COMMIT", COMMIT)],
        "of an annotated tag it is the commit"
    );
    let one =
        read(&json!({"packages": [{"name": "shop", "version": "1:2~rc1"}], "packages_total": 1}));
    assert_eq!(one.unwrap().get("VERSION"), Some("1:2~rc1"));
    let two = read(&json!({"packages": [{"name": "shop", "version": "1"}], "packages_total": 2}));
    assert_eq!(two.unwrap().get("PACKAGE"), None);
}

#[test]
fn a_field_that_is_no_name_is_refused() {
    for (data, said) in [
        (
            json!({"repository": "../etc"}),
            "its repository: \"../etc\" is not a repository",
        ),
        (json!({"repository": 7}), "its repository: it is no text"),
        (json!({"ref": "refs/heads/$(id)"}), "its ref: "),
        (json!({"commit": "HEAD"}), "its commit: "),
        (json!({"host": "web1\nx"}), "its host: "),
        (json!({"url": "javascript:x"}), "its url: "),
        (json!({"result": "a b"}), "its result: it is no word"),
        (json!({"packages": [{"name": "A;b"}]}), "its name: "),
    ] {
        let wrong = read(&data).unwrap_err();
        assert!(wrong.starts_with(said), "{wrong}");
    }
    let odd = Said::read(&Topic::GitCommits, &envelope("x y", &json!({})));
    assert!(odd.is_err());
}

#[test]
fn every_message_of_the_bus_can_be_given_to_a_command() {
    let mut read = 0;
    for entry in fs::read_dir(GOLDEN).unwrap() {
        let path = entry.unwrap().path();
        let Ok(envelope) = Envelope::parse(&fs::read(&path).unwrap()) else {
            panic!("{}", path.display());
        };
        let said = Said::read(&Topic::GitCommits, &envelope);
        let said = said.unwrap_or_else(|wrong| panic!("{}: {wrong}", path.display()));
        if envelope.kind == "deploykit.deploy.report.v1" {
            let state = envelope.data["state"]["is"].as_str();
            assert!(state.is_some() && said.get("STATE") == state, "{said:?}");
        }
        read += 1;
    }
    assert!(read >= 15, "{read}");
}

#[test]
fn only_what_fits_each_kind_of_filter_is_wanted() {
    let said =
        read(&json!({"repository": "web/shop", "ref": "refs/tags/v2", "project": "api"})).unwrap();
    for (words, wanted) in [
        (&[][..], true),
        (&["--repo", "web/*"], true),
        (&["--repo", "shop"], false),
        (&["--repo", "x", "--repo", "web/shop"], true),
        (&["--ref", "refs/heads/*"], false),
        (&["--ref", "refs/tags/v?", "--project", "api"], true),
        (&["--ref", "refs/tags/v?", "--project", "web"], false),
        (&["--host", "*"], false),
    ] {
        let words = [&["git.commits"], words].concat();
        assert_eq!(is_wanted(&said, &args(&words)), wanted, "{words:?}");
    }
}

#[test]
fn what_failed_comes_again_so_often_and_is_then_put_aside_where_messages_are_kept() {
    let again = |text: &str| Verdict::Again(text.to_owned());
    let poison = |text: &str| Verdict::Poison(text.to_owned());
    for (outcome, tries, retries, kept, expected) in [
        (Outcome::Exit(0), 3, 0, true, Verdict::Done),
        (Outcome::Exit(3), 1, 0, false, Verdict::Done),
        (Outcome::Exit(3), 1, 0, true, poison("exit 3")),
        (Outcome::Exit(3), 2, 2, true, again("exit 3")),
        (
            Outcome::Signal(9),
            3,
            2,
            true,
            poison("signal 9 (tried 3 times)"),
        ),
        (
            Outcome::Late,
            1,
            1,
            false,
            again("ended at its limit (--limit)"),
        ),
        (
            Outcome::NotStarted("x".to_owned()),
            2,
            1,
            false,
            Verdict::Done,
        ),
    ] {
        assert_eq!(
            verdict(&outcome, tries, retries, kept),
            expected,
            "{outcome:?}"
        );
    }
    let codes = [
        Outcome::Exit(3),
        Outcome::Signal(15),
        Outcome::Late,
        Outcome::NotStarted(String::new()),
    ];
    assert_eq!(codes.map(|it| it.exit_code()), [3, 143, 124, 126]);
}

#[test]
fn the_shipped_file_parses_as_it_is_and_with_every_key_on() {
    let (common, _) = parse::<OnSettings>(OnSettings::SHIPPED, "on.toml").unwrap();
    assert_eq!(common, Common::default());
    parse::<OnSettings>(&switched_on(OnSettings::SHIPPED), "on.toml").unwrap();
}

/// A broker, and a folder with settings for it, a script and its notes.
struct Rig {
    broker: TestBroker,
    folder: Folder,
    member: Member,
}

/// A `deploykit on` that runs; cut off at the end of the test.
struct Runs(Child);

impl Drop for Runs {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

impl Rig {
    async fn new() -> Self {
        let broker = TestBroker::start().await;
        let member = Member::connect("announce", broker.common("hub1")).await;
        let folder = Folder::new();
        let text = format!(
            "host = 'web1'\n[bus]\nbrokers = ['{}']\nlogin = 'guest'\npasscode_file = '{}'\nbackoff_limit_s = 1\n",
            broker.address(),
            broker.passcode_file().display(),
        );
        folder.write("etc/on.toml", &text);
        Self {
            broker,
            folder,
            member,
        }
    }

    /// A script that notes what it is given, after which this text runs.
    fn script(&self, text: &str) -> PathBuf {
        let notes = self.folder.join("notes");
        let script = format!(
            "#!/bin/sh\nread line\nprintf '%s|%s\\n' \"$DEPLOYKIT_COMMIT\" \"$line\" >> {}\n{text}\n",
            notes.display()
        );
        let path = self.folder.write("script", &script);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn notes(&self) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join("notes")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    async fn noted(&self, count: usize) -> Vec<String> {
        let enough = || async {
            let notes = self.notes();
            (notes.len() >= count).then_some(notes)
        };
        until("the command has run so often", LONG, enough).await
    }

    /// Starts `deploykit on` and waits until it listens.
    async fn on(&self, words: &[&str], script: &Path) -> Runs {
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let mut command = program(PROGRAM, self.folder.path());
        command
            .env("SECRET", "x")
            .args(["--at", self.folder.path().to_str().unwrap(), "on"]);
        command.args(words).arg("--").arg(script);
        command
            .stdout(log.try_clone().unwrap())
            .stderr(Stdio::from(log));
        let runs = Runs(command.spawn().unwrap());
        self.logged("listens to ").await;
        runs
    }

    async fn logged(&self, text: &str) -> String {
        let said = || async {
            let log = self.folder.read("log");
            log.contains(text).then_some(log)
        };
        until(text, LONG, said).await
    }

    async fn ended(&self, mut runs: Runs) -> Option<i32> {
        let ended = tokio::task::spawn_blocking(move || runs.0.wait().unwrap().code());
        tokio::time::timeout(LONG, ended)
            .await
            .expect("it ends")
            .unwrap()
    }

    async fn succeeds(&self, repository: &str, number: u64) {
        let message = CiSucceeded {
            build: Built {
                repository: repository.parse().unwrap(),
                name: None,
                commit: COMMIT.parse().unwrap(),
                project: None,
                job: "shop".parse().unwrap(),
                number,
                url: None,
            },
        };
        self.member.bus.publish(&message).await.unwrap();
    }
}

#[tokio::test]
async fn a_command_is_given_the_message_and_nothing_of_our_environment() {
    let rig = Rig::new().await;
    let script = rig.script("env; echo to-stderr >&2; exit 3");
    let words = ["ci.succeeded", "--repo", "shop", "--once", "--limit", "30s"];
    let runs = rig.on(&words, &script).await;
    rig.succeeds("other", 1).await;
    rig.succeeds("shop", 2).await;
    assert_eq!(
        rig.ended(runs).await,
        Some(3),
        "with --once the command's own code"
    );
    let notes = rig.notes();
    let (commit, line) = notes[0].split_once('|').unwrap();
    let message: Value = serde_json::from_str(line).unwrap();
    assert_eq!((notes.len(), commit), (1, COMMIT));
    assert_eq!(
        (&message["data"]["number"], &message["specversion"]),
        (&json!(2), &json!("1.0"))
    );
    let log = rig.folder.read("log");
    for wanted in [
        "DEPLOYKIT_REPOSITORY=shop",
        "DEPLOYKIT_TOPIC=ci.succeeded",
        "DEPLOYKIT_NUMBER=2",
        "HOME=",
        "to-stderr",
    ] {
        assert!(log.contains(wanted), "{wanted}: {log}");
    }
    assert!(!log.contains("SECRET") && !log.contains("USER="), "{log}");
    assert!(
        log.contains("ci.succeeded shop 1f0c1e9d5b: exit 3 after "),
        "{log}"
    );
}

#[tokio::test]
async fn one_runs_at_a_time_and_a_stop_waits_for_it() {
    let rig = Rig::new().await;
    let gate = rig.folder.join("go");
    let script = rig.script(&format!(
        "while [ ! -e {} ]; do sleep 0.02; done # waits for the test",
        gate.display()
    ));
    let runs = rig.on(&["ci.succeeded"], &script).await;
    rig.succeeds("shop", 1).await;
    rig.succeeds("shop", 2).await;
    rig.noted(1).await;
    signal(runs.0.id(), "TERM");
    rig.logged("stops after the command in hand").await;
    fs::write(gate, "").unwrap();
    assert_eq!(rig.ended(runs).await, Some(0));
    assert_eq!(rig.notes().len(), 1, "the second one was not begun");
    assert!(rig.folder.read("log").contains("exit 0 after"));
}

#[tokio::test]
async fn a_named_one_misses_nothing_while_it_is_away_or_killed() {
    let mut rig = Rig::new().await;
    let gate = rig.folder.join("go");
    let script = rig.script(&format!(
        "while [ ! -e {} ]; do sleep 0.02; done # waits for the test",
        gate.display()
    ));
    let words = ["ci.succeeded", "--name", "warm", "--json"];
    let mut runs = rig.on(&words, &script).await;
    rig.succeeds("shop", 1).await;
    rig.noted(1).await;
    runs.0.kill().unwrap();
    runs.0.wait().unwrap();
    rig.succeeds("shop", 2).await;
    rig.broker.stop().await;
    rig.broker.start_again().await;
    fs::write(gate, "").unwrap();
    let runs = rig.on(&words, &script).await;
    let notes = rig.noted(3).await;
    let number = |line: &String| {
        let message: Value = serde_json::from_str(line.split_once('|').unwrap().1).unwrap();
        message["data"]["number"].as_u64().unwrap()
    };
    let numbers: Vec<u64> = notes.iter().map(number).collect();
    assert_eq!(numbers, [1, 1, 2], "the one in hand comes again");
    signal(runs.0.id(), "TERM");
    assert_eq!(rig.ended(runs).await, Some(0));
    let log = rig.folder.read("log");
    let whats: Vec<String> = log
        .lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
            record["what"].as_str().unwrap().to_owned()
        })
        .collect();
    assert!(
        whats.contains(&"began".to_owned()) && whats.contains(&"ended".to_owned()),
        "{whats:?}"
    );
}

#[tokio::test]
async fn one_that_goes_on_failing_is_tried_again_and_becomes_a_dead_letter() {
    let rig = Rig::new().await;
    let mut dead = rig.member.listen(Topic::Dead("on-warm".to_owned())).await;
    let script = rig.script("exit 7");
    let _runs = rig
        .on(
            &["ci.succeeded", "--name", "warm", "--retries", "1"],
            &script,
        )
        .await;
    rig.succeeds("shop", 1).await;
    let letter: DeadLetter = dead.hear(|_| true).await;
    assert_eq!(letter.cause, "exit 7 (tried 2 times)");
    assert_eq!(rig.notes().len(), 2);
    // Without a name it is told, and the next one goes on.
    let runs = rig.on(&["git.commits", "--once"], &script).await;
    let push = Pushed::of(
        "shop".parse().unwrap(),
        "refs/heads/main".parse().unwrap(),
        None,
        Some(COMMIT.parse().unwrap()),
    );
    rig.member.bus.publish(&push).await.unwrap();
    assert_eq!(rig.ended(runs).await, Some(7));
    assert!(rig.folder.read("log").contains("exit 7 after"));
}

#[tokio::test]
async fn at_its_limit_a_command_is_ended_with_its_children() {
    let rig = Rig::new().await;
    let script = rig.script(&format!(
        "sleep 1000 & echo $! > {}; wait",
        rig.folder.join("pid").display()
    ));
    let runs = rig
        .on(&["ci.succeeded", "--once", "--limit", "1s"], &script)
        .await;
    rig.succeeds("shop", 1).await;
    assert_eq!(rig.ended(runs).await, Some(124));
    let pid: i32 = rig.folder.read("pid").trim().parse().unwrap();
    let gone = || async { (!Path::new(&format!("/proc/{pid}")).exists()).then_some(()) };
    until("its child is gone", LONG, gone).await;
}

#[tokio::test]
async fn what_is_missing_is_said_at_once() {
    let rig = Rig::new().await;
    let run = |words: &[&str]| {
        let output = program(PROGRAM, rig.folder.path())
            .args(words)
            .output()
            .unwrap();
        (output.status.code(), says(&output))
    };
    let at = rig.folder.path().to_str().unwrap().to_owned();
    let (code, said) = run(&["--at", &at, "on", "ci.succeeded", "--", "./nowhere"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(
        said.contains("\"./nowhere\" is no command that can be run: there is none there"),
        "{said}"
    );
    let (code, said) = run(&["--at", &at, "on", "ci.succeeded", "--", "no-such-command"]);
    assert!(code == Some(78) && said.contains("on PATH"), "{said}");
    let (code, said) = run(&["on", "ci.succeeded", "--", "true"]);
    assert!(
        code == Some(78) && said.contains("no bus is known here (looked for "),
        "{said}"
    );
    for words in [
        &["on", "ci.good", "--", "true"][..],
        &["on", "ci.succeeded"],
        &["on", "ci.succeeded", "--limit", "0s", "--", "true"],
        &["on", "ci.succeeded", "--retries", "8", "--", "true"],
        &["on", "ci.succeeded", "--forget"],
    ] {
        assert_eq!(run(words).0, Some(2), "{words:?}");
    }
}

#[tokio::test]
async fn a_name_that_is_not_wanted_any_more_is_forgotten() {
    let rig = Rig::new().await;
    let words = ["ci.succeeded", "--name", "warm"];
    let runs = rig.on(&words, Path::new("true")).await;
    signal(runs.0.id(), "TERM");
    assert_eq!(rig.ended(runs).await, Some(0));
    rig.succeeds("shop", 1).await;
    let mut command = program(PROGRAM, rig.folder.path());
    command.arg("--at").arg(rig.folder.path());
    command.arg("on").args(words).arg("--forget");
    let forgotten = tokio::task::spawn_blocking(move || command.output().unwrap());
    let forgotten = forgotten.await.unwrap();
    assert_eq!(forgotten.status.code(), Some(0), "{}", says(&forgotten));
    let once = [&words[..], &["--once"]].concat();
    let runs = rig.on(&once, &rig.script("")).await;
    rig.succeeds("shop", 2).await;
    assert_eq!(rig.ended(runs).await, Some(0));
    assert!(
        rig.notes()[0].contains("\"number\":2"),
        "what was kept for it is gone"
    );
}
