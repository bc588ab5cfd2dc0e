//! Gated mirrors: decisions as a table, then the service with real git, a real broker and somebody who plays the
//! orchestrator.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
    sync::{Arc, Mutex},
};

use chassis::settings::parse;
use events::{
    CommitId, RefName, RepoName, Topic,
    message::{CiAnswered, CiAsked, CommitVerdict, Fetched, Line, Pushed, RefTip, Verdict},
};
use git::{Tip, Tips};
use stomp_git::{
    Settings,
    gate::{Plan, Verdicts, Waits, plan, questions},
};
use testkit::{Ear, Folder, Member, Origin, Running, SOON, TestBroker, until};
use tokio::task::JoinSet;
use world::World;

fn id(digit: char) -> CommitId {
    digit.to_string().repeat(40).parse().unwrap()
}

fn name(text: &str) -> RefName {
    text.parse().unwrap()
}

const MAIN: &str = "refs/heads/main";
const TAG: &str = "refs/tags/v1";

type Refs = &'static [(&'static str, char)];
/// What is there, and here; what is known; what is asked; what comes; what waits.
type Row = (
    Refs,
    Refs,
    &'static [(char, Verdict)],
    &'static [char],
    &'static [&'static str],
    &'static [(&'static str, Verdict)],
);

const ROWS: [Row; 10] = [
    (&[(MAIN, '1')], &[(MAIN, '1')], &[], &[], &[], &[]),
    (
        &[(MAIN, '1')],
        &[],
        &[],
        &['1'],
        &[],
        &[(MAIN, Verdict::Unknown)],
    ),
    (
        &[(MAIN, '1')],
        &[],
        &[('1', Verdict::Good)],
        &[],
        &[MAIN],
        &[],
    ),
    (
        &[(MAIN, '2')],
        &[(MAIN, '1')],
        &[('2', Verdict::Bad)],
        &['2'],
        &[],
        &[(MAIN, Verdict::Bad)],
    ),
    (
        &[(MAIN, '2')],
        &[(MAIN, '1')],
        &[('2', Verdict::Building)],
        &['2'],
        &[],
        &[(MAIN, Verdict::Building)],
    ),
    // Two names of one commit: asked once.
    (
        &[(MAIN, '1'), (TAG, '1')],
        &[],
        &[],
        &['1'],
        &[],
        &[(MAIN, Verdict::Unknown), (TAG, Verdict::Unknown)],
    ),
    // A tag put later on a good commit.
    (
        &[(MAIN, '1'), (TAG, '1')],
        &[(MAIN, '1')],
        &[('1', Verdict::Good)],
        &[],
        &[TAG],
        &[],
    ),
    // A moved tag does not wait: it is never followed, and nobody is asked for it.
    (
        &[(TAG, '2')],
        &[(TAG, '1')],
        &[('2', Verdict::Bad)],
        &[],
        &[],
        &[],
    ),
    (
        &[(TAG, '2')],
        &[(TAG, '1')],
        &[('2', Verdict::Good)],
        &[],
        &[],
        &[],
    ),
    // What is gone there needs nobody's word.
    (&[], &[(MAIN, '1')], &[], &[], &[], &[]),
];

#[test]
fn what_is_good_comes_and_what_is_not_waits_with_the_reason() {
    let there = |refs: &[(&str, char)]| Tips {
        tips: { refs.iter() }
            .map(|(text, digit)| Tip::of(name(text), id(*digit)))
            .collect(),
        unusable: Vec::new(),
    };
    let here = |refs: &[(&str, char)]| -> Vec<RefTip> {
        let tip = |(text, digit): &(&str, char)| RefTip {
            name: name(text),
            commit: id(*digit),
            committed_s: 0,
        };
        refs.iter().map(tip).collect()
    };
    let known = |verdicts: &[(char, Verdict)]| -> Verdicts {
        { verdicts.iter() }
            .map(|(digit, verdict)| (id(*digit), *verdict))
            .collect()
    };
    for (origin, mirror, verdicts, asked, comes, waits) in ROWS {
        let (origin, mirror, verdicts) = (there(origin), here(mirror), known(verdicts));
        let expected: Vec<CommitId> = asked.iter().map(|digit| id(*digit)).collect();
        assert_eq!(
            questions(&origin, &mirror, &verdicts),
            expected,
            "{origin:?}"
        );
        let Plan { admitted, waiting } = plan(&origin, &mirror, &verdicts);
        let expected: BTreeSet<RefName> = comes.iter().map(|text| name(text)).collect();
        assert_eq!(admitted, expected, "{origin:?}");
        let waiting: Vec<(&str, Verdict)> = { waiting.iter() }
            .map(|Waits { name, verdict, .. }| (name.as_str(), *verdict))
            .collect();
        assert_eq!(waiting, waits, "{origin:?}");
    }
}

