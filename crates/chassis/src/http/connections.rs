//! The connections of a server: so many at most, and whoever has kept us waiting for longest makes room.

use std::{
    collections::{BTreeMap, HashMap},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio_util::sync::CancellationToken;

/// All connections of one server.
#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    turns: u64,
    all: HashMap<u64, Open>,
    /// Those whose client is to send something, by the turn at which that began.
    waiting: BTreeMap<u64, u64>,
    /// True once it was said that there are too many.
    said: bool,
}

#[derive(Debug)]
struct Open {
    cut: CancellationToken,
    waiting: Option<u64>,
}

/// One connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    number: u64,
    /// Cancelled when it has to make room.
    pub(super) cut: CancellationToken,
}

impl Connections {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            held: Mutex::default(),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing is left half changed by a panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection, for which another one may have to go; none while all of them are being answered.
    pub(super) fn open(self: &Arc<Self>) -> Option<Arc<Place>> {
        let mut held = self.held();
        if held.all.len() >= self.most {
            if !std::mem::replace(&mut held.said, true) {
                let connections = self.most;
                tracing::warn!(
                    connections,
                    "too many connections: the longest idle ones make room"
                );
            }
            let (_, oldest) = held.waiting.pop_first()?;
            if let Some(open) = held.all.remove(&oldest) {
                open.cut.cancel();
            }
        } else if held.all.len() < self.most / 2 {
            held.said = false;
        }
        let number = held.next();
        let cut = CancellationToken::new();
        let open = Open {
            cut: cut.clone(),
            waiting: None,
        };
        held.all.insert(number, open);
        held.waits(number);
        Some(Arc::new(Place {
            connections: Arc::clone(self),
            number,
            cut,
        }))
    }
}

impl Held {
    fn next(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }

    fn waits(&mut self, number: u64) {
        let turn = self.next();
        if let Some(open) = self.all.get_mut(&number)
            && open.waiting.is_none()
        {
            open.waiting = Some(turn);
            self.waiting.insert(turn, number);
        }
    }

    fn works(&mut self, number: u64) {
        let turn = self
            .all
            .get_mut(&number)
            .and_then(|open| open.waiting.take());
        if let Some(turn) = turn {
            self.waiting.remove(&turn);
        }
    }
}

impl Place {
    /// It is answered: what comes next is the client's.
    pub(super) fn waits(&self) {
        self.connections.held().waits(self.number);
    }

    /// The request is there with its whole body.
    fn works(&self) {
        self.connections.held().works(self.number);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.connections.held();
        held.works(self.number);
        held.all.remove(&self.number);
    }
}

/// A request's body; its end is noted.
pub(super) fn watched(body: Body, place: Arc<Place>) -> Body {
    if body.is_end_stream() {
        place.works();
        return body;
    }
    Body::new(Watched { body, place })
}

struct Watched {
    body: Body,
    place: Arc<Place>,
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.place.works();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
