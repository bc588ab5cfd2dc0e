//! Connecting, refusal, heart-beats.

use std::time::Duration;

use stomp::{ConnectError, Secret};

use crate::site::Site;

/// More than three heart-beats of 1 s, after which a silent peer is given up, on either side.
const IDLE: Duration = Duration::from_secs(5);

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
