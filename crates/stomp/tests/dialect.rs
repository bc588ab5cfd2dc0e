//! What each broker is told, header by header. RabbitMQ 3.10.8 and ActiveMQ 5.17.2 were measured; Artemis is by its manual.

use stomp::Dialect;

use crate::script::{Script, introduction};

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

const UNION: &str = "id:agent\ndestination:/topic/t\nack:client-individual\ndurable:true\nauto-delete:false\n\
    activemq.subscriptionName:agent\ndurable-subscription-name:agent\n";

#[tokio::test(start_paused = true)]
async fn a_durable_subscription_is_asked_for_in_every_brokers_words() {
    let counted = "prefetch-count:7\nactivemq.prefetchSize:7\n";
    let table = [
        (
            "RabbitMQ/3.10.8",
            format!("{UNION}x-queue-name:agent\nx-expires:604800000\n{counted}"),
        ),
        ("ActiveMQ/5.17.2", format!("{UNION}{counted}")),
        (
            "ActiveMQ-Artemis/2",
            format!("{UNION}consumer-window-size:28672\n"),
        ),
        ("deploykit-broker/0", format!("{UNION}{counted}")),
        ("other", format!("{UNION}{counted}")),
    ];
    for (server, expected) in table {
        let mut script = Script::with_server(server).await;
        let client = script.client.clone();
        let subscribe = client.subscribe(stomp::Subscription {
            destination: "/topic/t".into(),
            durable: Some("agent".into()),
            prefetch: 7,
        });
        let (subscribed, asked) = tokio::join!(subscribe, script.confirm_next());
        subscribed.unwrap();
        assert_eq!(asked, format!("SUBSCRIBE\n{expected}"), "{server}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_durable_subscription_is_removed_in_each_brokers_way() {
    let rest = "UNSUBSCRIBE\nid:agent\ndurable:true\nactivemq.subscriptionName:agent\ndurable-subscription-name:agent\n";
    let table = [
        (
            "RabbitMQ/3.10.8",
            vec!["UNSUBSCRIBE\nid:agent\ndurable:true\nx-queue-name:agent\n"],
        ),
        (
            "ActiveMQ/5.17.2",
            vec![
                "UNSUBSCRIBE\nid:agent\n",
                "UNSUBSCRIBE\nid:agent\nactivemq.subscriptionName:agent\n",
            ],
        ),
        ("ActiveMQ-Artemis/2", vec![rest]),
        ("deploykit-broker/0", vec![rest]),
    ];
    for (server, expected) in table {
        let mut script = Script::with_server(server).await;
        let deliveries = script.subscribe("agent").await;
        let client = script.client.clone();
        let count = expected.len();
        let (removed, told) = tokio::join!(client.remove(deliveries), async {
            let mut told = Vec::new();
            for _ in 0..count {
                told.push(script.confirm_next().await);
            }
            told
        });
        removed.unwrap();
        assert_eq!(told, expected, "{server}");
    }
}
