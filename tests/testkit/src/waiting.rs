//! Waiting for a condition.

use std::{future::Future, time::Duration};

/// The limit for what takes milliseconds when the machine is idle: a delivery, a connection, a started program.
pub const SOON: Duration = Duration::from_secs(20);

/// The limit for what is several such things in a row, or has a wait of its own: a rollout, a reconnect.
pub const LONG: Duration = Duration::from_secs(60);

const EVERY: Duration = Duration::from_millis(10);

/// Asks again and again until there is an answer.
///
/// Needs real time: under tokio's paused clock the limit passes at once.
///
/// # Panics
/// There is none within the limit; `what` says what was waited for.
pub async fn until<T, F, Fut>(what: &str, limit: Duration, mut condition: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Option<T>>,
{
    let asking = async {
        loop {
            if let Some(answer) = condition().await {
                return answer;
            }
            // waits for nothing by itself: it keeps the asking from using up the processor
            tokio::time::sleep(EVERY).await;
        }
    };
    let answer = tokio::time::timeout(limit, asking).await;
    answer.unwrap_or_else(|_| panic!("{what}: not within {} s", limit.as_secs_f32()))
}
