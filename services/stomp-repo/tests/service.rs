//! The service as `main` wires it: real broker, real apt in a root of its own, a signed repository behind a mirror.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use chassis::settings::parse;
use events::{
    Topic,
    message::{DeadLetter, Line, PackageUpdate, PackagesRefreshed, PackagesUpdated},
};
use rustix::fs::{FlockOperation, fcntl_lock};
use stomp_repo::Settings;
use testkit::{
    AptHost, AptRepository, Ear, Member, Mirror, RootPart, Running, SOON, TestBroker, until,
};
use tokio::{
    io::copy_bidirectional,
    net::{UnixListener, UnixStream},
    task::JoinSet,
};
use world::World;

const PROGRAM: &str = env!("CARGO_BIN_EXE_stomp-repo");

fn updated(packages: &[(&str, &str)]) -> PackagesUpdated {
    let package = |(name, version): &(&str, &str)| PackageUpdate {
        name: name.parse().unwrap(),
        version: version.parse().unwrap(),
        before: None,
        architectures: vec!["all".parse().unwrap()],
        source: None,
    };
    PackagesUpdated {
        repository: "acme".parse().unwrap(),
        suite: "bookworm".parse().unwrap(),
        component: "main".parse().unwrap(),
        packages: packages.iter().map(package).collect(),
        packages_total: packages.len(),
    }
}

/// The host `web1` with apt, a mirror of the repository `acme`, and somebody on the bus.
struct Host {
    apt: AptHost,
    repository: AptRepository,
    mirror: Mirror,
    part: RootPart,
    between: JoinSet<()>,
    broker: TestBroker,
    member: Member,
    refreshed: Ear,
    lines: Ear,
    settings: Settings,
    service: Option<Running>,
}

impl Host {
    /// With `shop` 1.0 installed and in the repository; the service has looked once.
    async fn new(settings: &str) -> Self {
        let mut host = Self::prepared(settings).await;
        host.start().await;
        host
    }

    async fn prepared(more: &str) -> Self {
        let apt = AptHost::new();
        let repository = AptRepository::new();
        let mirror = Mirror::start().await;
        repository.upload("shop", "1.0");
        mirror.sync(&repository.path());
        apt.add_source("acme.sources", &mirror.url(), &repository);
        apt.install("shop", "1.0");
        let part = apt.root_part(PROGRAM).await;
        let text = format!(
            "socket = {:?}\napt_config = {:?}\nsplay_s = 0\nretry_s = 1\n{more}",
            part.socket(),
            apt.config(),
        );
        let (_, settings) = parse::<Settings>(&text, "test").unwrap();
        let broker = TestBroker::start().await;
        let member = Member::connect("test", broker.common("hub")).await;
        let refreshed = member.listen(Topic::PackagesRefreshed).await;
        let lines = member.listen(Topic::Events("stomp-repo".to_owned())).await;
        Self {
            apt,
            repository,
            mirror,
            part,
            between: JoinSet::new(),
            broker,
            member,
            refreshed,
            lines,
            settings,
            service: None,
        }
    }

    /// Starts the service, and waits for its first refresh.
    async fn start(&mut self) {
        let asked = self.mirror.asked();
        self.service = Some(Running::start(
            "stomp-repo",
            self.broker.common("web1"),
            self.settings.clone(),
            World::real(),
            stomp_repo::serve,
        ));
        let apt = &self.apt;
        let mirror = &self.mirror;
        until("the first refresh", SOON, || async {
            let looked = mirror.asked() > asked
                && apt.candidate("shop") != "(unknown)"
                && !apt.lists().is_empty();
            looked.then_some(())
        })
        .await;
    }

