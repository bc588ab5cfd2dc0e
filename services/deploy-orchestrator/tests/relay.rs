//! Relays: what is posted, when, and to a chat that has its moods.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use deploy_orchestrator::{
    Settings,
    feed::FeedLine,
    relay::{Form, Next, Outcome, Pace, Post, outcome},
};
use events::message::{Level, Said};
use exchange::Failed;
use serde_json::{Value, json};
use testkit::{LONG, Member, SOON, until};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{
    fleet::Fleet,
    support::{at, host},
};

fn line(id: u64, level: Level, text: &str) -> FeedLine {
    let said = Said::new("told", text).level(level);
    let said = said.line("stomp-git".parse().expect("a service"), &host("web1"));
    FeedLine {
        id,
        time: at(0),
        component: said.component.clone(),
        host: said.host.clone(),
        level,
        event: "told".to_owned(),
        line: said.line.clone(),
        record: said.record,
    }
}

fn text(post: &Post, form: Form) -> String {
    let body: Value = serde_json::from_slice(&post.body(form, "ops")).expect("JSON");
    body["text"].as_str().expect("a text").to_owned()
}

#[test]
fn more_lines_than_fit_are_counted_and_those_that_matter_stay() {
    let mut post = Post::default();
    for id in 0..30 {
        let level = if id == 3 { Level::Alarm } else { Level::Info };
        post.add(line(id, level, &format!("line {id}")), 3);
    }
    let shown = text(&post, Form::Slack);
    assert_eq!(
        shown,
        "‼ web1: line 3\nweb1: line 28\nweb1: line 29\nand 27 more lines: deploykit tail"
    );
    assert_eq!(post.count(), 30);
}

#[test]
fn nobody_is_called_and_nothing_is_formatted_by_a_line() {
    let mut post = Post::default();
    let evil = "<!channel> @here <https://evil.example|shop> & *bold* `x` [a](b)";
    post.add(line(1, Level::Problem, evil), 10);
    assert_eq!(
        text(&post, Form::Slack),
        "⚠ web1: &lt;!channel&gt; @here &lt;https://evil.example|shop&gt; &amp; *bold* `x` [a](b)"
    );
    let body: Value = serde_json::from_slice(&post.body(Form::Slack, "ops")).expect("JSON");
    assert_eq!(body["mrkdwn"], false);
    let shown = text(&post, Form::Mattermost);
    assert!(
        !shown.contains("<!channel") && !shown.contains("@here"),
        "{shown}"
    );
    assert!(shown.contains("\\*bold\\* \\`x\\` \\[a\\](b)"), "{shown}");
    let body: Value = serde_json::from_slice(&post.body(Form::Json, "ops")).expect("JSON");
    assert_eq!(body["lines"][0]["record"]["level"], "problem");
    assert_eq!(body["relay"], "ops");
}

#[test]
fn an_answer_means_go_on_again_later_or_that_a_person_has_to_look() {
    let seconds = Duration::from_secs;
    for (status, after, expected) in [
        (200, None, Outcome::Taken),
        (204, None, Outcome::Taken),
        (429, Some("7"), Outcome::Later(Some(seconds(7)))),
        (429, Some("999999"), Outcome::Later(Some(seconds(3600)))),
        (
            503,
            Some("Fri, 31 Dec 1999 23:59:59 GMT"),
            Outcome::Later(None),
        ),
        (500, None, Outcome::Later(None)),
        (400, None, Outcome::Refused(400)),
        (404, None, Outcome::Gone(404)),
        (302, None, Outcome::Gone(302)),
    ] {
        assert_eq!(outcome(status, after), expected, "{status} {after:?}");
    }
}

