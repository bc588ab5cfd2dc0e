//! The route of the Notification plugin: answered once the notification lasts.

use std::sync::Arc;

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chassis::{Bus, Failure, Start, causes};
use subtle::ConstantTimeEq;

use crate::{
    Settings,
    notice::{BODY_BYTES, read},
    settings::Receiver,
    work::{Desk, Refused},
};

#[derive(Debug, Clone)]
struct App {
    bus: Bus,
    desk: Desk,
    word: Option<Arc<str>>,
}

pub(crate) fn router(
    start: &Start<Settings>,
    receiver: &Receiver,
    desk: Desk,
) -> Result<Router, Failure> {
    let word = match &receiver.word_file {
        None => None,
        Some(file) => {
            let wrong = |why: &str| {
                Failure::Settings(format!("receiver.word_file {}: {why}", file.display()))
            };
            let bytes = start
                .world
                .disk
                .read(file)
                .map_err(|error| wrong(&error.to_string()))?;
            let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
            let text = text.trim();
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if text.len() < 16 || !text.chars().all(fits) {
                return Err(wrong("it must have at least 16 letters, digits, - and _"));
            }
            Some(Arc::from(text))
        }
    };
    let app = App {
        bus: start.bus.clone(),
        desk,
        word,
    };
    Ok(Router::new()
        .route("/notify", post(without_word))
        .route("/notify/{word}", post(with_word))
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .route("/healthz", get(health))
        .with_state(app))
}

async fn health(State(app): State<App>) -> Response {
    if *app.bus.connected().borrow() {
        (StatusCode::OK, "connected to the bus\n").into_response()
    } else {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            "not connected to the bus\n",
        )
            .into_response()
    }
}

async fn without_word(State(app): State<App>, body: Bytes) -> Response {
    match app.word {
        None => taken(&app.desk, &body).await,
        Some(_) => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn with_word(State(app): State<App>, Path(word): Path<String>, body: Bytes) -> Response {
    let fits = |own: &Arc<str>| bool::from(own.as_bytes().ct_eq(word.as_bytes()));
    if app.word.as_ref().is_some_and(fits) {
        taken(&app.desk, &body).await
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}

async fn taken(desk: &Desk, body: &[u8]) -> Response {
    let notice = match read(body) {
        Ok(Some(notice)) => notice,
        Ok(None) => return (StatusCode::ACCEPTED, "nothing to tell yet\n").into_response(),
        Err(error) => {
            let why = causes(&error);
            tracing::warn!(why, "a notification was refused");
            return (StatusCode::BAD_REQUEST, format!("{why}\n")).into_response();
        }
    };
    match desk.take(notice).await {
        Ok(()) => (StatusCode::ACCEPTED, "Jenkins will be asked about it\n").into_response(),
        Err(refused) => {
            let why = match refused {
                Refused::Full => "too many notifications wait".to_owned(),
                Refused::Disk(error) => format!("it cannot be kept: {error}"),
            };
            tracing::warn!(why, "a notification was not taken");
            (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response()
        }
    }
}