    /// Counts what the root part answers, from the next start on.
    fn counts_answers(&mut self) -> Arc<AtomicUsize> {
        let part = self.part.socket().to_owned();
        self.settings.socket = part.with_extension("counted");
        let listener = UnixListener::bind(&self.settings.socket).unwrap();
        let answers = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&answers);
        self.between.spawn(async move {
            while let Ok((mut asks, _)) = listener.accept().await {
                let mut part = UnixStream::connect(&part).await.unwrap();
                let _ended = copy_bidirectional(&mut asks, &mut part).await;
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        answers
    }

    async fn announce(&self, packages: &[(&str, &str)]) {
        self.member.bus.publish(&updated(packages)).await.unwrap();
    }

    /// Uploads, brings the mirror up to date, announces.
    async fn upload(&self, name: &str, version: &str) {
        self.repository.upload(name, version);
        self.mirror.sync(&self.repository.path());
        self.announce(&[(name, version)]).await;
    }

    /// The next change of candidates, as `package before -> after`.
    async fn sees(&mut self) -> Vec<String> {
        let heard = self.refreshed.hear::<PackagesRefreshed>(|_| true).await;
        assert_eq!(
            (heard.host.as_str(), heard.packages.len()),
            ("web1", heard.packages_total)
        );
        assert_eq!(heard.source.unwrap().as_str(), "acme.sources");
        let version = |version: Option<events::PackageVersion>| {
            version.map_or("none".to_owned(), String::from)
        };
        let told = heard.packages.into_iter();
        told.map(|it| {
            format!(
                "{} {} -> {}",
                it.name,
                version(it.before),
                version(it.after)
            )
        })
        .collect()
    }

    async fn says(&mut self, part: &str) -> Line {
        self.lines
            .hear::<Line>(|line| line.line.contains(part))
            .await
    }

    async fn stop(&mut self) {
        self.service.take().unwrap().stop().await.unwrap();
    }
}

const ACME: &str = "[sources.\"acme.sources\"]\nrepositories = [\"acme\"]\nupcoming = [\"worker\", \"plugin-*\"]\n";

#[tokio::test]
async fn an_announced_version_comes_to_be_the_candidate_and_nothing_is_installed() {
    let mut host = Host::new(ACME).await;
    for (version, before) in [
        ("1.1", "1.0"),
        ("1:0.9", "1.1"),
        ("1:1.0~rc1-1", "1:0.9"),
        ("1:1.0-1", "1:1.0~rc1-1"),
    ] {
        host.upload("shop", version).await;
        assert_eq!(host.sees().await, [format!("shop {before} -> {version}")]);
        assert_eq!(host.apt.candidate("shop"), version);
    }
    let line = host.says("web1: shop 1.1 can be installed").await;
    assert_eq!(
        line.line.as_str(),
        "web1: shop 1.1 can be installed, before 1.0 (installed: 1.0)"
    );
    let policy = host.apt.run("apt-cache", &["policy", "shop"]);
    assert!(policy.contains("Installed: 1.0\n"), "{policy}");
    host.stop().await;
}

#[tokio::test]
async fn what_apt_knows_or_nobody_wants_is_no_reason_to_ask_the_mirror() {
    let mut host = Host::new(ACME).await;
    let asked = host.mirror.asked();
    host.announce(&[
        ("shop", "1.0"),
        ("shop", "1.0~rc1"),
        ("shop", "0.9"),
        ("nginx", "9"),
        ("shop", "99999999999:1"),
    ])
    .await;
    host.upload("plugin-x", "2").await;
    assert_eq!(
        host.sees().await,
        ["plugin-x none -> 2"],
        "upcoming, and not installed"
    );
    assert_eq!(host.mirror.asked(), asked + 1);
    host.stop().await;
}

#[tokio::test]
async fn a_mirror_that_lags_is_asked_until_it_has_the_version() {
    let mut host = Host::new(ACME).await;
    host.repository.upload("shop", "1.1");
    let asked = host.mirror.asked();
    host.announce(&[("shop", "1.1")]).await;
    let mirror = &host.mirror;
    until("the second refresh in vain", SOON, || async {
        (mirror.asked() >= asked + 2).then_some(())
    })
    .await;
    host.mirror.sync(&host.repository.path());
    assert_eq!(host.sees().await, ["shop 1.0 -> 1.1"]);
    host.stop().await;
}

#[tokio::test]
async fn a_version_that_never_comes_is_given_up_and_said() {
    let mut host = Host::new(&format!("lag_tries = 1\n{ACME}")).await;
    let asked = host.mirror.asked();
    host.announce(&[("shop", "7.0")]).await;
    let line = host.says("shop 7.0 was announced by acme").await;
    assert_eq!(
        line.line.as_str(),
        "web1: shop 7.0 was announced by acme and is not in acme.sources after 2 refreshes; apt has 1.0"
    );
    assert_eq!(host.mirror.asked(), asked + 2);
    host.upload("shop", "7.1").await;
    assert_eq!(
        host.sees().await,
        ["shop 1.0 -> 7.1"],
        "the next one is looked for as ever"
    );
    host.stop().await;
}

#[tokio::test]
async fn a_version_that_apt_is_told_not_to_prefer_is_said_and_not_tried_again() {
    let host = Host::prepared(ACME).await;
    host.apt
        .prefer("Package: shop\nPin: version 1.0\nPin-Priority: 1001\n");
    let mut host = host;
    host.start().await;
    host.upload("shop", "1.1").await;
    let line = host.says("shop 1.1 is there").await;
    assert_eq!(
        line.line.as_str(),
        "web1: shop 1.1 is there, but apt is set to prefer 1.0"
    );
    let asked = host.mirror.asked();
    host.upload("worker", "1").await;
    assert_eq!(host.sees().await, ["worker none -> 1"]);
    assert_eq!(host.mirror.asked(), asked + 1);
    host.stop().await;
}

#[tokio::test]
async fn an_unreachable_source_is_said_once_tried_again_and_said_when_it_is_over() {
    let mut host = Host::new(ACME).await;
    host.mirror.stop().await;
    host.announce(&[("shop", "1.1")]).await;
    let line = host.says("cannot be refreshed").await;
    assert!(
        line.line
            .starts_with("web1: acme.sources cannot be refreshed: apt-get update: exit 100: "),
        "{}",
        line.line
    );
    host.repository.upload("shop", "1.1");
    host.mirror.sync(&host.repository.path());
    host.mirror.start_again().await;
    assert_eq!(host.sees().await, ["shop 1.0 -> 1.1"]);
    let again = |line: &Line| {
        assert!(
            !line.line.contains("cannot be refreshed"),
            "said twice: {}",
            line.line
        );
        line.line.contains("acme.sources refreshed again after")
    };
    host.lines.hear::<Line>(again).await;
    host.stop().await;
}

#[tokio::test]
async fn another_apt_that_holds_the_lock_is_waited_for_without_a_word() {
    let mut host = Host::prepared(ACME).await;
    let answers = host.counts_answers();
    host.start().await;
    let lock = std::fs::File::options();
    let lock = { lock }
        .write(true)
        .open(host.apt.root().join("var/lib/apt/lists/lock"))
        .unwrap();
    // The look of the start may still hold it.
    until("apt's lock is free", SOON, async || {
        fcntl_lock(&lock, FlockOperation::NonBlockingLockExclusive).ok()
    })
    .await;
    // The answer to the look of the start may still be on its way.
    let tried = answers.load(Ordering::Relaxed) + 2;
    host.upload("shop", "1.1").await;
    until("it was tried while the lock is held", SOON, async || {
        (answers.load(Ordering::Relaxed) >= tried).then_some(())
    })
    .await;
    assert_eq!(host.apt.candidate("shop"), "1.0");
    drop(lock);
    assert_eq!(host.sees().await, ["shop 1.0 -> 1.1"]);
    let first = host.lines.hear::<Line>(|_| true).await;
    assert!(first.line.contains("can be installed"), "{}", first.line);
    host.stop().await;
}

#[tokio::test]
async fn what_came_while_the_bus_was_away_is_found_and_said_when_it_is_back() {
    let mut host = Host::new(ACME).await;
    host.broker.stop().await;
    host.repository.upload("shop", "1.1");
    host.mirror.sync(&host.repository.path());
    host.broker.start_again().await;
    assert_eq!(host.sees().await, ["shop 1.0 -> 1.1"]);
    host.stop().await;
}

#[tokio::test]
async fn a_package_that_a_cut_message_does_not_name_is_found_all_the_same() {
    let mut host = Host::new(ACME).await;
    host.repository.upload("shop", "1.1");
    host.mirror.sync(&host.repository.path());
    let updated = PackagesUpdated {
        packages_total: 7,
        ..updated(&[("nginx", "1")])
    };
    host.member.bus.publish(&updated).await.unwrap();
    assert_eq!(host.sees().await, ["shop 1.0 -> 1.1"]);
    host.stop().await;
}

#[tokio::test]
async fn a_burst_of_announcements_is_few_refreshes() {
    let mut host = Host::prepared(&format!("{ACME}packages = [\"*\"]\n")).await;
    host.settings.splay_s = 2;
    host.start().await;
    let asked = host.mirror.asked();
    for n in 1..=30 {
        host.announce(&[("shop", &format!("1.0.{n}"))]).await;
    }
    host.repository.upload("shop", "1.0.30");
    host.mirror.sync(&host.repository.path());
    assert_eq!(host.sees().await, ["shop 1.0 -> 1.0.30"]);
    let refreshes = host.mirror.asked() - asked;
    assert!(refreshes <= 5, "{refreshes} refreshes for 30 announcements");
    host.stop().await;
}

#[tokio::test]
async fn a_message_that_is_none_is_put_aside() {
    let mut host = Host::new(ACME).await;
    let mut dead = host
        .member
        .listen(Topic::Dead("stomp-repo".to_owned()))
        .await;
    let mut envelope = {
        let updated = PackagesUpdated {
            repository: "acme".parse().unwrap(),
            suite: "bookworm".parse().unwrap(),
            component: "main".parse().unwrap(),
            packages: Vec::new(),
            packages_total: 0,
        };
        host.member.bus.seal(&updated).unwrap()
    };
    envelope.data["packages"] =
        serde_json::json!([{"name": "shop; id", "version": "1", "architectures": ["all"]}]);
    let topic = Topic::PackagesUpdated;
    host.member
        .bus
        .publish_envelope(&topic, true, &envelope)
        .await
        .unwrap();
    let letter = dead.hear::<DeadLetter>(|_| true).await;
    assert!(
        letter.cause.contains("\"shop; id\" is not a package name"),
        "{}",
        letter.cause
    );
    host.upload("shop", "1.1").await;
    assert_eq!(host.sees().await, ["shop 1.0 -> 1.1"], "and it goes on");
    host.stop().await;
}

#[tokio::test]
async fn without_apt_it_says_so_and_is_not_restarted() {
    let host = Host::prepared("").await;
    let folder = testkit::Folder::new();
    let settings = Settings {
        apt_config: Some(folder.write("apt.conf", "this is { no apt.conf\n")),
        ..host.settings.clone()
    };
    let running = Running::start(
        "stomp-repo",
        host.broker.common("web1"),
        settings,
        World::real(),
        stomp_repo::serve,
    );
    let failure = running.stop().await.unwrap_err();
    assert!(
        matches!(&failure, chassis::Failure::Settings(text) if text.contains("apt-config")),
        "{failure}"
    );
}
