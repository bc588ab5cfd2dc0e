//! What the services rely on, against each broker.
//!
//! Each broker is started once, by its test, from the files of `docs/brokers`; the properties run one after the other, all
//! of them, and those that do not hold are told at the end, each with its cause. What a broker does not offer is named in
//! [`NOT_OFFERED`].

mod chains;
mod durable;
mod expiry;
mod failover;
mod full;
mod links;
mod outage;
mod outbox;
mod raw;
mod rights;
mod site;
mod storm;
mod tls;
mod topics;
mod words;

use std::{any::Any, panic::AssertUnwindSafe, pin::Pin, time::Duration};

use futures_util::FutureExt;
use stomp::Dialect;
use tokio::{
    sync::Mutex,
    time::{Instant, timeout},
};

use crate::site::Site;

/// The longest that one property may take: restarts of a broker on a busy machine are in it.
const PROPERTY_LIMIT: Duration = Duration::from_secs(240);

/// Who has it runs a broker. What brokers do is measured against limits of seconds, and plain `cargo test` runs the tests
/// of a binary side by side.
static ALONE: Mutex<()> = Mutex::const_new(());

type Property = for<'a> fn(&'a mut Site) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

macro_rules! properties {
    ($($module:ident :: $property:ident),+ $(,)?) => {
        const PROPERTIES: &[(&str, Property)] = &[$((
            concat!(stringify!($module), "::", stringify!($property)),
            |site| Box::pin($module::$property(site)),
        )),+];
    };
}

properties! {
    links::a_client_is_known_by_its_server_and_its_passcode,
    links::an_idle_link_is_kept_by_heart_beats,
    links::a_half_dead_link_is_noticed_and_replaced,
    topics::every_subscriber_hears_what_is_published,
    topics::a_star_stands_for_one_word,
    topics::each_pipelined_publish_has_its_own_receipt,
    topics::bodies_arrive_as_they_were_sent,
    topics::headers_arrive_as_they_were_sent,
    topics::a_frame_of_120_kb_passes,
    durable::what_came_while_away_is_heard_on_return,
    durable::only_what_was_not_acknowledged_comes_again,
    durable::what_cannot_be_used_is_put_aside_and_the_next_one_comes,
    durable::what_is_too_large_to_read_is_put_aside_and_the_next_one_comes,
    durable::a_second_holder_shares_or_is_refused,
    durable::a_removed_subscription_is_forgotten,
    expiry::what_has_expired_is_not_delivered,
    expiry::each_broker_goes_by_its_own_header,
    tls::a_certificate_says_who_is_there,
    tls::who_has_no_certificate_of_the_site_is_not_let_in,
    tls::a_broker_without_the_certificate_of_the_site_is_not_trusted,
    rights::each_service_may_do_what_it_does_and_nothing_else,
    rights::an_agent_hears_its_own_orders_only,
    raw::by_other_ways_nobody_gets_more,
    raw::a_server_is_added_and_removed_while_the_broker_runs,
    rights::people_find_the_dead_letters_of_all_services,
    outage::what_was_confirmed_outlives_a_stop_and_a_kill,
    outage::a_killed_broker_is_found_again_and_nothing_confirmed_is_lost,
    outbox::what_an_outbox_took_arrives_in_its_order_through_a_kill,
    chains::the_documented_scripts_hear_what_is_kept_for_them,
    full::who_publishes_is_told_nothing_taken_is_lost_and_it_goes_on_with_room,
    failover::services_go_on_at_the_second_broker_and_come_back_to_the_first,
}

