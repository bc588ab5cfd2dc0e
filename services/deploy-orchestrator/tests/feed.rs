//! The feed: what is kept of it, who is shown what, and following it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Wake, Waker},
};

use deploy_orchestrator::feed::{Feed, FeedError, FeedLine, Keep, New, Wanted};
use events::{
    Topic,
    message::{DeadLetter, Level, Line, Said},
};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use testkit::{Folder, LONG, Member, SOON, until};
use tokio::time::timeout;
use uuid::Uuid;
use world::World;

use crate::{
    fleet::{Fleet, parsed},
    support::{at, host},
};

const KEEP: Keep = Keep {
    lines: 1000,
    days: 30,
};

fn line(component: &str, name: &str, said: Said) -> Line {
    said.line(component.parse().expect("a component"), &host(name))
}

fn new(message: u128, line: Line) -> New {
    New {
        message: Uuid::from_u128(message),
        said: at(0),
        line,
    }
}

fn counted(number: u128) -> New {
    let said = Said::new("counted", number.to_string());
    new(number, line("stomp-git", "web1", said))
}

async fn open(folder: &Folder, keep: Keep) -> Feed {
    Feed::open(&World::real(), folder.path(), keep)
        .await
        .expect("it opens")
}

fn texts(lines: &[FeedLine]) -> Vec<&str> {
    lines.iter().map(|line| line.line.as_str()).collect()
}

async fn all(feed: &Feed) -> Vec<FeedLine> {
    let everything = Wanted::default();
    feed.newest(&everything, 10_000).await.expect("read").lines
}

#[tokio::test]
async fn lines_are_kept_once_in_order_with_numbers_that_only_grow() {
    let folder = Folder::new();
    let feed = open(&folder, KEEP).await;
    feed.keep(vec![counted(1), counted(2)]).await.expect("kept");
    let first = all(&feed).await;
    feed.keep(vec![counted(1), counted(3)]).await.expect("kept");
    let before = all(&feed).await;
    assert_eq!(before[..2], first, "they keep their numbers");
    assert_eq!(texts(&before), ["web1: 1", "web1: 2", "web1: 3"]);
    assert!(before.is_sorted_by(|one, next| one.id < next.id));
    drop(feed);

    let again = open(&folder, KEEP).await;
    assert_eq!(all(&again).await, before, "it outlasts the process");
    again.keep(vec![counted(4)]).await.expect("kept");
    assert!(all(&again).await[3].id > before[2].id);
}

#[tokio::test]
async fn it_is_bounded_by_number() {
    let folder = Folder::new();
    let feed = open(
        &folder,
        Keep {
            lines: 100,
            days: 1,
        },
    )
    .await;
    for begin in 0..5 {
        let batch = (begin * 50..begin * 50 + 50).map(counted).collect();
        feed.keep(batch).await.expect("kept");
    }
    let kept = all(&feed).await;
    assert_eq!(kept.len(), 100);
    assert_eq!(kept[0].line.as_str(), "web1: 150");
}

#[tokio::test]
async fn it_is_bounded_by_age_and_its_numbers_are_not_given_again() {
    let folder = Folder::new();
    let mut world = World::real();
    let clock = Arc::new(Moved::default());
    world.clock = Arc::clone(&clock) as Arc<dyn world::Clock>;
    let feed = Feed::open(
        &world,
        folder.path(),
        Keep {
            lines: 100,
            days: 2,
        },
    )
    .await
    .expect("it opens");
    feed.keep(vec![counted(1)]).await.expect("kept");
    let first = all(&feed).await[0].id;
    clock.pass_days(3);
    feed.keep(Vec::new()).await.expect("kept");
    assert!(all(&feed).await.is_empty());
    feed.keep(vec![counted(2)]).await.expect("kept");
    assert!(all(&feed).await[0].id > first);
}

/// A clock that the test moves.
#[derive(Debug, Default)]
struct Moved(std::sync::atomic::AtomicI64);

