//! With the real broker.

use chassis::Listen;
use events::{Topic, message::Beat};
use stomp_keepalive::{Settings, serve};
use testkit::{Member, Running, TestBroker};
use world::World;

#[tokio::test]
async fn it_hears_its_own_beats_and_tells_their_round_trip_also_after_the_broker_was_away() {
    let mut broker = TestBroker::start().await;
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

    let beat = ear.hear(|beat: &Beat| beat.number == 2).await;
    assert!(beat.from.starts_with("hub1 "), "{beat:?}");
    assert!(
        beat.last_round_trip_ms.is_some_and(|ms| ms < 1000),
        "{beat:?}"
    );
    let line_end = old_client.next().await.unwrap();
    assert_eq!(line_end.body().as_ref(), b"\n");
    line_end.ack().await;

    broker.stop().await;
    broker.start_again().await;
    ear.hear(|beat: &Beat| beat.number > 2 && beat.last_round_trip_ms.is_some())
        .await;
    running.stop().await.unwrap();
    broker.stop().await;
}
