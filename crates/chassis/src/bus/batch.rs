//! Publishing in order: many messages on their way at once, and the order in which they first arrive is kept.

use std::collections::VecDeque;

use stomp::{Client, Receipt, SendError};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    Bus, Link, PublishError, REFUSED_AGAIN, check_size,
    expiry::{Expired, Outgoing},
};
use crate::{causes, outbox::Waiting};

/// Messages that go out in the order in which they were pushed; `T` says whose they are.
///
/// All go over one connection, one after the other. After a lost one it goes on over the next from the first that was not
/// confirmed, under the same ids: whoever folds doubles sees the order that they were pushed in. Nothing is given up:
/// a message that the broker refuses is tried again every 30 s, and holds up those behind it. A refusal ends the connection
/// together with what it still owed, so until the refused message is through, each goes out alone.
#[derive(Debug)]
pub struct InOrder<T> {
    bus: Bus,
    window: usize,
    queue: VecDeque<Item<T>>,
    link: watch::Receiver<Link>,
    /// The number of the connection that is used; lower ones are over.
    number: u64,
    /// Not before then, after a refusal; and what was said of it.
    pause: Option<Instant>,
    refused: Option<String>,
}

#[derive(Debug)]
struct Item<T> {
    whose: T,
    outgoing: Outgoing,
    stands: Stands,
    /// The broker has refused it.
    refused: bool,
}

#[derive(Debug)]
enum Stands {
    /// It is to be sent, or sent again.
    Waits,
    /// Its receipt is to come.
    Sent(Receipt),
    /// The broker has it, but not yet all that were pushed before it.
    Confirmed,
    /// It can never be sent.
    Unsendable(String),
    /// Its time was over before it could be sent.
    Expired,
}

impl<T> Item<T> {
    /// What became of it after it was sent.
    fn note(&mut self, outcome: &Result<(), SendError>) {
        self.stands = match outcome {
            Ok(()) => Stands::Confirmed,
            Err(_) => Stands::Waits,
        };
        self.refused |= matches!(outcome, Err(SendError::Refused(_)));
    }
}

impl<T> InOrder<T> {
    pub(super) fn new(bus: Bus, window: usize) -> Self {
        Self {
            link: bus.shared.link.clone(),
            bus,
            window,
            queue: VecDeque::new(),
            number: 0,
            pause: None,
            refused: None,
        }
    }

