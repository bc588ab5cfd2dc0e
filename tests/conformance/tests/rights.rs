//! What each user of docs/brokers may do: what docs/bus.md says of its service, and nothing else.

use std::collections::BTreeSet;

use chassis::{Listen, PublishError};
use events::{HostName, Names, Topic};
use futures_util::future::join_all;
use stomp::Dialect;
use testkit::{Member, SOON};
use tokio::time::timeout;

use crate::{
    site::{HUB, Site, WEB1, WEB2},
    words::{Row, rows},
};

/// The users of docs/brokers.
const USERS: &str = include_str!("../../../docs/brokers/activemq/certificates.properties");

/// A user of docs/brokers.
#[derive(Debug, Clone)]
struct User {
    name: String,
    service: String,
    host: HostName,
}

/// All users; of those that each server has, the one of web1.
fn users() -> Vec<User> {
    let lines = USERS.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (name, _) = line.split_once('=').expect("user=subject");
            let (service, host) = match name.split_once('.') {
                Some((service, segment)) => (service, HostName::from_segment(segment)),
                None => (name, HUB.parse()),
            };
            User {
                name: name.to_owned(),
                service: service.to_owned(),
                host: host.expect("a host name"),
            }
        })
        .collect()
}

impl User {
    fn of(service: &str) -> Self {
        let found = users().into_iter().find(|user| user.service == service);
        found.unwrap_or_else(|| panic!("docs/brokers has no user for {service}"))
    }

    /// A connection with its certificate. `client` tells connections apart, as ActiveMQ wants it.
    async fn member(&self, site: &Site, client: &str, publish_limit_s: u64) -> Member {
        let mut common = site.common_as(&self.name, self.host.as_str());
        common.bus.publish_limit_s = publish_limit_s;
        Member::connect(client, common).await
    }
}

/// A service of this repository without a user could not be put on a site's bus.
#[test]
#[expect(clippy::disallowed_methods, reason = "it looks at the work tree")]
fn every_service_has_its_user() {
    let services = concat!(env!("CARGO_MANIFEST_DIR"), "/../../services");
    let users: BTreeSet<String> = users().into_iter().map(|user| user.service).collect();
    for service in std::fs::read_dir(services).expect("services") {
        let name = service.expect("a folder").file_name();
        let name = name.to_string_lossy();
        // The command line is no service; what it delivers for hooks is `announce`.
        let name = if name == "deploykit" {
            "announce"
        } else {
            &*name
        };
        assert!(
            users.contains(name),
            "docs/brokers has no user for {name}: see \"One more service\" in docs/brokers.md"
        );
    }
}

pub(crate) async fn each_service_may_do_what_it_does_and_nothing_else(site: &mut Site) {
    let (rows, users) = (rows(), users());
    let site = &*site;
    for user in &users {
        does_what_it_does(site, user, &rows).await;
    }
    let refused = users
        .iter()
        .map(|user| is_refused_the_rest(site, user, &rows));
    join_all(refused).await;
}

