//! With the real broker.

use chassis::{Listen, Start};
use events::{
    Topic,
    message::{Beat, Level, Line},
};
use stomp_keepalive::{Settings, serve};
use testkit::{LONG, Member, Running, TestBroker};
use tokio::{sync::oneshot, time::timeout};
use world::World;

#[tokio::test]
async fn it_hears_its_own_beats_and_sends_line_ends_beside_them() {
    let broker = TestBroker::start().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut ear = member.listen(Topic::Keepalive).await;
    let clients = Topic::Events("old-clients".to_owned());
    let eol = member.bus.names().destination(&clients);
    let mut old_client = member.bus.listen(Listen::hints([clients])).await;
    let settings = Settings {
        every_s: 1,
        eol: vec![eol],
        ..Settings::default()
    };
    let common = broker.common("hub1");
    let running = Running::start("stomp-keepalive", common, settings, World::real(), serve);

    // However slow the machine is, a beat comes back some day.
    let beat = ear
        .hear(|beat: &Beat| beat.last_round_trip_ms.is_some())
        .await;
    assert!(beat.from.starts_with("hub1 "), "{beat:?}");
    let line_end = old_client.next().await.unwrap();
    assert_eq!(line_end.body().as_ref(), b"\n");
    // Beats come each second; the broker's clock may still be minutes ahead. What is left is told when it is sent.
    let left_ms = line_end
        .header("expiration")
        .and_then(|left| left.parse().ok());
    assert!(
        left_ms.is_some_and(|left_ms: u64| (3_590_000..=3_600_000).contains(&left_ms)),
        "{left_ms:?}"
    );
    line_end.ack().await;
    running.stop().await.unwrap();
}

#[tokio::test]
async fn a_broker_that_is_away_shows_in_the_status_and_its_return_on_the_feed() {
    let mut broker = TestBroker::start().await;
    let settings = Settings {
        every_s: 1,
        slow_ms: 300,
        ..Settings::default()
    };
    let (tell, told) = oneshot::channel();
    let listened = |start: Start<Settings>| {
        let _ = tell.send(start.status.said());
        serve(start)
    };
    let common = broker.common("hub1");
    let running = Running::start("stomp-keepalive", common, settings, World::real(), listened);
    let mut said = told.await.unwrap();
    let mut says = async |beginning: &str| {
        let so = said.wait_for(|said| said.text.starts_with(beginning));
        timeout(LONG, so).await.expect(beginning).unwrap();
    };
    says("round trip ").await;
    broker.stop().await;
    says("slow: no beat is back for ").await;

    broker.start_again().await;
    let member = Member::connect("listener", broker.common("hub2")).await;
    let mut feed = member
        .listen(Topic::Events("stomp-keepalive".to_owned()))
        .await;
    let line = feed.hear(|line: &Line| line.level() == Level::Over).await;
    assert!(line.line.starts_with("hub1: bus round trip "), "{line:?}");
    says("round trip ").await;
    running.stop().await.unwrap();
}
