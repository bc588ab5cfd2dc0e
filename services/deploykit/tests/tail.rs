//! `deploykit tail` against an orchestrator's feed.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Stdio},
};

use deploy_orchestrator::feed::{Feed, FeedLine, Keep, New, routes};
use deploykit::tail::{shown, since_when};
use events::message::{Level, Said};
use jiff::Timestamp;
use testkit::{Folder, SOON};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::World;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn since_is_a_length_a_day_or_a_time() {
    let now = at("2026-11-21T11:58:42Z");
    for (typed, expected) in [
        ("2h", "2026-11-21T09:58:42Z"),
        ("1h30m", "2026-11-21T10:28:42Z"),
        ("90s", "2026-11-21T11:57:12Z"),
        ("1d", "2026-11-20T11:58:42Z"),
        ("today", "2026-11-21T00:00:00Z"),
        ("yesterday", "2026-11-20T00:00:00Z"),
        ("2026-11-19", "2026-11-19T00:00:00Z"),
        ("2026-11-21T09:30:00+01:00", "2026-11-21T08:30:00Z"),
    ] {
        assert_eq!(since_when(typed, now), Ok(at(expected)), "{typed}");
    }
    for bad in [
        "",
        "2",
        "h",
        "2y",
        "tomorrow",
        "99999999999999999999s",
        "9999999999999w",
    ] {
        let why = since_when(bad, now).unwrap_err();
        assert!(why.contains("2026-11-21T09:30:00Z"), "{why}");
    }
}

/// An orchestrator's feed on a socket, and a home that leads there.
struct Hub {
    folder: Folder,
    feed: Feed,
    said: u64,
    stop: CancellationToken,
    serving: JoinSet<()>,
}

impl Hub {
    async fn new() -> Self {
        let folder = Folder::new();
        let keep = Keep {
            lines: 1000,
            days: 30,
        };
        let feed = Feed::open(&World::real(), folder.path(), keep).await;
        let mut hub = Self {
            feed: feed.unwrap(),
            folder,
            said: 0,
            stop: CancellationToken::new(),
            serving: JoinSet::new(),
        };
        let socket = hub.folder.join("orchestrator.sock");
        let settings = format!("socket = {socket:?}\nkey_file = \"unused\"\n");
        hub.folder
            .write("home/.config/deploykit/deploykit.toml", &settings);
        hub.serve().await;
        hub
    }

    async fn serve(&mut self) {
        self.stop = CancellationToken::new();
        let socket = self.folder.join("orchestrator.sock");
        let socket = chassis::http::bind_unix(&socket, 0o600).await.unwrap();
        let (router, stop) = (routes(self.feed.clone()), self.stop.clone());
        self.serving.spawn(async move {
            chassis::http::serve(router, socket, &stop, std::time::Duration::ZERO).await;
        });
    }

    /// Nobody answers any more.
    async fn leave(&mut self) {
        self.stop.cancel();
        while self.serving.join_next().await.is_some() {}
    }

    async fn says(&mut self, level: Level, text: &str) {
        self.said += 1;
        let said = Said::new("told", text)
            .level(level)
            .with("number", self.said);
        let line = said.line("stomp-git".parse().unwrap(), &"web1".parse().unwrap());
        let new = New {
            message: Uuid::from_u128(self.said.into()),
            said: at("2026-11-21T11:58:42Z"),
            line,
        };
        self.feed.keep(vec![new]).await.unwrap();
    }