    /// True while fewer messages than the window are unsettled.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.queue.len() < self.window
    }

    /// True when everything that was pushed is settled.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Puts a message last. It goes out while [`InOrder::settled`] is waited for.
    pub fn push(&mut self, whose: T, waiting: &Waiting) {
        let Waiting {
            topic,
            persistent,
            until,
            envelope,
        } = waiting;
        let message = self.bus.message(topic, *persistent, envelope);
        let stands = match check_size(&message) {
            Ok(()) => Stands::Waits,
            Err(error) => Stands::Unsendable(causes(&error)),
        };
        self.queue.push_back(Item {
            whose,
            outgoing: Outgoing {
                message,
                until: *until,
            },
            stands,
            refused: false,
        });
    }

    /// The outcome of the first message that is left, once the broker has confirmed it, or it turns out that it can never be
    /// sent or that nobody wants it any more. Waits for a broker for ever. May be cancelled (in a `select!`) without loss; never ends while nothing is left.
    ///
    /// # Errors
    /// `Unsendable`; `Expired`; or `Stopped`, when the connection is closed for good: then the same for all that are left.
    pub async fn settled(&mut self) -> (T, Result<(), PublishError>) {
        loop {
            if let Some(settled) = self.settled_already() {
                return settled;
            }
            let owed = matches!(
                self.queue.front(),
                Some(Item {
                    stands: Stands::Sent(_),
                    ..
                })
            );
            let mut outcome = Ok(());
            // A connection that another one replaces still owes its receipts: nothing new goes out before those.
            if !owed || self.is_current() {
                let Some(client) = self.connection().await else {
                    let Some(first) = self.queue.pop_front() else {
                        return std::future::pending().await;
                    };
                    return (first.whose, Err(PublishError::Stopped));
                };
                outcome = self.send_all(&client).await;
            }
            match self.queue.front_mut() {
                None => return std::future::pending().await,
                Some(first) => {
                    if outcome.is_ok()
                        && let Stands::Sent(receipt) = &mut first.stands
                    {
                        outcome = receipt.await;
                        first.note(&outcome);
                    }
                }
            }
            match outcome {
                Ok(()) => self.refused = None,
                Err(error) => self.lost(error),
            }
        }
    }

    fn settled_already(&mut self) -> Option<(T, Result<(), PublishError>)> {
        let first = self.queue.front()?;
        let outcome = match &first.stands {
            Stands::Waits | Stands::Sent(_) => return None,
            Stands::Confirmed => Ok(()),
            Stands::Unsendable(why) => Err(PublishError::Unsendable(why.clone())),
            Stands::Expired => Err(PublishError::Expired),
        };
        let first = self.queue.pop_front()?;
        self.bus.counts().published(&outcome);
        Some((first.whose, outcome))
    }

    /// True while publishers are to take the connection that is used here.
    fn is_current(&self) -> bool {
        matches!(*self.link.borrow(), Link::Up { number, .. } if number == self.number)
    }

    /// A connection that was not lost yet; `None` when there will be none.
    async fn connection(&mut self) -> Option<Client> {
        if let Some(pause) = self.pause {
            sleep_until(pause).await;
            self.pause = None;
        }
        let usable =
            |link: &Link| matches!(link, Link::Up { number, .. } if *number >= self.number);
        let link = self.link.wait_for(usable).await.ok()?.clone();
        match link {
            Link::Up { client, number } => {
                self.number = number;
                Some(client)
            }
            Link::Down(_) => None,
        }
    }

    /// Hands over everything that waits, first to last; only the first while one of them was refused.
    async fn send_all(&mut self, client: &Client) -> Result<(), SendError> {
        let together = match self.queue.iter().any(|item| item.refused) {
            true => 1,
            false => self.queue.len(),
        };
        for item in self.queue.iter_mut().take(together) {
            if !matches!(item.stands, Stands::Waits) {
                continue;
            }
            let now = self.bus.shared.world.clock.now();
            if let Err(Expired) = item.outgoing.stamp(now) {
                item.stands = Stands::Expired;
                continue;
            }
            item.stands = match client.start(&item.outgoing.message).await {
                Ok(receipt) => Stands::Sent(receipt),
                Err(error @ (SendError::Invalid(_) | SendError::TooLong { .. })) => {
                    Stands::Unsendable(causes(&error))
                }
                Err(error) => return Err(error),
            };
        }
        Ok(())
    }

    /// The connection is over: what it did not confirm goes out again; after a pause, if that was a refusal.
    fn lost(&mut self, error: SendError) {
        if matches!(error, SendError::NoReceipt(_)) {
            // There was no room to hand a message over; the connection goes on, or its driver ends it.
            return;
        }
        self.number += 1;
        let mut errors = vec![error];
        for item in &mut self.queue {
            if let Stands::Sent(receipt) = &mut item.stands {
                // What has no outcome yet has none for ever.
                let ended = || Err(SendError::Ended("a connection before this one".into()));
                let outcome = receipt.outcome().unwrap_or_else(ended);
                item.note(&outcome);
                errors.extend(outcome.err());
            }
        }
        let refused = errors.into_iter().find_map(|error| match error {
            SendError::Refused(why) => Some(why),
            _ => None,
        });
        let Some(why) = refused else { return };
        self.bus.counts().refused();
        self.pause = Some(Instant::now() + REFUSED_AGAIN);
        if self.refused.as_ref() != Some(&why) {
            let again_s = REFUSED_AGAIN.as_secs();
            tracing::error!(
                why,
                again_s,
                "the broker refused a message; those behind it wait"
            );
            self.refused = Some(why);
        }
    }
}