impl Moved {
    fn pass_days(&self, days: i64) {
        self.0
            .fetch_add(days * 86_400, std::sync::atomic::Ordering::Relaxed);
    }
}

impl world::Clock for Moved {
    fn now(&self) -> jiff::Timestamp {
        at(self.0.load(std::sync::atomic::Ordering::Relaxed))
    }
}

#[tokio::test]
async fn a_damaged_file_is_put_beside_and_a_new_feed_goes_on_with_higher_numbers() {
    let folder = Folder::new();
    let feed = open(&folder, KEEP).await;
    feed.keep(vec![counted(1)]).await.expect("kept");
    let before = all(&feed).await[0].id;
    drop(feed);
    folder.write("feed.sqlite", &"no database ".repeat(1000));
    // The new one begins with the seconds of now: let one pass.
    until("a second has passed", SOON, || async {
        (World::real().clock.now().as_second() > i64::try_from(before).ok()?).then_some(())
    })
    .await;
    let feed = open(&folder, KEEP).await;
    assert!(folder.has("feed.sqlite.bad"));
    assert!(all(&feed).await.is_empty());
    feed.keep(vec![counted(2)]).await.expect("kept");
    assert!(all(&feed).await[0].id > before);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_left_alone() {
    let folder = Folder::new();
    drop(open(&folder, KEEP).await);
    let file = rusqlite::Connection::open(folder.join("feed.sqlite")).expect("it opens");
    file.pragma_update(None, "user_version", 9).expect("set");
    drop(file);
    let refused = Feed::open(&World::real(), folder.path(), KEEP).await;
    assert!(matches!(refused, Err(FeedError::Newer { found: 9, .. })));
}

fn shop(level: Level) -> Said {
    Said::new("problem", "shop is red")
        .level(level)
        .with("repository", "shop")
}

/// What it is about, how it is wanted, which lines come.
type Choice<'a> = (&'a str, fn(&mut Wanted), &'a [usize]);

#[tokio::test]
async fn lines_are_chosen_by_component_host_project_level_and_event() {
    let folder = Folder::new();
    let feed = open(&folder, KEEP).await;
    let admitted = Said::new("admitted", "web9 is admitted").with("about", "web9");
    let kept = vec![
        new(1, line("stomp-git", "web1", shop(Level::Problem))),
        new(2, line("stomp-jenkins", "hub1", shop(Level::Info))),
        new(3, line("deploy-agent", "web2", shop(Level::Alarm))),
        new(4, line("deploy-orchestrator", "hub1", admitted)),
    ];
    feed.keep(kept).await.expect("kept");
    let table: [Choice<'_>; 8] = [
        ("all", |_| {}, &[0, 1, 2, 3]),
        (
            "a topic",
            |it| it.components = vec![Wanted::component("events.stomp-git").expect("one")],
            &[0],
        ),
        (
            "a glob",
            |it| it.components = vec![Wanted::component("stomp-*").expect("one")],
            &[0, 1],
        ),
        (
            "a host, and what is about it",
            |it| it.hosts = vec!["web9".parse().expect("one")],
            &[3],
        ),
        (
            "hosts",
            |it| it.hosts = vec!["web*".parse().expect("one")],
            &[0, 2, 3],
        ),
        (
            "levels",
            |it| it.levels = BTreeSet::from([Level::Problem, Level::Alarm]),
            &[0, 2],
        ),
        (
            "a project",
            |it| it.projects = BTreeSet::from(["shop".parse().expect("one")]),
            &[0, 1, 2],
        ),
        (
            "an event",
            |it| it.events = vec!["admitted".parse().expect("one")],
            &[3],
        ),
    ];
    let everything = all(&feed).await;
    for (what, choose, expected) in table {
        let mut wanted = Wanted::default();
        choose(&mut wanted);
        let expected: Vec<FeedLine> = expected.iter().map(|&at| everything[at].clone()).collect();
        let newest = feed.newest(&wanted, 10).await.expect("read");
        assert_eq!(newest.lines, expected, "{what}");
        let after = feed.after(&wanted, 0, 10).await.expect("read");
        assert_eq!(after.lines, expected, "{what}");
        assert_eq!(
            after.newest, everything[3].id,
            "{what}: it was looked to the end"
        );
    }
    for bad in ["git.commits", "events.", "a b", ""] {
        let why = Wanted::component(bad).expect_err(bad);
        assert!(why.contains("events.COMPONENT"), "{why}");
    }
}

#[tokio::test]
async fn a_follower_that_comes_back_misses_and_doubles_nothing() {
    const LINES: u128 = 3000;
    let folder = Folder::new();
    let feed = open(
        &folder,
        Keep {
            lines: 10_000,
            days: 1,
        },
    )
    .await;
    let start = *feed.changes().borrow();
    let say = async {
        for begin in (1..=LINES).step_by(7) {
            let batch = (begin..(begin + 7).min(LINES + 1)).map(counted).collect();
            feed.keep(batch).await.expect("kept");
        }
    };
    let follow = async {
        let (mut seen, mut heard) = (start, Vec::new());
        while heard.len() < 3000 {
            // It is cut off again and again, after a different number of lines.
            let lines = Box::pin(feed.follow(Wanted::default(), seen));
            let some = (1 + heard.len() % 97).min(3000 - heard.len());
            let mut lines = lines.take(some);
            while let Some(line) = lines.next().await {
                let line = line.expect("read");
                seen = line.id;
                heard.push(line.line.to_string());
            }
        }
        heard
    };
    let (heard, ()) = timeout(LONG, async { tokio::join!(follow, say) })
        .await
        .expect("in time");
    let expected: Vec<String> = (1..=LINES).map(|n| format!("web1: {n}")).collect();
    assert_eq!(heard, expected);
}

/// Counts how often a task would be polled again.
#[derive(Debug, Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn who_follows_from_beyond_the_last_line_waits_idle_and_gets_what_comes_behind_it() {
    let folder = Folder::new();
    let feed = open(&folder, KEEP).await;
    feed.keep(vec![counted(1)]).await.expect("kept");
    let newest = *feed.changes().borrow();
    let mut lines = Box::pin(feed.follow(Wanted::default(), newest + 2));
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    let mut context = Context::from_waker(&waker);
    assert!(lines.as_mut().poll_next(&mut context).is_pending());
    for _ in 0..3 {
        // Whatever it asked of the database is answered by then.
        all(&feed).await;
    }
    assert_eq!(woken.0.load(Ordering::Relaxed), 0, "there is nothing to do");
    for number in 2..=4 {
        feed.keep(vec![counted(number)]).await.expect("kept");
    }
    let next = timeout(SOON, lines.next()).await.expect("in time");
    let next = next.expect("it goes on").expect("it is read");
    assert_eq!(next.line.as_str(), "web1: 4");
}

