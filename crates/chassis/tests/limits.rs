//! Everything that is waited for has its limit, and the error names it.

use std::time::Duration;

use chassis::{BusSettings, bus::reach};
use events::message::Beat;
use tokio::time::Instant;

use crate::{
    log::Log,
    peer::{OnConnect, OnSend, Peer, Tester, until, within},
};

const BROKER: &str = "127.0.0.1:61613";

fn short() -> BusSettings {
    BusSettings {
        heart_beat_s: 1,
        connect_limit_s: 2,
        handshake_limit_s: 3,
        write_limit_s: 4,
        receipt_limit_s: 5,
        publish_limit_s: 20,
        ..BusSettings::default()
    }
}

fn beat() -> Beat {
    Beat {
        from: "hub1".to_owned(),
        number: 1,
        last_round_trip_ms: None,
    }
}

#[tokio::test(start_paused = true)]
async fn each_step_of_connecting_has_its_limit() {
    let with_tls = BusSettings {
        tls: true,
        ..short()
    };
    let table = [
        (
            OnConnect::Hang,
            short(),
            2,
            "no TCP connection within 2 s (bus.connect_limit_s)",
        ),
        (
            OnConnect::Hang,
            with_tls.clone(),
            2,
            "no TCP connection within 2 s (bus.connect_limit_s)",
        ),
        (
            OnConnect::Deaf,
            with_tls,
            2,
            "no end of the TLS handshake within 2 s (bus.connect_limit_s)",
        ),
        (
            OnConnect::Deaf,
            short(),
            3,
            "no CONNECTED within 3s (bus.handshake_limit_s)",
        ),
        (
            OnConnect::Silence,
            short(),
            3,
            "no CONNECTED within 3s (bus.handshake_limit_s)",
        ),
    ];
    for (how, settings, seconds, said) in table {
        let peer = Peer::new();
        peer.on_connect(BROKER, how);
        let began = Instant::now();
        let error = within(reach(&settings, BROKER, "tester", &peer.world())).await;
        assert_eq!(error.unwrap_err(), said);
        assert_eq!(began.elapsed().as_secs(), seconds, "{said}");
    }
}

/// What ends a connection is told with its limit, and it is followed by another one.
async fn replaced(peer: &Peer, log: &Log, said: &str) -> Duration {
    let began = Instant::now();
    until("it connected again", || peer.connects().len() >= 2).await;
    let text = log.text();
    assert!(text.contains(said), "{text}");
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_is_left_after_three_heart_beats() {
    let log = Log::catch();
    let peer = Peer::new();
    peer.on_connect(BROKER, OnConnect::Mute);
    let tester = Tester::with(&peer, short());
    tester.connected().await;
    let said = "the broker was silent for 3s (three times bus.heart_beat_s)";
    let after = replaced(&peer, &log, said).await;
    assert!((3..5).contains(&after.as_secs()), "{after:?}");
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_takes_nothing_is_left_and_the_message_goes_to_the_next_connection() {
    let log = Log::catch();
    let peer = Peer::new();
    peer.on_connect(BROKER, OnConnect::Stall);
    let settings = BusSettings {
        receipt_limit_s: 60,
        publish_limit_s: 60,
        ..short()
    };
    let tester = Tester::with(&peer, settings);
    tester.connected().await;
    let publishing: Vec<_> = (0..4)
        .map(|_| {
            let bus = tester.bus.clone();
            let body = vec![b'x'; 100_000].into();
            tokio::spawn(async move { bus.publish_raw("/topic/x", true, body).await })
        })
        .collect();
    let said = "the broker took nothing for 4s (bus.write_limit_s)";
    let stalled = Instant::now();
    until("it is said", || log.text().contains(said)).await;
    assert_eq!(stalled.elapsed().as_secs(), 4);
    peer.on_connect(BROKER, OnConnect::Answer);
    for one in publishing {
        within(one).await.unwrap().unwrap();
    }
    assert_eq!(peer.sent().len(), 4);
    tester.disconnect().await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_owes_a_receipt_is_left_and_the_message_goes_out_again() {
    let log = Log::catch();
    let peer = Peer::new();
    peer.on_send(OnSend::Silence);
    let tester = Tester::with(&peer, short());
    tester.connected().await;
    let bus = tester.bus.clone();
    let publishing = tokio::spawn(async move { bus.publish(&beat()).await });
    let said = "the broker owes a receipt for 5s (bus.receipt_limit_s)";
    replaced(&peer, &log, said).await;
    peer.on_send(OnSend::Confirm);
    let id = within(publishing).await.unwrap().unwrap();
    assert!(peer.sent().len() >= 2);
    assert!(peer.sent().iter().all(|sent| sent.envelope().id == id));
    tester.disconnect().await;
}
