//! A broker that is full.

use std::time::Duration;

use stomp::{Delivery, Dialect, SendError};
use testkit::{LONG, RabbitMq, until};
use tokio::time::timeout;

use crate::site::{Link, Site, message};

const DESTINATION: &str = "/topic/conf.full";
const KEEPER: &str = "conf-full";
/// A message is its number and so many bytes more.
const BYTES: usize = 100 * 1024;
/// Far more messages than there is room for.
const TOO_MANY: usize = 2000;
/// Who has no receipt for so long is held back.
const HELD_BACK: Duration = Duration::from_secs(5);
/// More free space than any disk of a test has.
const NO_DISK_HAS: &str = "1000000000000000";
/// As docs/brokers has it.
const DOCUMENTED: &str = "1GB";

/// The embedded broker and `ActiveMQ` refuse what they have no room for, `RabbitMQ` does not read on: either way there is no
/// receipt, all that has one is kept, and when there is room again what was not taken is.
pub(crate) async fn who_publishes_is_told_nothing_taken_is_lost_and_it_goes_on_with_room(
    site: &mut Site,
) {
    match site.kind {
        Dialect::RabbitMq => held_back(site).await,
        _ => refused(&site.narrow().await).await,
    }
}

async fn refused(site: &Site) {
    keep(site).await;
    let mut writer = site.link("conf-full-writer").await;
    let mut taken = 0;
    let error = loop {
        assert!(taken < TOO_MANY, "it takes more than it may keep");
        match publish(&writer, taken).await {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, SendError::Refused(_)),
        "after {taken}: {error}"
    );
    assert!(taken > 200, "it took {taken} only: {error}");
    // Who tries again is told again, on a new connection.
    writer = site.link("conf-full-second-writer").await;
    assert!(publish(&writer, taken).await.is_err(), "it is still full");
    hear(site, 0, taken).await;
    let again = || async {
        // The broker may not have noticed yet that the one before is gone.
        let writer = site.broker.introduction("conf-full-third-writer");
        let writer = site.try_link(writer).await.ok()?;
        publish(&writer, taken).await.ok()
    };
    until("there is room again", LONG, again).await;
    hear(site, taken, taken + 1).await;
}

async fn held_back(site: &Site) {
    keep(site).await;
    let writer = site.link("conf-full-writer").await;
    publish(&writer, 0).await.expect("there is room");
    RabbitMq::ctl(&site.broker, &["set_disk_free_limit", NO_DISK_HAS]).await;
    // It holds a connection back from its next message on, which it may still take.
    let mut taken = 1;
    let held = loop {
        assert!(taken < TOO_MANY, "it goes on taking");
        let sent = writer.client.start(&numbered(taken)).await;
        let mut receipt = sent.expect("the connection is kept");
        match timeout(HELD_BACK, &mut receipt).await {
            Ok(outcome) => outcome.expect("it is taken"),
            Err(_) => break receipt,
        }
        taken += 1;
    };
    hear(site, 0, taken).await;
    RabbitMq::ctl(&site.broker, &["set_disk_free_limit", DOCUMENTED]).await;
    let outcome = timeout(LONG, held).await;
    outcome
        .expect("it is taken once there is room")
        .expect("the connection was kept");
    hear(site, taken, taken + 1).await;
}

/// From here on what is published is kept for the keeper.
async fn keep(site: &Site) {
    let link = site.link(KEEPER).await;
    drop(link.hear_durably(DESTINATION, KEEPER).await);
    link.leave().await;
}

fn numbered(number: usize) -> stomp::Message {
    message(DESTINATION, &format!("{number}:{}", ".".repeat(BYTES)))
}

async fn publish(link: &Link, number: usize) -> Result<(), SendError> {
    link.client.send(numbered(number)).await
}

/// The keeper hears these, each once and in order, and nothing else; it acknowledges all.
async fn hear(site: &Site, from: usize, to: usize) {
    let link = site.link(KEEPER).await;
    let mut heard = link.hear_durably(DESTINATION, KEEPER).await;
    for expected in from..to {
        let delivery = heard.next().await;
        assert_eq!(number(&delivery), expected.to_string());
        let acknowledged = link.client.ack(&delivery).await;
        acknowledged.expect("the connection is kept");
    }
    let more = timeout(Duration::from_secs(1), heard.0.next()).await;
    assert!(
        more.is_err(),
        "one more came: {:?}",
        more.map(|it| it.map(|it| number(&it)))
    );
    link.leave().await;
}

fn number(delivery: &Delivery) -> String {
    let text = String::from_utf8_lossy(&delivery.body);
    text.split(':').next().unwrap_or_default().to_owned()
}
