//! The service as a whole: its API over the socket, a real broker, agents that verify what they are told.

use deploy_orchestrator::api::{DeployState, DeployView, HostState};
use events::{
    Envelope, Topic,
    message::{DeadLetter, Ordered, Phase, ScriptOutput, Step},
};
use serde_json::{Value, json};
use testkit::{Member, Running, SOON, until};
use uuid::Uuid;
use world::World;

use crate::{
    fleet::{Does, Fleet, parsed},
    support::{host, running},
};

fn v(tag: &str) -> Value {
    json!({"project": "shop", "action": "deploy", "revision": tag})
}

fn states(view: &DeployView) -> Vec<HostState> {
    view.waves
        .iter()
        .flat_map(|wave| &wave.hosts)
        .map(|host| host.state)
        .collect()
}

#[tokio::test]
async fn a_signed_deploy_goes_out_in_waves_and_can_be_watched_to_its_end() {
    let fleet = Fleet::of(&["web1", "web2", "web3"]).await;
    let begun = fleet.deploy(v("v2")).await;
    assert_eq!(begun.state, DeployState::Preparing);
    assert_eq!(begun.by, ["ann@example.org"]);
    let ended = fleet.watch_to_the_end(begun.id).await;
    assert_eq!(ended.state, DeployState::Succeeded);
    assert_eq!(states(&ended), [HostState::Live; 3]);
    let log = fleet.log();
    let place = |order: &str| log.iter().position(|known| known == order).expect(order);
    let canary = place("web1 activate");
    assert!(
        (0..3).all(|n| place(&format!("web{} prepare", n + 1)) < canary),
        "{log:?}"
    );
    assert!(
        place("web2 activate") > canary && place("web3 activate") > canary,
        "{log:?}"
    );
    let (_, status) = fleet.get("/api/v1/status").await.expect("it answers");
    for web in status["projects"][0]["hosts"].as_array().expect("a list") {
        assert_eq!(web["live"]["tag"], "v2");
    }
    let (_, history) = fleet
        .get("/api/v1/deploys?project=shop&limit=5")
        .await
        .expect("it answers");
    assert_eq!(history.as_array().map(Vec::len), Some(1));
    let (_, lines) = fleet
        .get(&format!("/api/v1/deploys/{}/lines", begun.id))
        .await
        .expect("it answers");
    let last = lines
        .as_array()
        .and_then(|lines| lines.last())
        .expect("a line");
    assert_eq!(last["line"], "shop v2 succeeded");
    fleet.stop().await;
}

#[tokio::test]
async fn a_bad_release_is_put_back_and_the_view_says_what_a_person_needs() {
    let fleet = Fleet::of(&["web1", "web2", "web3"]).await;
    fleet.does("web1", Phase::Activate, Does::FailsItsCheck);
    let begun = fleet.deploy(v("v3")).await;
    let ended = fleet.watch_to_the_end(begun.id).await;
    assert_eq!(ended.state, DeployState::Failed);
    assert_eq!(
        ended.reason.as_deref(),
        Some("wave 1 of 2: web1 failed its check")
    );
    let web1 = &ended.waves[0].hosts[0];
    assert_eq!(web1.state, HostState::PutBack);
    assert_eq!(
        web1.detail.as_deref(),
        Some("check: exit 1, 3 tries: GET /health 500 \"no such table\"")
    );
    assert_eq!(web1.back_after_s, Some(2.0));
    assert_eq!(web1.now, Some(running("v1")));
    for untouched in &ended.waves[1].hosts {
        assert_eq!(
            (untouched.state, &untouched.now),
            (HostState::Untouched, &Some(running("v1")))
        );
    }
    let id = ended.id.to_string();
    assert_eq!(
        ended.next,
        [format!(
            "deploykit logs {} --host web1",
            &id[id.len() - 8..]
        )]
    );
    assert!(
        !fleet.log().iter().any(|order| order == "web2 activate"),
        "{:?}",
        fleet.log()
    );
    let (status, shown) = fleet
        .get(&format!("/api/v1/deploys/{}", &id[id.len() - 8..]))
        .await
        .expect("it answers");
    assert_eq!((status, parsed::<DeployView>(shown)), (200, ended));
    fleet.stop().await;
}

