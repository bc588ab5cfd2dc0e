//! The run loop, written once: a service brings a [`Handler`] that returns a [`Verdict`].

use std::{
    future::{Future, pending},
    time::Duration,
};

use events::{Envelope, OpenError};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::{Bus, Delivery, Failure, Inbox, backoff::Backoff, causes};

/// How often a message is tried before it is put aside.
pub const ATTEMPTS: u32 = 8;

/// The waits between tries: about two minutes in all.
const AGAIN: Backoff = Backoff {
    first: Duration::from_secs(1),
    limit: Duration::from_secs(60),
};

/// How long after a stop a dead letter may still wait for the broker. Without it the message stays unacknowledged.
const DEAD_LETTER_GRACE: Duration = Duration::from_secs(2);

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The work is done, or there was none to do.
    Done,
    /// It can never be used: put it aside as a dead letter, with this reason.
    Poison(String),
    /// Not now, for this reason: bring it again later.
    Again(String),
}

/// A message that is not the one expected is poison.
impl From<OpenError> for Verdict {
    fn from(error: OpenError) -> Self {
        Self::Poison(causes(&error))
    }
}

/// What a service does with a message.
pub trait Handler {
    /// Does the work of one message, to its end: it is never cancelled half way, so it bounds its own time.
    ///
    /// The same message may come again (after a lost connection, or a crash before the acknowledgement).
    fn handle(&mut self, envelope: &Envelope) -> impl Future<Output = Verdict> + Send;
}

/// A message that is due at some time.
struct Due {
    at: Instant,
    delivery: Delivery,
    /// Tries that ended in `Again`, or dead letters that nobody confirmed.
    failed: u32,
    /// Set once it is to be put aside.
    poison: Option<String>,
}

/// Gives each message of the inbox to the handler until a stop.
///
/// A stop is seen only between deliveries. A message is acknowledged after its verdict: `Done` at once, `Poison` after
/// its dead letter is confirmed, `Again` after a later verdict; it comes back with a growing delay, while other
/// messages go on, and is put aside after [`ATTEMPTS`]; that a lost connection made the broker bring it again in between
/// changes neither the delay nor the count. What is not an envelope is put aside here.
///
/// # Errors
/// None so far; a lost broker is waited for.
pub async fn consume<H: Handler>(
    handler: &mut H,
    mut inbox: Inbox,
    bus: &Bus,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let mut later: Vec<Due> = Vec::new();
    loop {
        let soonest = (0..later.len()).min_by_key(|&index| later[index].at);
        let at = soonest.map(|index| later[index].at);
        let due = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = reached(at) => later.swap_remove(soonest.unwrap_or_default()),
            delivery = inbox.next() => match delivery {
                Some(delivery) => match later.iter_mut().find(|due| delivery.replaces(&due.delivery)) {
                    Some(due) => {
                        due.delivery = delivery;
                        continue;
                    }
                    None => Due { at: Instant::now(), delivery, failed: 0, poison: None },
                },
                None => break,
            },
        };
        if due.delivery.is_acknowledged() {
            // Its twin, published twice, was done meanwhile.
            bus.counts().duplicates.inc();
            due.delivery.ack().await;
        } else {
            later.extend(settle(handler, due, bus, stop).await);
        }
    }
    inbox.close().await;
    Ok(())
}

async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// Handles one message; gives it back if it is to come again.
async fn settle<H: Handler>(
    handler: &mut H,
    mut due: Due,
    bus: &Bus,
    stop: &CancellationToken,
) -> Option<Due> {
    let verdict = match (due.poison.take(), due.delivery.envelope()) {
        (Some(cause), _) => Verdict::Poison(cause),
        (None, Err(error)) => Verdict::Poison(causes(error)),
        (None, Ok(envelope)) => handler.handle(envelope).await,
    };
    let verdict = match verdict {
        Verdict::Again(reason) if due.failed + 1 >= ATTEMPTS => {
            Verdict::Poison(format!("{reason} (tried {ATTEMPTS} times)"))
        }
        other => other,
    };
    let destination = due.delivery.destination();
    let id = due.delivery.id();
    let mut least = Duration::ZERO;
    match verdict {
        Verdict::Done => {
            due.delivery.ack().await;
            return None;
        }
        Verdict::Poison(cause) => {
            let confirmed = tokio::select! {
                biased;
                confirmed = due.delivery.put_aside(bus, &cause) => confirmed,
                () = async { stop.cancelled().await; sleep(DEAD_LETTER_GRACE).await } => return None,
            };
            let Err(error) = confirmed else {
                tracing::warn!(destination, ?id, cause, "put aside as a dead letter");
                return None;
            };
            tracing::warn!(
                destination,
                ?id,
                cause,
                error = causes(&error),
                "cannot put aside yet"
            );
            least = error.least_wait();
            due.poison = Some(cause);
        }
        Verdict::Again(reason) => {
            tracing::info!(
                destination,
                ?id,
                reason,
                tries = due.failed + 1,
                "comes again later"
            );
        }
    }
    due.failed = due.failed.saturating_add(1);
    due.at = Instant::now() + AGAIN.wait(due.failed, bus.entropy()).max(least);
    Some(due)
}
