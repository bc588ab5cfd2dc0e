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
use git::{Tip, Tips};
use github_stomp::{
    Settings,
    fold::Heard,
    sweep::{Look, Seen, known, plan, seen},
};
use jiff::Timestamp;
use testkit::{Ear, Folder, LONG, Member, Origin, TestBroker, until};
use world::RealDisk;

use crate::hub::{Hub, PUSH, answer, metric};

const FAILURES: &str = "deploykit_webhooks_sweep_failures_total";

fn commit(letter: &str) -> CommitId {
    letter.repeat(40).parse().unwrap()
}

fn name(name: &str) -> RefName {
    format!("refs/heads/{name}").parse().unwrap()
}

/// `main a` for each ref; `v1 e-a` is an annotated tag eee… of commit aaa….
fn tips(text: &[&str]) -> Tips {
    let tip = |text: &&str| {
        let (branch, letters) = text.split_once(' ').unwrap();
        let (object, to) = letters.split_once('-').unwrap_or((letters, letters));
        Tip {
            name: name(branch),
            commit: commit(to),
            object: commit(object),
        }
    };
    Tips {
        tips: text.iter().map(tip).collect(),
        unusable: Vec::new(),
    }
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
        "a hook named the annotated tag",
        Some(&[]),
        &["v1 e 5"],
        &["v1 e-a"],
        &[],
    ),
    (
        "a hook named its commit",
        Some(&[]),
        &["v1 a 5"],
        &["v1 e-a"],
        &[],
    ),
    (
        "an annotated tag whose hook was lost",
        Some(&[]),
        &[],
        &["v1 e-a"],
        &["v1 - e of a"],
    ),
    (
        "made anew on the same commit",
        Some(&["v1 e-a"]),
        &[],
        &["v1 f-a"],
        &["v1 e f of a"],
    ),
];

