//! Deploys that CI must have found good, over a real broker; the orchestrator as the one who knows.

use deploy_orchestrator::api::{CiView, DeployState, DeployView, TagView};
use events::{
    CommitId, Topic,
    message::{
        BuildResult, Built, CiAnswered, CiAsked, CiFailed, CiStarted, CiSucceeded, CommitVerdict,
        Line, Verdict,
    },
};
use serde_json::json;
use testkit::{LONG, Member, SOON, until};

use crate::{
    fleet::{Fleet, parsed},
    support::{commit, host},
};

fn build(word: &str, number: u64) -> Built {
    Built {
        repository: "shop".parse().expect("a repository"),
        name: None,
        commit: commit(word),
        project: None,
        job: "backend/shop".parse().expect("a job"),
        number,
        url: None,
    }
}

fn good(word: &str, number: u64) -> CiSucceeded {
    CiSucceeded {
        build: build(word, number),
    }
}

fn bad(word: &str, number: u64) -> CiFailed {
    CiFailed {
        build: build(word, number),
        result: BuildResult::Failure,
    }
}

async fn gated() -> Fleet {
    Fleet::with(&["web1"], |settings| {
        for project in settings.projects.values_mut() {
            project.requires_ci = true;
        }
    })
    .await
}

impl Fleet {
    async fn until_ci_says(&self, word: &str, verdict: Verdict) {
        let said = || async {
            let path = format!("/api/v1/ci/shop?revision={}", commit(word));
            let views: Vec<CiView> = parsed(self.get(&path).await.ok()?.1);
            (views.first()?.verdict == verdict).then_some(())
        };
        until("the orchestrator knows what CI said", LONG, said).await;
    }

    async fn ci(&self) -> Member {
        Member::connect("stomp-jenkins", self.broker.common("ci1")).await
    }
}

#[tokio::test]
async fn what_ci_found_bad_is_refused_and_goes_out_untested_with_a_reason_in_the_history() {
    let fleet = gated().await;
    let ci = fleet.ci().await;
    let mut lines = ci
        .listen(Topic::Events("deploy-orchestrator".to_owned()))
        .await;
    ci.bus
        .publish(&bad("v2", 7))
        .await
        .expect("it is published");
    fleet.until_ci_says("v2", Verdict::Bad).await;
    let v2 = json!({"project": "shop", "action": "deploy", "revision": "v2"});
    let (status, body) = fleet.post("/api/v1/plans", v2).await;
    assert_eq!(status, 422, "{body}");
    let error = body["error"].as_str().expect("a sentence");
    assert!(error.contains("backend/shop #7 failed"), "{error}");
    let (_, tags) = fleet
        .get("/api/v1/projects/shop/tags")
        .await
        .expect("it answers");
    let tags: Vec<TagView> = parsed(tags);
    let of = |tag: &str| {
        tags.iter()
            .find(|view| view.tag.as_str() == tag)
            .and_then(|view| view.ci)
    };
    assert_eq!(
        (of("v2"), of("v3")),
        (Some(Verdict::Bad), Some(Verdict::Unknown))
    );

    let past = json!({
        "project": "shop", "action": "deploy", "revision": "v2", "untested": true, "reason": "CI is down"
    });
    let begun = fleet.deploy(past).await;
    let line: Line = lines
        .hear(|line: &Line| line.record["event"] == "untested")
        .await;
    assert!(
        line.line
            .ends_with("shop v2 UNTESTED goes past CI, by ann@example.org: CI is down"),
        "{}",
        line.line
    );
    let ended = fleet.watch_to_the_end(begun.id).await;
    assert_eq!(ended.state, DeployState::Succeeded);
    let (_, history) = fleet.get("/api/v1/deploys").await.expect("it answers");
    let history: Vec<DeployView> = parsed(history);
    assert_eq!(history[0].untested.as_deref(), Some("CI is down"));
    let back = json!({"project": "shop", "action": "rollback"});
    let begun = fleet.deploy(back).await;
    assert_eq!(begun.untested, None);
    let ended = fleet.watch_to_the_end(begun.id).await;
    assert_eq!(
        ended.state,
        DeployState::Succeeded,
        "a rollback asks nobody"
    );
    fleet.stop().await;
}