#[tokio::test]
async fn what_a_host_says_of_a_forged_copy_is_no_answer_to_the_order() {
    for (does, ends) in [
        (Does::HearsAForgery, DeployState::Succeeded),
        (Does::Disbelieves, DeployState::Failed),
    ] {
        let fleet = Fleet::of(&["web1"]).await;
        fleet.does("web1", Phase::Activate, does);
        let begun = fleet.deploy(v("v3")).await;
        let ended = fleet.watch_to_the_end(begun.id).await;
        assert_eq!(ended.state, ends, "{does:?}: {ended:#?}");
        fleet.stop().await;
    }
}

#[tokio::test]
async fn killed_in_the_middle_it_goes_on_where_it_was() {
    let mut fleet = Fleet::of(&["web1", "web2"]).await;
    fleet.does("web1", Phase::Activate, Does::Holds);
    let begun = fleet.deploy(v("v2")).await;
    fleet.until_ordered("web1 activate").await;
    fleet.kill();
    // It answers while nobody listens; the broker keeps that.
    fleet.let_go();
    fleet.start();
    let up = || async { fleet.get("/api/v1/status").await.ok() };
    until("it is there again", SOON, up).await;
    let ended = fleet.watch_to_the_end(begun.id).await;
    assert_eq!(ended.state, DeployState::Succeeded);
    assert_eq!(
        fleet.log().len(),
        4,
        "each order took effect once: {:?}",
        fleet.log()
    );
    fleet.stop().await;
}

/// The system's clock an hour later.
#[derive(Debug)]
struct AnHourLater;

impl world::Clock for AnHourLater {
    fn now(&self) -> jiff::Timestamp {
        world::SystemClock.now() + jiff::SignedDuration::from_hours(1)
    }
}

#[tokio::test]
async fn nobody_is_late_because_the_orchestrator_was_away() {
    let mut fleet = Fleet::of(&["web1", "web2"]).await;
    fleet.does("web1", Phase::Activate, Does::Holds);
    let begun = fleet.deploy(v("v2")).await;
    fleet.until_ordered("web1 activate").await;
    fleet.kill();
    let mut world = World::real();
    world.clock = std::sync::Arc::new(AnHourLater);
    let member = Member::connect("listener", fleet.broker.common("hub9")).await;
    let mut ear = member.listen(Topic::DeployOrders(host("web1"))).await;
    fleet.start_in(world);
    // The first order has expired meanwhile; this is a new one.
    let again: Ordered = ear.hear(|_| true).await;
    assert_eq!(again.phase, Phase::Activate);
    fleet.let_go();
    let ended = fleet.watch_to_the_end(begun.id).await;
    assert_eq!(ended.state, DeployState::Succeeded, "{ended:?}");
    fleet.stop().await;
}

#[tokio::test]
async fn an_order_that_is_not_accepted_is_sent_again_as_it_is() {
    let fleet = Fleet::of(&["web1"]).await;
    let member = Member::connect("listener", fleet.broker.common("hub9")).await;
    let mut ear = member.listen(Topic::DeployOrders(host("web1"))).await;
    fleet.does("web1", Phase::Prepare, Does::Holds);
    let begun = fleet.deploy(v("v2")).await;
    let first: Ordered = ear.hear(|_| true).await;
    let second: Ordered = ear.hear(|_| true).await;
    assert_eq!(first, second);
    fleet.let_go();
    let ended = fleet.watch_to_the_end(begun.id).await;
    assert_eq!(ended.state, DeployState::Succeeded);
    assert_eq!(fleet.log(), ["web1 prepare", "web1 activate"]);
    fleet.stop().await;
}

#[tokio::test]
async fn a_grant_that_does_not_suffice_is_refused_with_who_is_needed() {
    let fleet = Fleet::of(&["web1"]).await;
    let (status, error) = fleet.request(v("v2"), &fleet.trust.stranger).await;
    assert_eq!(status, 403, "{error}");
    assert!(
        error["error"]
            .as_str()
            .is_some_and(|text| text.contains("not among the allowed signers")),
        "{error}"
    );
    let web = orders::Key::parse(&fleet.folder.read("web")).expect("a key");
    let (status, error) = fleet.request(v("v2"), &web).await;
    assert_eq!(status, 403);
    assert_eq!(
        error["error"],
        "to deploy shop in prod needs ann@example.org; signed by web"
    );
    let plan = fleet.plan(v("v2")).await;
    let forged = json!({"grant": {"payloadType": "text/plain", "payload": "e30=", "signatures": []}, "targets": plan.targets});
    assert_eq!(fleet.post("/api/v1/deploys", forged).await.0, 400);
    assert!(
        fleet.log().is_empty(),
        "nobody was told anything: {:?}",
        fleet.log()
    );
    fleet.stop().await;
}

