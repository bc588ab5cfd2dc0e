//! Over real HTTP and the real broker.

use std::time::Duration;

use chassis::{Failure, Secret, compose, settings::parse};
use events::{
    Topic,
    message::{Line, Pushed},
};
use github_stomp::{Settings, signature::sign};
use reqwest::StatusCode;
use testkit::{Folder, Member, TestBroker};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use world::World;

use crate::hub::{Hub, PUSH, SECRET, answer, next_is, push};

#[tokio::test]
async fn a_signed_push_is_on_the_bus_when_it_is_answered_and_its_line_on_the_feed() {
    let broker = TestBroker::start().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    let mut feed = member
        .listen(Topic::Events("github-stomp".to_owned()))
        .await;
    let hub = Hub::start(broker.common("hub1")).await;

    let (status, text) = answer(hub.signed("push", PUSH)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    assert!(text.starts_with("taken as "), "{text}");
    let pushed = next_is(&mut commits, "refs/heads/master").await;
    assert_eq!(pushed.repository.as_str(), "binkkatal/sample_app");
    let line = feed.hear(|_: &Line| true).await;
    assert_eq!(
        line.line.as_str(),
        "hub1: binkkatal/sample_app refs/heads/master 737d38c599..fd489864e7, 1 commit by binkkatal"
    );
    assert_eq!(line.record["source"], "hub");
    assert_eq!(
        line.record["delivery"],
        "72d3162e-cc78-11e3-81ab-4c9367dc0958"
    );

    let body = PUSH.replace("binkkatal/sample_app\"", "acme/shop\"");
    assert_eq!(
        answer(hub.signed("push", body)).await.0,
        StatusCode::ACCEPTED
    );
    let pushed = next_is(&mut commits, "refs/heads/master").await;
    assert_eq!(pushed.repository.as_str(), "shop", "by its alias");

    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn what_is_not_rightly_signed_is_refused_and_not_published() {
    let broker = TestBroker::start().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    let hub = Hub::start(broker.common("hub1")).await;

    let right = sign(&Secret::new(SECRET), PUSH.as_bytes());
    let wrong = sign(&Secret::new("another"), PUSH.as_bytes());
    let table = [
        (None, "there is no x-hub-signature-256 header"),
        (Some(""), "there is no x-hub-signature-256 header"),
        (Some("sha256="), "there is no x-hub-signature-256 header"),
        (Some("sha256=beef"), "the x-hub-signature-256 header is not"),
        (Some(wrong.as_str()), "the signature is not this body's"),
    ];
    for (signature, said) in table {
        let mut request = hub.unsigned("push", PUSH);
        if let Some(signature) = signature {
            request = request.header("x-hub-signature-256", signature);
        }
        let (status, text) = answer(request).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{signature:?}");
        assert!(text.starts_with(said), "{signature:?}: {text}");
    }
    // One byte more than was signed.
    let more = hub
        .unsigned("push", format!("{PUSH} "))
        .header("x-hub-signature-256", &right);
    assert_eq!(answer(more).await.0, StatusCode::UNAUTHORIZED);
    let elsewhere = hub
        .client
        .post(hub.url("/hook/lab"))
        .header("x-hub-signature-256", &right);
    assert_eq!(answer(elsewhere.body(PUSH)).await.0, StatusCode::NOT_FOUND);

    // The second secret is good too, and its push is the first one on the bus.
    let body = push("refs/heads/proof");
    let newer = sign(&Secret::new("a newer one"), body.as_bytes());
    let request = hub
        .unsigned("push", body)
        .header("x-hub-signature-256", newer);
    assert_eq!(answer(request).await.0, StatusCode::ACCEPTED);
    next_is(&mut commits, "refs/heads/proof").await;
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn bodies_that_are_no_push_are_answered_as_the_readme_says() {
    let broker = TestBroker::start().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    let hub = Hub::start(broker.common("hub1")).await;

    let create = include_str!("data/recorded/github/create.json");
    let hostile = push("refs/heads/; rm -rf");
    let gitlab = include_str!("data/recorded/gitlab/push-event.json");
    let table = [
        (
            "ping",
            include_str!("data/recorded/github/ping.json"),
            202,
            "pong",
        ),
        (
            "create",
            create,
            202,
            "nobody handles create events; nothing was published",
        ),
        ("push", "not JSON", 400, "the body is not JSON"),
        ("ping", "not JSON", 400, "the body is not JSON"),
        ("", PUSH, 400, "there is no x-github-event header"),
        ("push", create, 422, "the body is not a push event"),
        ("push", gitlab, 422, "the body is not a push event"),
        (
            "push",
            hostile.as_str(),
            422,
            "\"refs/heads/; rm -rf\" is not a git ref: use letters, digits and",
        ),
    ];
    for (event, body, code, said) in table {
        let (status, text) = answer(hub.signed(event, body)).await;
        assert_eq!(status.as_u16(), code, "{event}: {text}");
        assert!(text.starts_with(said), "{event}: {text}");
    }
    let (status, _) = answer(hub.client.get(hub.url("/hook/hub"))).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);

    assert_eq!(
        answer(hub.signed("push", push("refs/tags/proof"))).await.0,
        StatusCode::ACCEPTED
    );
    next_is(&mut commits, "refs/tags/proof").await;
    hub.running.stop().await.unwrap();
}

/// Every byte that a form does not carry as itself, escaped.
fn form(payload: &str) -> String {
    let escaped = payload.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        other => format!("%{other:02X}"),
    });
    format!("payload={}", escaped.collect::<String>())
}

