//! What each broker is told, byte by byte. RabbitMQ 3.10.8 and ActiveMQ 5.17.2 are also run, in tests/conformance; Artemis is
//! by the chapter on STOMP of its manual and is not run.

use std::{fs, path::Path};

use stomp::{Dialect, Expires, Subscription};

use crate::script::{Script, introduction, message};

#[test]
fn brokers_are_known_by_their_server_header() {
    let table = [
        ("RabbitMQ/3.10.8", Dialect::RabbitMq),
        ("ActiveMQ/5.17.2", Dialect::ActiveMq),
        (
            "ActiveMQ-Artemis/2.30.0 ActiveMQ Artemis Messaging Engine",
            Dialect::Artemis,
        ),
        ("deploykit-broker/0.1.0", Dialect::Embedded),
        ("", Dialect::Other),
    ];
    for (server, dialect) in table {
        assert_eq!(Dialect::of(server), dialect, "{server}");
    }
}

#[test]
fn a_dialect_is_chosen_by_its_name() {
    for name in ["rabbitmq", "activemq", "artemis", "embedded"] {
        let chosen: Dialect = name.parse().unwrap();
        assert_eq!(chosen.to_string(), name);
    }
    for wrong in ["RabbitMQ", "other", ""] {
        let error = wrong.parse::<Dialect>().unwrap_err().to_string();
        assert_eq!(
            error,
            format!(
                "{wrong:?} is no kind of broker that is known here; known are rabbitmq, activemq, artemis and embedded"
            )
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_chosen_dialect_counts_and_not_the_server_header() {
    let mut connect = introduction();
    connect.dialect = Some(Dialect::Artemis);
    let script = Script::with(connect, "server:RabbitMQ/3\n").await;
    assert_eq!(script.client.dialect(), Dialect::Artemis);
    assert_eq!(script.client.server(), "RabbitMQ/3");
}

/// A whole conversation as the broker hears it, against `golden/`. There a NUL is written `^@` with a line end after it.
#[tokio::test(start_paused = true)]
async fn each_broker_hears_its_own_dialect() {
    let table = [
        (Dialect::RabbitMq, "RabbitMQ/3.10.8"),
        (Dialect::ActiveMq, "ActiveMQ/5.17.2"),
        (
            Dialect::Artemis,
            "ActiveMQ-Artemis/2.42.0 ActiveMQ Artemis Messaging Engine",
        ),
        (Dialect::Embedded, "deploykit-broker/0.1.0"),
        (Dialect::Other, "Apollo/1.7.1"),
    ];
    for (dialect, server) in table {
        let heard = conversation(server).await;
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{dialect}.txt"));
        #[expect(clippy::disallowed_methods, reason = "a recording of this package")]
        let golden = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(heard.replace('\0', "^@\n"), golden, "{}", path.display());
    }
}

/// CONNECT, SUBSCRIBE (plain, durable), SEND with a time to live, ACK, UNSUBSCRIBE, removal, DISCONNECT.
async fn conversation(server: &str) -> String {
    let mut connect = introduction();
    connect.heart_beat = std::time::Duration::from_secs(5);
    let mut script = Script::with(connect, &format!("server:{server}\n")).await;
    let client = script.client.clone();
    let subscription = |durable: Option<&str>| Subscription {
        destination: "/topic/deploykit.git.commits".into(),
        durable: durable.map(str::to_owned),
        prefetch: 7,
    };
    let (plain, _) = tokio::join!(client.subscribe(subscription(None)), script.confirm_next());
    let durable = subscription(Some("deploykit.agent.web1"));
    let (durable, _) = tokio::join!(client.subscribe(durable), script.confirm_next());
    let mut durable = durable.expect("subscribed");

    let mut sent = message("{}");
    sent.headers
        .push(("content-type".into(), "application/json".into()));
    sent.expires = Some(Expires {
        at_ms: 1_800_000_060_000,
        after_ms: 60_000,
    });
    let (done, _) = tokio::join!(client.send(sent), script.confirm_next());
    done.expect("confirmed");

    let delivery = "MESSAGE\nsubscription:deploykit.agent.web1\nack:ID\\chost-1\\c2\n\n{}\0";
    script.far.say(delivery).await;
    client
        .ack(&durable.next().await.expect("a delivery"))
        .await
        .expect("the broker takes it");
    script.far.frame().await;

    drop(plain);
    script.far.frame().await;
    let stop = script.stop.clone();
    let removal = async {
        // Whoever asks for two receipts gets two.
        while script.confirm_next().await.starts_with("UNSUBSCRIBE") {}
        script.far.frame().await;
    };
    let leave = async {
        client.remove(durable).await.expect("the broker takes it");
        client
            .send(message("after"))
            .await
            .expect("the broker takes it");
        stop.cancel();
    };
    tokio::join!(removal, leave);
    String::from_utf8(script.far.heard).expect("text")
}