#[tokio::test]
async fn who_asks_is_answered_and_a_new_verdict_is_told_unasked() {
    let fleet = gated().await;
    let ci = fleet.ci().await;
    let mut answers = ci.listen(Topic::CiAnswered).await;
    ci.bus
        .publish(&good("v2", 7))
        .await
        .expect("it is published");
    let told: CiAnswered = answers.hear(|_| true).await;
    let of = |word: &str, verdict| CommitVerdict {
        commit: commit(word),
        verdict,
    };
    assert_eq!(told.verdicts, [of("v2", Verdict::Good)]);
    ci.bus
        .publish(&bad("v3", 8))
        .await
        .expect("it is published");
    let told: CiAnswered = answers.hear(|_| true).await;
    assert_eq!(told.verdicts, [of("v3", Verdict::Bad)]);
    let started = CiStarted {
        build: build("v1", 9),
    };
    ci.bus.publish(&started).await.expect("it is published");
    fleet.until_ci_says("v1", Verdict::Building).await;

    let unheard: CommitId = commit("unheard");
    let asked = CiAsked {
        host: host("web1"),
        repository: "shop".parse().expect("a repository"),
        commits: vec![commit("v1"), commit("v2"), commit("v3"), unheard],
    };
    ci.bus.publish(&asked).await.expect("it is published");
    let answer: CiAnswered = answers.hear(|_| true).await;
    let mut expected = [
        of("v1", Verdict::Building),
        of("v2", Verdict::Good),
        of("v3", Verdict::Bad),
        of("unheard", Verdict::Unknown),
    ];
    expected.sort_by(|a, b| a.commit.cmp(&b.commit));
    assert_eq!(answer.verdicts, expected);
    fleet.stop().await;
}

#[tokio::test]
async fn results_outlast_kill_9_and_those_that_came_while_it_was_away_are_heard() {
    let mut fleet = gated().await;
    let ci = fleet.ci().await;
    ci.bus
        .publish(&good("v2", 7))
        .await
        .expect("it is published");
    fleet.until_ci_says("v2", Verdict::Good).await;
    fleet.kill();
    ci.bus
        .publish(&good("v3", 8))
        .await
        .expect("it is published");
    ci.bus
        .publish(&bad("v2", 9))
        .await
        .expect("it is published");
    let mut answers = ci.listen(Topic::CiAnswered).await;
    fleet.start();
    fleet.until_ci_says("v3", Verdict::Good).await;
    fleet.until_ci_says("v2", Verdict::Bad).await;
    let told = |answer: &CiAnswered| answer.verdicts[0].commit == commit("v3");
    let _told: CiAnswered = answers.hear(told).await;
    fleet.kill();
    fleet.start();
    fleet.until_ci_says("v3", Verdict::Good).await;
    fleet.stop().await;
}

#[tokio::test]
async fn what_ci_said_can_be_asked_by_tag_commit_alias_and_project() {
    let fleet = Fleet::with(&["web1"], |settings| {
        for project in settings.projects.values_mut() {
            project
                .aliases
                .insert("group/shop".parse().expect("a repository"));
        }
    })
    .await;
    let ci = fleet.ci().await;
    let mut by_alias = good("v2", 7);
    by_alias.build.repository = "group/shop".parse().expect("a repository");
    ci.bus.publish(&by_alias).await.expect("it is published");
    fleet.until_ci_says("v2", Verdict::Good).await;
    let id = commit("v2");
    let paths = [
        "shop?revision=v2".to_owned(),
        format!("shop?revision={}", &id.as_str()[..8]),
        "group/shop".to_owned(),
        "group/shop?limit=1".to_owned(),
    ];
    for path in paths {
        let (status, body) = fleet
            .get(&format!("/api/v1/ci/{path}"))
            .await
            .expect("it answers");
        assert_eq!(status, 200, "{path}: {body}");
        let views: Vec<CiView> = parsed(body);
        let found: Vec<_> = views
            .iter()
            .map(|view| (&view.commit, view.verdict))
            .collect();
        assert_eq!(found, [(&id, Verdict::Good)], "{path}");
        assert_eq!(views[0].names, ["v2"]);
    }
    for (path, part) in [
        ("shop?revision=v9", "neither a tag or branch"),
        ("nothing", "no repository or project"),
        ("-x", "\"-x\" is not a repository name"),
        ("shop?limit=x", "limit is not a number"),
    ] {
        let (status, body) = fleet
            .get(&format!("/api/v1/ci/{path}"))
            .await
            .expect("it answers");
        assert!((400..500).contains(&status), "{path}: {status}");
        let error = body["error"].as_str().unwrap_or_default();
        assert!(error.contains(part), "{path}: {body}");
    }
    tokio::time::timeout(SOON, fleet.stop())
        .await
        .expect("it stops");
}