#[test]
fn what_moved_and_nobody_told_of_is_news() {
    for (what, known, told, found, expected) in CASES {
        let known = known.map(|known| seen(&tips(known)));
        let heard = heard(told);
        let look = Look {
            repository: &"shop".parse().unwrap(),
            known: known.as_ref(),
            heard: &heard,
            asked: Timestamp::from_second(10).unwrap(),
        };
        let side = |side: &Option<CommitId>| {
            let letter = side.as_ref().map(|id| id.as_str()[..1].to_owned());
            letter.unwrap_or("-".to_owned())
        };
        let news: Vec<String> = plan(&look, &tips(found))
            .iter()
            .map(|push| {
                let branch = push.name.as_str().trim_start_matches("refs/heads/");
                let of = push
                    .commit
                    .as_ref()
                    .map(|id| format!(" of {}", &id.as_str()[..1]));
                let of = of.unwrap_or_default();
                format!("{branch} {} {}{of}", side(&push.before), side(&push.after))
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
    let seen = seen(&tips(&["main a", "v1 e-b"]));
    known::write(&RealDisk, &place, &shop, &seen).unwrap();
    known::write(&RealDisk, &place, &below, &Seen::new()).unwrap();
    assert_eq!(known::read(&RealDisk, &place, &shop).unwrap(), Some(seen));
    let none = known::read(&RealDisk, &place, &below).unwrap();
    assert_eq!(none, Some(Seen::new()));
    folder.write("tips/shop", "half a li");
    assert_eq!(
        known::read(&RealDisk, &place, &shop).unwrap(),
        None,
        "a first look again"
    );
}

/// The service while it looks each second at an origin, of which it has seen the first commit, and what it tells.
struct Sweeping {
    broker: TestBroker,
    member: Member,
    commits: Ear,
    origin: Origin,
    first: CommitId,
    hub: Hub,
}

impl Sweeping {
    async fn start() -> Self {
        let broker = TestBroker::start().await;
        let member = Member::connect("listener", broker.common("hub2")).await;
        let commits = member.listen(Topic::GitCommits).await;
        let origin = Origin::new();
        origin.commit(&[("a", "1")]);
        let first = origin.commit_of("HEAD");
        let hub = Hub::start_in(Folder::new(), broker.common("hub1"), looking(&origin)).await;
        noted(&hub.folder, &first).await;
        Self {
            broker,
            member,
            commits,
            origin,
            first,
            hub,
        }
    }

    /// Stops the service; what happens then is before it is there again.
    async fn restart(self, meanwhile: impl FnOnce(&Origin)) -> Self {
        let folder = self.hub.folder;
        self.hub.running.stop().await.unwrap();
        meanwhile(&self.origin);
        let common = self.broker.common("hub1");
        let hub = Hub::start_in(folder, common, looking(&self.origin)).await;
        Self { hub, ..self }
    }

    /// Commits and pushes; the commit.
    fn push(&self, text: &str) -> CommitId {
        self.origin.commit(&[("a", text)]);
        self.origin.commit_of("HEAD")
    }

    /// The next push that is told is from here to there.
    async fn told(&mut self, before: &CommitId, after: &CommitId) -> Pushed {
        let pushed = self.commits.hear(|_: &Pushed| true).await;
        let sides = (pushed.before.as_ref(), pushed.after.as_ref());
        assert_eq!(sides, (Some(before), Some(after)));
        pushed
    }
}

fn looking(origin: &Origin) -> impl FnOnce(&mut Settings) + use<> {
    let origin = origin.url().parse().unwrap();
    move |settings| {
        settings.sweep.every_s = 1;
        let shop = settings.repositories.get_mut(&"shop".parse().unwrap());
        shop.unwrap().origin = Some(origin);
    }
}

/// Waits until the sweep has seen this.
async fn noted(folder: &Folder, object: &CommitId) {
    let seen = folder.join("data/tips/shop");
    until("it is noted", LONG, || async {
        let text = std::fs::read_to_string(&seen).ok()?;
        text.contains(object.as_str()).then_some(())
    })
    .await;
}

/// What a hook of GitHub says of a push to this repository.
fn hook(name: &str, before: &CommitId, after: &CommitId) -> String {
    PUSH.replace("binkkatal/sample_app\"", "acme/shop\"")
        .replace("refs/heads/master", name)
        .replace("737d38c599c1b2991664dfc6155d6bf516fcce36", before.as_str())
        .replace("fd489864e7642b48eaad6e3f155c10e46810ec72", after.as_str())
}

#[tokio::test]
async fn a_push_without_a_hook_is_found_also_after_a_restart_and_its_late_hook_is_folded() {
    let mut it = Sweeping::start().await;
    let mut feed = it
        .member
        .listen(Topic::Events("github-stomp".to_owned()))
        .await;
    // The first look announced nothing: this is the first push.
    let (first, second) = (it.first.clone(), it.push("2"));
    let pushed = it.told(&first, &second).await;
    assert_eq!(
        (pushed.repository.as_str(), pushed.name.as_str()),
        ("shop", "refs/heads/main")
    );
    assert_eq!((pushed.pusher, pushed.commits_total), (None, 0));
    let line = feed.hear(|_: &Line| true).await.line;
    let end = ", found by the sweep: its hook did not come";
    assert!(line.ends_with(end), "{line}");
    let late = hook("refs/heads/main", &first, &second);
    let (_, text) = answer(it.hub.signed("push", late)).await;
    assert!(text.starts_with("already announced as "), "{text}");
    noted(&it.hub.folder, &second).await;

    let mut it = it
        .restart(|origin| {
            origin.commit(&[("a", "3")]);
        })
        .await;
    let third = it.origin.commit_of("HEAD");
    it.told(&second, &third).await;
    noted(&it.hub.folder, &third).await;
    let swept = "deploykit_webhooks_swept_total";
    assert_eq!(metric(&it.hub, swept).await, 1);

    // An origin that is gone is counted, and nothing is taken for deleted.
    let Sweeping { hub, origin, .. } = it;
    drop(origin);
    until("its silence is counted", LONG, || async {
        (metric(&hub, FAILURES).await > 0).then_some(())
    })
    .await;
    assert_eq!(metric(&hub, swept).await, 1);
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn an_annotated_tag_is_told_as_hooks_tell_it_and_its_late_hook_is_folded_whatever_it_names() {
    let mut it = Sweeping::start().await;
    it.origin.tag("v1");
    let (tag, commit) = (it.origin.object_of("v1"), it.first.clone());
    assert_ne!(tag, commit);
    let pushed = it.commits.hear(|_: &Pushed| true).await;
    assert_eq!(pushed.name.as_str(), "refs/tags/v1");
    assert_eq!((&pushed.before, &pushed.after), (&None, &Some(tag.clone())));
    assert_eq!(pushed.commit(), Some(&commit));
    noted(&it.hub.folder, &tag).await;
    // Most forges name the tag, some its commit.
    let none = "0".repeat(40);
    let late = async |hub: &Hub, object: &CommitId| {
        let body = hook("refs/tags/v1", object, object);
        let body = body.replacen(object.as_str(), &none, 1);
        let (_, text) = answer(hub.signed("push", body)).await;
        assert!(
            text.starts_with("already announced as "),
            "{object}: {text}"
        );
    };
    late(&it.hub, &tag).await;
    late(&it.hub, &commit).await;
    let it = it.restart(|_| {}).await;
    late(&it.hub, &commit).await;
    it.hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn what_the_outbox_could_not_take_of_a_look_is_told_by_a_later_one_and_once() {
    let mut it = Sweeping::start().await;
    let folder = &it.hub.folder;
    let (outbox, away) = (folder.join("outbox"), folder.join("away"));
    std::fs::rename(&outbox, &away).unwrap();
    let (first, second) = (it.first.clone(), it.push("2"));
    until("a look came to nothing", LONG, || async {
        (metric(&it.hub, FAILURES).await > 0).then_some(())
    })
    .await;
    let seen = it.hub.folder.read("data/tips/shop");
    assert!(!seen.contains(second.as_str()), "it is news still: {seen}");
    std::fs::rename(&away, &outbox).unwrap();
    it.told(&first, &second).await;
    noted(&it.hub.folder, &second).await;

    // The next one on the bus is the next push: it was told once.
    let third = it.push("3");
    it.told(&second, &third).await;
    it.hub.running.stop().await.unwrap();
}