/// Somebody who answers as the orchestrator does, by what the test says CI has found.
struct Judge {
    found: Arc<Mutex<BTreeMap<CommitId, Verdict>>>,
    member: Member,
    answering: JoinSet<()>,
}

impl Judge {
    async fn start(broker: &TestBroker) -> Self {
        let mut judge = Self {
            found: Arc::default(),
            member: Member::connect("orchestrator", broker.common("hub1")).await,
            answering: JoinSet::new(),
        };
        judge.comes().await;
        judge
    }

    async fn comes(&mut self) {
        let listen = chassis::Listen::hints([Topic::CiAsked]);
        let mut inbox = self.member.bus.listen(listen).await;
        let (bus, found) = (self.member.bus.clone(), Arc::clone(&self.found));
        self.answering.spawn(async move {
            while let Some(delivery) = inbox.next().await {
                delivery.ack().await;
                let asked: CiAsked = delivery.envelope().unwrap().open().unwrap();
                let verdict = |commit| {
                    let verdict = found.lock().unwrap().get(&commit).copied();
                    CommitVerdict {
                        verdict: verdict.unwrap_or(Verdict::Unknown),
                        commit,
                    }
                };
                let answer = CiAnswered {
                    verdicts: asked.commits.into_iter().map(verdict).collect(),
                    repository: asked.repository,
                };
                bus.publish(&answer).await.unwrap();
            }
        });
    }

    async fn goes(&mut self) {
        self.answering.shutdown().await;
    }

    fn knows(&self, commit: &CommitId, verdict: Verdict) {
        self.found.lock().unwrap().insert(commit.clone(), verdict);
    }

    /// CI has found it so: that is known from now on, and said.
    async fn finds(&self, commit: &CommitId, verdict: Verdict) {
        self.knows(commit, verdict);
        let answer = CiAnswered {
            repository: "group/shop".parse().unwrap(),
            verdicts: vec![CommitVerdict {
                commit: commit.clone(),
                verdict,
            }],
        };
        self.member.bus.publish(&answer).await.unwrap();
    }
}

struct Host {
    base: Folder,
    broker: TestBroker,
    judge: Judge,
    fetched: Ear,
    lines: Ear,
    settings: Settings,
    service: Option<Running>,
}

impl Host {
    async fn new(origin: &Origin, knows: &[(&CommitId, Verdict)]) -> Self {
        Self::with(origin, knows, 1).await
    }

    /// `limit_s`: how long it waits for an answer.
    async fn with(origin: &Origin, knows: &[(&CommitId, Verdict)], limit_s: u64) -> Self {
        let base = Folder::new();
        let text = format!(
            "base = {:?}\nhome = {:?}\nanswer_limit_s = {limit_s}\nsplay_ms = 0\n[repositories.shop]\norigin = {:?}\n\
             aliases = [\"group/shop\"]\ngate = \"ci\"\n",
            base.path(),
            base.path(),
            origin.url(),
        );
        let (_, settings) = parse::<Settings>(&text, "test").unwrap();
        let broker = TestBroker::start().await;
        let judge = Judge::start(&broker).await;
        for (commit, verdict) in knows {
            judge.knows(commit, *verdict);
        }
        let fetched = judge.member.listen(Topic::GitFetched).await;
        let lines = { &judge.member }
            .listen(Topic::Events("stomp-git".to_owned()))
            .await;
        let mut host = Self {
            base,
            broker,
            judge,
            fetched,
            lines,
            settings,
            service: None,
        };
        host.start();
        host
    }

