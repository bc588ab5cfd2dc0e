//! A service as `run`, the demo and a simulation compose it.

use std::time::Duration;

use chassis::{BusSettings, Common, Failure, Settings, Start, compose};
use events::message::Beat;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use crate::peer::{Peer, host, within};

#[derive(Debug, Default, Deserialize)]
struct Own {
    wrong: bool,
}

impl Settings for Own {
    const SHIPPED: &'static str = "";
    fn check(&self) -> Result<(), String> {
        if self.wrong {
            return Err("wrong must be false".to_owned());
        }
        Ok(())
    }
}

fn common() -> Common {
    Common {
        host: Some(host()),
        ..Common::default()
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
async fn what_is_said_at_the_stop_still_goes_out_and_goodbye_comes_last() {
    let peer = Peer::new();
    let stop = CancellationToken::new();
    let serve = async |start: Start<Own>| {
        start.bus.publish(&beat()).await.expect("there is a broker");
        start.stop.cancelled().await;
        tokio::time::sleep(Duration::from_secs(20)).await;
        start.bus.publish(&beat()).await.expect("there still is");
        Ok(())
    };
    let world = peer.world();
    let service = compose(
        "tester",
        common(),
        Own::default(),
        world,
        stop.clone(),
        serve,
    );
    let stopping = async {
        crate::peer::until("the first beat is out", || peer.sent().len() == 1).await;
        stop.cancel();
    };
    let (ended, ()) = within(async { tokio::join!(service, stopping) }).await;
    ended.unwrap();
    assert_eq!(peer.commands(), ["CONNECT", "SEND", "SEND", "DISCONNECT"]);
}

#[tokio::test(start_paused = true)]
async fn wrong_settings_end_it_before_anything_is_done() {
    let unreadable = BusSettings {
        login: Some("me".to_owned()),
        passcode_file: Some("/nowhere/passcode".into()),
        ..BusSettings::default()
    };
    let no_broker = BusSettings {
        brokers: Vec::new(),
        ..BusSettings::default()
    };
    let with = |bus| Common { bus, ..common() };
    let table = [
        (common(), Own { wrong: true }, "wrong must be false"),
        (with(no_broker), Own::default(), "bus.brokers is empty"),
        (
            with(unreadable),
            Own::default(),
            "bus.passcode_file /nowhere/passcode: No such file",
        ),
    ];
    for (common, own, said) in table {
        let peer = Peer::new();
        let stop = CancellationToken::new();
        let serve = async |_: Start<Own>| panic!("it is not started");
        let ended = within(compose("tester", common, own, peer.world(), stop, serve)).await;
        let Err(Failure::Settings(text)) = ended else {
            panic!("{ended:?}");
        };
        assert!(text.starts_with(said), "{text}");
        assert!(peer.connects().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_all_its_causes_in_one_line() {
    let peer = Peer::new();
    let serve = async |_: Start<Own>| {
        let cause = std::io::Error::other("disk full");
        Err(anyhow::Error::new(cause).context("cannot write x").into())
    };
    let stop = CancellationToken::new();
    let composed = compose(
        "tester",
        common(),
        Own::default(),
        peer.world(),
        stop,
        serve,
    );
    let failure = within(composed).await.unwrap_err();
    assert_eq!(failure.to_string(), "cannot write x: disk full");
}
