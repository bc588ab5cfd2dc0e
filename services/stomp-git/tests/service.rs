//! The service as `main` wires it, with a real broker and real git.

use std::fs;

use chassis::settings::parse;
use events::{
    RepoName, Topic,
    message::{DeadLetter, Fetched, Line, Pushed},
};
use stomp_git::Settings;
use testkit::{Ear, Folder, Member, Origin, Running, SOON, TestBroker, until};
use world::World;

/// One host with the service, and somebody who pushes and listens.
struct Host {
    base: Folder,
    _broker: TestBroker,
    member: Member,
    fetched: Ear,
    lines: Ear,
    service: Running,
}

impl Host {
    /// A host `web1` that mirrors `shop` from `origin`.
    async fn new(origin: &str) -> Self {
        Self::new_at(Folder::new(), origin, |_| {}).await
    }

    /// The same, with its folder prepared.
    async fn new_at(base: Folder, origin: &str, prepare: impl FnOnce(&Folder)) -> Self {
        prepare(&base);
        Self::with(base, origin, "").await
    }

    /// The same in this folder, with more settings of the repository.
    async fn with(base: Folder, origin: &str, more: &str) -> Self {
        let text = format!(
            "base = {:?}\nhome = {:?}\nsplay_ms = 0\n[repositories.shop]\norigin = {origin:?}\naliases = [\"group/shop\"]\n{more}",
            base.path(),
            base.path(),
        );
        let (_, settings) = parse::<Settings>(&text, "test").unwrap();
        let broker = TestBroker::start().await;
        let member = Member::connect("test", broker.common("hub")).await;
        let fetched = member.listen(Topic::GitFetched).await;
        let lines = member.listen(Topic::Events("stomp-git".to_owned())).await;
        let service = Running::start(
            "stomp-git",
            broker.common("web1"),
            settings,
            World::real(),
            stomp_git::serve,
        );
        Self {
            base,
            _broker: broker,
            member,
            fetched,
            lines,
            service,
        }
    }

    async fn push(&self, repository: &str) {
        let pushed = Pushed::of(
            repository.parse::<RepoName>().unwrap(),
            "refs/heads/main".parse().unwrap(),
            None,
            None,
        );
        self.member.bus.publish(&pushed).await.unwrap();
    }

    /// The next message of the host that has this many refs.
    async fn has(&mut self, refs: usize) -> Fetched {
        self.fetched
            .hear::<Fetched>(|fetched| fetched.refs.len() == refs)
            .await
    }

    async fn says(&mut self, part: &str) -> Line {
        self.lines
            .hear::<Line>(|line| line.line.contains(part))
            .await
    }
}

fn names(fetched: &Fetched) -> Vec<&str> {
    fetched.refs.iter().map(|tip| tip.name.as_str()).collect()
}

#[tokio::test]
async fn a_push_is_fetched_and_said() {
    let origin = Origin::new();
    origin.commit(&[("a.txt", "1")]);
    let mut host = Host::new(&origin.url()).await;
    let first = host.has(1).await;
    assert_eq!(
        (
            first.host.as_str(),
            first.repository.as_str(),
            first.refs_total
        ),
        ("web1", "shop", 1)
    );
    host.says("web1: shop cloned: 1 branches, 0 tags").await;

    let before = origin.commit_of("main");
    origin.commit(&[("a.txt", "2")]).tag("v1");
    host.push("group/shop").await;
    let second = host.has(2).await;
    assert_eq!(names(&second), ["refs/tags/v1", "refs/heads/main"]);
    let after = origin.commit_of("main");
    assert!(second.refs.iter().all(|tip| tip.commit == after));
    let line = host.says("web1: shop main ").await;
    assert_eq!(
        line.line.as_str(),
        format!("web1: shop main {}..{}", before.short(), after.short())
    );
    assert_eq!(line.record["after"], after.as_str());
    host.says("web1: shop tag v1 new").await;
    assert!(host.base.has("mirrors/shop.git/HEAD"));
    host.service.stop().await.unwrap();
}

#[tokio::test]
async fn a_moved_tag_is_said_once_and_stays() {
    let origin = Origin::new();
    origin.commit(&[("a.txt", "1")]).tag("v1");
    let mut host = Host::new(&origin.url()).await;
    let v1 = origin.commit_of("v1");
    host.has(2).await;
    origin.commit(&[("a.txt", "2")]).tag("v1");
    host.push("shop").await;
    host.says("tag v1 was moved").await;
    origin.commit(&[("a.txt", "3")]);
    host.push("shop").await;
    let third = origin.commit_of("main");
    let wanted = |fetched: &Fetched| fetched.refs.iter().any(|tip| tip.commit == third);
    let fetched = host.fetched.hear::<Fetched>(wanted).await;
    assert!(
        fetched.refs.iter().any(|tip| tip.commit == v1),
        "{fetched:?}"
    );
    origin.commit(&[("a.txt", "4")]).branch("end").commit(&[]);
    host.push("shop").await;
    let end = |line: &Line| {
        assert!(
            !line.line.contains("was moved"),
            "said again: {}",
            line.line
        );
        line.line.contains("end new at")
    };
    host.lines.hear::<Line>(end).await;
    host.service.stop().await.unwrap();
}

