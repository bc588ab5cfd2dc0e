//! What other processes leave in the folder, and how old the oldest message is.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use world::World;

use super::{drop_off::take_refused, stock::Stock};

/// How soon a message that another process left is found: a hook's way to all hosts takes less than a second. Listing
/// a folder with little in it takes some 20 µs.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Looks until the stop.
pub(super) async fn run(
    stock: &Stock,
    world: &World,
    look: &Notify,
    warn_age: SignedDuration,
    stop: &CancellationToken,
) {
    let mut listed = true;
    let mut old = false;
    loop {
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = stop.cancelled() => return,
        }
        let (folder, mark) = (stock.folder().to_owned(), stock.mark());
        let listing = world.on_disk(move |disk| {
            let entries = disk.list(&folder)?;
            Ok((take_refused(disk, &entries), entries))
        });
        match listing.await {
            Ok((refused, entries)) => {
                stock.hooks_refused(refused);
                if stock.found(&entries, &mark) {
                    look.notify_one();
                }
                listed = true;
            }
            Err(error) => {
                if listed {
                    tracing::error!(folder = %stock.folder().display(), %error, "the outbox cannot be listed");
                }
                listed = false;
            }
        }
        let age = age(stock, world.clock.now());
        if old != (age > warn_age) {
            old = !old;
            let (messages, bytes) = stock.holds();
            let (folder, age_s) = (stock.folder().display(), age.as_secs());
            if old {
                tracing::warn!(%folder, messages, bytes, age_s, "messages wait for the broker");
            } else {
                tracing::info!(%folder, messages, bytes, age_s, "messages go out in time again");
            }
        }
    }
}

/// How long the oldest message waits; zero when there is none.
pub(super) fn age(stock: &Stock, now: Timestamp) -> SignedDuration {
    let Some(oldest) = stock.oldest_us() else {
        return SignedDuration::ZERO;
    };
    let since = SignedDuration::from_micros(now.as_microsecond().saturating_sub(oldest));
    since.max(SignedDuration::ZERO)
}