    fn tail(&self, args: &[&str]) -> Child {
        std::process::Command::new(env!("CARGO_BIN_EXE_deploykit"))
            .arg("tail")
            .args(args)
            .env_clear()
            .env("HOME", self.folder.join("home"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }
}

/// Reads lines of a pipe beside the test.
fn reading(pipe: impl Read + Send + 'static) -> tokio::sync::mpsc::UnboundedReceiver<String> {
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    told
}

async fn next(lines: &mut tokio::sync::mpsc::UnboundedReceiver<String>) -> String {
    tokio::time::timeout(SOON, lines.recv())
        .await
        .expect("a line comes")
        .expect("it goes on")
}

async fn ended(mut child: Child) -> Option<i32> {
    testkit::until("it ends", SOON, || {
        let ended = child.try_wait().unwrap();
        async move { ended }
    })
    .await
    .code()
}

#[tokio::test]
async fn it_shows_what_was_said_and_ends_with_no_follow() {
    let mut hub = Hub::new().await;
    hub.says(Level::Info, "shop main new").await;
    hub.says(Level::Problem, "shop cannot be fetched").await;
    let mut tail = hub.tail(&["--no-follow"]);
    let mut text = reading(tail.stdout.take().unwrap());
    assert_eq!(
        next(&mut text).await,
        "2026-11-21 11:58:42Z web1: shop main new"
    );
    assert_eq!(
        next(&mut text).await,
        "2026-11-21 11:58:42Z problem web1: shop cannot be fetched"
    );
    assert_eq!(ended(tail).await, Some(0));

    let mut tail = hub.tail(&["--no-follow", "--json", "--trouble", "--since", "2h"]);
    let mut text = reading(tail.stdout.take().unwrap());
    let record: FeedLine = serde_json::from_str(&next(&mut text).await).unwrap();
    assert_eq!(
        (record.level, record.event.as_str()),
        (Level::Problem, "told")
    );
    assert_eq!(record.record["number"], 2);
    assert!(text.recv().await.is_none(), "no more");
    assert_eq!(ended(tail).await, Some(0));
    let coloured = shown(&record);
    assert!(
        coloured.contains("\u{1b}["),
        "colours on a terminal: {coloured:?}"
    );
}

#[tokio::test]
async fn a_lost_orchestrator_is_found_again_and_no_line_is_missed_or_doubled() {
    let mut hub = Hub::new().await;
    hub.says(Level::Info, "one").await;
    let mut tail = hub.tail(&["--topic", "stomp-*"]);
    let mut text = reading(tail.stdout.take().unwrap());
    let mut wrong = reading(tail.stderr.take().unwrap());
    assert!(next(&mut text).await.ends_with("web1: one"));
    hub.says(Level::Info, "two").await;
    assert!(next(&mut text).await.ends_with("web1: two"));
    hub.leave().await;
    assert!(next(&mut wrong).await.contains("tried again in 1 s"));
    hub.says(Level::Info, "three").await;
    hub.says(Level::Info, "four").await;
    hub.serve().await;
    assert!(next(&mut text).await.ends_with("web1: three"));
    assert!(next(&mut text).await.ends_with("web1: four"));
    let pid = rustix::process::Pid::from_child(&tail);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(ended(tail).await, Some(0), "Ctrl-C is no failure");
}

#[tokio::test]
async fn a_closed_pipe_ends_it() {
    let mut hub = Hub::new().await;
    hub.says(Level::Info, "one").await;
    let mut tail = hub.tail(&[]);
    let pipe = tail.stdout.take().unwrap();
    let (read, closed) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let line = BufReader::new(pipe).lines().next();
        read.send(line.unwrap().unwrap()).unwrap();
    });
    assert!(closed.await.unwrap().ends_with("one"));
    hub.says(Level::Info, "two").await;
    assert_eq!(ended(tail).await, Some(0));
}

#[tokio::test]
async fn what_is_typed_wrong_is_said() {
    let mut hub = Hub::new().await;
    assert_eq!(ended(hub.tail(&["--topic", "git.commits"])).await, Some(2));
    assert_eq!(ended(hub.tail(&["--level", "loud"])).await, Some(2));
    assert_eq!(ended(hub.tail(&["--since", "soon"])).await, Some(2));
    hub.leave().await;
    assert_eq!(ended(hub.tail(&[])).await, Some(69));
}