#[tokio::test]
async fn a_moved_tag_that_is_put_back_is_said_to_be_over() {
    let origin = Origin::new();
    origin.commit(&[("a.txt", "1")]).tag("v1");
    let first = origin.commit_of("main");
    let mut host = Host::new(&origin.url()).await;
    host.has(2).await;
    origin.commit(&[("a.txt", "2")]).tag("v1");
    host.push("shop").await;
    host.says("tag v1 was moved").await;
    let mirror = host.base.join("mirrors/shop.git");
    origin.set(&mirror, &[("refs/tags/v1", None)]);
    host.push("shop").await;
    host.says("web1: shop tag v1 is as at its origin again")
        .await;
    assert_ne!(origin.commit_of("v1"), first);
    host.service.stop().await.unwrap();
}

#[tokio::test]
async fn folders_follow_pushes_and_their_troubles_are_said_once() {
    let (origin, base) = (Origin::new(), Folder::new());
    origin.commit(&[("a.txt", "1")]);
    base.write("env/taken/precious", "");
    let more = format!("mode = \"branches\"\nfolder = {:?}\n", base.join("env"));
    let mut host = Host::with(base, &origin.url(), &more).await;
    let first = origin.commit_of("main");
    host.says(&format!("web1: shop folder main at {}", first.short()))
        .await;
    origin.branch("taken").commit(&[]);
    origin.branch("main").commit(&[("a.txt", "2")]);
    host.push("shop").await;
    let trouble = "env/taken was not made by stomp-git and stays: move it away";
    host.says(trouble).await;
    assert_eq!(host.base.read("env/main/a.txt"), "2");
    let second = origin.commit_of("main");
    origin.commit(&[("a.txt", "3")]);
    host.push("shop").await;
    // It is still there at this look. What is said of it comes after this line.
    host.says(&format!("web1: shop folder main {}..", second.short()))
        .await;
    origin.forget("taken");
    host.push("shop").await;
    let over = |line: &Line| {
        assert!(!line.line.contains(trouble), "said again");
        line.line.contains("web1: shop has all its folders again")
    };
    host.lines.hear::<Line>(over).await;
    // What the mirror has is laid out even while its origin is away.
    fs::remove_file(host.base.join("env/main")).unwrap();
    fs::rename(origin.path(), host.base.join("away")).unwrap();
    host.push("shop").await;
    host.says("web1: shop cannot be fetched: ").await;
    host.says("web1: shop folder main at ").await;
    host.service.stop().await.unwrap();
}

#[tokio::test]
async fn a_repository_that_is_no_mirror_of_the_origin_is_not_overwritten() {
    let (origin, other, base) = (Origin::new(), Origin::new(), Folder::new());
    origin.commit(&[("a.txt", "1")]);
    other
        .commit(&[("precious.txt", "1")])
        .branch("precious")
        .commit(&[]);
    let more = format!("folder = {:?}\n", other.path());
    let mut host = Host::with(base, &origin.url(), &more).await;
    host.says("is a repository that is no mirror of this origin")
        .await;
    assert_eq!(other.refs(), ["refs/heads/main", "refs/heads/precious"]);
    host.service.stop().await.unwrap();
}

#[tokio::test]
async fn failures_are_said_once_and_their_end_once() {
    let origin = Origin::new();
    origin.commit(&[("a.txt", "1")]);
    let mut host = Host::new_at(Folder::new(), &origin.url(), |base| {
        // What git at the origin runs to send objects: it notes that it was asked, and fails until the file `ok` is there.
        let script = format!(
            "#!/bin/sh\necho asked >> '{base}/asked'\n[ -e '{base}/ok' ] && exec \"$@\"\nexit 1\n",
            base = base.path().display()
        );
        let script = base.write("send", &script);
        base.write(
            ".gitconfig",
            &format!("[uploadpack]\n packObjectsHook = {}\n", script.display()),
        );
    })
    .await;
    host.says("web1: shop cannot be fetched: ").await;
    let asked = |host: &Host| {
        fs::read_to_string(host.base.join("asked"))
            .unwrap_or_default()
            .lines()
            .count()
    };
    for times in [2, 3] {
        host.push("shop").await; // It ends the wait after the failure.
        let enough = async || (asked(&host) >= times).then_some(());
        until("the origin is asked again", SOON, enough).await;
    }
    host.base.write("ok", "");
    host.push("shop").await;
    let back = |line: &Line| {
        assert!(
            !line.line.contains("cannot be fetched"),
            "said again: {}",
            line.line
        );
        line.line.contains("web1: shop fetched again after ")
    };
    let line = host.lines.hear::<Line>(back).await;
    assert!(line.record["failures"].as_u64() >= Some(3), "{line:?}");
    host.has(1).await;
    host.service.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_no_push_is_put_aside_and_the_service_goes_on() {
    let origin = Origin::new();
    origin.commit(&[("a.txt", "1")]);
    let mut host = Host::new(&origin.url()).await;
    host.has(1).await;
    let mut dead = host
        .member
        .listen(Topic::Dead("stomp-git".to_owned()))
        .await;
    let destination = host.member.bus.names().destination(&Topic::GitCommits);
    host.member
        .bus
        .publish_raw(&destination, false, "repo: shop".into())
        .await
        .unwrap();
    let letter = dead.hear::<DeadLetter>(|_| true).await;
    assert_eq!(letter.body, "repo: shop");
    origin.tag("v1");
    host.push("shop").await;
    host.has(2).await;
    host.service.stop().await.unwrap();
}
