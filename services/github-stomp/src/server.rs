//! The routes for forges and their answers.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chassis::{Bus, causes};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{
    announce::{Announcer, From, NotTaken},
    body::Room,
    deliveries::{Became, Delivery, Kept, Notes, Outcome},
    fold::Told,
    forge::{self, Headers, Kind, Refusal, Repositories, Said},
    measured::{Measured, NO_SOURCE},
    strangers::Strangers,
    webhook::{Refused, Sources, Webhook, receive},
};

/// Of what is no push that was or is to be announced, a body up to this size is kept.
const KEPT_BYTES: usize = 1024 * 1024;

/// How often it is looked what was not said yet of strangers.
const LOOK: Duration = Duration::from_secs(10);

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
    pub(crate) strangers: Arc<Mutex<Strangers>>,
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
    let known = app.sources.kind(&source).map(|_| source.as_str());
    let (taken, webhook) = match received {
        Ok(webhook) => {
            let from = From {
                told: Told::Hook,
                source: &source,
                delivery: &delivery,
            };
            let Webhook { kind, body, .. } = &webhook;
            let taken = app.take(from, *kind, &event, body, Again::No).await;
            (taken, Some(webhook))
        }
        Err(refused) => (Taken::refused(refused), None),
    };
    let Taken {
        status,
        said,
        outcome,
        became,
    } = taken;
    let refused = matches!(outcome, Outcome::Refused | Outcome::NotTaken);
    if webhook.as_ref().is_none_or(|webhook| !webhook.signed) {
        if refused {
            app.refused_a_stranger(known, &said);
        }
    } else if outcome == Outcome::Refused {
        // What was not taken the outbox tells, once, when that begins and when it is over.
        tracing::warn!(source, event, delivery, why = said, "a hook was refused");
    }
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
        body_bytes: webhook.as_ref().map_or(0, |webhook| webhook.body.len()),
        kept_bytes: 0,
    };
    app.note(noted, webhook);
    match refused {
        true => Refused::new(status, said).into_response(),
        false => (status, format!("{said}\n")).into_response(),
    }
}

/// Logs what was not said yet of strangers when it is due, and at the stop the rest.
pub(crate) async fn tell_of_strangers(
    strangers: &Mutex<Strangers>,
    world: &World,
    stop: &CancellationToken,
) {
    let mut look = interval(LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        let due = held(strangers).due(world.clock.now());
        due.iter().for_each(|line| line.log());
    }
    let rest = held(strangers).rest();
    rest.iter().for_each(|line| line.log());
}

fn held(strangers: &Mutex<Strangers>) -> MutexGuard<'_, Strangers> {
    // Nothing is left half changed by a panic.
    strangers.lock().unwrap_or_else(PoisonError::into_inner)
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
                    Err(why) => Taken::not(&why),
                }
            }
            Err(refusal) => Taken::refused(Refused::new(status(&refusal), causes(&refusal))),
        }
    }

    /// Says that a request was refused that nobody is known to have signed, unless it was said just now of another one.
    fn refused_a_stranger(&self, known: Option<&str>, why: &str) {
        let (source, now) = (known.unwrap_or(NO_SOURCE), self.world.clock.now());
        let line = held(&self.strangers).refused(source, why, now);
        if let Some(line) = line {
            line.log();
        }
    }

    /// Keeps a delivery, where it is one to be kept.
    fn note(&self, delivery: Delivery, webhook: Option<Webhook>) {
        let Some(webhook) = webhook.filter(|webhook| webhook.signed) else {
            if held(&self.strangers).may_note(delivery.time) {
                self.notes.add(delivery, Kept::default());
            }
            return;
        };
        let Webhook {
            body, came, held, ..
        } = webhook;
        let keep = match delivery.outcome {
            Outcome::Announced | Outcome::Folded | Outcome::NotTaken => true,
            Outcome::Ignored => false,
            Outcome::Feed | Outcome::Refused => body.len() <= KEPT_BYTES,
        };
        let kept = match keep {
            true => Kept { body, takes: came },
            false => Kept::default(),
        };
        self.notes.add(delivery, kept);
        // The next hook need not wait until it is written.
        drop(held);
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
        let outcome = Outcome::of(&became);
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
