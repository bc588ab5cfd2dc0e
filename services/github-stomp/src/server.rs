//! The routes for forges and their answers.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use chassis::{Bus, causes};
use jiff::Timestamp;
use world::World;

use crate::{
    announce::{Announcer, From, NotTaken},
    body::{Held, Room},
    deliveries::{Became, Delivery, Notes, Outcome},
    fold::Told,
    forge::{self, Headers, Kind, Refusal, Repositories, Said},
    measured::Measured,
    webhook::{Refused, Sources, Webhook, receive},
};

/// Of what could not be taken, a body up to this size is kept, to be looked at and replayed.
const KEPT_BYTES: usize = 1024 * 1024;

/// Requests that nobody is known to have signed are noted so often a minute: who sends them must not push out the others.
const UNSIGNED_A_MINUTE: u32 = 60;

/// What the handlers share.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) world: World,
    pub(crate) bus: Bus,
    pub(crate) sources: Sources,
    pub(crate) repositories: Arc<Repositories>,
    pub(crate) room: Room,
    pub(crate) announcer: Announcer,
    pub(crate) notes: Notes,
    pub(crate) unsigned: Arc<Mutex<Unsigned>>,
    pub(crate) measured: Measured,
}

/// What became of a delivery, whoever brought it.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) status: StatusCode,
    pub(crate) said: String,
    pub(crate) outcome: Outcome,
    pub(crate) became: Vec<Became>,
}

/// How many requests were noted in this minute that nobody is known to have signed.
#[derive(Debug, Default)]
pub(crate) struct Unsigned {
    minute: i64,
    count: u32,
}

impl Unsigned {
    fn may(&mut self, now: Timestamp) -> bool {
        let minute = now.as_second() / 60;
        if minute != self.minute {
            *self = Self { minute, count: 0 };
        }
        self.count += 1;
        self.count <= UNSIGNED_A_MINUTE
    }
}

/// The routes.
pub(crate) fn router(app: App) -> Router {
    let metrics = app.bus.metrics().router();
    Router::new()
        .route("/hook/{source}", post(hook))
        .route("/healthz", get(health))
        .with_state(app)
        .merge(metrics)
}

/// Well while it takes pushes, with or without a broker.
async fn health(State(app): State<App>) -> Response {
    let outbox = app.announcer.outbox();
    let (waiting, _) = outbox.holds();
    let status = match outbox.is_full() {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => StatusCode::OK,
    };
    let connected = match *app.bus.connected().borrow() {
        true => "connected to the bus",
        false => "not connected to the bus",
    };
    (status, format!("{connected}, {waiting} wait for it\n")).into_response()
}

async fn hook(State(app): State<App>, Path(source): Path<String>, request: Request) -> Response {
    let (id, time) = (app.world.new_id(), app.world.clock.now());
    let mut headers = None;
    let received = receive(&app.sources, &app.room, &source, request, &mut headers).await;
    let Headers { event, delivery } = headers.unwrap_or_default();
    let (taken, body) = match received {
        Ok(Webhook { kind, body, held }) => {
            let from = From {
                told: Told::Hook,
                source: &source,
                delivery: &delivery,
            };
            let taken = app.take(from, kind, &event, &body, Again::No).await;
            (taken, Some((body, held)))
        }
        Err(refused) => (Taken::refused(refused), None),
    };
    let Taken {
        status,
        said,
        outcome,
        became,
    } = taken;
    let known = app.sources.kind(&source).map(|_| source.as_str());
    app.measured.answered(known, status.as_u16());
    let noted = Delivery {
        id,
        time,
        source: shown(&source),
        delivery,
        event,
        answer: status.as_u16(),
        replay_of: None,
        outcome,
        said: said.clone(),
        became,
        body_bytes: body.as_ref().map_or(0, |(body, _)| body.len()),
        kept_bytes: 0,
    };
    app.note(noted, body);
    match outcome {
        Outcome::Refused | Outcome::NotTaken => Refused::new(status, said).into_response(),
        _ => (status, format!("{said}\n")).into_response(),
    }
}

/// The source of a path that may name none.
fn shown(source: &str) -> String {
    let visible = source.chars().filter(char::is_ascii_graphic);
    visible.take(80).collect()
}

/// Whether a person wants a delivery to be announced once more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    No,
    Yes,
}

