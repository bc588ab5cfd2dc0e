//! Publishing and listening while brokers come and go.

use std::time::Duration;

use chassis::{BusSettings, Listen, PublishError};
use events::{Topic, message::Beat};
use tokio::time::Instant;

use crate::{
    log::Log,
    peer::{OnSend, Peer, Tester, until, within},
};

fn beat() -> Beat {
    Beat {
        from: "hub1".to_owned(),
        number: 1,
        last_round_trip_ms: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_publish_waits_for_a_broker_that_comes_back() {
    let peer = Peer::new();
    peer.leave();
    let tester = Tester::new(&peer);
    let back = async {
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(peer.sent().is_empty());
        peer.come_back();
    };
    let beat = beat();
    let (published, ()) = tokio::join!(within(tester.bus.publish(&beat)), back);
    let id = published.unwrap();
    let sent = &peer.sent()[0];
    assert_eq!(sent.envelope().id, id);
    assert_eq!(sent.envelope().source, "/deploykit/tester/hub1");
    assert_eq!(sent.headers["ce-type"], "deploykit.keepalive.v1");
    assert_eq!(sent.headers.get("persistent"), None, "a beat may be lost");
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_confirmed_goes_out_again_under_the_same_id() {
    let peer = Peer::new();
    peer.on_send(OnSend::Cut);
    let tester = Tester::new(&peer);
    let mend = async {
        until("it was cut twice", || peer.sent().len() == 2).await;
        peer.on_send(OnSend::Confirm);
    };
    let beat = beat();
    let (published, ()) = tokio::join!(within(tester.bus.publish(&beat)), mend);
    let id = published.unwrap();
    let ids: Vec<_> = peer.sent().iter().map(|sent| sent.envelope().id).collect();
    assert_eq!(ids, [id, id, id]);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_publish_ends_at_its_limit_and_says_what_stood_in_the_way() {
    let peer = Peer::new();
    peer.leave();
    let settings = BusSettings {
        publish_limit_s: 7,
        ..BusSettings::default()
    };
    let tester = Tester::with(&peer, settings.clone());
    let began = Instant::now();
    let error = within(tester.bus.publish(&beat())).await.unwrap_err();
    assert_eq!(began.elapsed().as_secs(), 7);
    assert_eq!(
        error.to_string(),
        "no broker confirmed it within 7 s, bus.publish_limit_s (not connected: 127.0.0.1:61613: connection refused)"
    );
    peer.come_back();
    peer.on_send(OnSend::Silence);
    tester.connected().await;
    let error = within(tester.bus.publish(&beat())).await.unwrap_err();
    assert!(
        matches!(error, PublishError::NotConfirmed { .. }),
        "{error}"
    );
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_at_once_and_not_tried_again() {
    let peer = Peer::new();
    peer.on_send(OnSend::Refuse);
    let tester = Tester::new(&peer);
    let error = within(tester.bus.publish(&beat())).await.unwrap_err();
    assert!(matches!(error, PublishError::Refused(_)), "{error}");
    assert_eq!(peer.sent().len(), 1);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn publishes_are_on_their_way_together_and_each_is_told_its_own_outcome() {
    let peer = Peer::new();
    let tester = Tester::new(&peer);
    peer.on_send(OnSend::Later);
    let publishing: Vec<_> = (0..100)
        .map(|_| {
            let bus = tester.bus.clone();
            tokio::spawn(async move { bus.publish(&beat()).await })
        })
        .collect();
    until("all are on their way", || peer.sent().len() == 100).await;
    assert!(publishing.iter().all(|one| !one.is_finished()));
    peer.confirm_now();
    // The last one is refused, which ends the connection and no other publish.
    peer.on_send(OnSend::Refuse);
    let refused = within(tester.bus.publish(&beat())).await.unwrap_err();
    assert!(matches!(refused, PublishError::Refused(_)), "{refused}");
    for one in publishing {
        within(one).await.unwrap().unwrap();
    }
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn after_an_error_it_connects_and_subscribes_anew_and_loses_nothing() {
    let peer = Peer::new();
    let tester = Tester::new(&peer);
    let mut inbox = tester.bus.listen(Listen::hints([Topic::Keepalive])).await;
    peer.complain();
    until("it is subscribed again", || peer.subscribes().len() == 2).await;
    assert_eq!(peer.connects().len(), 2);
    peer.bring("/topic/deploykit.keepalive", "one");
    within(inbox.next()).await.unwrap().ack().await;
    within(tester.bus.publish(&beat())).await.unwrap();
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn the_kind_of_broker_may_be_set() {
    let durable = || Listen::durable(Topic::DeployReports, "deploykit.tester.hub1".to_owned());
    let queue_of = async |dialect: Option<&str>| {
        let peer = Peer::new();
        let settings = BusSettings {
            dialect: dialect.map(|word| word.parse().unwrap()),
            ..BusSettings::default()
        };
        let tester = Tester::with(&peer, settings);
        let _inbox = tester.bus.listen(durable()).await;
        tester.connected().await;
        let queue = peer.subscribes()[0].get("x-queue-name").cloned();
        tester.disconnect().await;
        queue
    };
    let name = Some("deploykit.tester.hub1".to_owned());
    assert_eq!(queue_of(Some("rabbitmq")).await, name);
    assert_eq!(queue_of(Some("activemq")).await, None);
    assert_eq!(queue_of(None).await, None, "the peer calls itself peer/1");
}

#[tokio::test(start_paused = true)]
async fn a_body_over_the_limit_is_not_sent() {
    let peer = Peer::new();
    let tester = Tester::new(&peer);
    let body = vec![b'x'; events::MAX_FRAME_BYTES + 1];
    let raw = tester.bus.publish_raw("/topic/x", false, body.into());
    let error = within(raw).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "it cannot be sent: 131073 bytes are over the limit of 131072"
    );
    assert!(peer.sent().is_empty());
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn clients_that_are_none_of_ours_are_heard_and_told() {
    let peer = Peer::new();
    let settings = BusSettings {
        dialect: Some("rabbitmq".parse().unwrap()),
        ..BusSettings::default()
    };
    let tester = Tester::with(&peer, settings);
    let foreign = Listen::foreign("/topic/theirs".to_owned(), "mine".to_owned());
    let mut inbox = tester.bus.listen(foreign).await;
    tester.connected().await;
    let subscribe = &peer.subscribes()[0];
    assert_eq!(subscribe["destination"], "/topic/theirs");
    assert_eq!(subscribe["x-queue-name"], "mine", "durable");
    peer.bring("/topic/theirs", "no envelope");
    let heard = within(inbox.next()).await.unwrap();
    assert_eq!(heard.body().as_ref(), b"no envelope");
    heard.ack().await;
    until("it is acknowledged", || peer.acknowledged() == [true]).await;

    let headers = [("subject", "hello")];
    let told = tester
        .bus
        .publish_text("/topic/theirs", &headers, "text".to_owned());
    within(told).await.unwrap();
    let sent = &peer.sent()[0];
    assert_eq!(
        (sent.destination.as_str(), sent.body.as_slice()),
        ("/topic/theirs", &b"text"[..])
    );
    assert_eq!(sent.headers["subject"], "hello");
    assert_eq!(sent.headers["persistent"], "true");
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn brokers_are_tried_in_their_order() {
    let peer = Peer::new();
    peer.refuse("first:1");
    let settings = BusSettings {
        brokers: vec!["first:1".to_owned(), "second:2".to_owned()],
        ..BusSettings::default()
    };
    let tester = Tester::with(&peer, settings);
    tester.connected().await;
    let connect = &peer.connects()[0];
    assert_eq!(connect["client-id"], "deploykit.tester.hub1");
    assert_eq!(connect["heart-beat"], "5000,5000");
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn every_connection_is_subscribed_before_anything_is_published_on_it() {
    let peer = Peer::new();
    peer.leave();
    let tester = Tester::new(&peer);
    let durable = Listen::durable(Topic::DeployReports, "deploykit.tester.hub1".to_owned());
    let mut reports = tester.bus.listen(durable).await;
    let hints = Listen::hints([Topic::GitCommits, Topic::GitFetched]);
    let _hints = tester.bus.listen(hints).await;
    peer.come_back();
    within(tester.bus.publish(&beat())).await.unwrap();
    peer.leave();
    let mut connected = tester.bus.connected();
    within(connected.wait_for(|connected| !connected))
        .await
        .unwrap();
    peer.come_back();
    within(tester.bus.publish(&beat())).await.unwrap();
    let once = ["CONNECT", "SUBSCRIBE", "SUBSCRIBE", "SUBSCRIBE", "SEND"];
    assert_eq!(peer.commands(), [once, once].concat());

    // What came by the first connection and was not acknowledged comes by the second.
    peer.bring("/topic/deploykit.deploy.reports", "one");
    let first = within(reports.next()).await.unwrap();
    assert_eq!(first.body().as_ref(), b"one");
    peer.leave();
    within(connected.wait_for(|connected| !connected))
        .await
        .unwrap();
    peer.come_back();
    let second = within(reports.next()).await.unwrap();
    first.ack().await;
    assert_eq!(peer.acknowledged(), [false], "the first connection is gone");
    second.ack().await;
    until("it is acknowledged", || peer.acknowledged() == [true]).await;
    tester.disconnect().await;
    assert!(within(reports.next()).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_message_says_when_it_is_of_no_use_any_more() {
    let peer = Peer::new();
    let tester = Tester::new(&peer);
    let bus = &tester.bus;
    within(bus.publish(&beat())).await.unwrap();
    let pushed = events::message::DeadLetter {
        service: "tester".to_owned(),
        cause: "x".to_owned(),
        destination: "/topic/x".to_owned(),
        headers: std::collections::BTreeMap::new(),
        body: String::new(),
        base64: false,
        body_bytes: 0,
    };
    within(bus.publish(&pushed)).await.unwrap();
    let time = peer.sent()[1].envelope().time;
    within(bus.publish_until(&pushed, time + Duration::from_secs(90)))
        .await
        .unwrap();
    let number = |sent: &crate::peer::Sent, name| -> Option<i64> {
        sent.headers.get(name).map(|text| text.parse().unwrap())
    };
    let [beat, for_ever, until] = &peer.sent()[..] else {
        panic!("three messages");
    };
    assert_eq!(number(beat, "expiration"), Some(300_000));
    let made = beat.envelope().time.as_millisecond();
    let off = number(beat, "expires").unwrap() - made - 300_000;
    assert!((-1000..=0).contains(&off), "by the world's clock: {off} ms");
    assert_eq!(number(for_ever, "expires"), None);
    assert_eq!(number(for_ever, "expiration"), None);
    let moment = time.as_millisecond() + 90_000;
    assert!((moment - 1..=moment).contains(&number(until, "expires").unwrap()));
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_bus_says_so() {
    let peer = Peer::new();
    let tester = Tester::new(&peer);
    tester.connected().await;
    let bus = tester.bus.clone();
    tester.disconnect().await;
    let error = within(bus.publish(&beat())).await.unwrap_err();
    assert!(matches!(error, PublishError::Stopped), "{error}");
    let mut inbox = within(bus.listen(Listen::hints([Topic::Keepalive]))).await;
    assert!(within(inbox.next()).await.is_none());
}

#[test]
fn a_passcode_is_its_file_without_line_ends() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passcode");
    let read = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        chassis::bus::passcode(&file, &*world::World::real().disk)
    };
    assert!(read(b" open sesame \r\n").unwrap().matches(" open sesame "));
    let name = file.display();
    for (bytes, why) in [(&b"\n"[..], "it is empty"), (b"\xff\xfe", "not UTF-8")] {
        assert_eq!(read(bytes).unwrap_err(), format!("{name}: {why}"));
    }
}

#[tokio::test(start_paused = true)]
async fn the_passcode_goes_to_the_broker_and_into_no_log_and_no_debug_text() {
    let log = Log::catch();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("passcode");
    std::fs::write(&file, "open-sesame\n").unwrap();
    let peer = Peer::new();
    let settings = BusSettings {
        login: Some("hub".to_owned()),
        passcode_file: Some(file.clone()),
        ..BusSettings::default()
    };
    let tester = Tester::with(&peer, settings);
    tester.connected().await;
    assert_eq!(peer.connects()[0]["passcode"], "open-sesame");
    // A changed passcode is taken up by the next connection.
    let inbox = tester.bus.listen(Listen::hints([Topic::Keepalive])).await;
    std::fs::write(&file, "sesame-2").unwrap();
    peer.leave();
    until("it is cut", || !*tester.bus.connected().borrow()).await;
    peer.come_back();
    tester.connected().await;
    assert_eq!(peer.connects()[1]["passcode"], "sesame-2");
    let debug = format!("{:?} {inbox:?}", tester.bus);
    tester.disconnect().await;
    let log = log.text();
    assert!(log.contains("connected to the bus"), "{log}");
    assert!(!log.contains("sesame") && !debug.contains("sesame"));
}

#[tokio::test(start_paused = true)]
async fn a_lone_line_end_expires() {
    let peer = Peer::new();
    let tester = Tester::new(&peer);
    tester.connected().await;
    let life = Duration::from_secs(20);
    let sent = tester.bus.publish_line_end("/queue/old.clients", life);
    within(sent).await.unwrap();
    let sent = peer.sent().remove(0);
    assert_eq!(
        (sent.destination.as_str(), sent.body.as_slice()),
        ("/queue/old.clients", &b"\n"[..])
    );
    assert_eq!(sent.headers["expiration"], "20000");
    assert!(!sent.headers.contains_key("persistent"));
    tester.disconnect().await;
}