#[tokio::test]
async fn the_same_request_again_is_the_same_deploy() {
    let fleet = Fleet::of(&["web1"]).await;
    let plan = fleet.plan(v("v2")).await;
    let grant = orders::sign(&plan.grant, &fleet.trust.operator).expect("it is signed");
    let request = json!({"grant": grant, "targets": plan.targets});
    let (first, _) = fleet.post("/api/v1/deploys", request.clone()).await;
    let (second, again) = fleet.post("/api/v1/deploys", request.clone()).await;
    assert_eq!((first, second), (200, 200), "{again}");
    fleet.watch_to_the_end(plan.grant.id).await;
    let (status, again) = fleet.post("/api/v1/deploys", request).await;
    assert_eq!((status, &again["state"]), (200, &json!("succeeded")));
    assert_eq!(fleet.log(), ["web1 prepare", "web1 activate"]);
    fleet.stop().await;
}

#[tokio::test]
async fn a_second_deploy_is_refused_and_a_rollback_undoes_the_first_one() {
    let fleet = Fleet::of(&["web1", "web2"]).await;
    fleet.does("web1", Phase::Activate, Does::Holds);
    let begun = fleet.deploy(v("v2")).await;
    fleet.until_ordered("web1 activate").await;
    let (status, error) = fleet.post("/api/v1/plans", v("v3")).await;
    assert_eq!(status, 409, "{error}");
    assert!(
        error["error"]
            .as_str()
            .is_some_and(|text| text.starts_with("shop is busy since ")),
        "{error}"
    );
    let rollback = fleet
        .deploy(json!({"project": "shop", "action": "rollback"}))
        .await;
    let aborted = fleet.watch_to_the_end(begun.id).await;
    assert_eq!(aborted.state, DeployState::Aborted);
    fleet.let_go();
    let ended = fleet.watch_to_the_end(rollback.id).await;
    assert_eq!(ended.state, DeployState::Succeeded, "{ended:?}");
    let of = |n: usize| {
        let host = &ended.waves[0].hosts[n];
        (host.state, host.now.clone(), host.detail.as_deref())
    };
    assert_eq!(of(0), (HostState::Live, Some(running("v1")), None));
    let why = "left on what it has: shop v2 was not activated here";
    assert_eq!(of(1), (HostState::Live, Some(running("v1")), Some(why)));
    assert_eq!(ended.reason.as_deref(), Some("left on what they had: web2"));
    let log = fleet.log();
    let to_web2 = |order: &String| order.starts_with("web2 rollback");
    assert!(!log.iter().any(to_web2), "{log:?}");
    let of_web1: Vec<_> = log
        .iter()
        .filter(|order| order.starts_with("web1"))
        .collect();
    let rollback = format!("web1 rollback of {}", begun.id);
    assert_eq!(of_web1, ["web1 prepare", "web1 activate", &rollback]);
    fleet.stop().await;
}

#[tokio::test]
async fn a_deploy_is_paused_resumed_and_aborted() {
    let fleet = Fleet::of(&["web1", "web2"]).await;
    fleet.does("web1", Phase::Activate, Does::Holds);
    let begun = fleet.deploy(v("v2")).await;
    fleet.until_ordered("web1 activate").await;
    let at = |word: &str| format!("/api/v1/deploys/{}/{word}", begun.id);
    let (_, view) = fleet.post(&at("pause"), Value::Null).await;
    assert_eq!(view["state"], "paused");
    fleet.let_go();
    let waits = || async {
        let (_, view) = fleet
            .get(&format!("/api/v1/deploys/{}", begun.id))
            .await
            .ok()?;
        (view["reason"] == "paused after wave 1 of 2").then_some(())
    };
    until("the canary is through", SOON, waits).await;
    let (_, view) = fleet.post(&at("abort"), Value::Null).await;
    assert_eq!(view["state"], "putting-back");
    let ended = fleet.watch_to_the_end(begun.id).await;
    assert_eq!(ended.state, DeployState::Aborted);
    assert!(
        fleet.log().contains(&"web1 rollback".to_owned()),
        "{:?}",
        fleet.log()
    );
    let (status, error) = fleet.post(&at("resume"), Value::Null).await;
    assert_eq!(status, 422);
    assert_eq!(error["error"], "shop v2 has ended: it was aborted");
    fleet.stop().await;
}

