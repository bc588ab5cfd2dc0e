//! The routes and their answers.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, FromRef, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chassis::{
    Bus, Failure, Start, causes,
    outbox::{AppendError, Outbox},
};
use events::message::Pushed;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    Settings,
    forge::{self, News, Refusal, Repositories, Said},
    webhook::{BODY_BYTES, Refused, Sources, Webhook},
};

/// What a forge is told to wait before it tries again, where it does.
const RETRY_AFTER_S: &str = "30";

/// What the handlers share.
#[derive(Debug, Clone)]
pub(crate) struct App {
    bus: Bus,
    outbox: Outbox,
    sources: Sources,
    repositories: Arc<Repositories>,
    answer_within: Duration,
}

impl FromRef<App> for Sources {
    fn from_ref(app: &App) -> Self {
        app.sources.clone()
    }
}

/// The routes.
///
/// # Errors
/// When a secret cannot be read or is empty.
pub(crate) async fn router(start: &Start<Settings>, outbox: Outbox) -> Result<Router, Failure> {
    let mut sources = HashMap::new();
    for (name, source) in &start.settings.sources {
        let secrets = source.secrets(name, &*start.world.disk)?;
        sources.insert(name.clone(), (source.kind, secrets));
    }
    let app = App {
        bus: start.bus.clone(),
        outbox,
        sources: Sources::new(sources, Arc::clone(&start.world.clock)),
        repositories: Arc::new(Repositories::new(&start.settings.repositories)),
        answer_within: start.settings.answer_within(),
    };
    let router = Router::new()
        .route("/hook/{source}", post(hook))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .route("/healthz", get(health))
        .with_state(app);
    Ok(router)
}

/// Well while it takes pushes, with or without a broker.
async fn health(State(app): State<App>) -> Response {
    let (waiting, _) = app.outbox.holds();
    let status = match app.outbox.is_full() {
        true => StatusCode::SERVICE_UNAVAILABLE,
        false => StatusCode::OK,
    };
    let connected = match *app.bus.connected().borrow() {
        true => "connected to the bus",
        false => "not connected to the bus",
    };
    (status, format!("{connected}, {waiting} wait for it\n")).into_response()
}

async fn hook(State(app): State<App>, webhook: Webhook) -> Response {
    let Webhook {
        source,
        kind,
        event,
        delivery,
        body,
    } = webhook;
    match forge::read(kind, &event, &body, &app.repositories) {
        Ok(Said::Ping) => accepted("pong"),
        Ok(Said::Unhandled) => accepted(format!(
            "nobody handles {event} events; nothing was published"
        )),
        Ok(Said::News(news)) => {
            tell(&app, &source, &delivery, news);
            accepted("told to the feed")
        }
        Ok(Said::Pushed(pushed)) => announce(&app, &source, &delivery, &pushed).await,
        Err(refusal) => {
            let why = causes(&refusal);
            tracing::warn!(source, event, delivery, why, "a hook was refused");
            Refused::new(status(&refusal), why).into_response()
        }
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

fn accepted(text: impl Into<String>) -> Response {
    let text: String = text.into();
    (StatusCode::ACCEPTED, format!("{text}\n")).into_response()
}

/// Puts a line on the feed and in the log.
fn tell(app: &App, source: &str, delivery: &str, news: News) {
    tracing::info!(source, delivery, "{}", news.text());
    app.bus
        .say(news.with("source", source).with("delivery", delivery));
}

/// Takes the pushes of a delivery, all or none; 202 once they are safe on disk.
async fn announce(app: &App, source: &str, delivery: &str, pushes: &[Pushed]) -> Response {
    let why = match timeout(app.answer_within, app.outbox.append_all(pushes)).await {
        Ok(Ok(ids)) => {
            for (pushed, id) in pushes.iter().zip(&ids) {
                tell(app, source, delivery, news(pushed, id));
            }
            let more = match ids.len() {
                0 | 1 => String::new(),
                all => format!(" and {} more", all - 1),
            };
            return accepted(format!(
                "taken as {}{more}",
                ids.first().copied().unwrap_or_default()
            ));
        }
        Ok(Err(error @ AppendError::Unsendable(_))) => {
            let why = causes(&error);
            tracing::warn!(source, delivery, why, "a hook was refused");
            return Refused::new(StatusCode::UNPROCESSABLE_ENTITY, why).into_response();
        }
        Ok(Err(error)) => causes(&error),
        Err(_) => {
            let limit_s = app.answer_within.as_secs();
            format!("the disk did not take it within {limit_s} s, answer_within_s")
        }
    };
    // The outbox says it aloud, once, when it begins and when it is over.
    tracing::debug!(source, delivery, why, "a push was not taken");
    let retry = [(header::RETRY_AFTER, RETRY_AFTER_S)];
    let text = format!("not taken: {why}\n");
    (StatusCode::SERVICE_UNAVAILABLE, retry, text).into_response()
}

/// `acme/shop refs/heads/main 737d38c599..fd489864e7, 1 commit by ann`
fn news(pushed: &Pushed, id: &Uuid) -> News {
    let moved = match (&pushed.before, &pushed.after) {
        (Some(before), Some(after)) => format!("{}..{}", before.short(), after.short()),
        (None, Some(after)) => format!("new at {}", after.short()),
        (Some(before), None) => format!("deleted, was {}", before.short()),
        (None, None) => "deleted".to_owned(),
    };
    let commits = match pushed.commits_total {
        0 => String::new(),
        1 => ", 1 commit".to_owned(),
        many => format!(", {many} commits"),
    };
    let by = pushed
        .pusher
        .as_deref()
        .map_or_else(String::new, |by| format!(" by {by}"));
    let Pushed {
        repository, name, ..
    } = pushed;
    News::new(
        "pushed",
        format!("{repository} {name} {moved}{commits}{by}"),
    )
    .with("id", id)
    .with("repository", repository)
    .with("ref", name)
    .with("before", &pushed.before)
    .with("after", &pushed.after)
    .with("commits", pushed.commits_total)
    .with("pusher", &pushed.pusher)
}