#[tokio::test]
async fn what_components_say_is_on_the_api_and_a_deploy_is_told_whole() {
    let fleet = Fleet::of(&["web1", "web2"]).await;
    let member = Member::connect("stomp-git", fleet.broker.common("web7")).await;
    let mut dead = member
        .listen(Topic::Dead("deploy-orchestrator".to_owned()))
        .await;
    let raw = json!({
        "specversion": "1.0", "id": Uuid::from_u128(77), "source": "/x", "type": "deploykit.event.v1",
        "time": "2026-11-21T11:58:42Z",
        "data": { "component": "Not A Component", "host": "web7", "line": "x", "record": {} },
    });
    let topic = member
        .bus
        .names()
        .destination(&Topic::Events("stomp-git".to_owned()));
    let body = raw.to_string().into_bytes();
    member
        .bus
        .publish_raw(&topic, false, body.into())
        .await
        .expect("sent");
    let aside: DeadLetter = dead.hear(|_| true).await;
    assert!(aside.cause.contains("Not A Component"), "{}", aside.cause);

    member
        .bus
        .say(Said::new("changed", "shop main \u{1b}[31mnew"));
    let begun = fleet
        .deploy(json!({"project": "shop", "action": "deploy", "revision": "v2"}))
        .await;
    fleet.watch_to_the_end(begun.id).await;
    let lines = |query: &'static str| {
        let fleet = &fleet;
        async move {
            let (status, body) = fleet.get(&format!("/api/v1/feed{query}")).await.ok()?;
            assert_eq!(status, 200, "{body}");
            Some(parsed::<Vec<FeedLine>>(body["lines"].clone()))
        }
    };
    let told = until("the deploy's end is told", SOON, || async {
        let lines = lines("?component=deploy-orchestrator").await?;
        lines
            .last()
            .is_some_and(|last| last.event == "succeeded")
            .then_some(lines)
    })
    .await;
    let events: Vec<&str> = told.iter().map(|line| line.event.as_str()).collect();
    assert_eq!(
        events,
        [
            "asked",
            "wave-begun",
            "wave-good",
            "wave-begun",
            "succeeded"
        ]
    );
    assert_eq!(
        told[0].line.as_str(),
        "hub1: shop v2 asked for by ann@example.org, 2 hosts in 2 waves"
    );
    let git = lines("?host=web7").await.expect("it answers");
    assert_eq!(texts(&git), ["web7: shop main [31mnew"]);

    fleet.stop().await;
}