#[tokio::test]
async fn all_that_hosts_say_after_the_end_is_taken_down() {
    let names = ["web1", "web2", "web3", "web4", "web5", "web6"];
    let mut fleet = Fleet::of(&names).await;
    for name in names {
        fleet.does(name, Phase::Prepare, Does::Holds);
    }
    let begun = fleet.deploy(v("v2")).await;
    for name in names {
        fleet.until_ordered(&format!("{name} prepare")).await;
    }
    let path = format!("/api/v1/deploys/{}", begun.id);
    let (_, view) = fleet.post(&format!("{path}/abort"), Value::Null).await;
    assert_eq!(view["state"], "aborted");
    // What they say meanwhile comes at once after the start.
    fleet.kill();
    fleet.let_go();
    for name in names {
        fleet.until_ordered(&format!("{name} abort")).await;
    }
    fleet.start();
    let heard = || async {
        let view: DeployView = parsed(fleet.get(&path).await.ok()?.1);
        let mut hosts = view.waves.iter().flat_map(|wave| &wave.hosts);
        hosts.all(|host| host.updated.is_some()).then_some(())
    };
    until("all are heard", SOON, heard).await;
    fleet.stop().await;
}

#[tokio::test]
async fn messages_that_cannot_be_used_hold_up_nothing_while_the_broker_is_away() {
    let mut fleet = Fleet::of(&["web1"]).await;
    let member = Member::connect("deploy-agent", fleet.broker.common("web7")).await;
    let mut letters = member
        .listen(Topic::Dead("deploy-orchestrator".to_owned()))
        .await;
    let now = World::real().clock.now();
    let output = ScriptOutput {
        host: host("web7"),
        project: "shop".parse().expect("a project"),
        deploy: Uuid::from_u128(1),
        step: Step::Check,
        offset: 0,
        text: String::new(),
        cut: false,
    };
    let no_report = |n| {
        let id = Uuid::from_u128(n);
        Envelope::seal(id, "/deploykit/deploy-agent/web7", now, &output).expect("it is sealed")
    };
    let publish = |n| {
        let (bus, envelope) = (member.bus.clone(), no_report(n));
        async move {
            bus.publish_envelope(&Topic::DeployReports, true, &envelope)
                .await
        }
    };
    publish(1).await.expect("it is published");
    let first: DeadLetter = letters.hear(|_| true).await;
    assert!(!first.cause.is_empty(), "{first:?}");
    futures_util::future::join_all((2..60).map(publish)).await;
    fleet.broker.stop().await;
    let answer = tokio::time::timeout(SOON, fleet.get("/api/v1/status")).await;
    assert_eq!(
        answer.expect("it answers in time").expect("it answers").0,
        200
    );
}

#[tokio::test]
async fn output_of_scripts_is_kept_and_given_by_host_and_step() {
    let fleet = Fleet::of(&["web1"]).await;
    let begun = fleet.deploy(v("v2")).await;
    fleet.watch_to_the_end(begun.id).await;
    let member = Member::connect("deploy-agent", fleet.broker.common("web7")).await;
    let piece = ScriptOutput {
        host: host("web1"),
        project: begun.project.clone(),
        deploy: begun.id,
        step: Step::Check,
        offset: 0,
        text: "GET /health 200\n".to_owned(),
        cut: false,
    };
    member.bus.publish(&piece).await.expect("it is published");
    let path = format!("/api/v1/deploys/{}/output", begun.id);
    let kept = || async {
        let (_, output) = fleet
            .get(&format!("{path}?host=web1&step=check"))
            .await
            .ok()?;
        (output[0]["text"] == "GET /health 200\n").then_some(())
    };
    until("the output is kept", SOON, kept).await;
    let (_, other) = fleet
        .get(&format!("{path}?step=start"))
        .await
        .expect("it answers");
    assert_eq!(other, json!([]));
    assert_eq!(
        fleet
            .get(&format!("{path}?step=dance"))
            .await
            .expect("it answers")
            .0,
        400
    );
    fleet.stop().await;
}

