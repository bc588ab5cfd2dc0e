#![doc = include_str!("../README.md")]

pub mod builds;
mod carry;
pub mod commits;
pub mod memory;
pub mod names;
pub mod packages;
pub mod plan;
pub mod settings;
pub mod text;

use chassis::{Failure, Listen, Start, consume};
use events::Topic;
use futures_util::future::{join_all, try_join_all};

use carry::{Bridge, ToOld};
pub use carry::{MARK, SOURCE};
use plan::Kind;
pub use settings::Settings;
use settings::Topics;

/// Carries messages both ways until the stop.
///
/// # Errors
/// When an older topic is one of ours; a lost broker is waited for.
pub async fn serve(start: Start<Settings>) -> Result<(), Failure> {
    let Settings { carry, topics, .. } = &start.settings;
    let names = start.bus.names();
    topics.check_beside(names).map_err(Failure::Settings)?;
    let (service, host) = (start.service, &start.host);
    let mut to_old = Vec::new();
    for (way, topic) in [
        (carry.commits, Topic::GitCommits),
        (carry.commits, Topic::SvnCommits),
        (carry.builds, Topic::CiSucceeded),
        (carry.builds, Topic::CiFailed),
        (carry.packages, Topic::PackagesUpdated),
    ] {
        if way.to_old() {
            let subscription = names.further_subscription(service, host, &topic);
            let listen = Listen::durable(topic, subscription);
            to_old.push(start.bus.listen(listen).await);
        }
    }
    let mut from_old = Vec::new();
    for (way, topic, word, kind) in [
        (carry.commits, &topics.commits, "commits", Kind::Commits),
        (carry.builds, &topics.succeeded, "succeeded", Kind::Builds),
        (carry.builds, &topics.failed, "failed", Kind::Builds),
        (carry.packages, &topics.packages, "packages", Kind::Packages),
    ] {
        if way.from_old() {
            let subscription = format!("{}-old-{word}", names.subscription(service, host));
            let listen = Listen::foreign(Topics::destination(topic), subscription);
            from_old.push((kind, start.bus.listen(listen).await));
        }
    }
    let (to, from) = (to_old.len(), from_old.len());
    tracing::info!(to, from, "carries topics to older daemons, and from them");
    start.status.ready();
    start
        .status
        .says(format!("{to} topics to older daemons, {from} from them"));
    let bridge = Bridge::new(&start);
    let (bridge, start) = (&bridge, &start);
    let to_old = to_old.into_iter().map(|inbox| async move {
        consume(&mut ToOld(bridge), inbox, &start.bus, &start.stop).await
    });
    let from_old = from_old
        .into_iter()
        .map(|(kind, inbox)| bridge.hear_old(kind, inbox));
    let (ended, _) = tokio::join!(try_join_all(to_old), join_all(from_old));
    ended.map(drop)
}
