//! What is kept for whom.

use chassis::{Inbox, Listen};
use events::{
    Topic,
    message::{DeadLetter, Fetched},
};
use stomp::Dialect;
use testkit::{Ear, LONG, Member, SOON, until};
use tokio::time::timeout;

use crate::site::{Heard, Link, Site, message, texts};

/// A message of a kind that is kept, told apart by its number.
pub(crate) fn numbered(number: usize) -> Fetched {
    Fetched {
        host: "web1".parse().expect("a host name"),
        repository: "shop".parse().expect("a repository's name"),
        refs: Vec::new(),
        refs_total: number,
    }
}

pub(crate) async fn what_came_while_away_is_heard_on_return(site: &mut Site) {
    let writer = Member::connect("conf-writer", site.common("web1")).await;
    let reader = Member::connect("conf-reader", site.common("web2")).await;
    let mut ear = reader.listen_durably(Topic::GitFetched).await;
    writer.bus.publish(&numbered(1)).await.expect("confirmed");
    assert_eq!(ear.hear(|_: &Fetched| true).await, numbered(1));
    drop((ear, reader));
    for number in 2..=4 {
        let published = writer.bus.publish(&numbered(number)).await;
        published.expect("confirmed, though nobody is there");
    }
    let reader = Member::connect("conf-reader", site.common("web2")).await;
    let mut ear = reader.listen_durably(Topic::GitFetched).await;
    let mut heard = Vec::new();
    while heard.last() != Some(&4) {
        heard.push(ear.hear(|_: &Fetched| true).await.refs_total);
    }
    // The acknowledgement of the first may have been on its way when the connection was cut.
    heard.retain(|number| *number > 1);
    assert_eq!(heard, [2, 3, 4]);
}

/// Who listens to reports durably, and what is said of those that were put aside.
async fn reader_of_reports(site: &Site, name: &str) -> (Member, Ear, Inbox) {
    let member = Member::connect(name, site.common("web1")).await;
    let dead = member.listen(Topic::Dead(name.to_owned())).await;
    let reports = Listen::durable(Topic::DeployReports, name.to_owned());
    let inbox = member.bus.listen(reports).await;
    (member, dead, inbox)
}

pub(crate) async fn what_cannot_be_used_is_put_aside_and_the_next_one_comes(site: &mut Site) {
    let (member, mut dead, mut inbox) = reader_of_reports(site, "conf-aside").await;
    let bus = &member.bus;
    let destination = bus.names().destination(&Topic::DeployReports);
    let body = "no JSON: \0".into();
    let published = bus.publish_raw(&destination, true, body).await;
    published.expect("confirmed");
    let delivery = timeout(SOON, inbox.next()).await;
    let delivery = delivery.expect("it comes soon").expect("the bus is there");
    assert!(delivery.envelope().is_err());
    let put_aside = delivery.put_aside(bus, "no envelope").await;
    put_aside.expect("the dead letter is confirmed");
    let letter = dead.hear(|_: &DeadLetter| true).await;
    assert_eq!(letter.body, "no JSON: \0");
    assert_eq!(letter.destination, destination);
    let text = "the next one";
    let published = bus.publish_raw(&destination, true, text.into()).await;
    published.expect("confirmed");
    let next = timeout(SOON, inbox.next()).await;
    let next = next.expect("it comes soon").expect("the bus is there");
    assert_eq!(next.body(), text);
}

