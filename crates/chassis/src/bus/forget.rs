//! The end of a durable subscription.

use events::Topic;
use stomp::{SendError, Subscription};
use tokio_util::sync::CancellationToken;
use world::World;

use super::attempt::{attempt, ended};
use crate::{BusSettings, causes};

/// The client-id of who holds it: a further subscription of a service has its topic behind that
/// ([`events::Names::further_subscription`]).
fn holder<'a>(subscription: &'a str, topic: &Topic) -> &'a str {
    let further = format!("-{}", topic.stem().replace('.', "-"));
    subscription.strip_suffix(&further).unwrap_or(subscription)
}

/// Has a broker forget a durable subscription and what it keeps for it. One that is not there is no error.
///
/// # Errors
/// One sentence: what failed. While its holder is connected, most brokers refuse; RabbitMQ takes it away from the holder.
pub async fn forget(
    settings: &BusSettings,
    broker: &str,
    topic: &Topic,
    subscription: &str,
    world: &World,
) -> Result<(), String> {
    let (client, driver) = attempt(settings, broker, holder(subscription, topic), world).await?;
    let leave = CancellationToken::new();
    let running = driver.run(leave.clone());
    tokio::pin!(running);
    let forgetting = async {
        // Only who holds it can end it, so it is taken up once more.
        let held = Subscription {
            destination: settings.topics.destination(topic),
            durable: Some(subscription.to_owned()),
            prefetch: 1,
        };
        let deliveries = client.subscribe(held).await?;
        client.remove(deliveries).await?;
        Ok::<_, SendError>(())
    };
    tokio::select! {
        forgotten = forgetting => forgotten.map_err(|error| causes(&error))?,
        why = running.as_mut() => return Err(ended(&why, settings)),
    }
    leave.cancel();
    running.await;
    Ok(())
}