impl App {
    /// Reads the body of a delivery that was verified, and does what it says.
    pub(crate) async fn take(
        &self,
        from: From<'_>,
        kind: Kind,
        event: &str,
        body: &[u8],
        again: Again,
    ) -> Taken {
        let (source, delivery) = (from.source, from.delivery);
        match forge::read(kind, event, body, &self.repositories) {
            Ok(Said::Ping) => Taken::accepted(Outcome::Ignored, "pong"),
            Ok(Said::Unhandled) => {
                let said = format!("nobody handles {event} events; nothing was published");
                Taken::accepted(Outcome::Ignored, said)
            }
            Ok(Said::News(news)) => {
                self.announcer.tell(from, news);
                Taken::accepted(Outcome::Feed, "told to the feed")
            }
            Ok(Said::Pushed(pushes)) => {
                let announced = match again {
                    Again::No => self.announcer.announce(from, pushes).await,
                    Again::Yes => self.announcer.announce_again(from, pushes).await,
                };
                match announced {
                    Ok(became) => Taken::announced(became),
                    Err(why) => {
                        if let NotTaken::Never(why) = &why {
                            tracing::warn!(source, event, delivery, why, "a hook was refused");
                        }
                        Taken::not(&why)
                    }
                }
            }
            Err(refusal) => {
                let why = causes(&refusal);
                tracing::warn!(source, event, delivery, why, "a hook was refused");
                Taken::refused(Refused::new(status(&refusal), why))
            }
        }
    }

    /// Keeps a delivery, where there is room for such.
    fn note(&self, mut delivery: Delivery, body: Option<(Bytes, Held)>) {
        let Some((body, held)) = body else {
            let mut unsigned = self.unsigned.lock().unwrap_or_else(PoisonError::into_inner);
            if unsigned.may(delivery.time) {
                self.notes.add(delivery, Bytes::new(), None);
            }
            return;
        };
        let keep = match delivery.outcome {
            Outcome::Announced | Outcome::Folded => true,
            Outcome::Ignored => false,
            Outcome::Feed | Outcome::Refused | Outcome::NotTaken => body.len() <= KEPT_BYTES,
        };
        if keep {
            delivery.kept_bytes = body.len();
            self.notes.add(delivery, body, Some(held));
        } else {
            self.notes.add(delivery, Bytes::new(), None);
        }
    }
}

impl Taken {
    fn accepted(outcome: Outcome, said: impl Into<String>) -> Self {
        Self {
            status: StatusCode::ACCEPTED,
            said: said.into(),
            outcome,
            became: Vec::new(),
        }
    }

    fn announced(became: Vec<Became>) -> Self {
        let told = |outcome: Outcome, words: &str| {
            let mut those = became.iter().filter(|push| push.outcome == outcome);
            let first = those.next()?.id;
            Some(match those.count() {
                0 => format!("{words} {first}"),
                more => format!("{words} {first} and {more} more"),
            })
        };
        let taken = told(Outcome::Announced, "taken as");
        let folded = told(Outcome::Folded, "already announced as");
        let outcome = match &taken {
            None => Outcome::Folded,
            Some(_) => Outcome::Announced,
        };
        let said: Vec<String> = [taken, folded].into_iter().flatten().collect();
        Self {
            became,
            ..Self::accepted(outcome, said.join("; "))
        }
    }

    fn refused(refused: Refused) -> Self {
        let Refused { status, why } = refused;
        let outcome = match status {
            StatusCode::SERVICE_UNAVAILABLE => Outcome::NotTaken,
            _ => Outcome::Refused,
        };
        Self {
            status,
            said: why,
            outcome,
            became: Vec::new(),
        }
    }

    /// The outbox says aloud that it takes nothing, once, when that begins and when it is over.
    fn not(why: &NotTaken) -> Self {
        let status = match why {
            NotTaken::Never(_) => StatusCode::UNPROCESSABLE_ENTITY,
            NotTaken::Now(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        tracing::debug!(%why, "a push was not taken");
        Self::refused(Refused::new(status, why.to_string()))
    }
}

fn status(refusal: &Refusal) -> StatusCode {
    match refusal {
        Refusal::NotText(_) | Refusal::NotJson(_) => StatusCode::BAD_REQUEST,
        Refusal::Shape { .. } | Refusal::Name(_) | Refusal::Nothing => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
    }
}