/// Brokers take more headers than a client reads. It may not stand before all others for ever.
pub(crate) async fn what_is_too_large_to_read_is_put_aside_and_the_next_one_comes(site: &mut Site) {
    let (member, mut dead, mut inbox) = reader_of_reports(site, "conf-large").await;
    let bus = &member.bus;
    let destination = bus.names().destination(&Topic::DeployReports);
    let writer = site.link("conf-large-writer").await;
    let mut large = message(&destination, "much");
    let headers = (0..400).map(|n| (format!("n{n}"), "x".to_owned()));
    large.headers.extend(headers);
    writer.client.send(large).await.expect("confirmed");
    writer.publish(&destination, "the next one").await;
    let mut next = async || {
        let next = timeout(SOON, inbox.next()).await;
        next.expect("it comes soon").expect("the bus is there")
    };
    let delivery = next().await;
    let why = delivery.envelope().expect_err("it was not read");
    assert_eq!(why.to_string(), "it was not read: more than 256 headers");
    let put_aside = delivery.put_aside(bus, &why.to_string()).await;
    put_aside.expect("the dead letter is confirmed");
    let letter = dead.hear(|_: &DeadLetter| true).await;
    assert_eq!(letter.destination, destination);
    assert_eq!(next().await.body(), "the next one");
}

pub(crate) async fn only_what_was_not_acknowledged_comes_again(site: &mut Site) {
    let (destination, name) = ("/topic/conf.again", "conf-again");
    let link = site.link(name).await;
    let mut heard = link.hear_durably(destination, name).await;
    for text in ["1", "2", "3"] {
        link.publish(destination, text).await;
    }
    let deliveries = heard.up_to("3").await;
    assert!(deliveries.iter().all(|delivery| !delivery.redelivered()));
    link.ack(&deliveries[1]).await;
    drop((heard, link));
    let (link, mut heard) = holder(site, destination, name).await;
    link.publish(destination, "4").await;
    let deliveries = heard.up_to("4").await;
    assert_eq!(texts(&deliveries), ["1", "3", "4"]);
    let redelivered: Vec<bool> = deliveries.iter().map(|it| it.redelivered()).collect();
    match site.kind {
        // It does not say so for durable subscriptions.
        Dialect::ActiveMq => {}
        _ => assert_eq!(redelivered, [true, true, false]),
    }
}

/// Becomes the holder of a subscription as soon as the broker has noticed that the one before is gone.
async fn holder(site: &Site, destination: &str, name: &str) -> (Link, Heard) {
    until("the subscription is free", LONG, || async {
        let link = site.try_link(site.broker.introduction(name)).await.ok()?;
        let heard = link.try_hear(destination, Some(name)).await.ok()?;
        Some((link, heard))
    })
    .await
}

pub(crate) async fn a_second_holder_shares_or_is_refused(site: &mut Site) {
    let (destination, name) = ("/topic/conf.holder", "conf-holder");
    let (first, mut first_heard) = holder(site, destination, name).await;
    let second = site.try_link(site.broker.introduction(name)).await;
    let second = match second {
        Ok(link) => {
            let heard = link.try_hear(destination, Some(name)).await;
            heard
                .map(|heard| (link, heard))
                .map_err(|it| it.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if site.kind == Dialect::RabbitMq {
        let (_second, mut second_heard) = second.expect("both share one queue");
        for text in ["1", "2"] {
            first.publish(destination, text).await;
        }
        let mut both = [first_heard.text().await, second_heard.text().await];
        both.sort();
        assert_eq!(both, ["1", "2"], "each is heard by one of them");
    } else {
        let refused = second.map(drop).expect_err("there is one holder");
        assert!(refused.contains("already connected"), "{refused}");
        first.publish(destination, "1").await;
        assert_eq!(first_heard.text().await, "1", "the first is not disturbed");
    }
}

pub(crate) async fn a_removed_subscription_is_forgotten(site: &mut Site) {
    let (destination, name) = ("/topic/conf.removed", "conf-removed");
    let (link, heard) = holder(site, destination, name).await;
    let removed = link.client.remove(heard.0).await;
    removed.expect("the broker forgets it");
    link.publish(destination, "for nobody").await;
    let mut heard = link.hear_durably(destination, name).await;
    link.publish(destination, "for a new one").await;
    assert_eq!(heard.text().await, "for a new one");
}