async fn does_what_it_does(site: &Site, user: &User, rows: &[Row]) {
    let User {
        name,
        service,
        host,
    } = user;
    let member = user.member(site, service, 20).await;
    for row in rows.iter().filter(|row| row.said_by.contains(service)) {
        for host in [WEB1, WEB2] {
            let topic = row.topic(&host.parse().expect("a host name"), service);
            let destination = Names::default().destination(&topic);
            let said = member
                .bus
                .publish_raw(&destination, row.persistent, "x".into())
                .await;
            said.unwrap_or_else(|error| panic!("{name} may say {destination}: {error}"));
        }
    }
    let people = site.link(&format!("conf-to-{service}")).await;
    for row in rows.iter().filter(|row| row.heard_by.contains(service)) {
        let topic = row.topic(host, service);
        let destination = Names::default().destination(&topic);
        // Who hears what components say hears all of them.
        let topic = match topic {
            Topic::Events(_) => Topic::AllEvents,
            topic => topic,
        };
        let listen = if row.durably.contains(service) {
            let names = Names::default();
            let name = match topic {
                Topic::GitCommits if service != "stomp-bridge" => names.subscription(service, host),
                Topic::DeployOrders(_) | Topic::DeployReports => names.subscription(service, host),
                _ => names.further_subscription(service, host, &topic),
            };
            Listen::durable(topic, name)
        } else {
            Listen::hints([topic])
        };
        let mut inbox = member.bus.listen(listen).await;
        people.publish(&destination, "for them").await;
        // What services before this one said may still be there.
        let heard = async {
            loop {
                let delivery = inbox.next().await.expect("the connection is kept");
                delivery.ack().await;
                if delivery.body() == "for them" {
                    return;
                }
            }
        };
        let heard = timeout(SOON, heard).await;
        heard.unwrap_or_else(|_| panic!("{name} does not hear {destination}"));
    }
}

async fn is_refused_the_rest(site: &Site, user: &User, rows: &[Row]) {
    let User {
        name,
        service,
        host,
    } = user;
    let other = rows[0].said_by.iter().chain(&rows[1].said_by);
    let other = other
        .clone()
        .find(|it| *it != service)
        .expect("there are others");
    let mut not_said = Vec::new();
    let mut not_heard = Vec::new();
    for row in rows {
        let topic = row.topic(host, service);
        if !row.said_by.contains(service) {
            not_said.push(topic.clone());
        }
        if row.topic.ends_with("COMPONENT") {
            not_said.push(row.topic(host, other));
        }
        if !row.heard_by.contains(service) {
            not_heard.push(topic);
        }
    }
    assert!(!not_said.is_empty() && !not_heard.is_empty());
    // Who hears durably only may have no other queue: nothing but the right to the topic is to be in the way.
    let hears: Vec<&Row> = { rows.iter() }
        .filter(|row| row.heard_by.contains(service))
        .collect();
    let durably = !hears.is_empty() && hears.iter().all(|row| row.durably.contains(service));
    let own_queue = Names::default().subscription(service, host);
    let said = not_said.iter().enumerate().map(async |(n, topic)| {
        let destination = Names::default().destination(topic);
        let member = user.member(site, &format!("{service}-says-{n}"), 20).await;
        let said = member.bus.publish_raw(&destination, true, "x".into()).await;
        match said {
            Err(PublishError::Refused(why)) if why.contains(dotted(&destination)) => {}
            other => panic!("{name} must be refused to say {destination} by name: {other:?}"),
        }
    });
    let heard = not_heard.iter().enumerate().map(async |(n, topic)| {
        let client = format!("{service}-hears-{n}");
        let listen = match durably {
            true => Listen::durable(topic.clone(), own_queue.clone()),
            false => Listen::hints([topic.clone()]),
        };
        let why = refusal(site, user, &client, listen).await;
        let destination = Names::default().destination(topic);
        assert!(
            why.contains(dotted(&destination)),
            "{name} hears {destination}: {why}"
        );
    });
    join_all(said).await;
    join_all(heard).await;
}

/// Why this listen is refused. The connection that it was refused on is gone, and so are the next ones.
async fn refusal(site: &Site, user: &User, client: &str, listen: Listen) -> String {
    let member = user.member(site, client, 1).await;
    let _inbox = member.bus.listen(listen).await;
    let destination = format!("/topic/deploykit.events.{}", user.service);
    let published = member
        .bus
        .publish_raw(&destination, false, "x".into())
        .await;
    match published {
        Err(PublishError::NotConfirmed { why, .. }) => why,
        other => format!("not refused: {other:?}"),
    }
}

fn dotted(destination: &str) -> &str {
    destination.trim_start_matches("/topic/")
}

