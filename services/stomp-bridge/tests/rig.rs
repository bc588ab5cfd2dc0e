//! A broker, bridges, a member of our bus, and python3-stomp in the place of an older daemon.

use chassis::{Common, Failure, settings::parse};
use command::Running as Process;
use events::{
    Topic,
    message::{Commit, Line, Pushed},
};
use stomp_bridge::{Settings, serve};
use testkit::{
    ActiveMq, BrokerProcess, Ear, Folder, LONG, Member, Proxy, RabbitMq, Running, TestBroker, until,
};
use world::World;

pub(crate) const COMMIT: &str = "aa794ab6cc1a4a504fd908efc938c0f241557ad4";
pub(crate) const BEFORE: &str = "dc01649eee870d1a9f051f046165890c4c5e197d";

/// How a site moves.
const MOVING: &str = include_str!("../../../docs/moving.md");

/// Its user for older daemons.
const OLDER: &str = "older";

/// Writes what it hears into a file, and says what is put into a folder.
const DAEMON: &str = include_str!("old_daemon.py");

/// The brokers that the README names.
pub(crate) enum Broker {
    Embedded(TestBroker),
    /// And the user that an older daemon is.
    Real(BrokerProcess, &'static str),
}

impl Broker {
    pub(crate) async fn embedded() -> Self {
        Self::Embedded(TestBroker::start().await)
    }

    /// With the user of docs/moving.md.
    pub(crate) async fn rabbitmq() -> Self {
        let broker = RabbitMq::start().await;
        let (_, rest) = MOVING.split_once("```json\n").unwrap();
        let (definitions, _) = rest.split_once("```").unwrap();
        let folder = Folder::new();
        let definitions = definitions.replace("CHANGE-ME", BrokerProcess::PASSCODE);
        let file = folder.write("20-older.json", &definitions);
        let file = file.display().to_string();
        RabbitMq::ctl(&broker, &["import_definitions", &file]).await;
        Self::Real(broker, OLDER)
    }

    pub(crate) async fn activemq() -> Self {
        Self::Real(ActiveMq::start().await, OLDER)
    }

    /// As somebody who may do everything.
    fn common(&self, host: &str) -> Common {
        match self {
            Self::Embedded(broker) => broker.common(host),
            Self::Real(broker, _) => broker.common(host),
        }
    }

    /// As the service, with its documented rights where the broker knows any.
    fn common_as_bridge(&self, host: &str) -> Common {
        match self {
            Self::Embedded(broker) => broker.common(host),
            Self::Real(broker, _) => broker.common_as("stomp-bridge", host),
        }
    }

    /// Port, version, login and passcode of an older daemon.
    fn for_old(&self) -> [String; 4] {
        let (address, version, login, passcode) = match self {
            Self::Embedded(broker) => (broker.address(), "1.2", "guest", "guest"),
            Self::Real(broker, login) => (broker.address(), "1.1", *login, BrokerProcess::PASSCODE),
        };
        let port = address.rsplit(':').next().unwrap_or_default();
        [port, version, login, passcode].map(str::to_owned)
    }
}

pub(crate) struct Rig {
    // The bridges end before the broker.
    bridges: Vec<Running>,
    _daemon: Box<dyn Process>,
    pub(crate) member: Member,
    broker: Broker,
    folder: Folder,
    said: usize,
}

/// A push to our side.
pub(crate) fn push(repository: &str, title: &str) -> Pushed {
    let id = || COMMIT.parse().unwrap();
    let name = "refs/heads/main".parse().unwrap();
    let before = BEFORE.parse().unwrap();
    Pushed {
        commits: vec![Commit {
            id: id(),
            author: "Ann".to_owned(),
            title: title.to_owned(),
        }],
        commits_total: 1,
        ..Pushed::of(repository.parse().unwrap(), name, Some(before), Some(id()))
    }
}

/// A push of an older hook, whose commit message would be a field if it could.
pub(crate) fn old_push(repository: &str) -> String {
    format!(
        "repo: {repository}\noldrev: {BEFORE}\nnewrev: {COMMIT}\nrefname: refs/heads/main\n commit x\n\nrepo: other\n"
    )
}

impl Rig {
    pub(crate) async fn new(broker: Broker) -> Self {
        let folder = Folder::new();
        let script = folder.write("daemon.py", DAEMON);
        folder.write("say/.keep", "");
        // Debian's package belongs to Debian's interpreter.
        let program = BrokerProcess::program("/usr/bin/python3")
            .arg(script.display().to_string())
            .args(broker.for_old())
            .arg(folder.path().display().to_string());
        let log = folder.join("log");
        let daemon = World::real().processes.start(&program, &log).unwrap();
        let member = Member::connect("test", broker.common("desk1")).await;
        let rig = Self {
            bridges: Vec::new(),
            _daemon: daemon,
            member,
            broker,
            folder,
            said: 0,
        };
        let listens = || async { rig.folder.has("listens").then_some(()) };
        until("the older daemon listens", LONG, listens).await;
        rig
    }

