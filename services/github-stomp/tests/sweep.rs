//! Pushes whose hook never came.
#![expect(
    clippy::disallowed_methods,
    reason = "what lies on the disk is looked at as anybody would"
)]

use std::collections::BTreeMap;

use events::{
    CommitId, RefName, Topic,
    message::{Line, Pushed},
};
use github_stomp::{
    fold::Heard,
    sweep::{Look, Tips, known, plan},
};
use jiff::Timestamp;
use testkit::{Folder, LONG, Member, Origin, TestBroker, until};
use world::RealDisk;

use crate::hub::{Hub, PUSH, answer};

fn commit(letter: &str) -> CommitId {
    letter.repeat(40).parse().unwrap()
}

fn name(name: &str) -> RefName {
    format!("refs/heads/{name}").parse().unwrap()
}

/// `main a` for each ref.
fn tips(text: &[&str]) -> Tips {
    let tip = |text: &&str| {
        let (branch, letter) = text.split_once(' ').unwrap();
        (name(branch), commit(letter))
    };
    text.iter().map(tip).collect()
}

/// `main a 5`: heard at second 5 that it is at aaa…; `-` is deleted.
fn heard(text: &[&str]) -> BTreeMap<RefName, Heard> {
    let one = |text: &&str| {
        let [branch, letter, second] = text.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{text}");
        };
        let heard = Heard {
            after: (letter != "-").then(|| commit(letter)),
            at: Timestamp::from_second(second.parse().unwrap()).unwrap(),
        };
        (name(branch), heard)
    };
    text.iter().map(one).collect()
}

/// What it is about; what was known, was heard, is found, is news.
type Case<'a> = (
    &'a str,
    Option<&'a [&'a str]>,
    &'a [&'a str],
    &'a [&'a str],
    &'a [&'a str],
);

const CASES: &[Case<'_>] = &[
    ("the first look", None, &[], &["main a", "v1 b"], &[]),
    ("nothing moved", Some(&["main a"]), &[], &["main a"], &[]),
    (
        "a hook was lost",
        Some(&["main a"]),
        &[],
        &["main b"],
        &["main a b"],
    ),
    (
        "one is new, one is gone",
        Some(&["old a"]),
        &[],
        &["new b"],
        &["new - b", "old a -"],
    ),
    (
        "its hook came",
        Some(&["main a"]),
        &["main b 5"],
        &["main b"],
        &[],
    ),
    (
        "a hook came, one was lost",
        Some(&["main a"]),
        &["main b 5"],
        &["main c"],
        &["main b c"],
    ),
    (
        "a hook came meanwhile",
        Some(&["main a"]),
        &["main b 10"],
        &["main a"],
        &[],
    ),
    (
        "a hook told of the end",
        Some(&["main a"]),
        &["main - 5"],
        &[],
        &[],
    ),
    (
        "the end of what a hook knew",
        Some(&[]),
        &["main a 5"],
        &[],
        &["main a -"],
    ),
    (
        "the first look after hooks",
        None,
        &["main a 5"],
        &["main b", "v1 b"],
        &["main a b"],
    ),
    (
        "a hook named the tag itself",
        Some(&[]),
        &["tag e 5"],
        &["tag a"],
        &[],
    ),
];

#[test]
fn what_moved_and_nobody_told_of_is_news() {
    for (what, known, told, found, expected) in CASES {
        let known = known.map(tips);
        let heard = heard(told);
        let look = Look {
            repository: &"shop".parse().unwrap(),
            known: known.as_ref(),
            heard: &heard,
            asked: Timestamp::from_second(10).unwrap(),
        };
        let is_at = |at: &RefName, object: &CommitId| *at == name("tag") && *object == commit("e");
        let side = |side: &Option<CommitId>| {
            let letter = side.as_ref().map(|id| id.as_str()[..1].to_owned());
            letter.unwrap_or("-".to_owned())
        };
        let news: Vec<String> = plan(&look, &tips(found), is_at)
            .iter()
            .map(|push| {
                let branch = push.name.as_str().trim_start_matches("refs/heads/");
                format!("{branch} {} {}", side(&push.before), side(&push.after))
            })
            .collect();
        assert_eq!(news, *expected, "{what}");
    }
}

