//! What is counted, and where it is read.

use std::{io, sync::Arc};

use chassis::{
    BusSettings, Common, Failure, Listen, Metrics, MetricsSettings, Settings, Start, compose,
    settings::parse,
};
use events::{Envelope, Topic, message::Beat};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::{Boxed, Listener, Net, RealNet, Stream, World};

use crate::peer::{OnSend, Peer, Tester, host, until, within};

pub(crate) fn beat(number: u64) -> Beat {
    Beat {
        from: "hub1".to_owned(),
        number,
        last_round_trip_ms: None,
    }
}

/// The value of a line of the text: `bus_connected{broker="a:1"}`, without the prefix.
pub(crate) fn value(metrics: &Metrics, line: &str) -> f64 {
    let text = metrics.text();
    let begins = format!("deploykit_{line} ");
    let found = text.lines().find_map(|it| it.strip_prefix(&begins));
    let found = found.unwrap_or_else(|| panic!("no {line} in:\n{text}"));
    found.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_broker_that_is_used_is_told_and_each_connection_counted() {
    let peer = Peer::new();
    peer.refuse("a:1");
    let settings = BusSettings {
        brokers: vec!["a:1".to_owned(), "b:2".to_owned()],
        ..BusSettings::default()
    };
    let tester = Tester::with(&peer, settings);
    let metrics = tester.bus.metrics().clone();
    let connected =
        || ["a:1", "b:2"].map(|it| value(&metrics, &format!("bus_connected{{broker=\"{it}\"}}")));
    assert_eq!(connected(), [0.0, 0.0]);
    tester.connected().await;
    let _inbox = tester.bus.listen(Listen::hints([Topic::Keepalive])).await;
    assert_eq!(connected(), [0.0, 1.0]);
    peer.accept("a:1");
    peer.cut("b:2");
    until("it is cut", || connected() == [0.0, 0.0]).await;

    tester.connected().await;
    assert_eq!(connected(), [1.0, 0.0]);
    let made = ["a:1", "b:2"].map(|it| {
        value(
            &metrics,
            &format!("bus_connections_total{{broker=\"{it}\"}}"),
        )
    });
    assert_eq!(made, [1.0, 1.0]);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn what_becomes_of_messages_is_counted() {
    let peer = Peer::new();
    let tester = Tester::new(&peer);
    tester.connected().await;
    let metrics = tester.bus.metrics();
    let failures = |kind: &str| {
        value(
            metrics,
            &format!("bus_publish_failures_total{{kind=\"{kind}\"}}"),
        )
    };
    tester.bus.publish(&beat(1)).await.unwrap();
    let mut large = beat(2);
    large.from = "x".repeat(200_000);
    tester.bus.publish(&large).await.unwrap_err();
    let raw = tester
        .bus
        .publish_raw("/topic/x", false, vec![b'x'; 200_000].into());
    raw.await.unwrap_err();
    assert_eq!(value(metrics, "bus_published_total"), 1.0);
    assert_eq!(failures("unsendable"), 2.0);
    peer.on_send(OnSend::Refuse);
    tester.bus.publish(&beat(3)).await.unwrap_err();
    assert_eq!(failures("refused"), 1.0);
    peer.on_send(OnSend::Confirm);
    peer.leave();
    tester.bus.publish(&beat(4)).await.unwrap_err();
    assert_eq!(failures("not_confirmed"), 1.0);
    peer.come_back();
    tester.connected().await;

    let mut inbox = tester.bus.listen(Listen::hints([Topic::Keepalive])).await;
    let envelope =
        Envelope::seal(Uuid::from_u128(7), "/test", Timestamp::UNIX_EPOCH, &beat(5)).unwrap();
    for _ in 0..2 {
        peer.bring("/topic/deploykit.keepalive", envelope.to_bytes());
    }
    peer.bring("/topic/deploykit.keepalive", "nonsense");
    within(inbox.next()).await.unwrap().ack().await;
    let nonsense = within(inbox.next()).await.unwrap();
    nonsense
        .put_aside(&tester.bus, "no envelope")
        .await
        .unwrap();
    assert_eq!(value(metrics, "bus_duplicates_total"), 1.0);
    assert_eq!(value(metrics, "bus_dead_letters_total"), 1.0);
    tester.disconnect().await;
}

/// Connects to the peer, listens for real.
#[derive(Debug)]
struct Half(Peer);

impl Net for Half {
    fn connect<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Stream>>> {
        self.0.connect(address)
    }

    fn listen<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>> {
        RealNet.listen(address)
    }
}

fn world(peer: &Peer) -> World {
    let mut world = peer.world();
    world.net = Arc::new(Half(peer.clone()));
    world
}

#[derive(Debug, Default, Deserialize)]
struct Own {}

impl Settings for Own {
    const SHIPPED: &'static str = "";
}

fn common(listen: String) -> Common {
    Common {
        host: Some(host()),
        metrics: MetricsSettings {
            listen: Some(listen),
        },
        ..Common::default()
    }
}

async fn get(address: &str, path: &str) -> String {
    let mut stream = RealNet.connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_service_serves_its_metrics_where_the_settings_say() {
    let peer = Peer::new();
    let free = RealNet.listen("127.0.0.1:0").await.unwrap();
    let address = free.local_address().unwrap().to_string();
    drop(free);
    let (stop, asked) = (CancellationToken::new(), address.clone());
    let serve = async move |start: Start<Own>| {
        start
            .bus
            .publish(&beat(1))
            .await
            .expect("there is a broker");
        let answer = get(&asked, "/metrics").await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert!(head.contains(kind), "{head}");
        assert!(
            body.contains("\ndeploykit_bus_published_total 1\n"),
            "{body}"
        );
        assert!(
            body.contains("deploykit_service_info{name=\"tester\",version="),
            "{body}"
        );
        assert!(body.ends_with("# EOF\n"), "{body}");
        assert!(get(&asked, "/").await.starts_with("HTTP/1.1 404 "));
        Ok(())
    };
    let own = Own::default();
    let served = compose("tester", common(address), own, world(&peer), stop, serve);
    within(served).await.unwrap();
}

#[tokio::test]
async fn an_address_in_use_or_none_at_all_is_said_in_one_sentence() {
    let peer = Peer::new();
    let taken = RealNet.listen("127.0.0.1:0").await.unwrap();
    let address = taken.local_address().unwrap().to_string();
    let serve = async |_: Start<Own>| panic!("it is not started");
    let (own, stop) = (Own::default(), CancellationToken::new());
    let served = compose(
        "tester",
        common(address.clone()),
        own,
        world(&peer),
        stop,
        serve,
    );
    let Err(failure @ Failure::Failed(_)) = within(served).await else {
        panic!("it listens twice");
    };
    let said = format!("cannot listen on {address}, metrics.listen: Address already in use");
    assert!(failure.to_string().starts_with(&said), "{failure}");

    let wrong = parse::<Own>("[metrics]\nlisten = '9550'\n", "x").unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "x: metrics.listen is \"9550\", which is not host:port, such as \"127.0.0.1:9550\""
    );
}
