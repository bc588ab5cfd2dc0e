//! What the services rely on, against each broker.
//!
//! Each broker is started once, by its test; the properties run one after the other, all of them, and those that do not
//! hold are named at the end.

mod durable;
mod links;
mod outage;
mod site;
mod storm;
mod topics;

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use tokio::time::timeout;

use crate::site::Site;

/// The longest that one property may take: restarts of a broker on a busy machine are in it.
const PROPERTY_LIMIT: Duration = Duration::from_secs(240);

/// Runs the properties, each on the same site, and panics with the names of those that do not hold.
macro_rules! properties {
    ($site:ident: $($module:ident :: $property:ident),+ $(,)?) => {{
        let mut broken: Vec<&str> = Vec::new();
        $(
            let property = AssertUnwindSafe($module::$property(&mut $site)).catch_unwind();
            if !matches!(timeout(PROPERTY_LIMIT, property).await, Ok(Ok(()))) {
                broken.push(stringify!($property));
            }
        )+
        assert!(
            broken.is_empty(),
            "{:?} does not do this:\n  {}\n{}",
            $site.kind,
            broken.join("\n  "),
            $site.broker.last_lines()
        );
    }};
}

async fn all_hold(mut site: Site) {
    properties! { site:
        links::a_client_is_known_by_its_server_and_its_passcode,
        links::an_idle_link_is_kept_by_heart_beats,
        topics::every_subscriber_hears_what_is_published,
        topics::a_star_stands_for_one_word,
        topics::each_pipelined_publish_has_its_own_receipt,
        topics::bodies_arrive_as_they_were_sent,
        topics::headers_arrive_as_they_were_sent,
        topics::a_frame_of_120_kb_passes,
        durable::what_came_while_away_is_heard_on_return,
        durable::only_what_was_not_acknowledged_comes_again,
        durable::what_cannot_be_used_is_put_aside_and_the_next_one_comes,
        durable::a_second_holder_shares_or_is_refused,
        durable::a_removed_subscription_is_forgotten,
        outage::what_was_confirmed_outlives_a_stop_and_a_kill,
        outage::a_killed_broker_is_found_again_and_nothing_confirmed_is_lost,
    }
}

#[tokio::test]
async fn the_embedded_broker_conforms() {
    all_hold(Site::embedded().await).await;
}

#[tokio::test]
async fn rabbitmq_conforms() {
    all_hold(Site::rabbitmq().await).await;
}

#[tokio::test]
async fn activemq_conforms() {
    all_hold(Site::activemq().await).await;
}

#[tokio::test]
async fn the_embedded_broker_loses_nothing_in_a_storm() {
    storm::nothing_is_lost(Site::embedded().await, 100_000, 6 << 20).await;
}

#[tokio::test]
async fn rabbitmq_loses_nothing_in_a_storm() {
    storm::nothing_is_lost(Site::rabbitmq().await, 10_000, 1 << 20).await;
}

#[tokio::test]
async fn activemq_loses_nothing_in_a_storm() {
    storm::nothing_is_lost(Site::activemq().await, 10_000, 1 << 20).await;
}
