//! The connections of a server: so many at most, and whoever has kept us waiting for longest makes room.

use std::{
    collections::{BTreeMap, HashMap},
    io::{self, IoSlice},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::Bytes;
use hyper::body::{Body as _, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;
use world::Stream;

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
    /// Those whose client is to send or take something, by the turn at which that began.
    waiting: BTreeMap<u64, u64>,
    /// True once it was said that there are too many.
    said: bool,
}

#[derive(Debug)]
struct Open {
    cut: CancellationToken,
    turn: Turn,
    waiting: Option<u64>,
}

/// Who is to do something next.
#[derive(Debug, Default)]
struct Turn {
    /// The request is there with its whole body, and its answer is not at its end. One that streams may be silent for long.
    answering: bool,
    /// The client does not take what is there for it.
    full: bool,
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
            turn: Turn::default(),
            waiting: None,
        };
        held.all.insert(number, open);
        held.changes(number, |_| {});
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

    /// Notes whose turn it is by now.
    fn changes(&mut self, number: u64, change: impl FnOnce(&mut Turn)) {
        let now = self.next();
        let Some(open) = self.all.get_mut(&number) else {
            return;
        };
        change(&mut open.turn);
        match (open.waiting, open.turn.is_the_clients()) {
            (None, true) => {
                open.waiting = Some(now);
                self.waiting.insert(now, number);
            }
            (Some(since), false) => {
                open.waiting = None;
                self.waiting.remove(&since);
            }
            _ => {}
        }
    }
}

impl Turn {
    fn is_the_clients(&self) -> bool {
        !self.answering || self.full
    }
}

impl Place {
    fn changes(&self, change: impl FnOnce(&mut Turn)) {
        self.connections.held().changes(self.number, change);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.connections.held();
        let open = held.all.remove(&self.number);
        if let Some(since) = open.and_then(|open| open.waiting) {
            held.waiting.remove(&since);
        }
    }
}

/// A body of a request, after which it is for us to answer, or of an answer, after which what comes next is the client's. At its
/// end that is noted, or when it is given up.
pub(super) fn watched(body: Body, place: Arc<Place>, answering_then: bool) -> Body {
    let mut watched = Watched {
        body,
        place,
        answering_then: Some(answering_then),
    };
    watched.look();
    Body::new(watched)
}

struct Watched {
    body: Body,
    place: Arc<Place>,
    /// Until it is noted.
    answering_then: Option<bool>,
}

impl Watched {
    fn look(&mut self) {
        if self.body.is_end_stream() {
            self.ends();
        }
    }

    fn ends(&mut self) {
        if let Some(answering) = self.answering_then.take() {
            self.place.changes(|turn| turn.answering = answering);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.ends();
    }
}

impl hyper::body::Body for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        match frame {
            Poll::Ready(None) => self.ends(),
            _ => self.look(),
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

/// A connection's stream; notes when the client does not take what it is given.
pub(super) struct Given {
    stream: Box<dyn Stream>,
    place: Arc<Place>,
    full: bool,
}

impl Given {
    pub(super) fn new(stream: Box<dyn Stream>, place: Arc<Place>) -> Self {
        let full = false;
        Self {
            stream,
            place,
            full,
        }
    }

    fn noted<T>(&mut self, written: Poll<T>) -> Poll<T> {
        if self.full != written.is_pending() {
            self.full = written.is_pending();
            let full = self.full;
            self.place.changes(|turn| turn.full = full);
        }
        written
    }
}

impl AsyncRead for Given {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Given {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
