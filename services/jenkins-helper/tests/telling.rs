//! The build step with a broker: there, away, and back.

use std::{collections::BTreeMap, process::ExitCode};

use events::{
    Topic,
    message::{BuildResult, CiFailed, CiStarted, CiSucceeded},
};
use jenkins_helper::{Settings, serve, step_with};
use testkit::{Folder, LONG, Member, Running, TestBroker, until};
use world::World;

const COMMIT: &str = "1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910";

struct Rig {
    broker: TestBroker,
    folder: Folder,
}

impl Rig {
    async fn start(deliver_within_s: u64) -> Self {
        let broker = TestBroker::start().await;
        let folder = Folder::new();
        let text = format!(
            "host = 'ci1'\ndeliver_within_s = {deliver_within_s}\n[outbox]\nfolder = '{}'\n\
             [bus]\nbrokers = ['{}']\nlogin = 'guest'\npasscode_file = '{}'\n",
            folder.join("spool").display(),
            broker.address(),
            broker.passcode_file().display(),
        );
        folder.write("x.toml", &text);
        Self { broker, folder }
    }

    async fn step(&self, words: &[&str], changes: &[(&str, &str)]) -> (ExitCode, String) {
        let base = [
            ("JOB_NAME", "backend/shop"),
            ("BUILD_NUMBER", "42"),
            ("GIT_COMMIT", COMMIT),
            ("DEPLOYKIT_REPOSITORY", "shop"),
        ];
        let all = base.iter().chain(changes);
        let pairs = all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let environment: BTreeMap<_, _> = pairs.collect();
        let config = self.folder.join("x.toml").display().to_string();
        let mut words = words.to_vec();
        words.extend(["--config", &config]);
        step_with(&words, &environment).await
    }

    fn spooled(&self) -> usize {
        let names = self.folder.names("spool");
        names.iter().filter(|it| it.ends_with(".json")).count()
    }
}

#[tokio::test]
async fn each_word_reaches_the_bus_at_once() {
    let rig = Rig::start(20).await;
    let member = Member::connect("listener", rig.broker.common("hub2")).await;
    let mut started = member.listen(Topic::CiStarted).await;
    let mut succeeded = member.listen(Topic::CiSucceeded).await;
    let mut failed = member.listen(Topic::CiFailed).await;
    for (words, said) in [
        (&["started"][..], "shop 1f0c1e9d5b: backend/shop 42 started"),
        (&["succeeded"], "shop 1f0c1e9d5b: backend/shop 42 succeeded"),
        (
            &["failed", "--result", "unstable"],
            "shop 1f0c1e9d5b: backend/shop 42 failed",
        ),
    ] {
        let (code, text) = rig.step(words, &[]).await;
        assert_eq!((code, text.as_str()), (ExitCode::SUCCESS, said));
    }
    started.hear(|it: &CiStarted| it.build.number == 42).await;
    succeeded
        .hear(|it: &CiSucceeded| it.build.commit.as_str() == COMMIT)
        .await;
    failed
        .hear(|it: &CiFailed| it.result == BuildResult::Unstable)
        .await;
    assert_eq!(rig.spooled(), 0);
}

#[tokio::test]
async fn with_the_broker_away_it_waits_in_the_spool_and_goes_out_with_the_next_step() {
    let mut rig = Rig::start(1).await;
    rig.broker.stop().await;
    let (code, text) = rig.step(&["started"], &[]).await;
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(
        text.contains("; it waits in ") && text.contains("(deliver_within_s)"),
        "{text}"
    );
    assert_eq!(rig.spooled(), 1);
    rig.broker.start_again().await;
    let member = Member::connect("listener", rig.broker.common("hub2")).await;
    let mut started = member.listen(Topic::CiStarted).await;
    let mut succeeded = member.listen(Topic::CiSucceeded).await;
    let sent = || async {
        let (_, text) = rig.step(&["succeeded"], &[]).await;
        (!text.contains("it waits in")).then_some(())
    };
    until("a step delivers", LONG, sent).await;
    started.hear(|it: &CiStarted| it.build.number == 42).await;
    succeeded
        .hear(|it: &CiSucceeded| it.build.number == 42)
        .await;
    assert_eq!(rig.spooled(), 0);
}

