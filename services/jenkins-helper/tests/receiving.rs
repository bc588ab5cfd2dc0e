//! Notifications over HTTP, with a Jenkins to ask and a broker to tell.

use std::time::Duration;

use chassis::{Start, settings::parse};
use events::{
    Topic,
    message::{BuildResult, CiFailed, CiStarted, CiSucceeded, Level, Line},
};
use jenkins_helper::{Settings, serve_on};
use testkit::{
    Ear, Folder, Jenkins, JenkinsFault, Job, LONG, Member, Running, Stop, TestBroker, until,
};
use tokio::sync::oneshot;
use world::World;

const WORD: &str = "unguessable-0123456789";

struct Rig {
    broker: TestBroker,
    jenkins: Jenkins,
    folder: Folder,
    _member: Member,
    started: Ear,
    succeeded: Ear,
    failed: Ear,
    feed: Ear,
    service: Option<Running>,
    url: String,
    ask_limit_s: u64,
}

fn commit(digit: char) -> String {
    digit.to_string().repeat(40)
}

impl Rig {
    async fn start() -> Self {
        let broker = TestBroker::start().await;
        let jenkins = Jenkins::start().await;
        let job = Job::new("backend/shop").takes(&["DEPLOYKIT_COMMIT"]);
        jenkins.add(job.checks_out_parameter("DEPLOYKIT_COMMIT"));
        let folder = Folder::new();
        folder.write("token", Jenkins::TOKEN);
        folder.write("word", &format!("{WORD}\n"));
        let member = Member::connect("listener", broker.common("hub2")).await;
        let mut rig = Self {
            started: member.listen(Topic::CiStarted).await,
            succeeded: member.listen(Topic::CiSucceeded).await,
            failed: member.listen(Topic::CiFailed).await,
            feed: member
                .listen(Topic::Events("jenkins-helper".to_owned()))
                .await,
            broker,
            jenkins,
            folder,
            _member: member,
            service: None,
            url: String::new(),
            ask_limit_s: 600,
        };
        rig.start_service().await;
        rig
    }

    async fn start_service(&mut self) {
        let at = |name: &str| self.folder.join(name).display().to_string();
        let text = format!(
            "[repositories.shop]\njobs = ['backend/*']\n[outbox]\nfolder = '{}'\n\
             [receiver]\nstate = '{}'\nword_file = '{}'\npoll_first_ms = 20\npoll_longest_ms = 100\nask_limit_s = {}\n\
             [receiver.jenkins]\nurl = '{}'\nuser = '{}'\ntoken_file = '{}'\nrequest_limit_s = 2\n",
            at("spool"),
            at("state"),
            at("word"),
            self.ask_limit_s,
            self.jenkins.url(),
            Jenkins::USER,
            at("token"),
        );
        let settings: Settings = parse(&text, "rig").unwrap().1;
        let listener = World::real().net.listen("127.0.0.1:0").await.unwrap();
        self.url = format!("http://{}", listener.local_address().unwrap());
        let (tell, told) = oneshot::channel();
        let serve = |start: Start<Settings>| {
            let _ = tell.send(start.status.said());
            serve_on(start, Some(listener))
        };
        let common = self.broker.common("ci1");
        let service = Running::start("jenkins-helper", common, settings, World::real(), serve);
        let mut said = told.await.unwrap();
        said.wait_for(|said| said.ready).await.unwrap();
        self.service = Some(service);
    }

    /// Triggers a build of this commit by Jenkins' own means.
    async fn built(&self, commit: &str) -> u64 {
        let before = self.jenkins.builds("backend/shop").len();
        let url = format!(
            "{}job/backend/job/shop/buildWithParameters",
            self.jenkins.url()
        );
        let post = reqwest::Client::new()
            .post(url)
            .basic_auth(Jenkins::USER, Some(Jenkins::TOKEN));
        let form = ("content-type", "application/x-www-form-urlencoded");
        let post = post
            .header(form.0, form.1)
            .body(format!("DEPLOYKIT_COMMIT={commit}"));
        assert_eq!(post.send().await.unwrap().status(), 201);
        let there = || async {
            let builds = self.jenkins.builds("backend/shop");
            builds.get(before).map(|it| it.number)
        };
        until("it is built", LONG, there).await
    }

    async fn post(&self, path: &str, body: String) -> u16 {
        let post = reqwest::Client::new().post(format!("{}{path}", self.url));
        post.body(body).send().await.unwrap().status().as_u16()
    }

    async fn notify(&self, phase: &str, number: u64) -> u16 {
        let body = format!(
            r#"{{"build":{{"phase":"{phase}","status":"SUCCESS","number":{number},"url":"job/backend/job/shop/{number}/"}}}}"#
        );
        self.post(&format!("/notify/{WORD}"), body).await
    }
}

#[tokio::test]
async fn a_build_is_told_by_what_jenkins_says_of_it_and_not_by_the_notification() {
    let mut rig = Rig::start().await;
    let number = rig.built(&commit('a')).await;
    assert_eq!(rig.notify("STARTED", number).await, 202);
    let started: CiStarted = rig.started.hear(|_| true).await;
    assert_eq!(started.build.commit.as_str(), commit('a'));
    assert_eq!(
        (started.build.repository.as_str(), started.build.number),
        ("shop", number)
    );
    rig.jenkins.finish("backend/shop", number, "FAILURE");
    assert_eq!(rig.notify("COMPLETED", number).await, 202);
    let failed: CiFailed = rig.failed.hear(|_| true).await;
    assert_eq!(
        failed.result,
        BuildResult::Failure,
        "the notification said SUCCESS"
    );
    rig.service.take().unwrap().stop().await.unwrap();
}

