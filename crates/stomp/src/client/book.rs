//! What the callers and the driver of a connection both know.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, OwnedSemaphorePermit, mpsc, oneshot},
    time::Instant,
};

use super::{Deliveries, Delivery, Ended, SendError};
use crate::frame::Frame;

#[derive(Debug, Default)]
pub(super) struct Book {
    state: Mutex<State>,
    /// Told when a subscription is to be cancelled.
    pub(super) cancelled: Notify,
}

#[derive(Debug, Default)]
struct State {
    ended: Option<Arc<str>>,
    receipts: BTreeMap<u64, Expected>,
    subscriptions: HashMap<String, Route>,
    cancelled: Vec<String>,
}

#[derive(Debug)]
struct Expected {
    /// Where it goes, without `/topic/`; empty for a frame that goes nowhere.
    name: Box<str>,
    done: oneshot::Sender<Result<(), SendError>>,
    since: Instant,
    _permit: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Route {
    deliveries: mpsc::UnboundedSender<Delivery>,
    unacknowledged: Arc<AtomicUsize>,
    prefetch: u32,
    limit: usize,
}

impl Book {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half changed by a panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why the connection is no more.
    pub(super) fn send_error(&self) -> SendError {
        let ended = self.state().ended.clone();
        SendError::Ended(ended.unwrap_or_else(|| "it is being closed".into()))
    }

    /// Notes that a receipt is to come.
    pub(super) fn expect(
        &self,
        id: u64,
        name: Box<str>,
        done: oneshot::Sender<Result<(), SendError>>,
        permit: OwnedSemaphorePermit,
    ) -> Result<(), SendError> {
        let mut state = self.state();
        if let Some(ended) = &state.ended {
            return Err(SendError::Ended(Arc::clone(ended)));
        }
        let since = Instant::now();
        let expected = Expected {
            name,
            done,
            since,
            _permit: permit,
        };
        state.receipts.insert(id, expected);
        Ok(())
    }

    /// The receipt came, or the refusal. A caller that gave up is not there to be told.
    pub(super) fn settle(&self, id: &str, outcome: Result<(), SendError>) {
        let expected = id
            .parse()
            .ok()
            .and_then(|id: u64| self.state().receipts.remove(&id));
        if let Some(expected) = expected {
            let _gave_up = expected.done.send(outcome);
        }
    }

    /// The broker refused something without saying which frame, as RabbitMQ does: it is what goes to the destination that
    /// its sentence names, in quotes.
    pub(super) fn refuse_named(&self, told: &str) {
        let named = |expected: &Expected| {
            !expected.name.is_empty() && told.contains(&format!("'{}'", expected.name))
        };
        let mut state = self.state();
        let refused = state.receipts.extract_if(.., |_, expected| named(expected));
        for (_, expected) in refused {
            let _gave_up = expected.done.send(Err(SendError::Refused(told.to_owned())));
        }
    }

    /// How long the oldest receipt is owed.
    pub(super) fn owed_for(&self) -> Option<Duration> {
        let state = self.state();
        let (_, oldest) = state.receipts.first_key_value()?;
        Some(oldest.since.elapsed())
    }

    /// Opens the way for a subscription's deliveries, before the broker is asked for them.
    pub(super) fn open(
        self: &Arc<Self>,
        id: String,
        prefetch: u32,
        limit: usize,
    ) -> Result<Deliveries, SendError> {
        let mut state = self.state();
        if let Some(ended) = &state.ended {
            return Err(SendError::Ended(Arc::clone(ended)));
        }
        if state.subscriptions.contains_key(&id) {
            let why = format!("this connection already holds the subscription {id}");
            return Err(SendError::Refused(why));
        }
        let (deliveries, queue) = mpsc::unbounded_channel();
        let route = Route {
            deliveries,
            unacknowledged: Arc::default(),
            prefetch,
            limit,
        };
        state.subscriptions.insert(id.clone(), route);
        Ok(Deliveries::new(id, queue, Arc::clone(self)))
    }

    /// Hands a MESSAGE on. It never waits: the prefetch bounds the queue, and a peer that ignores it ends the connection.
    pub(super) fn deliver(
        self: &Arc<Self>,
        message: Frame,
        over: Option<String>,
    ) -> Result<(), Ended> {
        let state = self.state();
        let id = message.header("subscription").unwrap_or_default();
        let Some(route) = state.subscriptions.get(id) else {
            // It was on its way when the subscription was cancelled; unacknowledged, it stays the broker's.
            return Ok(());
        };
        if message.header("ack").is_none() {
            return Err(Ended::NoAck(id.to_owned()));
        }
        let unacknowledged = route.unacknowledged.fetch_add(1, Ordering::Relaxed) + 1;
        if unacknowledged > route.limit {
            return Err(Ended::Overrun {
                subscription: id.to_owned(),
                unacknowledged,
                prefetch: route.prefetch,
            });
        }
        let counter = Arc::clone(&route.unacknowledged);
        let delivery = Delivery::new(message, over, counter, Arc::downgrade(self));
        let _reader_is_gone = route.deliveries.send(delivery);
        Ok(())
    }

    /// Forgets a subscription; `tell` says whether the broker is to hear of it.
    pub(super) fn close_subscription(&self, id: &str, tell: bool) {
        let mut state = self.state();
        if state.subscriptions.remove(id).is_some() && tell {
            state.cancelled.push(id.to_owned());
            drop(state);
            self.cancelled.notify_one();
        }
    }

    /// Whether a subscription is there to acknowledge for.
    pub(super) fn has_subscription(&self, id: &str) -> bool {
        self.state().subscriptions.contains_key(id)
    }

    /// The subscriptions that the broker has yet to hear the end of.
    pub(super) fn take_cancelled(&self) -> Vec<String> {
        std::mem::take(&mut self.state().cancelled)
    }

    /// The connection is no more: everybody who waits is told why. The first reason counts.
    pub(super) fn end(&self, why: &str) {
        let mut state = self.state();
        if state.ended.is_some() {
            return;
        }
        let why: Arc<str> = why.into();
        state.ended = Some(Arc::clone(&why));
        state.subscriptions.clear();
        let receipts = std::mem::take(&mut state.receipts);
        drop(state);
        for expected in receipts.into_values() {
            let _gave_up = expected.done.send(Err(SendError::Ended(Arc::clone(&why))));
        }
    }
}