/// What a broker does not offer, and why. Everything else is asked of all three.
const NOT_OFFERED: &[(Dialect, &str, &str)] = &[
    (
        Dialect::Embedded,
        "durable::what_is_too_large_to_read_is_put_aside_and_the_next_one_comes",
        NO_MORE,
    ),
    (
        Dialect::Embedded,
        "tls::a_certificate_says_who_is_there",
        NO_TLS,
    ),
    (
        Dialect::Embedded,
        "tls::who_has_no_certificate_of_the_site_is_not_let_in",
        NO_TLS,
    ),
    (
        Dialect::Embedded,
        "tls::a_broker_without_the_certificate_of_the_site_is_not_trusted",
        NO_TLS,
    ),
    (
        Dialect::Embedded,
        "rights::each_service_may_do_what_it_does_and_nothing_else",
        NO_RIGHTS,
    ),
    (
        Dialect::Embedded,
        "rights::an_agent_hears_its_own_orders_only",
        NO_RIGHTS,
    ),
    (
        Dialect::Embedded,
        "raw::by_other_ways_nobody_gets_more",
        NO_RIGHTS,
    ),
    (
        Dialect::Embedded,
        "raw::a_server_is_added_and_removed_while_the_broker_runs",
        NO_RIGHTS,
    ),
    (
        Dialect::ActiveMq,
        "raw::a_server_is_added_and_removed_while_the_broker_runs",
        "its topics and rights are read at the start only",
    ),
    (
        Dialect::Embedded,
        "rights::people_find_the_dead_letters_of_all_services",
        "it binds no queue to a topic: who wants dead letters listens to them",
    ),
];

const NO_MORE: &str = "it takes nothing that is too large for its clients";
const NO_TLS: &str = "it has no TLS: it is for one machine, on loopback";
const NO_RIGHTS: &str = "who may log in may do everything";

/// Runs all properties, one after the other, and panics with those that do not hold.
async fn all_hold(mut site: Site) {
    let mut broken = Vec::new();
    for (name, property) in PROPERTIES {
        let not_offered = |it: &&(Dialect, &str, &str)| (it.0, it.1) == (site.kind, *name);
        if NOT_OFFERED.iter().any(|it| not_offered(&it)) {
            continue;
        }
        let since = Instant::now();
        let outcome = AssertUnwindSafe(property(&mut site)).catch_unwind();
        let cause = match timeout(PROPERTY_LIMIT, outcome).await {
            Ok(Ok(())) => continue,
            Ok(Err(panic)) => said(&*panic),
            Err(_) => "its limit is over".to_owned(),
        };
        let after = since.elapsed().as_secs_f32();
        let log = site.broker.last_lines().replace('\n', "\n    ");
        broken.push(format!("{name}, after {after:.1} s: {cause}\n    {log}"));
    }
    assert!(
        broken.is_empty(),
        "{:?} does not do {} of {}:\n  {}",
        site.kind,
        broken.len(),
        PROPERTIES.len(),
        broken.join("\n  "),
    );
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without a text").to_owned()
}

#[test]
fn what_is_not_offered_is_one_of_the_properties() {
    for (kind, name, _) in NOT_OFFERED {
        let known = PROPERTIES.iter().any(|(property, _)| property == name);
        assert!(known, "{kind:?}: there is no property {name}");
    }
}

#[tokio::test]
async fn the_embedded_broker_conforms() {
    let _alone = ALONE.lock().await;
    all_hold(Site::embedded().await).await;
}

#[tokio::test]
async fn rabbitmq_conforms() {
    let _alone = ALONE.lock().await;
    all_hold(Site::rabbitmq().await).await;
}

#[tokio::test]
async fn activemq_conforms() {
    let _alone = ALONE.lock().await;
    all_hold(Site::activemq().await).await;
}

#[tokio::test]
async fn the_embedded_broker_loses_nothing_in_a_storm() {
    let _alone = ALONE.lock().await;
    storm::nothing_is_lost(Site::embedded().await, 100_000, 6 << 20).await;
}

#[tokio::test]
async fn rabbitmq_loses_nothing_in_a_storm() {
    let _alone = ALONE.lock().await;
    storm::nothing_is_lost(Site::rabbitmq().await, 10_000, 1 << 20).await;
}

#[tokio::test]
async fn activemq_loses_nothing_in_a_storm() {
    let _alone = ALONE.lock().await;
    storm::nothing_is_lost(Site::activemq().await, 10_000, 1 << 20).await;
}