#[test]
fn what_was_seen_is_kept_whole_or_not_at_all() {
    let folder = Folder::new();
    let (shop, below) = ("shop".parse().unwrap(), "acme/shop".parse().unwrap());
    let place = folder.join("tips");
    assert_eq!(known::read(&RealDisk, &place, &shop).unwrap(), None);
    let seen = tips(&["main a", "other b"]);
    known::write(&RealDisk, &place, &shop, &seen).unwrap();
    known::write(&RealDisk, &place, &below, &Tips::new()).unwrap();
    assert_eq!(known::read(&RealDisk, &place, &shop).unwrap(), Some(seen));
    let none = known::read(&RealDisk, &place, &below).unwrap();
    assert_eq!(none, Some(Tips::new()));
    folder.write("tips/shop", "half a li");
    assert_eq!(
        known::read(&RealDisk, &place, &shop).unwrap(),
        None,
        "a first look again"
    );
}

/// What a hook of GitHub says of a push to this repository.
fn hook(before: &CommitId, after: &CommitId) -> String {
    PUSH.replace("binkkatal/sample_app\"", "acme/shop\"")
        .replace("refs/heads/master", "refs/heads/main")
        .replace("737d38c599c1b2991664dfc6155d6bf516fcce36", before.as_str())
        .replace("fd489864e7642b48eaad6e3f155c10e46810ec72", after.as_str())
}

#[tokio::test]
async fn a_push_without_a_hook_is_found_also_after_a_restart_and_its_late_hook_is_folded() {
    let broker = TestBroker::start().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    let mut feed = member
        .listen(Topic::Events("github-stomp".to_owned()))
        .await;
    let origin = Origin::new();
    origin.commit(&[("a", "1")]);
    let first = origin.commit_of("HEAD");
    let url = origin.url();
    let sweeping = |settings: &mut github_stomp::Settings| {
        settings.sweep.every_s = 1;
        let shop = settings.repositories.get_mut(&"shop".parse().unwrap());
        shop.unwrap().origin = Some(url.parse().unwrap());
    };
    let hub = Hub::start_in(Folder::new(), broker.common("hub1"), sweeping).await;
    let seen = hub.folder.join("data/tips/shop");
    let noted = async |commit: &CommitId| {
        until("it is noted", LONG, || async {
            let text = std::fs::read_to_string(&seen).ok()?;
            text.contains(commit.as_str()).then_some(())
        })
        .await;
    };
    noted(&first).await;

    origin.commit(&[("a", "2")]);
    let second = origin.commit_of("HEAD");
    // The first look announced nothing: this is the first push.
    let pushed = commits.hear(|_: &Pushed| true).await;
    assert_eq!(
        (pushed.repository.as_str(), pushed.name.as_str()),
        ("shop", "refs/heads/main")
    );
    assert_eq!(
        (&pushed.before, &pushed.after),
        (&Some(first.clone()), &Some(second.clone()))
    );
    assert_eq!((pushed.pusher, pushed.commits_total), (None, 0));
    let line = feed.hear(|_: &Line| true).await.line;
    let end = ", found by the sweep: its hook did not come";
    assert!(line.ends_with(end), "{line}");
    let (_, text) = answer(hub.signed("push", hook(&first, &second))).await;
    assert!(text.starts_with("already announced as "), "{text}");
    noted(&second).await;

    let folder = hub.folder;
    hub.running.stop().await.unwrap();
    origin.commit(&[("a", "3")]);
    let third = origin.commit_of("HEAD");
    let hub = Hub::start_in(folder, broker.common("hub1"), sweeping).await;
    let pushed = commits.hear(|_: &Pushed| true).await;
    assert_eq!(
        (pushed.before, pushed.after),
        (Some(second), Some(third.clone()))
    );
    noted(&third).await;
    let swept = async |hub: &Hub| {
        let metrics = answer(hub.client.get(hub.url("/metrics"))).await.1;
        metrics.contains("deploykit_webhooks_swept_total 1")
    };
    assert!(swept(&hub).await);

    // An origin that is gone is counted, and nothing is taken for deleted.
    drop(origin);
    until("its silence is counted", LONG, || async {
        let metrics = answer(hub.client.get(hub.url("/metrics"))).await.1;
        let failed = "deploykit_webhooks_sweep_failures_total ";
        let line = metrics.lines().find(|line| line.starts_with(failed))?;
        (line != "deploykit_webhooks_sweep_failures_total 0").then_some(())
    })
    .await;
    assert!(swept(&hub).await);
    hub.running.stop().await.unwrap();
}