#[tokio::test]
async fn forms_and_large_bodies_are_taken_up_to_the_limit() {
    const MIB: usize = 1024 * 1024;
    let broker = TestBroker::start().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    let hub = Hub::start(broker.common("hub1")).await;
    let as_form = |body: String| {
        let request = hub.signed("push", body);
        request.header(
            "content-type",
            "application/x-www-form-urlencoded; charset=utf-8",
        )
    };
    // Its size is spaces, which JSON ignores.
    let padded =
        |name: &str, size: usize| format!("{}{}", push(name), " ".repeat(size - push(name).len()));
    let table = [
        (as_form(form(&push("refs/heads/form"))), 202),
        (
            as_form(form(&padded("refs/heads/large-form", 5 * MIB))),
            202,
        ),
        (as_form("other=1".to_owned()), 400),
        (
            hub.signed("push", padded("refs/heads/large", 25 * MIB + 1024)),
            202,
        ),
        (
            hub.signed("push", padded("refs/heads/over", 25 * MIB + 1025)),
            413,
        ),
    ];
    for (index, (request, code)) in table.into_iter().enumerate() {
        let (status, text) = answer(request).await;
        assert_eq!(status.as_u16(), code, "{index}: {text}");
    }
    for name in [
        "refs/heads/form",
        "refs/heads/large-form",
        "refs/heads/large",
    ] {
        next_is(&mut commits, name).await;
    }
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn while_the_broker_is_away_pushes_are_taken_at_once_and_arrive_in_order_when_it_is_back() {
    let mut broker = TestBroker::start().await;
    let hub = Hub::start(broker.common("hub1")).await;
    broker.stop().await;
    hub.becomes(StatusCode::OK, "not connected to the bus, 0 wait")
        .await;
    let began = Instant::now();
    for number in 1..=20 {
        let body = push(&format!("refs/heads/b{number}"));
        let (status, text) = answer(hub.signed("push", body)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    }
    // Far below the bus's own limit of 30 s for one publish.
    assert!(began.elapsed() < Duration::from_secs(15));
    hub.becomes(StatusCode::OK, "not connected to the bus, 20 wait")
        .await;

    broker.start_again().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    hub.becomes(StatusCode::OK, "connected to the bus, 0 wait")
        .await;
    // Some may have gone out before the listener was there; what it hears is in order, to the last.
    let body = push("refs/heads/b21");
    assert_eq!(
        answer(hub.signed("push", body)).await.0,
        StatusCode::ACCEPTED
    );
    let mut numbers: Vec<u32> = Vec::new();
    while numbers.last() != Some(&21) {
        let pushed = commits.hear(|_: &Pushed| true).await;
        let number = pushed.name.as_str().strip_prefix("refs/heads/b").unwrap();
        numbers.push(number.parse().unwrap());
    }
    let whole: Vec<u32> = (numbers[0]..=21).collect();
    assert_eq!(numbers, whole);
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_full_outbox_answers_503_until_the_broker_has_taken_some() {
    let mut broker = TestBroker::start().await;
    let hub = Hub::start_with(broker.common("hub1"), 2).await;
    broker.stop().await;
    hub.becomes(StatusCode::OK, "not connected to the bus")
        .await;
    for name in ["refs/heads/one", "refs/heads/two"] {
        assert_eq!(
            answer(hub.signed("push", push(name))).await.0,
            StatusCode::ACCEPTED
        );
    }
    let refused = hub.signed("push", PUSH).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers()["retry-after"], "30");
    let text = refused.text().await.unwrap();
    let folder = hub.folder.join("outbox");
    let said = format!(
        "not taken: the outbox {} is full: 2 messages, ",
        folder.display()
    );
    assert!(text.starts_with(&said), "{text}");
    hub.becomes(
        StatusCode::SERVICE_UNAVAILABLE,
        "not connected to the bus, 2 wait",
    )
    .await;
    // A ping needs no room.
    let ping = hub.signed("ping", include_str!("data/recorded/github/ping.json"));
    assert_eq!(answer(ping).await.0, StatusCode::ACCEPTED);

    broker.start_again().await;
    hub.becomes(StatusCode::OK, "connected to the bus, 0 wait")
        .await;
    assert_eq!(
        answer(hub.signed("push", PUSH)).await.0,
        StatusCode::ACCEPTED
    );
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_disk_that_fails_answers_503_until_it_works() {
    let broker = TestBroker::start().await;
    let hub = Hub::start(broker.common("hub1")).await;
    let folder = hub.folder.join("outbox");
    let (away, disk) = (hub.folder.join("away"), World::real().disk);
    disk.rename(&folder, &away).unwrap();
    let (status, text) = answer(hub.signed("push", PUSH)).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let said = format!(
        "not taken: cannot use the outbox {}: No such file",
        folder.display()
    );
    assert!(text.starts_with(&said), "{text}");
    disk.rename(&away, &folder).unwrap();
    assert_eq!(
        answer(hub.signed("push", PUSH)).await.0,
        StatusCode::ACCEPTED
    );
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn an_empty_secret_and_a_port_in_use_end_the_start_with_one_sentence() {
    let broker = TestBroker::start().await;
    let folder = Folder::new();
    let secret = folder.write("secret", "\n");
    let text = format!(
        "[sources.hub]\nkind = 'github'\nsecret_file = '{}'\n",
        secret.display()
    );
    let (_, mut settings) = parse::<Settings>(&text, "test").unwrap();
    settings.listen = "127.0.0.1:0".to_owned();
    settings.outbox.folder = Some(folder.join("outbox"));
    settings.data = folder.join("data");
    let ends = async |settings: Settings| {
        let stop = CancellationToken::new();
        let common = broker.common("hub1");
        let serve = github_stomp::serve;
        let ended = compose("github-stomp", common, settings, World::real(), stop, serve).await;
        ended.unwrap_err()
    };
    let failure = ends(settings.clone()).await;
    assert!(matches!(failure, Failure::Settings(_)), "{failure:?}");
    assert!(failure.to_string().ends_with("it is empty"), "{failure}");

    folder.write("secret", "now there is one");
    let taken = World::real().net.listen("127.0.0.1:0").await.unwrap();
    settings.listen = taken.local_address().unwrap().to_string();
    let failure = ends(settings.clone()).await;
    let said = format!(
        "cannot listen on {}: Address already in use",
        settings.listen
    );
    assert!(failure.to_string().starts_with(&said), "{failure}");
}