    fn start(&mut self) {
        self.service = Some(Running::start(
            "stomp-git",
            self.broker.common("web1"),
            self.settings.clone(),
            World::real(),
            stomp_git::serve,
        ));
    }

    async fn push(&self, name: &str) {
        let pushed = Pushed::of(
            "shop".parse::<RepoName>().unwrap(),
            name.parse().unwrap(),
            None,
            None,
        );
        self.judge.member.bus.publish(&pushed).await.unwrap();
    }

    /// The next message that says that the host has exactly these.
    async fn has(&mut self, expected: &[(&str, &CommitId)]) {
        let wanted = |fetched: &Fetched| {
            let refs: Vec<_> = { fetched.refs.iter() }
                .map(|tip| (tip.name.as_str(), &tip.commit))
                .collect();
            refs == expected
        };
        self.fetched.hear::<Fetched>(wanted).await;
    }

    async fn says(&mut self, part: &str) -> Line {
        { &mut self.lines }
            .hear::<Line>(|line| line.line.contains(part))
            .await
    }

    fn is_there(&self) -> bool {
        self.base.join("mirrors/shop.git/HEAD").exists()
    }

    /// True if the object is in the mirror, with a ref or without.
    fn holds(&self, commit: &CommitId) -> bool {
        let listed = Command::new("git")
            .arg("--git-dir")
            .arg(self.base.join("mirrors/shop.git"))
            .args([
                "cat-file",
                "--batch-all-objects",
                "--batch-check=%(objectname)",
            ])
            .output()
            .unwrap();
        assert!(listed.status.success());
        let listed = String::from_utf8(listed.stdout).unwrap();
        listed.lines().any(|object| object == commit.as_str())
    }

    async fn until_it_waits(&self, commit: &CommitId, why: &str) {
        let found =
            |it: &serde_json::Value| it["commit"] == commit.as_str() && it["verdict"] == why;
        self.until_noted("it waits", |kept| {
            let waiting = kept["told"]["waiting"].as_array();
            waiting.is_some_and(|waiting| waiting.iter().any(found))
        })
        .await;
    }

    async fn until_noted(&self, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
        let status = self.base.join("stomp-git/shop.json");
        let noted = || async {
            let kept = serde_json::from_slice(&std::fs::read(&status).ok()?).ok()?;
            wanted(&kept).then_some(())
        };
        until(what, SOON, noted).await;
    }
}

#[tokio::test]
async fn at_the_start_only_what_ci_found_good_comes() {
    let origin = Origin::new();
    let good = origin.commit(&[("a.txt", "1")]).tag("v1").commit_of("main");
    let bad = origin
        .branch("red")
        .commit(&[("a.txt", "2")])
        .tag("v2")
        .commit_of("red");
    let mut host = Host::new(&origin, &[(&good, Verdict::Good), (&bad, Verdict::Bad)]).await;
    host.has(&[("refs/tags/v1", &good), (MAIN, &good)]).await;
    let line = host.says("waits at").await;
    assert!(line.line.contains("CI found it bad"), "{}", line.line);
    host.says("web1: shop cloned: 1 branches, 1 tags").await;
    assert!(!host.holds(&bad) && host.holds(&good));
}

#[tokio::test]
async fn a_push_waits_for_ci_and_comes_as_soon_as_it_is_found_good() {
    let origin = Origin::new();
    let first = origin.commit(&[("a.txt", "1")]).commit_of("main");
    let mut host = Host::new(&origin, &[(&first, Verdict::Good)]).await;
    host.has(&[(MAIN, &first)]).await;
    let second = origin.commit(&[("a.txt", "2")]).commit_of("main");
    host.push(MAIN).await;
    host.until_it_waits(&second, "unknown").await;
    assert!(!host.holds(&second));
    host.judge.finds(&second, Verdict::Good).await;
    host.has(&[(MAIN, &second)]).await;

    let third = origin.commit(&[("a.txt", "3")]).commit_of("main");
    host.judge.finds(&third, Verdict::Bad).await;
    host.push(MAIN).await;
    host.until_it_waits(&third, "bad").await;
    assert!(!host.holds(&third));
    // Built again, it is good.
    host.judge.finds(&third, Verdict::Good).await;
    host.has(&[(MAIN, &third)]).await;
}

