//! What a user gets who does not go by the topics of docs/bus.md: wildcards, queues, exchanges. And who is no user any more.

use std::sync::atomic::{AtomicU32, Ordering};

use stomp::{Dialect, SendError};
use testkit::{RabbitMq, SOON};

use crate::site::{Link, Site, message, texts};

const AGENT: &str = "deploy-agent.web1_example_org";
const LISTENER: &str = "stomp-git.web1_example_org";

/// A durable queue that [`AGENT`] may have, so that nothing but the right to the topic is in the way.
const OWN_QUEUE: &str = "deploykit.deploy-agent.web1_example_org";

/// Who asks RabbitMQ, for what, by which durable queue.
const RABBITMQ_REFUSES_TO_HEAR: [(&str, &str, Option<&str>); 12] = [
    (AGENT, "/topic/deploykit.deploy.orders.*", Some(OWN_QUEUE)),
    (AGENT, "/topic/deploykit.#", Some(OWN_QUEUE)),
    (AGENT, "/topic/#", Some(OWN_QUEUE)),
    (LISTENER, "/topic/deploykit.deploy.orders.*", None),
    (LISTENER, "/topic/deploykit.*.*", None),
    (LISTENER, "/topic/#", None),
    (AGENT, "/queue/anything", None),
    (
        AGENT,
        "/queue/deploykit.deploy-agent.web2_example_org",
        None,
    ),
    (
        AGENT,
        "/amq/queue/deploykit.deploy-agent.web2_example_org",
        None,
    ),
    (LISTENER, "/amq/queue/deploykit.dead", None),
    (
        LISTENER,
        "/exchange/amq.topic/deploykit.deploy.orders.web1_example_org",
        None,
    ),
    (LISTENER, "/exchange/amq.topic/#", None),
];

const RABBITMQ_REFUSES_TO_TAKE: [&str; 5] = [
    "/queue/anything",
    "/amq/queue/deploykit.deploy-agent.web2_example_org",
    "/exchange/amq.topic/deploykit.deploy.orders.web2_example_org",
    "/exchange/amq.direct/anything",
    "/exchange/amq.fanout/anything",
];

const ACTIVEMQ_REFUSES_TO_HEAR: [&str; 3] =
    ["/queue/deploykit.dead", "/queue/anything", "/queue/>"];
const ACTIVEMQ_REFUSES_TO_TAKE: [&str; 2] = ["/queue/anything", "/queue/deploykit.other"];

pub(crate) async fn by_other_ways_nobody_gets_more(site: &mut Site) {
    let site = &*site;
    if site.kind == Dialect::RabbitMq {
        for (user, destination, durable) in RABBITMQ_REFUSES_TO_HEAR {
            refuses_to_let_hear(site, user, destination, durable).await;
        }
        for destination in RABBITMQ_REFUSES_TO_TAKE {
            refuses_to_take(site, destination).await;
        }
    } else {
        for destination in ACTIVEMQ_REFUSES_TO_HEAR {
            refuses_to_let_hear(site, AGENT, destination, None).await;
        }
        for destination in ACTIVEMQ_REFUSES_TO_TAKE {
            refuses_to_take(site, destination).await;
        }
        a_wildcard_brings_no_more_than_its_own(site).await;
    }
}

/// One of its own for each connection: ActiveMQ takes a moment to notice that the one before is gone.
fn client_id() -> String {
    static USED: AtomicU32 = AtomicU32::new(0);
    format!("conf-raw-{}", USED.fetch_add(1, Ordering::Relaxed))
}

async fn refuses_to_let_hear(site: &Site, user: &str, destination: &str, durable: Option<&str>) {
    let link = raw(site, user, &client_id()).await;
    let heard = link.try_hear(destination, durable).await.map(drop);
    is_refusal(heard, user, destination);
}

async fn refuses_to_take(site: &Site, destination: &str) {
    let link = raw(site, AGENT, &client_id()).await;
    let taken = link.client.send(message(destination, "x")).await;
    is_refusal(taken, AGENT, destination);
}

fn is_refusal(outcome: Result<(), SendError>, user: &str, destination: &str) {
    let why = match outcome {
        Err(SendError::Refused(why)) => why,
        Err(SendError::Ended(why)) => why.to_string(),
        other => panic!("{user} is not refused {destination}: {other:?}"),
    };
    let refusal = ["ACCESS_REFUSED", "access_refused", "not authorized"];
    assert!(
        refusal.iter().any(|word| why.contains(word)) && why.contains(user),
        "{user}, {destination}: {why}"
    );
}

/// As docs/brokers.md says of ActiveMQ: the wildcard is taken, and brings what the user may hear anyway.
async fn a_wildcard_brings_no_more_than_its_own(site: &Site) {
    let (wildcard, client_id) = ("/topic/deploykit.deploy.orders.*", "conf-raw-wildcard");
    let agent = raw(site, AGENT, client_id).await;
    let mut heard = agent.hear_durably(wildcard, client_id).await;
    let people = site.link("conf-raw-people").await;
    let last = "for web1 alone";
    for (topic, text) in [
        ("deploy.orders.web2_example_org", "for web2 alone"),
        ("deploy.orders.web1_example_org", last),
    ] {
        people
            .publish(&format!("/topic/deploykit.{topic}"), text)
            .await;
    }
    let came = heard.up_to(last).await;
    assert_eq!(texts(&came), [last], "{wildcard}");
    let removed = agent.client.remove(heard.0).await;
    removed.expect("it is its own");
}

/// A link by certificate alone, without what a service would ask first.
async fn raw(site: &Site, user: &str, client_id: &str) -> Link {
    let linked = site.try_link_as(user, client_id).await;
    linked.unwrap_or_else(|error| panic!("{user} cannot connect: {error}"))
}

pub(crate) async fn a_server_is_added_and_removed_while_the_broker_runs(site: &mut Site) {
    let (host, user) = ("web3_example_org", "deploy-agent.web3_example_org");
    site.broker.certificates().script(&["client", user]).await;
    let unknown = site.try_link_as(user, "conf-added").await;
    assert!(unknown.is_err(), "{user} is no user yet");

    RabbitMq::import_host(&site.broker, host).await;
    let mut link = raw(site, user, "conf-added").await;
    let own = format!("/topic/deploykit.deploy.orders.{host}");
    let queue = format!("deploykit.{user}");
    let mut heard = link.hear_durably(&own, &queue).await;
    site.link("conf-raw-people").await.publish(&own, "x").await;
    assert_eq!(heard.text().await, "x");
    refuses_to_let_hear(
        site,
        user,
        "/topic/deploykit.deploy.orders.web1_example_org",
        Some(&queue),
    )
    .await;

    RabbitMq::remove_host(&site.broker, host).await;
    assert!(
        !link.holds_for(SOON).await,
        "the connection of a user that is gone"
    );
    let gone = site.try_link_as(user, "conf-added").await;
    assert!(gone.is_err(), "{user} is no user any more");
}
