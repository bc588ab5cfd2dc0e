//! Pages that follow what happens, by server-sent events.
//!
//! Each event is the whole of what can change, as HTML that htmx morphs into the page: a browser that missed some needs
//! nothing but the newest, so there are no event ids. `end` is the last event of a deploy that has ended; a stream that
//! ends without it was cut, and the browser asks again.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    http::HeaderName,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt};
use tokio::sync::Semaphore;

use crate::refused::{Kind, Refused};

/// So that a proxy does not take silence for the end.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// The least time between two events of a page that follows the feed, so that a burst of lines is one.
pub(super) const COALESCE: Duration = Duration::from_millis(200);
/// Browsers that can follow at once.
pub(super) const MOST: usize = 200;

/// The part of a page that changed.
pub(super) fn change(html: &str) -> Event {
    Event::default().data(html)
}

/// Nothing more will change.
pub(super) fn end() -> Event {
    Event::default().event("end").data("-")
}

/// Sends the events, if there is a seat.
pub(super) fn follow(
    seats: &Arc<Semaphore>,
    events: impl Stream<Item = Event> + Send + 'static,
) -> Result<Response, Refused> {
    let seat = Arc::clone(seats).try_acquire_owned().map_err(|_| {
        Refused::new(Kind::Trouble, format!("{MOST} pages follow already"))
            .next("close some, or load this page again by hand")
    })?;
    let events = events.map(move |event| {
        let _taken_until_the_stream_ends = &seat;
        Ok::<_, Infallible>(event)
    });
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok((unbuffered, Sse::new(events).keep_alive(alive)).into_response())
}