#[tokio::test]
async fn one_that_comes_while_the_one_before_is_put_away_is_told_too() {
    let mut rig = Rig::start().await;
    for round in 0..40 {
        let number = rig.built(&commit('a')).await;
        assert_eq!(rig.notify("STARTED", number).await, 202);
        let _started: CiStarted = rig.started.hear(|_| true).await;
        // The file of the first one is being removed about now.
        assert_eq!(rig.notify("COMPLETED", number).await, 202, "{round}");
        rig.jenkins.finish("backend/shop", number, "SUCCESS");
        let _good: CiSucceeded = rig.succeeded.hear(|_| true).await;
    }
}

#[tokio::test]
async fn one_that_comes_too_early_is_believed_once_it_is_true_and_one_about_nothing_never() {
    let mut rig = Rig::start().await;
    let number = rig.built(&commit('a')).await;
    assert_eq!(rig.notify("COMPLETED", 777).await, 202);
    let ours =
        |it: &Line| it.level() == Level::Alarm && it.line.contains("backend/shop 777 was not told");
    rig.feed.hear(ours).await;
    assert_eq!(rig.notify("FINALIZED", number).await, 202);
    let _started: CiStarted = rig.started.hear(|_| true).await;
    rig.jenkins.finish("backend/shop", number, "SUCCESS");
    let _good: CiSucceeded = rig
        .succeeded
        .hear(|it: &CiSucceeded| it.build.number == number)
        .await;
}

#[tokio::test]
async fn a_notification_outlives_troubles_of_jenkins_and_the_end_of_the_service() {
    let mut rig = Rig::start().await;
    let number = rig.built(&commit('a')).await;
    rig.jenkins.finish("backend/shop", number, "SUCCESS");
    for fault in [
        JenkinsFault::Status(503),
        JenkinsFault::Html,
        JenkinsFault::Cut,
        JenkinsFault::Hang,
    ] {
        rig.jenkins.fail("tree=number", 1, fault);
    }
    assert_eq!(rig.notify("COMPLETED", number).await, 202);
    rig.succeeded
        .hear(|it: &CiSucceeded| it.build.number == number)
        .await;

    let number = rig.built(&commit('b')).await;
    rig.jenkins.finish("backend/shop", number, "SUCCESS");
    rig.jenkins.stop(Stop::Orderly).await;
    assert_eq!(rig.notify("COMPLETED", number).await, 202);
    rig.service = None;
    rig.jenkins.start_again().await;
    rig.start_service().await;
    rig.succeeded
        .hear(|it: &CiSucceeded| it.build.number == number)
        .await;
    let empty = || async { rig.folder.names("state/notices").is_empty().then_some(()) };
    until("nothing is kept that was told", LONG, empty).await;
}

#[tokio::test]
async fn one_that_was_kept_while_the_service_was_away_for_long_is_asked_about_as_long_as_a_new_one()
{
    let mut rig = Rig::start().await;
    let number = rig.built(&commit('a')).await;
    rig.jenkins
        .fail("tree=number", 1_000_000, JenkinsFault::Hang);
    assert_eq!(rig.notify("COMPLETED", number).await, 202);
    let asked = || async {
        let asked = rig.jenkins.requests();
        let about_it = asked.iter().any(|it| it.line.contains("tree=number"));
        about_it.then_some(())
    };
    until("Jenkins is asked", LONG, asked).await;
    rig.service = None;
    rig.jenkins.heal();
    rig.jenkins.finish("backend/shop", number, "SUCCESS");
    let kept = format!("state/notices/{}", rig.folder.names("state/notices")[0]);
    let text = rig.folder.read(&kept);
    let mut value: serde_json::Value = serde_json::from_str(&text).unwrap();
    value["since"] = "2020-01-01T00:00:00Z".into();
    rig.folder.write(&kept, &value.to_string());
    rig.jenkins
        .fail("tree=number", 1, JenkinsFault::Status(503));
    rig.start_service().await;
    rig.succeeded
        .hear(|it: &CiSucceeded| it.build.number == number)
        .await;
}

#[tokio::test]
async fn a_build_that_runs_on_though_it_was_said_to_have_ended_is_given_up_with_an_alarm() {
    let mut rig = Rig::start().await;
    rig.service = None;
    rig.ask_limit_s = 1;
    rig.start_service().await;
    let number = rig.built(&commit('a')).await;
    assert_eq!(rig.notify("COMPLETED", number).await, 202);
    let alarm = |it: &Line| it.level() == Level::Alarm && it.line.contains("but still runs");
    rig.feed.hear(alarm).await;
}

#[tokio::test]
async fn what_is_no_notification_or_has_not_the_word_is_refused() {
    let rig = Rig::start().await;
    let table = [
        (format!("/notify/{WORD}"), "{}", 400),
        (format!("/notify/{WORD}"), "not json", 400),
        (
            format!("/notify/{WORD}"),
            r#"{"build":{"phase":"QUEUED"}}"#,
            202,
        ),
        ("/notify".to_owned(), "{}", 404),
        ("/notify/another-word-0123456789".to_owned(), "{}", 404),
        ("/elsewhere".to_owned(), "{}", 404),
    ];
    for (path, body, status) in table {
        assert_eq!(
            rig.post(&path, body.to_owned()).await,
            status,
            "{path} {body}"
        );
    }
    let large = "x".repeat(5 << 20);
    assert_eq!(rig.post(&format!("/notify/{WORD}"), large).await, 413);
    assert_eq!(
        rig.jenkins.requests().len(),
        0,
        "nothing of that was asked about"
    );
    let health = reqwest::Client::new().get(format!("{}/healthz", rig.url));
    let well = || async {
        let status = health.try_clone().unwrap().send().await.unwrap().status();
        (status == 200).then_some(())
    };
    until("it is connected", Duration::from_secs(20), well).await;
}