#[tokio::test]
async fn the_feed_refuses_what_it_does_not_know_and_other_sites() {
    let fleet = Fleet::of(&["web1"]).await;
    let member = Member::connect("stomp-git", fleet.broker.common("web7")).await;
    member.bus.say(Said::new("changed", "shop main new"));
    until("the line is kept", SOON, || async {
        let (_, body) = fleet.get("/api/v1/feed?host=web7").await.ok()?;
        body["lines"].as_array().filter(|lines| !lines.is_empty())?;
        Some(())
    })
    .await;
    let (status, body) = fleet
        .get("/api/v1/feed?level=loud")
        .await
        .expect("it answers");
    assert_eq!((status, &body["exists"][1]), (400, &json!("over")));
    let (status, body) = fleet
        .get("/api/v1/feed?colour=red")
        .await
        .expect("it answers");
    assert_eq!(status, 400, "{body}");
    // The page reads it too, under its own name only.
    let (status, body) = fleet
        .browse("GET", "/api/v1/feed?limit=1", "localhost")
        .await;
    let body: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(
        (status, body["lines"].as_array().map(Vec::len)),
        (200, Some(1))
    );
    assert_eq!(
        fleet.browse("GET", "/api/v1/feed", "evil.example").await.0,
        403
    );
    fleet.stop().await;
}

#[tokio::test]
async fn a_feed_is_followed_over_http_from_where_one_was() {
    let fleet = Fleet::of(&["web1"]).await;
    let member = Member::connect("stomp-git", fleet.broker.common("web7")).await;
    let said = |number: usize| Said::new("counted", number.to_string());
    member.bus.say(said(1));
    let first = until("the first line is there", SOON, || async {
        let (_, body) = fleet.get("/api/v1/feed?component=stomp-git").await.ok()?;
        body["lines"][0]["id"].as_u64()
    })
    .await;
    let path = format!("/api/v1/feed/watch?component=stomp-git&after={}", first - 1);
    let watch = fleet.events(&path, 3);
    let say = async {
        member.bus.say(said(2));
        member.bus.say(said(3));
    };
    let (events, ()) = timeout(SOON, async { tokio::join!(watch, say) })
        .await
        .expect("all come");
    let texts: Vec<String> = events
        .iter()
        .map(|event| parsed::<FeedLine>(event.clone()).line.to_string())
        .collect();
    assert_eq!(texts, ["web7: 1", "web7: 2", "web7: 3"]);
    fleet.stop().await;
}
