//! What nobody wants any more.

use std::time::Duration;

use stomp::{Dialect, Expires, Message};
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

/// RabbitMQ goes by `expiration` alone, `ActiveMQ` by `expires` alone, and so does the embedded broker where there are both.
pub(crate) async fn each_broker_goes_by_its_own_header(site: &mut Site) {
    let (destination, name) = ("/topic/conf.expiry.own", "conf-expiry-own");
    let link = site.link(name).await;
    drop(link.hear_durably(destination, name).await);
    link.leave().await;
    let writer = site.link("conf-expiry-own-writer").await;
    publish_as(&writer, destination, "expires", (SHORT, LONG)).await;
    publish_as(&writer, destination, "expiration", (LONG, SHORT)).await;
    writer.publish(destination, "for ever").await;
    // waits for the broker's clock, which cannot be turned
    sleep(SHORT * 3).await;
    let link = site.link(name).await;
    let mut heard = link.hear_durably(destination, name).await;
    let deliveries = heard.up_to("for ever").await;
    let kept: &[&str] = match site.kind {
        Dialect::RabbitMq => &["expires", "for ever"],
        _ => &["expiration", "for ever"],
    };
    assert_eq!(texts(&deliveries), kept);
}

async fn publish(link: &Link, destination: &str, text: &str, lives: Duration) {
    publish_as(link, destination, text, (lives, lives)).await;
}

/// How long it lives by `expires`, and by `expiration`.
async fn publish_as(link: &Link, destination: &str, text: &str, lives: (Duration, Duration)) {
    let now = World::real().clock.now().as_millisecond();
    let ms = |time: Duration| u64::try_from(time.as_millis()).expect("it is short");
    let sent = link.client.send(Message {
        expires: Some(Expires {
            at_ms: u64::try_from(now).expect("it is after 1970") + ms(lives.0),
            after_ms: ms(lives.1),
        }),
        ..message(destination, text)
    });
    sent.await.expect("the broker takes it");
}
