//! One message as it came, until it is acknowledged.

use bytes::Bytes;
use events::{Envelope, ParseError};
use stomp::Client;
use tokio::time::Instant;
use uuid::Uuid;

use super::{Bus, PublishError, dead_letter, in_hand::Held, recent::Recent};
use crate::causes;

/// A message as it came. Not acknowledged by itself: without [`Delivery::ack`] the broker brings it again.
#[derive(Debug)]
pub struct Delivery {
    envelope: Result<Envelope, ParseError>,
    raw: stomp::Delivery,
    client: Client,
    done: Recent,
    /// Which subscription of its inbox it came by; a newer one has a higher number.
    subscription: u64,
    /// Where the inbox is counted: it is in hand.
    held: Option<Held>,
}

impl Delivery {
    pub(super) fn new(
        raw: stomp::Delivery,
        client: Client,
        done: Recent,
        subscription: u64,
    ) -> Self {
        Self {
            envelope: match &raw.over {
                Some(limit) => Err(ParseError::NotRead(limit.clone())),
                None => Envelope::parse(&raw.body),
            },
            raw,
            client,
            done,
            subscription,
            held: None,
        }
    }

    /// The id by which it is known again; what is no envelope has none.
    #[must_use]
    pub fn id(&self) -> Option<Uuid> {
        self.envelope.as_ref().ok().map(|envelope| envelope.id)
    }

    pub(super) fn hold(&mut self, held: Held) {
        self.held = Some(held);
    }

    /// True if this is the same message, brought again because the connection that the other one came by is over: the
    /// other one can be acknowledged no more. What has no id is known by its bytes.
    pub(crate) fn replaces(&self, other: &Self) -> bool {
        let same = match (self.id(), other.id()) {
            (None, None) => {
                self.destination() == other.destination() && self.body() == other.body()
            }
            (this, other) => this == other,
        };
        same && self.subscription > other.subscription
    }

    /// The envelope, or why it is none.
    ///
    /// # Errors
    /// Why it is none; then [`Delivery::put_aside`] it.
    pub fn envelope(&self) -> Result<&Envelope, &ParseError> {
        self.envelope.as_ref()
    }

    /// Where it came from.
    #[must_use]
    pub fn destination(&self) -> &str {
        &self.raw.destination
    }

    /// A STOMP header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.raw.header(name)
    }

    /// The bytes of the message.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.raw.body
    }

    /// True if the broker says that it brought it before.
    #[must_use]
    pub fn redelivered(&self) -> bool {
        self.raw.redelivered()
    }

    /// True if a message with this id was acknowledged lately.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.envelope
            .as_ref()
            .is_ok_and(|envelope| self.done.contains(envelope.id))
    }

    /// Acknowledges it: the work is done or safely journaled. When the connection it came by is gone, the broker brings
    /// it again on the next one, where the inbox acknowledges it by its id.
    pub async fn ack(&self) {
        if let Ok(envelope) = &self.envelope {
            if self.done.contains(envelope.id) {
                tracing::debug!(id = %envelope.id, "a duplicate was folded");
            }
            self.done.insert(envelope.id, Instant::now());
        }
        if let Err(error) = self.client.ack(&self.raw).await {
            tracing::debug!(
                destination = self.raw.destination,
                error = causes(&error),
                "not acknowledged, so it comes again"
            );
        }
        if let Some(held) = &self.held {
            held.done().await;
        }
    }

    /// Publishes it as a dead letter with the reason, waits until the broker has that, and acknowledges it.
    ///
    /// # Errors
    /// When the dead letter was not confirmed; it is not acknowledged then.
    pub async fn put_aside(&self, bus: &Bus, cause: &str) -> Result<(), PublishError> {
        let raw = &self.raw;
        let headers = raw.headers.iter();
        let letter = dead_letter::write(bus.service(), cause, &raw.destination, headers, &raw.body);
        bus.publish(&letter).await?;
        bus.counts().dead_letters.inc();
        self.ack().await;
        Ok(())
    }
}
