//! The broker, members of the bus, running services.

use chassis::{Failure, Settings, Start};
use events::{
    Topic,
    message::{Beat, Fetched},
};
use serde::Deserialize;
use testkit::{LONG, Member, Running, TestBroker, until};
use world::World;

fn beat(number: u64) -> Beat {
    Beat {
        from: "test".to_owned(),
        number,
        last_round_trip_ms: None,
    }
}

#[tokio::test]
async fn members_hear_each_other_and_pass_over_what_they_do_not_want() {
    let broker = TestBroker::start().await;
    let one = Member::connect("one", broker.common("web1")).await;
    let two = Member::connect("two", broker.common("web2")).await;
    let mut ear = two.listen(Topic::Keepalive).await;
    for number in [1, 2] {
        one.bus.publish(&beat(number)).await.unwrap();
    }
    assert_eq!(ear.hear(|beat: &Beat| beat.number == 2).await, beat(2));
}

#[tokio::test]
async fn a_broker_that_starts_again_is_found_under_its_address() {
    let mut broker = TestBroker::start().await;
    let address = broker.address();
    let member = Member::connect("one", broker.common("web1")).await;
    let mut ear = member.listen(Topic::Keepalive).await;
    broker.stop().await;
    let lost = || async { (!*member.bus.connected().borrow()).then_some(()) };
    until("the member notices", LONG, lost).await;
    broker.start_again().await;
    assert_eq!(broker.address(), address);
    member.bus.publish(&beat(1)).await.unwrap();
    assert_eq!(ear.hear(|_: &Beat| true).await, beat(1));
}

#[tokio::test]
async fn what_is_durable_is_there_after_the_broker_started_again() {
    let fetched = Fetched {
        host: "web1".parse().unwrap(),
        repository: "shop".parse().unwrap(),
        refs: Vec::new(),
        refs_total: 0,
    };
    let mut broker = TestBroker::start().await;
    let reader = Member::connect("reader", broker.common("web2")).await;
    drop(reader.listen_durably(Topic::GitFetched).await);
    drop(reader);
    let writer = Member::connect("writer", broker.common("web1")).await;
    writer.bus.publish(&fetched).await.unwrap();
    broker.stop().await;
    broker.start_again().await;
    let reader = Member::connect("reader", broker.common("web2")).await;
    let mut ear = reader.listen_durably(Topic::GitFetched).await;
    assert_eq!(ear.hear(|_: &Fetched| true).await, fetched);
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Beating {
    number: u64,
}

impl Settings for Beating {
    const SHIPPED: &'static str = "number = 1\n";
}

/// Beats once, then waits for the stop; settings of 0 are a failure.
async fn serve(start: Start<Beating>) -> Result<(), Failure> {
    if start.settings.number == 0 {
        return Err(Failure::Settings("number is 0".to_owned()));
    }
    let published = start.bus.publish(&beat(start.settings.number)).await;
    published.map_err(anyhow::Error::from)?;
    start.stop.cancelled().await;
    Ok(())
}

#[tokio::test]
async fn a_service_runs_until_it_is_stopped() {
    let broker = TestBroker::start().await;
    let member = Member::connect("test", broker.common("web1")).await;
    let mut ear = member.listen(Topic::Keepalive).await;
    let settings = Beating { number: 7 };
    let service = Running::start(
        "beater",
        broker.common("web2"),
        settings,
        World::real(),
        serve,
    );
    assert_eq!(ear.hear(|_: &Beat| true).await, beat(7));
    service.stop().await.unwrap();
}

#[tokio::test]
async fn a_service_that_ended_by_itself_says_why_at_the_stop() {
    let broker = TestBroker::start().await;
    let settings = Beating { number: 0 };
    let service = Running::start(
        "beater",
        broker.common("web2"),
        settings,
        World::real(),
        serve,
    );
    let ended = service.stop().await;
    assert!(matches!(ended, Err(Failure::Settings(why)) if why == "number is 0"));
}
