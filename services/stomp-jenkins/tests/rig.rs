//! A broker, a Jenkins, the service, and somebody who pushes and listens.

use chassis::settings::parse;
use events::{
    Topic,
    message::{Built, CiFailed, CiStarted, CiSucceeded, Level, Line, Pushed},
};
use stomp_jenkins::{Settings, serve};
use testkit::{Ear, Folder, Jenkins, Job, LONG, Member, Running, TestBroker, until};
use world::World;

/// The job that builds `shop`.
pub(crate) const JOB: &str = "backend/shop";

pub(crate) struct Rig {
    pub(crate) broker: TestBroker,
    pub(crate) jenkins: Jenkins,
    pub(crate) folder: Folder,
    pub(crate) member: Member,
    pub(crate) started: Ear,
    pub(crate) succeeded: Ear,
    pub(crate) failed: Ear,
    pub(crate) feed: Ear,
    pub(crate) service: Option<Running>,
    extra: String,
}

/// A commit with this digit.
pub(crate) fn commit(digit: char) -> String {
    digit.to_string().repeat(40)
}

/// What a job takes so that everything works.
pub(crate) fn job() -> Job {
    Job::new(JOB)
        .takes(&["DEPLOYKIT_ID", "DEPLOYKIT_COMMIT", "DEPLOYKIT_REF"])
        .checks_out_parameter("DEPLOYKIT_COMMIT")
}

impl Rig {
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With these lines at the head of the settings.
    pub(crate) async fn start_with(extra: &str) -> Self {
        let broker = TestBroker::start().await;
        let jenkins = Jenkins::start().await;
        jenkins.add(job());
        let folder = Folder::new();
        folder.write("token", Jenkins::TOKEN);
        let member = Member::connect("listener", broker.common("hub2")).await;
        let started = member.listen(Topic::CiStarted).await;
        let succeeded = member.listen(Topic::CiSucceeded).await;
        let failed = member.listen(Topic::CiFailed).await;
        let feed = member
            .listen(Topic::Events("stomp-jenkins".to_owned()))
            .await;
        let mut rig = Self {
            broker,
            jenkins,
            folder,
            member,
            started,
            succeeded,
            failed,
            feed,
            service: None,
            extra: extra.to_owned(),
        };
        // Its durable subscription is there before the service is, so that no push comes too early.
        let early = Member::connect("stomp-jenkins", rig.broker.common("hub1")).await;
        drop(early.listen_durably(Topic::GitCommits).await);
        drop(early);
        rig.start_service();
        rig
    }

    pub(crate) fn settings(&self) -> Settings {
        let text = format!(
            "state = '{}'\npoll_first_ms = 20\npoll_longest_ms = 200\n{}\n\
             [jenkins]\nurl = '{}'\nuser = '{}'\ntoken_file = '{}'\nrequest_limit_s = 2\n\
             [[rules]]\nrepository = 'shop'\njob = '{JOB}'\nrefs = ['refs/heads/*', 'refs/tags/*']\n",
            self.folder.join("state").display(),
            self.extra,
            self.jenkins.url(),
            Jenkins::USER,
            self.folder.join("token").display(),
        );
        parse(&text, "rig").unwrap().1
    }

    pub(crate) fn start_service(&mut self) {
        let common = self.broker.common("hub1");
        let settings = self.settings();
        let service = Running::start("stomp-jenkins", common, settings, World::real(), serve);
        self.service = Some(service);
    }

    /// As `kill -9`: its future is dropped where it stands.
    pub(crate) fn kill_service(&mut self) {
        self.service = None;
    }

    pub(crate) async fn push(&self, commit: &str) {
        let pushed = Pushed::of(
            "shop".parse().unwrap(),
            "refs/heads/main".parse().unwrap(),
            None,
            Some(commit.parse().unwrap()),
        );
        self.member.bus.publish(&pushed).await.unwrap();
    }

    /// Waits until the job has so many builds; the number of the last.
    pub(crate) async fn builds(&self, count: usize) -> u64 {
        let there = || async {
            let builds = self.jenkins.builds(JOB);
            (builds.len() >= count).then(|| builds.last().map_or(0, |it| it.number))
        };
        until(&format!("{count} builds"), LONG, there).await
    }

    pub(crate) async fn hears_started(&mut self, commit: &str) -> Built {
        let ours = |it: &CiStarted| it.build.commit.as_str() == commit;
        self.started.hear(ours).await.build
    }

    pub(crate) async fn hears_succeeded(&mut self, commit: &str) -> Built {
        let ours = |it: &CiSucceeded| it.build.commit.as_str() == commit;
        self.succeeded.hear(ours).await.build
    }

    /// In whatever order.
    pub(crate) async fn hears_all_succeeded(&mut self, mut left: Vec<String>) {
        while !left.is_empty() {
            let heard: CiSucceeded = self.succeeded.hear(|_| true).await;
            left.retain(|commit| commit != heard.build.commit.as_str());
        }
    }

    pub(crate) async fn hears_failed(&mut self, commit: &str) -> CiFailed {
        let ours = |it: &CiFailed| it.build.commit.as_str() == commit;
        self.failed.hear(ours).await
    }

    /// The next alarm with this text.
    pub(crate) async fn hears_alarm(&mut self, text: &str) -> Line {
        let ours = |it: &Line| it.level() == Level::Alarm && it.line.contains(text);
        self.feed.hear(ours).await
    }

    /// Builds this commit from push to green, to see that all is well (again). Pushed again and again, for the end of the
    /// build before is told a moment before it may be built again.
    pub(crate) async fn builds_green(&mut self, commit: &str) {
        let before = self.jenkins.builds(JOB).len();
        let pushed = || async {
            self.push(commit).await;
            let builds = self.jenkins.builds(JOB);
            (builds.len() > before).then(|| builds[before].number)
        };
        let number = until("it is built", LONG, pushed).await;
        self.jenkins.finish(JOB, number, "SUCCESS");
        self.hears_succeeded(commit).await;
    }
}