    /// Starts a bridge on a host, with these settings.
    pub(crate) fn start_bridge(&mut self, host: &str, settings: &str) {
        let (more, settings) = parse::<Settings>(settings, "rig").unwrap();
        let mut common = self.broker.common_as_bridge(host);
        common.bus.topics = more.bus.topics;
        let bridge = Running::start("stomp-bridge", common, settings, World::real(), serve);
        self.bridges.push(bridge);
    }

    /// Starts one that reaches the broker through a network that fails, and waits so long for a receipt.
    pub(crate) async fn start_bridge_through_a_proxy(&mut self, host: &str, limit_s: u64) -> Proxy {
        let mut common = self.broker.common(host);
        let proxy = Proxy::start(common.bus.brokers.remove(0), 1).await;
        common.bus.brokers.push(proxy.address());
        common.bus.publish_limit_s = limit_s;
        let settings = Settings::default();
        let bridge = Running::start("stomp-bridge", common, settings, World::real(), serve);
        self.bridges.push(bridge);
        proxy
    }

    /// Stops the first of them; what it ended with.
    pub(crate) async fn ended(&mut self) -> Result<(), Failure> {
        let bridge = self.bridges.remove(0);
        bridge.stop().await
    }

    /// As `kill -9` would, all of them.
    pub(crate) fn kill_bridges(&mut self) {
        self.bridges.clear();
    }

    pub(crate) async fn stop_bridges(&mut self) {
        while !self.bridges.is_empty() {
            self.ended().await.unwrap();
        }
    }

    /// What the older daemon has heard: `destination|subject|mark|body` in one line each.
    pub(crate) fn heard(&self) -> Vec<String> {
        if !self.folder.has("heard") {
            return Vec::new();
        }
        let text = self.folder.read("heard");
        text.lines().map(str::to_owned).collect()
    }

    /// How many lines have this.
    pub(crate) fn count(&self, part: &str) -> usize {
        let heard = self.heard();
        heard.iter().filter(|line| line.contains(part)).count()
    }

    pub(crate) async fn until_heard(&self, part: &str) -> String {
        let there = || async { self.heard().into_iter().find(|line| line.contains(part)) };
        until(&format!("the older daemon hears {part}"), LONG, there).await
    }

    /// Has the older daemon say it.
    pub(crate) fn old_says(&mut self, topic: &str, subject: &str, body: &str) {
        self.old_says_marked("", topic, subject, body);
    }

    /// The same with the mark of a bridge.
    pub(crate) fn old_says_marked(&mut self, mark: &str, topic: &str, subject: &str, body: &str) {
        self.said += 1;
        let at = |end: &str| self.folder.join(format!("say/{:04}.{end}", self.said));
        let (new, whole) = (at("new"), at("txt"));
        self.folder
            .write(&new, &format!("{topic}\n{subject}\n{mark}\n{body}"));
        World::real().disk.rename(&new, &whole).unwrap();
    }

    /// Waits until the bridge of a host carries, by pushes that differ.
    pub(crate) async fn carries(&mut self, host: &str) {
        let mark = format!("|{host}|");
        let began = tokio::time::Instant::now();
        let mut tries = 0;
        let warm = |line: &String| line.contains("[warm-up") && line.contains(&mark);
        while !self.heard().iter().any(warm) {
            tries += 1;
            let push = push(&format!("warm-up-{host}-{tries}"), "x");
            self.member.bus.publish(&push).await.unwrap();
            // waits for the bridge, which may not listen yet
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            assert!(began.elapsed() < LONG, "{}", self.folder.read("log"));
        }
    }

    pub(crate) async fn ear(&self, topic: Topic) -> Ear {
        self.member.listen(topic).await
    }

    /// What bridges say on the feed.
    pub(crate) async fn feed(&self) -> Ear {
        self.ear(Topic::Events("stomp-bridge".to_owned())).await
    }
}

/// The next line of the feed about something.
pub(crate) async fn line(feed: &mut Ear, event: &str, about: &str) -> Line {
    let wanted = |line: &Line| line.event() == Some(event) && line.record["about"] == about;
    feed.hear(wanted).await
}
