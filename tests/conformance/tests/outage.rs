//! The broker is killed and started again.

use std::{collections::BTreeSet, ops::RangeInclusive};

use events::{
    Topic,
    message::{Beat, Fetched},
};
use futures_util::future::join_all;
use testkit::{Member, SOON, until};

use crate::{
    durable::numbered,
    site::{Link, Site, texts},
};

pub(crate) async fn what_was_confirmed_outlives_a_stop_and_a_kill(site: &mut Site) {
    let (destination, name) = ("/topic/conf.kept", "conf-kept");
    let link = site.link(name).await;
    drop(link.hear_durably(destination, name).await);
    // On its own connection: RabbitMQ may hang up on who ends a subscription while a message for it is on its way.
    link.leave().await;
    publish(&site.link("conf-keeper").await, 1..=10).await;
    site.broker.stop().await;
    site.broker.start_again().await;
    publish(&site.link("conf-keeper").await, 11..=20).await;
    site.broker.kill().await;
    site.broker.start_again().await;
    let link = site.link(name).await;
    let mut heard = link.hear_durably(destination, name).await;
    let all: Vec<String> = (1..=20).map(|number: usize| number.to_string()).collect();
    assert_eq!(texts(&heard.up_to("20").await), all);
}

async fn publish(link: &Link, numbers: RangeInclusive<usize>) {
    for number in numbers {
        link.publish("/topic/conf.kept", &number.to_string()).await;
    }
}

pub(crate) async fn a_killed_broker_is_found_again_and_nothing_confirmed_is_lost(site: &mut Site) {
    const BEFORE: usize = 30;
    const ALL: usize = 60;
    let writer = Member::connect("conf-pusher", site.common("web1")).await;
    let reader = Member::connect("conf-survivor", site.common("web2")).await;
    let mut kept = reader.listen_durably(Topic::GitFetched).await;
    let mut hints = reader.listen(Topic::Keepalive).await;
    let publish = async |numbers: RangeInclusive<usize>| {
        let publish = async |number| {
            let published = writer.bus.publish(&numbered(number)).await;
            published.unwrap_or_else(|error| panic!("{number}: {error}"));
        };
        join_all(numbers.map(publish)).await;
    };
    publish(1..=BEFORE).await;
    let outage = async {
        site.broker.kill().await;
        site.broker.start_again().await;
    };
    // They are on their way when the broker is killed: some may have arrived, and go out again all the same.
    tokio::join!(publish(BEFORE + 1..=ALL), outage);
    let mut heard = BTreeSet::new();
    while heard.len() < ALL {
        heard.insert(kept.hear(|_: &Fetched| true).await.refs_total);
    }
    assert_eq!(heard, (1..=ALL).collect());
    // What is kept is subscribed before the hints are.
    let again = || async { (*reader.bus.connected().borrow()).then_some(()) };
    until("everything is subscribed again", SOON, again).await;
    let beat = Beat {
        from: "conformance".to_owned(),
        number: 1,
        last_round_trip_ms: None,
    };
    let said = writer.bus.publish(&beat).await;
    said.expect("the bus is there again");
    assert_eq!(hints.hear(|_: &Beat| true).await, beat);
}
