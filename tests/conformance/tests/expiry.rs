//! What nobody wants any more.

use std::time::Duration;

use stomp::{Expires, Message};
use tokio::time::sleep;
use world::World;

use crate::site::{Link, Site, message, texts};

/// Time to live of the message that expires, and of the one that does not.
const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(600);

pub(crate) async fn what_has_expired_is_not_delivered(site: &mut Site) {
    let (destination, name) = ("/topic/conf.expiry", "conf-expiry");
    let link = site.link(name).await;
    drop(link.hear_durably(destination, name).await);
    link.leave().await;
    let writer = site.link("conf-expiry-writer").await;
    publish(&writer, destination, "of no use", SHORT).await;
    publish(&writer, destination, "of use", LONG).await;
    writer.publish(destination, "for ever").await;
    // waits for the broker's clock, which cannot be turned
    sleep(SHORT * 3).await;
    let link = site.link(name).await;
    let mut heard = link.hear_durably(destination, name).await;
    let deliveries = heard.up_to("for ever").await;
    assert_eq!(texts(&deliveries), ["of use", "for ever"]);
}

async fn publish(link: &Link, destination: &str, text: &str, lives: Duration) {
    let now = World::real().clock.now().as_millisecond();
    let lives = u64::try_from(lives.as_millis()).expect("it is short");
    let sent = link.client.send(Message {
        expires: Some(Expires {
            at_ms: u64::try_from(now).expect("it is after 1970") + lives,
            after_ms: lives,
        }),
        ..message(destination, text)
    });
    sent.await.expect("the broker takes it");
}
