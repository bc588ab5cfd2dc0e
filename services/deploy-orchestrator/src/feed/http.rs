//! The feed over HTTP: what was said, and what is being said.

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderName},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::get,
};
use chassis::causes;
use events::{NameError, message::Level};
use futures_util::{StreamExt, future};
use jiff::Timestamp;

use super::{Feed, FeedError, Wanted};
use crate::{
    app::Answer,
    refused::{Kind, Refused},
};

/// Lines where the request does not say.
const LISTED: usize = 100;
/// Lines at most.
const LISTED_MOST: usize = 10_000;
/// So that neither end takes a quiet feed for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Fields = Query<Vec<(String, String)>>;

/// `GET /api/v1/feed` and `GET /api/v1/feed/watch`.
pub fn routes(feed: Feed) -> Router {
    Router::new()
        .route("/api/v1/feed", get(list))
        .route("/api/v1/feed/watch", get(watch))
        .with_state(feed)
}

impl From<FeedError> for Refused {
    fn from(error: FeedError) -> Self {
        Self::new(Kind::Trouble, causes(&error))
    }
}

/// What a request asks for.
#[derive(Debug, Default)]
struct Asked {
    wanted: Wanted,
    after: Option<u64>,
    limit: Option<usize>,
}

fn not_understood(key: &str, error: impl std::fmt::Display) -> Refused {
    Refused::new(Kind::NotUnderstood, format!("{key}: {error}"))
}

fn name<T: std::str::FromStr<Err = NameError>>(key: &str, text: &str) -> Answer<T> {
    text.parse().map_err(|error| not_understood(key, error))
}

fn number<T: std::str::FromStr>(key: &str, text: &str) -> Answer<T> {
    let error = || not_understood(key, format!("{text:?} is not a number"));
    text.parse().map_err(|_| error())
}

fn asked(fields: Vec<(String, String)>) -> Answer<Asked> {
    let mut asked = Asked::default();
    let wanted = &mut asked.wanted;
    for (key, text) in fields {
        match key.as_str() {
            _ if text.is_empty() => {}
            "component" => wanted
                .components
                .push(Wanted::component(&text).map_err(|why| not_understood(&key, why))?),
            "host" => wanted.hosts.push(name(&key, &text)?),
            "event" => wanted.events.push(name(&key, &text)?),
            "project" => drop(wanted.projects.insert(name(&key, &text)?)),
            "level" => wanted.levels.append(&mut levels(&text)?),
            "since" => {
                let time = text.parse::<Timestamp>();
                wanted.since = Some(time.map_err(|error| not_understood(&key, error))?);
            }
            "after" => asked.after = Some(number(&key, &text)?),
            "limit" => asked.limit = Some(number(&key, &text)?),
            _ => {
                let error = format!("{key:?} is nothing that the feed can be asked for");
                let known = [
                    "component",
                    "host",
                    "event",
                    "project",
                    "level",
                    "since",
                    "after",
                    "limit",
                ];
                return Err(Refused::new(Kind::NotUnderstood, error).exists(known));
            }
        }
    }
    Ok(asked)
}

fn levels(text: &str) -> Answer<BTreeSet<Level>> {
    let level = |word: &str| {
        let known = Level::ALL.into_iter().find(|level| level.word() == word);
        known.ok_or_else(|| {
            let error = format!("level: {word:?} is not known");
            Refused::new(Kind::NotUnderstood, error).exists(Level::ALL.map(Level::word))
        })
    };
    text.split(',').map(level).collect()
}

async fn list(State(feed): State<Feed>, Query(fields): Fields) -> Answer<Response> {
    let Asked {
        wanted,
        after,
        limit,
    } = asked(fields)?;
    let limit = limit.unwrap_or(LISTED).min(LISTED_MOST);
    let view = match after {
        Some(after) => feed.after(&wanted, after, limit).await?,
        None => feed.newest(&wanted, limit).await?,
    };
    Ok(Json(view).into_response())
}

/// Each event has the line's number as its id: a browser that reconnects says it, and anyone else asks for what is `after` it.
async fn watch(
    State(feed): State<Feed>,
    headers: HeaderMap,
    Query(fields): Fields,
) -> Answer<Response> {
    let Asked { wanted, after, .. } = asked(fields)?;
    let last = headers.get("last-event-id");
    let last = last.and_then(|id| id.to_str().ok()?.parse::<u64>().ok());
    let newest = || *feed.changes().borrow();
    let after = last.or(after).unwrap_or_else(newest);
    let seat = Arc::clone(&feed.seats)
        .try_acquire_owned()
        .map_err(|_| Refused::new(Kind::Trouble, "too many follow the feed already"))?;
    let lines = feed.follow(wanted, after).map(move |line| {
        let _taken_until_the_stream_ends = &seat;
        line
    });
    // A feed that cannot be read ends the stream; its reader asks again.
    let lines = lines.take_while(|line| future::ready(line.is_ok()));
    let event = |line: super::FeedLine| {
        let event = Event::default().event("line").id(line.id.to_string());
        Ok::<_, Infallible>(event.data(serde_json::to_string(&line).unwrap_or_default()))
    };
    let events = lines.filter_map(move |line| future::ready(line.ok().map(event)));
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    Ok((unbuffered, Sse::new(events).keep_alive(alive)).into_response())
}
