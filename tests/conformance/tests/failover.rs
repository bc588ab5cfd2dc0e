//! Two brokers in one list.

use std::{collections::BTreeSet, ops::RangeInclusive};

use events::{Topic, message::Fetched};
use futures_util::future::join_all;
use testkit::{Ear, LONG, Member, Proxy, until};

use crate::{
    durable::numbered,
    site::{Site, WEB1},
};

/// How often the first broker is tried again, seconds.
const FAIL_BACK_S: u64 = 1;

/// No subscription of another property is for this host.
const OFFICE: &str = "office.example.org";

pub(crate) async fn services_go_on_at_the_second_broker_and_come_back_to_the_first(
    site: &mut Site,
) {
    const BEFORE: usize = 10;
    const CHANGE: usize = 40;
    const MARK: usize = CHANGE + 1;
    const AFTER: usize = 50;
    let second = site.another().await;
    // They tell who is connected where.
    let doors = [
        Proxy::start(site.services_at(&site.broker), 1).await,
        Proxy::start(site.services_at(&second), 2).await,
    ];
    let settings = |user: &str, host: &str, doors: &[Proxy]| {
        let mut common = site.common_as(user, host);
        common.bus.brokers = doors.iter().map(Proxy::address).collect();
        common.bus.fail_back_s = FAIL_BACK_S;
        common
    };
    let (orchestrator, git) = ("deploy-orchestrator", "stomp-git.web1_example_org");
    // A subscription is at a broker once its owner was there.
    let once = Member::connect(orchestrator, settings(orchestrator, OFFICE, &doors[1..])).await;
    drop(once.listen_durably(Topic::GitFetched).await);
    drop(once);
    let writer = Member::connect("stomp-git", settings(git, WEB1, &doors)).await;
    let reader = Member::connect(orchestrator, settings(orchestrator, OFFICE, &doors)).await;
    let mut ear = reader.listen_durably(Topic::GitFetched).await;
    let mut heard = BTreeSet::new();

    publish(&writer, 1..=BEFORE).await;
    hear(&mut ear, &mut heard, |heard| heard.len() == BEFORE).await;
    let published = publish(&writer, BEFORE + 1..=CHANGE);
    tokio::join!(published, site.broker.kill());
    publish(&writer, MARK..=MARK).await;
    hear(&mut ear, &mut heard, |heard| heard.contains(&MARK)).await;

    site.broker.start_again().await;
    let back = || async { ((doors[0].open(), doors[1].open()) == (2, 0)).then_some(()) };
    until("both are back at the first broker", LONG, back).await;
    publish(&writer, MARK + 1..=AFTER).await;
    // Among them what the first one had confirmed and not delivered when it was killed.
    hear(&mut ear, &mut heard, |heard| heard.len() == AFTER).await;
    assert_eq!(heard, (1..=AFTER).collect());
}

async fn publish(writer: &Member, numbers: RangeInclusive<usize>) {
    let publish = async |number| {
        let published = writer.bus.publish(&numbered(number)).await;
        published.unwrap_or_else(|error| panic!("{number}: {error}"));
    };
    join_all(numbers.map(publish)).await;
}

async fn hear(
    ear: &mut Ear,
    heard: &mut BTreeSet<usize>,
    enough: impl Fn(&BTreeSet<usize>) -> bool,
) {
    while !enough(heard) {
        heard.insert(ear.hear(|_: &Fetched| true).await.refs_total);
    }
}
