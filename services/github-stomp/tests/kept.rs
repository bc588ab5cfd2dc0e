//! Deliveries over HTTP: what is kept of them, what is folded, and what a replay does.
#![expect(
    clippy::disallowed_methods,
    reason = "what lies on the disk is looked at as anybody would"
)]

use std::sync::{Arc, Mutex, mpsc};

use chassis::Secret;
use events::{Topic, message::Pushed};
use github_stomp::{
    deliveries::clerk::WAITING_BYTES, forge::Kind, local::Replayed, signature::sign,
};
use reqwest::{Method, StatusCode};
use serde_json::Value;
use testkit::{Faulty, Folder, LONG, Member, TestBroker, until};
use world::World;

use crate::{
    hub::{Hub, PUSH, SECRET, all, answer, ask, listed, metric, next_is, push},
    sources::Sources,
};

#[tokio::test]
async fn each_delivery_is_listed_with_what_became_of_it_and_never_with_a_secret() {
    let broker = TestBroker::start().await;
    let hub = Hub::start(broker.common("hub1")).await;
    let pushed = answer(hub.signed("push", PUSH)).await.1;
    let unsigned = hub
        .unsigned("push", PUSH)
        .header("x-hub-signature-256", "sha256=beef");
    answer(unsigned).await;
    answer(hub.signed("ping", "{}")).await;
    answer(hub.signed("push", push("refs/heads/; rm"))).await;
    answer(hub.client.post(hub.url("/hook/lab")).body(PUSH)).await;

    let all = all(&hub.folder, 5).await;
    let told: Vec<(&str, &str, u16, &str, usize)> = all
        .iter()
        .map(|it| {
            (
                it.source.as_str(),
                it.event.as_str(),
                it.answer,
                it.outcome.word(),
                it.kept_bytes,
            )
        })
        .collect();
    let hostile = push("refs/heads/; rm").len();
    assert_eq!(
        told,
        [
            ("lab", "", 404, "refused", 0),
            ("hub", "push", 422, "refused", hostile),
            ("hub", "ping", 202, "ignored", 0),
            ("hub", "push", 401, "refused", 0),
            ("hub", "push", 202, "announced", PUSH.len()),
        ]
    );
    let first = &all[4];
    assert_eq!(first.delivery, "72d3162e-cc78-11e3-81ab-4c9367dc0958");
    assert_eq!(pushed.trim(), format!("taken as {}", first.became[0].id));
    assert_eq!(first.became[0].name.as_str(), "refs/heads/master");
    let (_, body) = ask(&hub.folder, Method::GET, &format!("/{}/body", first.id)).await;
    assert_eq!(body, PUSH);
    assert_eq!(listed(&hub.folder, "most=9&outcome=ignored").await.len(), 1);
    assert_eq!(
        listed(&hub.folder, "most=1&source=hub").await[0].answer,
        422
    );
    let (status, text) = ask(&hub.folder, Method::GET, &format!("/{}/body", all[2].id)).await;
    assert_eq!(status, StatusCode::CONFLICT, "{text}");

    for entry in std::fs::read_dir(hub.folder.join("data/deliveries")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        assert!(text.contains("refs/heads/master"));
        let signature = sign(&Secret::new(SECRET), PUSH.as_bytes());
        let digest = signature.trim_start_matches("sha256=");
        for secret in [SECRET, digest, "beef"] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
    let metrics = answer(hub.client.get(hub.url("/metrics"))).await.1;
    for line in [
        r#"deploykit_webhooks_total{source="hub",answer="202"} 2"#,
        r#"deploykit_webhooks_total{source="hub",answer="401"} 1"#,
        r#"deploykit_webhooks_total{source="-",answer="404"} 1"#,
        "deploykit_webhooks_bodies_bytes 0",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn unsigned_requests_do_not_push_out_the_others() {
    let broker = TestBroker::start().await;
    let hub = Hub::start(broker.common("hub1")).await;
    for _ in 0..150 {
        answer(hub.unsigned("push", "{}")).await;
    }
    answer(hub.signed("ping", "{}")).await;
    let all = until("the ping is listed", LONG, || async {
        let all = listed(&hub.folder, "most=1000").await;
        all.iter().any(|it| it.answer == 202).then_some(all)
    })
    .await;
    // Two minutes may have met.
    assert!((61..=121).contains(&all.len()), "{}", all.len());
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn nor_do_connection_tests_that_need_no_signature() {
    let broker = TestBroker::start().await;
    let sources = Sources::start(broker.common("hub1")).await;
    let ping = [("x-event-key", "diagnostics:ping".to_owned())];
    for body in [r#"{"test":true}"#, "no JSON"] {
        for _ in 0..75 {
            let posted = sources.post(Kind::BitbucketServer, &ping, body.as_bytes());
            posted.await;
        }
    }
    let secret = crate::sources::NEW;
    let signed = crate::forged::headers(Kind::Github, "ping", secret, b"{}", 0);
    sources.post(Kind::Github, &signed, b"{}").await;
    let all = until("the signed ping is listed", LONG, || async {
        let all = listed(&sources.folder, "most=1000").await;
        all.iter().any(|it| it.source == "github").then_some(all)
    })
    .await;
    // Two minutes may have met.
    assert!((61..=121).contains(&all.len()), "{}", all.len());
    let pings = all.iter().filter(|it| it.source == "bitbucket-server");
    let bodies: usize = pings.map(|it| it.kept_bytes).sum();
    assert_eq!(bodies, 0, "nobody signed them");
    sources.running.stop().await.unwrap();
}

/// The push of this ref, so many bytes long: spaces, which JSON ignores.
fn padded(name: &str, size: usize) -> String {
    let push = push(name);
    format!("{push}{}", " ".repeat(size - push.len()))
}

#[tokio::test]
async fn while_the_disk_of_deliveries_hangs_hooks_are_taken_and_what_is_not_kept_is_counted() {
    const MIB: usize = 1 << 20;
    const MORE: usize = 5;
    let broker = TestBroker::start().await;
    let (hangs, over) = mpsc::channel::<()>();
    let over = Mutex::new(over);
    let mut world = World::real();
    world.disk = Arc::new(Faulty::at_once(move |call, path| {
        if call == "append_log" && path.to_string_lossy().contains("/deliveries/") {
            // Until the sender is dropped.
            let _ended = over.lock().unwrap().recv();
        }
        Ok(())
    }));
    let hub = Hub::start_on(world, Folder::new(), broker.common("hub1"), |_| {}).await;
    // More than there is room for in memory, of small bodies or of bodies that wait to be written.
    let count = WAITING_BYTES / MIB + MORE;
    for number in 0..count {
        let body = padded(&format!("refs/heads/b{number}"), MIB);
        let (status, text) = answer(hub.signed("push", body)).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{number}: {text}");
    }
    let not_kept = "deploykit_webhooks_not_kept_total";
    assert_eq!(metric(&hub, not_kept).await, MORE as u64);
    drop(hangs);
    let listed = all(&hub.folder, count).await;
    let without = listed.iter().filter(|it| it.kept_bytes == 0);
    assert_eq!(without.count(), MORE);
    // Its room is free again.
    answer(hub.signed("push", padded("refs/heads/last", MIB))).await;
    let listed = all(&hub.folder, count + 1).await;
    assert_eq!(listed[0].kept_bytes, MIB);
    assert_eq!(metric(&hub, not_kept).await, MORE as u64);
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_large_push_that_was_answered_with_503_is_kept_whole_and_can_be_replayed() {
    let mut broker = TestBroker::start().await;
    let hub = Hub::start_with(broker.common("hub1"), 1).await;
    broker.stop().await;
    hub.becomes(StatusCode::OK, "not connected to the bus")
        .await;
    answer(hub.signed("push", push("refs/heads/first"))).await;
    let large = padded("refs/heads/large", 3 << 20);
    let (status, text) = answer(hub.signed("push", large.clone())).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    let refused = all(&hub.folder, 2).await.remove(0);
    assert_eq!(
        (refused.outcome.word(), refused.kept_bytes),
        ("not-taken", large.len())
    );
    broker.start_again().await;
    hub.becomes(StatusCode::OK, "connected to the bus, 0 wait")
        .await;
    let path = format!("/{}/replay", refused.id);
    let (_, text) = ask(&hub.folder, Method::POST, &path).await;
    let replayed: Replayed = serde_json::from_str(&text).unwrap();
    assert_eq!(replayed.outcome.word(), "announced", "{text}");
    assert_eq!(replayed.became[0].name.as_str(), "refs/heads/large");
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn the_same_push_is_announced_once_also_after_a_restart_and_back_and_forth_is_news() {
    let broker = TestBroker::start().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    let hub = Hub::start(broker.common("hub1")).await;
    let first = answer(hub.signed("push", PUSH)).await;
    let again = answer(hub.signed("push", PUSH)).await;
    let id = first.1.strip_prefix("taken as ").unwrap();
    assert_eq!(
        again,
        (StatusCode::ACCEPTED, format!("already announced as {id}"))
    );
    next_is(&mut commits, "refs/heads/master").await;

    let (before, after) = (
        "737d38c599c1b2991664dfc6155d6bf516fcce36",
        "fd489864e7642b48eaad6e3f155c10e46810ec72",
    );
    let back = PUSH
        .replace(
            &format!(r#""before": "{before}""#),
            &format!(r#""before": "{after}""#),
        )
        .replace(
            &format!(r#""after": "{after}""#),
            &format!(r#""after": "{before}""#),
        );
    let mut ids = Vec::new();
    for body in [back.as_str(), PUSH] {
        let (_, text) = answer(hub.signed("push", body)).await;
        assert!(text.starts_with("taken as "), "{text}");
        ids.push(text);
        next_is(&mut commits, "refs/heads/master").await;
    }
    all(&hub.folder, 4).await;
    let folder = hub.folder;
    hub.running.stop().await.unwrap();
    let hub = Hub::start_in(folder, broker.common("hub1"), |_| {}).await;
    let (_, text) = answer(hub.signed("push", PUSH)).await;
    assert_eq!(text, ids[1].replace("taken", "already announced"));
    answer(hub.signed("push", push("refs/heads/proof"))).await;
    next_is(&mut commits, "refs/heads/proof").await;
    let metrics = answer(hub.client.get(hub.url("/metrics"))).await.1;
    assert!(
        metrics.contains("deploykit_webhooks_folded_total 1"),
        "{metrics}"
    );
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn many_at_once_that_say_the_same_are_one_and_all_are_answered_with_its_id() {
    let broker = TestBroker::start().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    let hub = Hub::start(broker.common("hub1")).await;
    let mut answers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        answers.spawn(answer(hub.signed("push", PUSH)));
    }
    let answers = answers.join_all().await;
    let taken = answers
        .iter()
        .filter(|(_, text)| text.starts_with("taken as"));
    assert_eq!(taken.count(), 1, "{answers:?}");
    let ids: std::collections::BTreeSet<_> = answers
        .iter()
        .map(|(_, text)| text.split(" as ").last().unwrap())
        .collect();
    assert_eq!(ids.len(), 1, "{answers:?}");
    next_is(&mut commits, "refs/heads/master").await;
    answer(hub.signed("push", push("refs/heads/proof"))).await;
    next_is(&mut commits, "refs/heads/proof").await;
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn what_the_outbox_could_not_take_is_no_double_when_it_comes_again() {
    let mut broker = TestBroker::start().await;
    let hub = Hub::start_with(broker.common("hub1"), 1).await;
    broker.stop().await;
    hub.becomes(StatusCode::OK, "not connected to the bus")
        .await;
    assert_eq!(
        answer(hub.signed("push", push("refs/heads/one"))).await.0,
        202
    );
    assert_eq!(answer(hub.signed("push", PUSH)).await.0, 503);
    broker.start_again().await;
    hub.becomes(StatusCode::OK, "connected to the bus, 0 wait")
        .await;
    let (_, text) = answer(hub.signed("push", PUSH)).await;
    assert!(text.starts_with("taken as "), "{text}");
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_replay_publishes_the_kept_body_again_under_a_new_id_and_the_same_key() {
    let broker = TestBroker::start().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut commits = member.listen(Topic::GitCommits).await;
    let hub = Hub::start(broker.common("hub1")).await;
    answer(hub.signed("push", PUSH)).await;
    let first = next_is(&mut commits, "refs/heads/master").await;
    let of = all(&hub.folder, 1).await.remove(0);

    let (status, text) = ask(&hub.folder, Method::POST, &format!("/{}/replay", of.id)).await;
    assert_eq!(status, StatusCode::OK, "{text}");
    let replayed: Replayed = serde_json::from_str(&text).unwrap();
    assert_eq!((replayed.of, replayed.outcome.word()), (of.id, "announced"));
    assert_ne!(replayed.became[0].id, of.became[0].id);
    let again: Pushed = next_is(&mut commits, "refs/heads/master").await;
    assert_eq!(again, first, "the same content makes the same key");
    let listed = all(&hub.folder, 2).await.remove(0);
    assert_eq!((listed.id, listed.replay_of), (replayed.id, Some(of.id)));

    let table = [
        (
            of.id.to_string().replace('0', "1"),
            StatusCode::NOT_FOUND,
            "there is no delivery ",
        ),
        (listed.id.to_string(), StatusCode::CONFLICT, "the body of "),
    ];
    for (id, code, said) in table {
        let (status, text) = ask(&hub.folder, Method::POST, &format!("/{id}/replay")).await;
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(status, code);
        assert!(error["error"].as_str().unwrap().starts_with(said), "{text}");
    }
    hub.running.stop().await.unwrap();
}
