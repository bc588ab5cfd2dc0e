//! Who hears the bus by a script from docs/side-chains.md: Python, Ruby.

use std::os::unix::fs::PermissionsExt;

use command::Program;
use events::message::{Built, CiSucceeded};
use testkit::{BrokerProcess, Folder, LONG, Member, until};
use world::World;

use crate::site::Site;

/// The page that people copy from.
const PAGE: &str = include_str!("../../../docs/side-chains.md");

const COMMITS: [&str; 2] = [
    "1f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910",
    "2f0c1e9d5b7a4f3e2d1c0b9a8f7e6d5c4b3a2910",
];

pub(crate) async fn the_documented_scripts_hear_what_is_kept_for_them(site: &mut Site) {
    // Debian's packages belong to Debian's interpreters.
    for (language, interpreter) in [("python", "/usr/bin/python3"), ("ruby", "/usr/bin/ruby")] {
        hears(site, language, interpreter).await;
    }
}

/// The block of a language, for this broker and this subscription.
fn script(site: &Site, folder: &Folder, language: &str) -> String {
    let begin = format!("```{language}\n");
    let (_, rest) = PAGE.split_once(&begin).expect("the page has the block");
    let (text, _) = rest.split_once("```").expect("the block has an end");
    let port = site.broker.address().rsplit(':').next().map(str::to_owned);
    let mut text = text.to_owned();
    for (from, to) in [
        ("61613", port.expect("an address has a port")),
        (
            "/etc/deploykit/keys/broker",
            folder.join("passcode").display().to_string(),
        ),
        (
            "./warm-cache",
            folder.join("warm-cache").display().to_string(),
        ),
        ("warm.web1", format!("warm.{language}")),
    ] {
        assert!(
            text.contains(from),
            "{language}: {from} is not in the block"
        );
        text = text.replace(from, &to);
    }
    text
}

async fn hears(site: &mut Site, language: &str, interpreter: &str) {
    let folder = Folder::new();
    folder.write("passcode", &format!("{}\n", BrokerProcess::PASSCODE));
    let notes = folder.join("notes");
    let command = folder.write(
        "warm-cache",
        &format!("#!/bin/sh\necho $1 >> {}\n", notes.display()),
    );
    let runs = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&command, runs).expect("it is ours");
    let script = folder.write("script", &script(site, &folder, language));
    let member = Member::connect("chains", site.broker.common("hub1")).await;
    let start = || {
        let program = Program::new(interpreter).arg(script.display().to_string());
        let started = World::real().processes.start(&program, &folder.join("log"));
        started.unwrap_or_else(|error| panic!("{error}"))
    };
    let mut running = start();
    // Nothing says when it has subscribed: what is told before that is lost, so it is told until it is heard.
    let told = || async {
        publish(&member, "other", COMMITS[0]).await;
        publish(&member, "shop", COMMITS[0]).await;
        folder.has("notes").then_some(())
    };
    until(&format!("the {language} script hears"), LONG, told).await;
    running.end(LONG).await;
    publish(&member, "shop", COMMITS[1]).await;
    let mut running = start();
    noted(COMMITS[1], language, &folder).await;
    let ending = running.end(LONG).await;
    let commits = folder.read("notes");
    let others = commits
        .lines()
        .filter(|line| !COMMITS.contains(line))
        .count();
    assert_eq!(others, 0, "{language} ({ending}): {commits}");
}

async fn noted(commit: &str, language: &str, folder: &Folder) {
    let there = || async {
        let there = folder.has("notes") && folder.read("notes").contains(commit);
        there.then_some(())
    };
    let limit = tokio::time::timeout(LONG, until("what was kept is heard", LONG * 2, there));
    limit
        .await
        .unwrap_or_else(|_| panic!("{language}: {}", folder.read("log")));
}

async fn publish(member: &Member, repository: &str, commit: &str) {
    let build = Built {
        repository: repository.parse().expect("a name"),
        name: None,
        commit: commit.parse().expect("a commit"),
        project: None,
        job: "shop".parse().expect("a job"),
        number: 1,
        url: None,
    };
    let told = member.bus.publish(&CiSucceeded { build }).await;
    told.expect("the broker takes it");
}
