//! Connecting, refusal, heart-beats.

use std::time::Duration;

use events::{Topic, message::Fetched};
use stomp::{ConnectError, Secret};
use testkit::{Fault, LONG, Member, Proxy};
use tokio::time::{Instant, timeout};

use crate::{
    durable::numbered,
    site::{Site, WEB1, WEB2},
};

/// More than three heart-beats of 1 s, after which a silent peer is given up, on either side.
const IDLE: Duration = Duration::from_secs(5);

/// Three heart-beats of 1 s, less what had passed since the last one. How soon after them is pinned in turned time, by the client's own tests.
const NOT_BEFORE: Duration = Duration::from_millis(1500);

pub(crate) async fn a_client_is_known_by_its_server_and_its_passcode(site: &mut Site) {
    let link = site.link("conf-known").await;
    assert_eq!(link.client.dialect(), site.kind, "{}", link.client.server());
    link.leave().await;
    let mut wrong = site.broker.introduction("conf-wrong");
    wrong.passcode = Some(Secret::new("let-me-out"));
    let mut nobody = site.broker.introduction("conf-nobody");
    (nobody.login, nobody.passcode) = (None, None);
    for connect in [wrong, nobody] {
        let refused = site.try_link(connect).await.map(drop);
        assert!(
            matches!(refused, Err(ConnectError::Refused(_))),
            "{refused:?}"
        );
    }
}

pub(crate) async fn an_idle_link_is_kept_by_heart_beats(site: &mut Site) {
    let mut link = site.link("conf-idle").await;
    // Real time: the broker's clock cannot be turned.
    assert!(link.holds_for(IDLE).await, "an idle link has ended");
    link.publish("/topic/conf.idle", "still there").await;
    link.leave().await;
}

/// A firewall has forgotten the connection: both sides think that it is there, and nothing passes.
pub(crate) async fn a_half_dead_link_is_noticed_and_replaced(site: &mut Site) {
    let path = Proxy::start(site.broker.address(), 1).await;
    let mut through_it = site.common(WEB1);
    through_it.bus.brokers = vec![path.address()];
    let reader = Member::connect("conf-half-dead", through_it).await;
    let mut ear = reader.listen_durably(Topic::GitFetched).await;
    let writer = Member::connect("conf-alive", site.common(WEB2)).await;
    let mut connected = reader.bus.connected();
    path.strike(Fault::BlackHole(None));
    let struck = Instant::now();
    let noticed = timeout(LONG, connected.wait_for(|connected| !connected));
    assert!(matches!(noticed.await, Ok(Ok(_))), "it is not noticed");
    let after = struck.elapsed();
    assert!(after > NOT_BEFORE, "it is given up after {after:?}");
    writer.bus.publish(&numbered(1)).await.expect("confirmed");
    // A broker that lets one holder in must have noticed too.
    let back = timeout(LONG, connected.wait_for(|connected| *connected));
    assert!(
        matches!(back.await, Ok(Ok(_))),
        "the subscription is not free"
    );
    assert_eq!(ear.hear(|_: &Fetched| true).await, numbered(1));
}
