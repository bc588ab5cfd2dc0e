//! One connection that has shaken hands: it runs, is subscribed on, and is left with a goodbye.

use std::{pin::Pin, time::Duration};

use stomp::{Client, Ended, SendError, Subscription};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{
    Shared,
    attempt::{self, Made},
    connection::Registered,
    inbox::Subscribed,
};
use crate::causes;

/// A connection for as long as it is polled. Dropped, it is cut without a goodbye.
pub(super) struct Live {
    /// Which of the brokers it leads to.
    pub(super) broker: usize,
    pub(super) client: Client,
    /// Since when it is there.
    pub(super) since: Instant,
    running: Pin<Box<dyn Future<Output = Ended> + Send>>,
    leave: CancellationToken,
}

impl Live {
    pub(super) fn new(broker: usize, (client, driver): Made) -> Self {
        let leave = CancellationToken::new();
        Self {
            broker,
            client,
            since: Instant::now(),
            running: Box::pin(driver.run(leave.clone())),
            leave,
        }
    }

    /// Runs it until it ends, and says why it did. May be dropped without loss; not to be called again once it ended.
    pub(super) async fn ended(&mut self, shared: &Shared) -> String {
        let ended = self.running.as_mut().await;
        attempt::ended(&ended, &shared.settings)
    }

    /// Subscribes to all topics of a listen; its inbox has each at once.
    pub(super) async fn subscribe(
        &mut self,
        shared: &Shared,
        registered: &Registered,
    ) -> Result<(), String> {
        for destination in registered.listen.destinations(&shared.settings.topics) {
            let subscription = Subscription {
                destination: destination.clone(),
                durable: registered.listen.durable.clone(),
                prefetch: shared.settings.prefetch,
            };
            let subscribed = tokio::select! {
                subscribed = self.client.subscribe(subscription) => subscribed,
                ended = self.running.as_mut() => Err(SendError::Ended(ended.to_string().into())),
            };
            let deliveries = subscribed.map_err(|error| {
                format!("cannot subscribe to {destination}: {}", causes(&error))
            })?;
            let client = self.client.clone();
            let _reader_is_gone = registered.arrivals.send(Subscribed { client, deliveries });
        }
        Ok(())
    }

    /// Says DISCONNECT after what was queued, and waits for its receipt; says how it ended.
    pub(super) async fn leave(mut self, shared: &Shared) -> String {
        self.leave.cancel();
        self.ended(shared).await
    }

    /// Leaves it for another one: what is on its way is confirmed here first, within `bus.receipt_limit_s`.
    pub(super) async fn leave_settled(mut self, shared: &Shared) {
        let limit = Duration::from_secs(shared.settings.receipt_limit_s);
        let settled = timeout(limit, self.client.settled());
        tokio::select! {
            ended = self.running.as_mut() => {
                tracing::debug!(why = causes(&ended), "the connection that is being left ended");
                return;
            }
            _in_time = settled => {}
        }
        let why = self.leave(shared).await;
        tracing::debug!(why, "left the connection to a later broker");
    }
}