pub(crate) async fn an_agent_hears_its_own_orders_only(site: &mut Site) {
    let site = &*site;
    let agents = [
        "deploy-agent.web1_example_org",
        "deploy-agent.web2_example_org",
    ];
    let agents = [(agents[0], WEB1), (agents[1], WEB2)];
    let orchestrator = User::of("deploy-orchestrator");
    let orchestrator = orchestrator.member(site, "deploy-orchestrator", 20).await;
    let mut inboxes = Vec::new();
    for (user, host) in agents {
        let member = Member::connect("deploy-agent", site.common_as(user, host)).await;
        let host: HostName = host.parse().expect("a host name");
        let subscription = Names::default().subscription("deploy-agent", &host);
        let listen = Listen::durable(Topic::DeployOrders(host), subscription);
        inboxes.push((member.bus.listen(listen).await, member));
    }
    for (_, host) in agents {
        let topic = Topic::DeployOrders(host.parse().expect("a host name"));
        let destination = Names::default().destination(&topic);
        let said = orchestrator
            .bus
            .publish_raw(&destination, true, host.into())
            .await;
        said.expect("the orchestrator gives orders");
    }
    for ((inbox, _member), (user, host)) in inboxes.iter_mut().zip(agents) {
        // Left over from other properties: "x" and "for them".
        let order = async {
            loop {
                let delivery = inbox.next().await.expect("the connection is kept");
                delivery.ack().await;
                if delivery.body().starts_with(b"web") {
                    return delivery.body().clone();
                }
            }
        };
        let order = timeout(SOON, order).await;
        let order = order.unwrap_or_else(|_| panic!("{user} hears nothing"));
        assert_eq!(order, host, "{user}");
    }
    let web1 = User::of("deploy-agent");
    let other: HostName = WEB2.parse().expect("a host name");
    let of_the_other = Topic::DeployOrders(other.clone());
    // The second one in its own queue, so that nothing but the right to the topic is in the way.
    let own_queue = Names::default().subscription("deploy-agent", &web1.host);
    let asked = [
        Listen::hints([of_the_other.clone()]),
        Listen::durable(of_the_other, own_queue),
    ];
    let refused = asked.into_iter().enumerate().map(async |(n, listen)| {
        let why = refusal(site, &web1, &format!("conf-agent-{n}"), listen).await;
        assert!(why.contains("deploy.orders.web2_example_org"), "{why}");
    });
    join_all(refused).await;
    if site.kind == Dialect::RabbitMq {
        // ActiveMQ has no rights on subscriptions: docs/brokers.md says what follows from that.
        let own = Topic::DeployOrders(web1.host.clone());
        let queue = Names::default().subscription("deploy-agent", &other);
        let listen = Listen::durable(own, queue.clone());
        let why = refusal(site, &web1, "conf-agent-2", listen).await;
        assert!(why.contains(&queue), "{why}");
    }
}

pub(crate) async fn people_find_the_dead_letters_of_all_services(site: &mut Site) {
    let queue = match site.kind {
        Dialect::RabbitMq => "/amq/queue/deploykit.dead",
        _ => "/queue/deploykit.dead",
    };
    let mut expected = BTreeSet::new();
    let rows = rows();
    for user in users() {
        let service = &user.service;
        if rows.iter().any(|row| row.heard_by.contains(service)) {
            let member = user.member(site, service, 20).await;
            let destination = Names::default().destination(&Topic::Dead(service.clone()));
            let text = format!("{service} could not use this");
            let said = member
                .bus
                .publish_raw(&destination, true, text.clone().into())
                .await;
            said.unwrap_or_else(|error| panic!("{service}: {error}"));
            expected.insert(text);
        }
    }
    assert!(expected.len() >= 4, "{expected:?}");
    site.broker.kill().await;
    site.broker.start_again().await;
    let people = site.link("conf-people").await;
    let mut heard = people.hear(queue).await;
    while !expected.is_empty() {
        expected.remove(&heard.text().await);
    }
}