#[tokio::test]
async fn bad_requests_are_answered_with_what_is_wrong_and_what_exists() {
    let fleet = Fleet::of(&["web1", "web2"]).await;
    let table = [
        (
            v("v9"),
            404,
            "is neither a tag, a branch nor a commit of shop that a host has",
        ),
        (v("; rm -rf /"), 400, "is not a tag or branch name"),
        (
            json!({"project": "cart", "action": "deploy", "revision": "v1"}),
            404,
            "there is no project \"cart\" here",
        ),
        (
            json!({"project": "../x", "action": "deploy", "revision": "v1"}),
            400,
            "is not a project name",
        ),
        (
            json!({"project": "shop", "action": "deploy", "revision": "v1", "on": []}),
            400,
            "no host is named",
        ),
        (
            json!({"project": "shop", "action": "deploy", "revision": "v1", "on": ["all"]}),
            404,
            "is neither a host nor a group",
        ),
        (
            json!({"project": "shop", "action": "deploy", "revision": "v1", "in": ["web1"]}),
            400,
            "unknown field `in`",
        ),
        (
            json!("shop"),
            400,
            "the body is not the JSON that belongs here",
        ),
    ];
    for (request, expected, words) in table {
        let (status, error) = fleet.post("/api/v1/plans", request.clone()).await;
        assert_eq!(status, expected, "{request}: {error}");
        assert!(
            error["error"]
                .as_str()
                .is_some_and(|text| text.contains(words)),
            "{request}: {error}"
        );
    }
    let (_, error) = fleet.post("/api/v1/plans", v("v9")).await;
    assert_eq!(error["exists"], json!(["v3", "v2", "v1"]));
    for (path, expected) in [
        ("/api/v1/deploys/0199", 404),
        ("/api/v1/deploys/%25", 404),
        ("/api/v1/projects/cart/tags", 404),
        ("/api/v1/projects/-/tags", 400),
        ("/api/v1/deploys?limit=x", 400),
        ("/api/v1/nothing", 404),
    ] {
        let (status, error) = fleet.get(path).await.expect("it answers");
        assert_eq!(status, expected, "{path}: {error}");
        assert!(error["error"].is_string(), "{path}: {error}");
    }
    fleet.stop().await;
}

#[tokio::test]
async fn over_tcp_the_api_only_reads_and_only_as_localhost() {
    let fleet = Fleet::of(&["web1"]).await;
    for name in ["localhost:7700", "127.0.0.1", "[::1]:80"] {
        let (status, body) = fleet.browse("GET", "/api/v1/status", name).await;
        assert_eq!(status, 200, "{name}: {body}");
    }
    for name in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.nip.io",
        "10.0.0.1",
        "",
    ] {
        assert_eq!(
            fleet.browse("GET", "/api/v1/status", name).await.0,
            403,
            "{name:?}"
        );
    }
    for path in [
        "/api/v1/plans",
        "/api/v1/deploys",
        "/api/v1/hosts/web1/admit",
        "/api/v1/hosts/web1/looked",
    ] {
        let (status, _) = fleet.browse("POST", path, "localhost").await;
        assert!((400..500).contains(&status), "{path}: {status}");
    }
    fleet.stop().await;
}

#[tokio::test]
async fn the_socket_is_for_its_owner_and_group() {
    use std::os::unix::fs::PermissionsExt;
    let fleet = Fleet::of(&["web1"]).await;
    let mode = std::fs::metadata(&fleet.settings.socket)
        .expect("it is there")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    fleet.stop().await;
}

#[tokio::test]
async fn a_second_orchestrator_on_the_same_folder_ends_with_one_sentence() {
    let fleet = Fleet::of(&["web1"]).await;
    let common = fleet.broker.common("hub2");
    let second = Running::start(
        "deploy-orchestrator",
        common,
        fleet.settings.clone(),
        World::real(),
        deploy_orchestrator::serve,
    );
    let failure = second.stop().await.expect_err("the folder is in use");
    let text = failure.to_string();
    assert!(text.contains("is in use by another orchestrator"), "{text}");
    assert!(!text.contains('\n'), "{text}");
    fleet.stop().await;
}