#[tokio::test]
async fn with_deliver_within_0_the_service_beside_it_delivers() {
    let rig = Rig::start(0).await;
    let member = Member::connect("listener", rig.broker.common("hub2")).await;
    let mut succeeded = member.listen(Topic::CiSucceeded).await;
    let (code, text) = rig.step(&["succeeded"], &[]).await;
    assert!(
        code == ExitCode::SUCCESS && text.contains("deliver_within_s is 0"),
        "{text}"
    );
    let mut settings = Settings::default();
    settings.outbox.folder = Some(rig.folder.join("spool"));
    let common = rig.broker.common("ci1");
    let service = Running::start("jenkins-helper", common, settings, World::real(), serve);
    succeeded
        .hear(|it: &CiSucceeded| it.build.number == 42)
        .await;
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_build_does_not_fail_for_it_unless_it_wants_to() {
    let rig = Rig::start(1).await;
    let wrong = [("GIT_COMMIT", "HEAD")];
    let (code, text) = rig.step(&["succeeded"], &wrong).await;
    assert_eq!(code, ExitCode::SUCCESS);
    assert!(
        text.starts_with("the bus was not told: GIT_COMMIT: \"HEAD\" is not a commit id"),
        "{text}"
    );
    let (code, _) = rig.step(&["succeeded", "--strict"], &wrong).await;
    assert_eq!(code, ExitCode::from(1));
    rig.folder.write("x.toml", "nonsense = 1\n");
    let (code, text) = rig.step(&["succeeded"], &[]).await;
    assert!(
        code == ExitCode::SUCCESS && text.contains("x.toml:1: key `nonsense`"),
        "{text}"
    );
    let (code, _) = rig.step(&["failed", "--result", "odd"], &[]).await;
    assert_eq!(code, ExitCode::from(2));
}

#[test]
fn what_is_not_utf_8_among_variables_and_words_is_no_matter_of_the_build() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt, process::Command};
    let folder = Folder::new();
    let odd = OsStr::from_bytes(b"Gr\xfc\xdfe");
    let text = format!(
        "deliver_within_s = 0\n[outbox]\nfolder = '{}'\n",
        folder.join("spool").display()
    );
    folder.write("x.toml", &text);
    let program = || Command::new(env!("CARGO_BIN_EXE_jenkins-helper"));
    let step = program()
        .args(["succeeded", "--config"])
        .arg(folder.join("x.toml"))
        .env_clear()
        .env("CHANGE_TITLE", odd)
        .envs([("JOB_NAME", "shop"), ("BUILD_NUMBER", "42")])
        .envs([("GIT_COMMIT", COMMIT), ("DEPLOYKIT_REPOSITORY", "shop")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&step.stderr);
    assert!(
        step.status.success() && said.contains("shop 42 succeeded"),
        "{step:?}"
    );
    let odd = program().arg(odd).output().unwrap();
    assert!(
        odd.status.code() != Some(101),
        "a word that is none is refused in words: {odd:?}"
    );
}

/// The snippet that people copy.
const JENKINSFILE: &str = include_str!("../../../hooks/Jenkinsfile");

#[tokio::test]
async fn every_command_of_the_jenkinsfile_is_understood_and_tells_the_bus() {
    let rig = Rig::start(20).await;
    let commands = JENKINSFILE.lines().filter_map(|line| {
        let (_, rest) = line.split_once("sh 'jenkins-helper ")?;
        rest.split_once('\'').map(|(words, _)| words)
    });
    let mut told = Vec::new();
    for command in commands {
        let words: Vec<&str> = command.split(' ').collect();
        let (code, text) = rig.step(&words, &[]).await;
        assert_eq!(code, ExitCode::SUCCESS, "{command}: {text}");
        let word = text.strip_prefix("shop 1f0c1e9d5b: backend/shop 42 ");
        told.push(
            word.unwrap_or_else(|| panic!("{command}: {text}"))
                .to_owned(),
        );
    }
    let expected = [
        "started",
        "succeeded",
        "failed",
        "failed",
        "failed",
        "failed",
    ];
    assert_eq!(told, expected);
}
