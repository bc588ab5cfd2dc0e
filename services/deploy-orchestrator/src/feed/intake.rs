//! From the bus into the feed.

use chassis::{Bus, Delivery, Inbox, causes};
use events::message::Line;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;

use super::{Feed, New};

/// Lines that are kept together.
const BATCH: usize = 256;

/// Keeps what is said until the stop. A feed that cannot be written loses lines and says so, once; nothing else suffers.
pub(crate) async fn take_in(feed: &Feed, mut inbox: Inbox, bus: &Bus, stop: &CancellationToken) {
    let mut failing = false;
    loop {
        let first = tokio::select! {
            () = stop.cancelled() => break,
            first = inbox.next() => first,
        };
        let Some(first) = first else { break };
        let mut deliveries = vec![first];
        while deliveries.len() < BATCH
            && let Some(Some(next)) = inbox.next().now_or_never()
        {
            deliveries.push(next);
        }
        let (mut new, mut taken) = (Vec::new(), Vec::new());
        for delivery in deliveries {
            match read(&delivery) {
                Ok(line) => {
                    new.push(line);
                    taken.push(delivery);
                }
                Err(cause) => tokio::select! {
                    () = stop.cancelled() => {}
                    () = put_aside(delivery, &cause, bus) => {}
                },
            }
        }
        let lost = new.len();
        match feed.keep(new).await {
            Ok(()) if std::mem::take(&mut failing) => {
                tracing::info!("the feed keeps lines again");
            }
            Ok(()) => {}
            Err(error) if std::mem::replace(&mut failing, true) => {
                tracing::debug!(lost, error = causes(&error), "lines are not kept");
            }
            Err(error) => {
                tracing::error!(
                    lost,
                    error = causes(&error),
                    "the feed cannot be written: its lines are lost until this is mended"
                );
            }
        }
        for delivery in taken {
            delivery.ack().await;
        }
    }
    inbox.close().await;
}

fn read(delivery: &Delivery) -> Result<New, String> {
    let envelope = delivery.envelope().map_err(|error| causes(error))?;
    let line: Line = envelope.open().map_err(|error| causes(&error))?;
    Ok(New {
        message: envelope.id,
        said: envelope.time,
        line,
    })
}

async fn put_aside(delivery: Delivery, cause: &str, bus: &Bus) {
    let from = delivery.destination().to_owned();
    tracing::warn!(from, cause, "a line that cannot be read is put aside");
    if let Err(error) = delivery.put_aside(bus, cause).await {
        let error = causes(&error);
        tracing::warn!(error, "not put aside; the broker brings it again");
    }
}