#[test]
fn tries_grow_rarer_and_what_is_refused_three_times_is_given_up() {
    let least = Duration::from_secs(3);
    let mut pace = Pace::default();
    let waits: Vec<u64> = (0..12)
        .map(|_| match pace.next(Outcome::Later(None), least) {
            Next::Again(wait) => wait.as_secs(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(waits, [3, 3, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
    assert_eq!(pace.next(Outcome::Taken, least), Next::On(least));
    let asked = Outcome::Later(Some(Duration::from_secs(40)));
    assert_eq!(
        pace.next(asked, least),
        Next::Again(Duration::from_secs(40))
    );
    let mut pace = Pace::default();
    assert!(matches!(
        pace.next(Outcome::Refused(400), least),
        Next::Again(_)
    ));
    assert!(matches!(
        pace.next(Outcome::Refused(400), least),
        Next::Again(_)
    ));
    assert_eq!(pace.next(Outcome::Refused(400), least), Next::GiveUp(least));
}

#[test]
fn why_something_is_not_posted_never_holds_the_address() {
    for failed in [
        Failed::NotConnected("chat.example.org:443: refused".to_owned()),
        Failed::NotConnected("TLS: not valid for chat.example.org".to_owned()),
        Failed::Broken("chat.example.org".to_owned()),
        Failed::Late(Duration::from_secs(15)),
    ] {
        let why = deploy_orchestrator::relay::why(&failed);
        assert!(!why.contains("example"), "{why}");
    }
}

/// What the chat does with a post.
#[derive(Debug, Clone, Copy)]
enum Mood {
    Says(u16),
    Asks(u16, &'static str),
    /// Never answers.
    Hangs,
}

#[derive(Debug, Clone, Default)]
struct Chat(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    moods: VecDeque<Mood>,
    posts: Vec<(String, String)>,
}

const SECRET: &str = "T000-B000-hunter2";

impl Chat {
    async fn start(&self, tasks: &mut JoinSet<()>) -> String {
        let listener = World::real()
            .net
            .listen("127.0.0.1:0")
            .await
            .expect("a port");
        let address = listener.local_address().expect("an address");
        let router = Router::new().fallback(post).with_state(self.clone());
        let stop = CancellationToken::new();
        tasks.spawn(async move {
            chassis::http::serve(router, listener, &stop, Duration::ZERO).await;
        });
        format!("http://{address}/services/{SECRET}?key={SECRET}\n")
    }

    fn will(&self, moods: impl IntoIterator<Item = Mood>) {
        self.0.lock().expect("sound").moods.extend(moods);
    }

    fn calms_down(&self) {
        self.0.lock().expect("sound").moods.clear();
    }

    /// The texts that came, whatever was answered.
    fn texts(&self) -> Vec<String> {
        let said = self.0.lock().expect("sound");
        let texts = said.posts.iter().map(|(_, body)| {
            let body: Value = serde_json::from_str(body).expect("JSON");
            body["text"].as_str().expect("a text").to_owned()
        });
        texts.collect()
    }

    async fn until_posted(&self, what: &str, count: usize) -> Vec<String> {
        until(what, LONG, || async {
            let texts = self.texts();
            (texts.len() >= count).then_some(texts)
        })
        .await
    }
}

async fn post(State(chat): State<Chat>, uri: Uri, body: Bytes) -> Response {
    let mood = {
        let mut said = chat.0.lock().expect("sound");
        let body = String::from_utf8_lossy(&body).into_owned();
        said.posts.push((uri.to_string(), body));
        said.moods.pop_front().unwrap_or(Mood::Says(200))
    };
    let status = |code| StatusCode::from_u16(code).expect("a status");
    match mood {
        Mood::Says(code) => (status(code), "ok").into_response(),
        Mood::Asks(code, after) => {
            (status(code), [("retry-after", after)], "later").into_response()
        }
        Mood::Hangs => std::future::pending().await,
    }
}

fn relay(fleet: &mut Fleet, url: &str, more: &str) {
    let file = fleet.folder.write("chat-url", url);
    let text = format!(
        "[relay.ops]\nurl_file = {file:?}\nform = \"slack\"\nper_minute = 600\ncomponents = [\"stomp-git\"]\n{more}"
    );
    let (_, settings) = chassis::settings::parse::<Settings>(&text, "test").expect("it parses");
    fleet.settings.relay = settings.relay;
}

async fn restarted(fleet: &mut Fleet) {
    fleet.kill();
    fleet.start();
    let there = || async { fleet.get("/api/v1/feed?limit=1").await.ok() };
    until("it answers", SOON, there).await;
}

/// Waits until it takes in what is said. It is asked on a component's behalf that no relay here is about.
async fn listens(fleet: &Fleet, member: &Member) {
    let heard = || async {
        let line = Said::new("probe", "?").with("component", "probe");
        let line = line.line("probe".parse().expect("a component"), &host("web7"));
        member.bus.publish(&line).await.expect("it is published");
        newest(fleet, "probe").await
    };
    until("it takes in lines", SOON, heard).await;
}

/// The number of the newest line of a component.
async fn newest(fleet: &Fleet, component: &str) -> Option<u64> {
    let path = format!("/api/v1/feed?component={component}");
    let (_, body) = fleet.get(&path).await.ok()?;
    body["lines"].as_array()?.last()?["id"].as_u64()
}

/// Says a line, once, and waits until the feed has it; its number.
async fn say(fleet: &Fleet, member: &Member, level: Level, text: &str) -> u64 {
    listens(fleet, member).await;
    let before = newest(fleet, "stomp-git").await;
    member.bus.say(Said::new("told", text).level(level));
    let heard = || async {
        let now = newest(fleet, "stomp-git").await;
        now.filter(|_| now > before)
    };
    until("the feed has it", SOON, heard).await
}

fn feed(fleet: &Fleet) -> rusqlite::Connection {
    let file = fleet.settings.data.join("feed.sqlite");
    rusqlite::Connection::open(file).expect("it opens")
}

/// Waits until the relay's place is noted as behind this line.
async fn noted(fleet: &Fleet, line: u64) {
    let place = "SELECT number FROM positions WHERE name = 'relay.ops'";
    reaches(fleet, place, line).await;
}

async fn reaches(fleet: &Fleet, select: &str, line: u64) {
    let feed = feed(fleet);
    let reached = || async {
        let place: i64 = feed.query_row(select, [], |row| row.get(0)).ok()?;
        (u64::try_from(place).ok()? >= line).then_some(())
    };
    until(select, SOON, reached).await;
}

/// An orchestrator with one relay to a chat, and somebody who says lines.
struct Related {
    fleet: Fleet,
    chat: Chat,
    member: Member,
    _tasks: JoinSet<()>,
}

async fn related(more: &str, change: impl FnOnce(&mut Settings)) -> Related {
    let mut fleet = Fleet::of(&["web1"]).await;
    change(&mut fleet.settings);
    let (chat, mut tasks) = (Chat::default(), JoinSet::new());
    let url = chat.start(&mut tasks).await;
    relay(&mut fleet, &url, more);
    restarted(&mut fleet).await;
    noted(&fleet, 0).await;
    let member = Member::connect("stomp-git", fleet.broker.common("web7")).await;
    Related {
        fleet,
        chat,
        member,
        _tasks: tasks,
    }
}

#[tokio::test]
async fn a_chat_gets_each_line_through_its_moods_and_a_restart() {
    let Related {
        mut fleet,
        chat,
        member,
        _tasks,
    } = related("", |_| {}).await;
    chat.will([Mood::Says(500), Mood::Asks(429, "1")]);
    let one = say(&fleet, &member, Level::Problem, "one").await;
    let texts = chat
        .until_posted("it is posted after two refusals", 3)
        .await;
    assert_eq!(texts, ["⚠ web7: one"; 3]);
    noted(&fleet, one).await;

    // While the relay is not there, and again after it.
    fleet.kill();
    fleet.start();
    say(&fleet, &member, Level::Problem, "two").await;
    let texts = chat.until_posted("the next one is posted", 4).await;
    assert_eq!(texts[3..], ["⚠ web7: two"]);
    let paths = chat.0.lock().expect("sound").posts[0].0.clone();
    assert_eq!(paths, format!("/services/{SECRET}?key={SECRET}"));
    fleet.stop().await;
}

#[tokio::test]
async fn a_chat_that_hangs_or_is_not_there_holds_up_no_deploy() {
    let Related {
        fleet,
        chat,
        member,
        _tasks,
    } = related("", |_| {}).await;
    chat.will([Mood::Hangs]);
    say(&fleet, &member, Level::Problem, "one").await;
    chat.until_posted("it hangs", 1).await;
    // What it knew of its hosts may not have been stored before it was killed.
    fleet.announce(&["web1"]).await;
    let begun = fleet
        .deploy(json!({"project": "shop", "action": "deploy", "revision": "v2"}))
        .await;
    let ended = fleet.watch_to_the_end(begun.id).await;
    assert_eq!(
        ended.state,
        deploy_orchestrator::api::DeployState::Succeeded
    );
    fleet.stop().await;
}

/// Lines that are half as many as are kept; the number of the last one.
async fn says_many(fleet: &Fleet, member: &Member, round: usize) -> u64 {
    for number in 0..50 {
        let said = Said::new("counted", format!("{round} {number}"));
        let line = said.line("stomp-git".parse().expect("a component"), &host("web7"));
        member.bus.publish(&line).await.expect("it is published");
    }
    let last = || async {
        let path = "/api/v1/feed?component=stomp-git&limit=1";
        let (_, body) = fleet.get(path).await.ok()?;
        let line = &body["lines"][0];
        let is_last = line["line"] == format!("web7: {round} 49");
        is_last.then(|| line["id"].as_u64())?
    };
    until("the feed has them", SOON, last).await
}

#[tokio::test]
async fn what_the_feed_forgot_is_said_if_it_was_not_looked_at_and_only_then() {
    let Related {
        mut fleet,
        chat,
        member,
        _tasks,
    } = related("levels = [\"alarm\"]", |settings| {
        settings.feed.keep_lines = 100
    })
    .await;
    let first = say(&fleet, &member, Level::Alarm, "one").await;
    chat.until_posted("an alarm is posted", 1).await;
    noted(&fleet, first).await;
    // None of these is for this chat. It has seen so, and they are no loss.
    for round in 0..4 {
        let last = says_many(&fleet, &member, round).await;
        noted(&fleet, last).await;
    }
    fleet.kill();
    fleet.start();
    say(&fleet, &member, Level::Alarm, "two").await;
    let texts = chat.until_posted("another alarm is posted", 2).await;
    assert_eq!(texts[1..], ["‼ web7: two"]);

    // While the chat takes none, more come than are kept.
    chat.will([Mood::Asks(503, "1"); 100]);
    say(&fleet, &member, Level::Alarm, "three").await;
    chat.until_posted("the chat is asked", 3).await;
    for round in 4..8 {
        says_many(&fleet, &member, round).await;
    }
    chat.calms_down();
    let said = || async {
        let last = chat.texts().pop()?;
        last.starts_with("the feed has forgotten ").then_some(last)
    };
    let last = until("that lines were lost is posted", LONG, said).await;
    assert!(
        last.ends_with(" lines before they could be posted here"),
        "{last}"
    );
    fleet.stop().await;
}

#[tokio::test]
async fn a_place_that_cannot_be_noted_posts_nothing_twice_until_a_restart() {
    let Related {
        mut fleet,
        chat,
        member,
        _tasks,
    } = related("", |_| {}).await;
    // What is tried stays, although it fails.
    let refuses = "CREATE TABLE tried (number INTEGER);
        CREATE TRIGGER full BEFORE INSERT ON positions
        BEGIN INSERT INTO tried VALUES (NEW.number); SELECT RAISE(FAIL, 'full'); END";
    feed(&fleet).execute_batch(refuses).expect("done");
    say(&fleet, &member, Level::Problem, "one").await;
    chat.until_posted("it is posted", 1).await;
    let two = say(&fleet, &member, Level::Problem, "two").await;
    let texts = chat.until_posted("the next one is posted", 2).await;
    assert_eq!(texts, ["⚠ web7: one", "⚠ web7: two"]);
    reaches(&fleet, "SELECT max(number) FROM tried", two).await;

    fleet.kill();
    feed(&fleet)
        .execute_batch("DROP TRIGGER full")
        .expect("done");
    fleet.start();
    let three = say(&fleet, &member, Level::Problem, "three").await;
    let texts = chat.until_posted("all come again", 3).await;
    assert_eq!(texts[2], "⚠ web7: one\n⚠ web7: two\n⚠ web7: three");
    noted(&fleet, three).await;
    fleet.stop().await;
}

#[test]
fn settings_that_cannot_be_are_refused_without_the_address() {
    for (text, said) in [
        (
            "[relay.Ops]\nurl_file = \"x\"\nform = \"slack\"",
            "a relay's name",
        ),
        ("[relay.ops]\nurl_file = \"x\"\nform = \"irc\"", "irc"),
        ("[relay.ops]\nform = \"slack\"", "url_file"),
        (
            "[relay.ops]\nurl_file = \"x\"\nform = \"slack\"\nper_minute = 0",
            "relay.ops.per_minute",
        ),
        (
            "[relay.ops]\nurl_file = \"x\"\nform = \"slack\"\nlevels = [\"loud\"]",
            "loud",
        ),
    ] {
        let wrong = chassis::settings::parse::<Settings>(text, "test").expect_err(text);
        assert!(wrong.to_string().contains(said), "{text}: {wrong}");
    }
}