#[tokio::test]
async fn what_is_found_bad_while_another_is_asked_for_does_not_come() {
    let origin = Origin::new();
    let first = origin.commit(&[("a.txt", "1")]).commit_of("main");
    let mut host = Host::with(&origin, &[(&first, Verdict::Good)], SOON.as_secs()).await;
    host.has(&[(MAIN, &first)]).await;
    host.judge.goes().await;
    let mut asked = host.judge.member.listen(Topic::CiAsked).await;
    let other = { origin.branch("other") }
        .commit(&[("a.txt", "2")])
        .commit_of("other");
    let spoilt = { origin.branch("main") }
        .commit(&[("a.txt", "3")])
        .commit_of("main");
    // That begins a look, which has this one to take and asks for the other.
    host.judge.finds(&spoilt, Verdict::Good).await;
    asked
        .hear::<CiAsked>(|asked| asked.commits == [other.clone()])
        .await;
    host.judge.finds(&spoilt, Verdict::Bad).await;
    host.judge.finds(&other, Verdict::Good).await;
    host.has(&[(MAIN, &first), ("refs/heads/other", &other)])
        .await;
}

#[tokio::test]
async fn a_tag_put_later_on_a_good_commit_comes_with_its_push() {
    let origin = Origin::new();
    let good = origin.commit(&[("a.txt", "1")]).commit_of("main");
    let mut host = Host::new(&origin, &[(&good, Verdict::Good)]).await;
    host.has(&[(MAIN, &good)]).await;
    origin.tag("v1");
    host.push("refs/tags/v1").await;
    host.has(&[("refs/tags/v1", &good), (MAIN, &good)]).await;
}

#[tokio::test]
async fn with_no_answer_nothing_new_comes_and_that_is_said_once_until_somebody_answers() {
    let origin = Origin::new();
    let first = origin.commit(&[("a.txt", "1")]).commit_of("main");
    let mut host = Host::new(&origin, &[(&first, Verdict::Good)]).await;
    host.has(&[(MAIN, &first)]).await;
    host.judge.goes().await;
    let second = origin.commit(&[("a.txt", "2")]).commit_of("main");
    host.judge.knows(&second, Verdict::Good);
    host.push(MAIN).await;
    let line = host.says("cannot be fetched").await;
    assert!(
        line.line.contains("nobody answered within 1 s"),
        "{}",
        line.line
    );
    assert!(!host.holds(&second));
    host.push(MAIN).await;
    host.until_noted("it fails again", |kept| {
        kept["failures"]
            .as_u64()
            .is_some_and(|failures| failures > 1)
    })
    .await;
    host.judge.comes().await;
    // Tried again by itself, 10 s after the failure at most.
    host.has(&[(MAIN, &second)]).await;
    let line = host.says("fetched").await;
    assert!(
        line.line.contains("fetched again"),
        "said twice: {}",
        line.line
    );
}

#[tokio::test]
async fn killed_at_any_moment_it_keeps_to_the_gate_when_it_starts_again() {
    let origin = Origin::new();
    let good = origin.commit(&[("a.txt", "1")]).commit_of("main");
    let bad = origin
        .branch("red")
        .commit(&[("a.txt", "2")])
        .commit_of("red");
    let mut host = Host::new(&origin, &[(&good, Verdict::Good), (&bad, Verdict::Bad)]).await;
    for alive_ms in [5, 20, 60, 120, 250] {
        // As by `kill -9`, at wherever it is by then.
        host.service = None;
        host.start();
        // waits for different moments of a look
        tokio::time::sleep(std::time::Duration::from_millis(alive_ms)).await;
        assert!(!host.is_there() || !host.holds(&bad), "{alive_ms} ms");
    }
    host.service = None;
    host.start();
    host.has(&[(MAIN, &good)]).await;
    assert!(!host.holds(&bad));
    // The mark that keeps the agent to it, too.
    let config = host.base.read("mirrors/shop.git/config");
    assert!(config.contains("gate = ci"), "{config}");
}
