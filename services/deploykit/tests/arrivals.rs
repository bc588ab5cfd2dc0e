//! Everything in front of a deploy, together and wired as its `main`s wire it: a push builds, and what CI has found good, and
//! nothing else, reaches the servers; a package that is uploaded is what their apt would install; and through all of it the broker is killed.

use std::{collections::BTreeMap, path::PathBuf, process::Output, time::Instant};

use chassis::{Listen, settings::parse};
use deploy_orchestrator::api::CiView;
use deploykit::{announce, client::Client, home::Home};
use events::{
    CommitId, Topic,
    message::{CiFailed, CiSucceeded, PackagesRefreshed, Verdict},
};
use stomp_git::{gate::Waits, kept::Kept};
use testkit::{
    AptHost, AptRepository, BrokerProcess, Ear, Folder, Jenkins, Job, LONG, Member, Origin,
    RabbitMq, Running, Trust, until,
};
use tokio::task::JoinSet;
use world::World;

use crate::{
    hooks::{announced_by, root_part},
    machine::{program, says},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_deploykit");
const JOB: &str = "backend/shop";
const HOSTS: [&str; 2] = ["web1", "web2"];
/// A build is under way, and whoever asks may be earlier than the word that it began.
const NOT_YET: [Verdict; 2] = [Verdict::Building, Verdict::Unknown];

/// All that takes part, but the people.
struct Site {
    // Services end before what they use.
    services: Vec<Running>,
    roots: Vec<JoinSet<()>>,
    broker: BrokerProcess,
    folder: Folder,
    origin: Origin,
    packages: AptRepository,
    apts: Vec<AptHost>,
    jenkins: Jenkins,
}

/// What people hear.
struct People {
    _member: Member,
    good: Ear,
    bad: Ear,
    refreshed: Ear,
}

impl Site {
    async fn new(broker: BrokerProcess) -> Self {
        let folder = Folder::new();
        folder.write("token", Jenkins::TOKEN);
        let packages = announced_by(&folder, &folder.join("spool"));
        packages.upload("shop", "1.0");
        let jenkins = Jenkins::start().await;
        let job = Job::new(JOB).takes(&["DEPLOYKIT_ID", "DEPLOYKIT_COMMIT", "DEPLOYKIT_REF"]);
        jenkins.add(job.checks_out_parameter("DEPLOYKIT_COMMIT"));
        let mut site = Self {
            services: Vec::new(),
            roots: Vec::new(),
            broker,
            folder,
            origin: Origin::new(),
            packages,
            apts: Vec::new(),
            jenkins,
        };
        site.hook_in();
        site.announce();
        site.build().await;
        site.judge().await;
        for host in HOSTS {
            site.serve(host);
        }
        site
    }

    /// The hook of the repository, as it is shipped.
    fn hook_in(&self) {
        let text = announce::hook("post-receive").unwrap();
        self.origin.hook("post-receive", text);
        let spool = self.folder.join("spool").display().to_string();
        for (key, value) in [
            ("command", PROGRAM),
            ("repository", "shop"),
            ("spool", &spool),
        ] {
            let mut git = program("git", self.folder.path());
            git.arg("-C").arg(self.origin.path());
            let set = git
                .args(["config", &format!("deploykit.{key}"), value])
                .output();
            assert!(set.as_ref().is_ok_and(|it| it.status.success()), "{set:?}");
        }
    }

    /// Delivers what the hooks of git and reprepro leave.
    fn announce(&mut self) {
        let text = format!("[outbox]\nfolder = {:?}\n", self.folder.join("spool"));
        let (_, settings) = parse::<announce::Deliver>(&text, "announce").unwrap();
        let common = self.broker.common("hub1");
        let service = Running::start("announce", common, settings, World::real(), announce::serve);
        self.services.push(service);
    }

    async fn build(&mut self) {
        let text = format!(
            "state = {:?}\npoll_first_ms = 20\npoll_longest_ms = 200\n[outbox]\nfolder = {:?}\n\
             [jenkins]\nurl = '{}'\nuser = '{}'\ntoken_file = {:?}\n\
             [[rules]]\nrepository = 'shop'\njob = '{JOB}'\n",
            self.folder.join("builds"),
            self.folder.join("verdicts"),
            self.jenkins.url(),
            Jenkins::USER,
            self.folder.join("token"),
        );
        let (_, settings) = parse::<stomp_jenkins::Settings>(&text, "stomp-jenkins").unwrap();
        // Its durable subscription is there before the first push.
        let early = Member::connect("stomp-jenkins", self.broker.common("hub1")).await;
        drop(early.listen_durably(Topic::GitCommits).await);
        drop(early);
        let common = self.broker.common("hub1");
        let service = Running::start(
            "stomp-jenkins",
            common,
            settings,
            World::real(),
            stomp_jenkins::serve,
        );
        self.services.push(service);
    }

    /// Keeps what CI said, and answers the servers.
    async fn judge(&mut self) {
        let (trust, folder) = (Trust::default(), &self.folder);
        let settings = deploy_orchestrator::Settings {
            data: folder.join("orchestrator"),
            socket: self.socket(),
            listen: "127.0.0.1:0".to_owned(),
            orchestrator_key_file: folder.write("key", &trust.orchestrator.to_openssh()),
            allowed_signers: folder.write("allowed_signers", &trust.allowed_signers()),
            policy: folder.write("policy.toml", &trust.policy_text()),
            ..deploy_orchestrator::Settings::default()
        };
        const NAME: &str = "deploy-orchestrator";
        let common = self.broker.common("hub1");
        let host = common.host_name().unwrap();
        // Its durable subscriptions are there before the first build.
        let early = Member::connect(NAME, common.clone()).await;
        for topic in [Topic::CiSucceeded, Topic::CiFailed] {
            let name = early.bus.names().further_subscription(NAME, &host, &topic);
            drop(early.bus.listen(Listen::durable(topic, name)).await);
        }
        drop(early);
        let serve = deploy_orchestrator::serve;
        let service = Running::start(NAME, common, settings, World::real(), serve);
        self.services.push(service);
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("orchestrator.sock")
    }

    /// A server: its gated mirror, and its apt with the root part.
    fn serve(&mut self, host: &'static str) {
        let text = format!(
            "base = {:?}\nhome = {:?}\n[repositories.shop]\norigin = {:?}\ngate = \"ci\"\n",
            self.base(host),
            self.folder.path(),
            self.origin.url(),
        );
        let (_, settings) = parse::<stomp_git::Settings>(&text, "stomp-git").unwrap();
        let common = self.broker.common(host);
        let service = Running::start(
            "stomp-git",
            common,
            settings,
            World::real(),
            stomp_git::serve,
        );
        self.services.push(service);

        let apt = AptHost::new();
        let url = format!("file:{}", self.packages.path().display());
        apt.add_source("acme.sources", &url, &self.packages);
        apt.install("shop", "1.0");
        let socket = self.folder.join(format!("{host}.sock"));
        self.roots.push(root_part(&apt, &socket));
        let text = format!(
            "socket = {socket:?}\napt_config = {:?}\nsplay_s = 0\nretry_s = 1\n\
             [sources.\"acme.sources\"]\nrepositories = [\"acme\"]\n",
            apt.config()
        );
        let (_, settings) = parse::<stomp_repo::Settings>(&text, "stomp-repo").unwrap();
        let common = self.broker.common(host);
        let service = Running::start(
            "stomp-repo",
            common,
            settings,
            World::real(),
            stomp_repo::serve,
        );
        self.services.push(service);
        self.apts.push(apt);
    }

    async fn people(&self) -> People {
        let member = Member::connect("people", self.broker.common("desk1")).await;
        People {
            good: member.listen(Topic::CiSucceeded).await,
            bad: member.listen(Topic::CiFailed).await,
            refreshed: member.listen(Topic::PackagesRefreshed).await,
            _member: member,
        }
    }

    fn base(&self, host: &str) -> PathBuf {
        self.folder.join("hosts").join(host)
    }

    /// Commits and pushes; the push is not held up, whatever the broker does.
    fn push(&self, text: &str) -> CommitId {
        let began = Instant::now();
        self.origin.commit(&[("index.html", text)]);
        assert!(
            began.elapsed() < LONG / 4,
            "the push took {:?}",
            began.elapsed()
        );
        self.origin.commit_of("HEAD")
    }

    /// Waits until Jenkins builds this commit; the number of the build.
    async fn builds(&self, commit: &CommitId) -> u64 {
        let begun = || async {
            let builds = self.jenkins.builds(JOB);
            let ours = |it: &&testkit::BuildSeen| {
                it.parameters.get("DEPLOYKIT_COMMIT").map(String::as_str) == Some(commit.as_str())
            };
            let builds: Vec<u64> = builds.iter().filter(ours).map(|it| it.number).collect();
            assert!(builds.len() < 2, "{commit} is built twice: {builds:?}");
            builds.first().copied()
        };
        until("Jenkins builds it", LONG, begun).await
    }

    fn finish(&self, number: u64, result: &str) {
        self.jenkins.finish(JOB, number, result);
    }

    /// What git says in the mirror of a server; empty where it fails.
    fn git(&self, host: &str, args: &[&str]) -> String {
        let mut git = program("git", self.folder.path());
        git.arg("-C").arg(self.base(host).join("mirrors/shop.git"));
        let output: Output = git.args(args).output().unwrap();
        match output.status.success() {
            true => says(&output).trim().to_owned(),
            false => String::new(),
        }
    }

    /// No server has this commit, be it without a ref.
    fn nowhere(&self, commit: &CommitId) {
        for host in HOSTS {
            let kind = self.git(host, &["cat-file", "-t", commit.as_str()]);
            assert_eq!(kind, "", "{host} has {commit}");
        }
    }

    /// Waits until the mirrors of all servers have it as the tip of `main`.
    async fn everywhere(&self, commit: &CommitId) {
        for host in HOSTS {
            let there = || async {
                let tip = self.git(host, &["rev-parse", "--verify", "refs/heads/main"]);
                (tip == commit.as_str()).then_some(())
            };
            until(&format!("{host} has fetched {commit}"), LONG, there).await;
        }
    }

    /// Waits until all servers have seen it at the origin and leave it there, with such a reason; and so they do.
    async fn waits(&self, commit: &CommitId, why: &[Verdict]) {
        for host in HOSTS {
            let waits = || async {
                let (disk, base) = (World::real().disk, self.base(host));
                let kept = Kept::read(&*disk, &base, &"shop".parse().unwrap()).unwrap();
                let ours = |it: &Waits| it.commit == *commit && why.contains(&it.verdict);
                kept.told.waiting.iter().any(ours).then_some(())
            };
            let what = format!("{host} leaves {commit} where it is: {why:?}");
            until(&what, LONG, waits).await;
        }
        self.nowhere(commit);
    }

    /// A push whose build has begun: until that ends well, no server takes it.
    async fn pushed(&self, text: &str) -> (CommitId, u64) {
        let commit = self.push(text);
        let number = self.builds(&commit).await;
        self.waits(&commit, &NOT_YET).await;
        (commit, number)
    }

    /// Waits until the orchestrator knows this of a commit.
    async fn known(&self, commit: &CommitId, verdict: Verdict) {
        let home = Home {
            socket: self.socket(),
            key_file: PathBuf::new(),
            broker: None,
            environments: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        let client = Client::new(&home).unwrap();
        let path = format!("/api/v1/ci/shop?revision={commit}");
        let known = || async {
            let views: Vec<CiView> = client.get(&path).await.ok()?;
            let ours = |it: &CiView| it.commit == *commit && it.verdict == verdict;
            views.iter().any(ours).then_some(())
        };
        until(&format!("{commit} is known as {verdict:?}"), LONG, known).await;
    }

    /// Waits until the apt of all servers would install this version.
    async fn candidates(&self, version: &str) {
        for (host, apt) in HOSTS.iter().zip(&self.apts) {
            let there = || async { (apt.candidate("shop") == version).then_some(()) };
            until(&format!("{host} could install {version}"), LONG, there).await;
        }
    }

    async fn stop(self) {
        for service in self.services {
            service.stop().await.unwrap();
        }
    }
}

impl People {
    async fn hear_good(&mut self, commit: &CommitId) {
        self.good
            .hear(|it: &CiSucceeded| it.build.commit == *commit)
            .await;
    }

    async fn hear_refreshed(&mut self, version: &str) {
        let mut left = HOSTS.to_vec();
        while !left.is_empty() {
            let ours = |it: &PackagesRefreshed| {
                let after = it.packages.iter().filter_map(|it| it.after.as_ref());
                after.into_iter().any(|it| it.as_str() == version)
            };
            let heard: PackagesRefreshed = self.refreshed.hear(ours).await;
            left.retain(|host| *host != heard.host.as_str());
        }
    }
}

async fn all_arrives(broker: BrokerProcess) {
    let mut site = Site::new(broker).await;
    let mut people = site.people().await;

    let (green, number) = site.pushed("green\n").await;
    site.finish(number, "SUCCESS");
    people.hear_good(&green).await;
    site.everywhere(&green).await;

    site.origin.branch("red");
    let (red, number) = site.pushed("red\n").await;
    site.finish(number, "FAILURE");
    people
        .bad
        .hear(|it: &CiFailed| it.build.commit == red)
        .await;
    site.known(&red, Verdict::Bad).await;
    // The next push has all servers look at all refs again.
    site.origin.branch("main");
    let (greener, number) = site.pushed("greener\n").await;
    site.waits(&red, &[Verdict::Bad]).await;
    site.finish(number, "SUCCESS");
    people.hear_good(&greener).await;
    site.everywhere(&greener).await;
    site.packages.upload("shop", "1.1");
    people.hear_refreshed("1.1").await;
    site.candidates("1.1").await;

    // Killed while a build runs. It ends, somebody pushes and a package is uploaded before the broker is back.
    let (built, number) = site.pushed("built while the broker is away\n").await;
    site.broker.kill().await;
    site.finish(number, "SUCCESS");
    let pushed = site.push("pushed while the broker is away\n");
    site.packages.upload("shop", "1.2");
    drop(people);
    site.broker.start_again().await;
    let number = site.builds(&pushed).await;
    site.known(&built, Verdict::Good).await;
    site.waits(&pushed, &NOT_YET).await;
    let mut people = site.people().await;
    site.finish(number, "SUCCESS");
    people.hear_good(&pushed).await;
    site.everywhere(&pushed).await;
    site.candidates("1.2").await;
    site.waits(&red, &[Verdict::Bad]).await;
    site.stop().await;
}

#[tokio::test]
async fn all_arrives_over_the_embedded_broker_though_it_is_killed() {
    let broker = BrokerProcess::start("deploykit broker", |folder, port| {
        BrokerProcess::program(PROGRAM).args([
            "broker".to_owned(),
            "--listen".to_owned(),
            format!("127.0.0.1:{port}"),
            "--data".to_owned(),
            folder.join("data").display().to_string(),
            "--login".to_owned(),
            BrokerProcess::LOGIN.to_owned(),
            "--passcode-file".to_owned(),
            folder.join("passcode").display().to_string(),
        ])
    });
    all_arrives(broker.await).await;
}

#[tokio::test]
async fn all_arrives_over_rabbitmq_though_it_is_killed() {
    all_arrives(RabbitMq::start().await).await;
}
