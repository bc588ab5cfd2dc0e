//! What `deploykit webhooks` asks, over a unix socket that only this service's user and root can open.

use std::{io, path::PathBuf};

use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    announce::From,
    deliveries::{Became, Delivery, Kept, Outcome, shelf},
    fold::Told,
    server::{Again, App},
};

/// How many deliveries one answer lists at most.
pub const MOST: usize = 10_000;

/// Which deliveries are asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Asked {
    /// At most so many, the newest.
    pub most: usize,
    /// Only of this source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Only of which this became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

impl Asked {
    fn wants(&self, delivery: &Delivery) -> bool {
        let source = self.source.as_ref();
        source.is_none_or(|source| *source == delivery.source)
            && self
                .outcome
                .is_none_or(|outcome| outcome == delivery.outcome)
    }
}

/// What a replay did.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Replayed {
    /// Under which it is listed.
    pub id: Uuid,
    /// Of which delivery.
    pub of: Uuid,
    /// What became of it.
    pub outcome: Outcome,
    /// In words.
    pub said: String,
    /// Its pushes with their new ids.
    pub became: Vec<Became>,
}

/// What was asked for cannot be done.
#[derive(Debug)]
struct Wrong {
    status: StatusCode,
    error: String,
}

impl Wrong {
    fn new(status: StatusCode, error: impl Into<String>) -> Self {
        let error = error.into();
        Self { status, error }
    }

    fn disk(error: &io::Error) -> Self {
        let text = format!("cannot read the deliveries: {error}");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }
}

impl IntoResponse for Wrong {
    fn into_response(self) -> Response {
        let Self { status, error } = self;
        (status, Json(serde_json::json!({ "error": error }))).into_response()
    }
}

#[derive(Debug, Clone)]
struct Desk {
    app: App,
    folder: PathBuf,
}

/// The routes over the deliveries of this folder.
pub(crate) fn router(app: App, folder: PathBuf) -> Router {
    Router::new()
        .route("/api/v1/deliveries", get(list))
        .route("/api/v1/deliveries/{id}", get(show))
        .route("/api/v1/deliveries/{id}/body", get(body))
        .route("/api/v1/deliveries/{id}/replay", post(replay))
        .with_state(Desk { app, folder })
}

async fn list(
    State(desk): State<Desk>,
    Query(asked): Query<Asked>,
) -> Result<Json<Vec<Delivery>>, Wrong> {
    let folder = desk.folder;
    let most = asked.most.min(MOST);
    let newest = desk
        .app
        .world
        .on_disk(move |disk| shelf::newest(disk, &folder, most, |delivery| asked.wants(delivery)));
    newest.await.map(Json).map_err(|error| Wrong::disk(&error))
}

async fn show(State(desk): State<Desk>, Path(id): Path<Uuid>) -> Result<Json<Delivery>, Wrong> {
    Ok(Json(desk.find(id).await?.0))
}

async fn body(State(desk): State<Desk>, Path(id): Path<Uuid>) -> Result<Vec<u8>, Wrong> {
    let (delivery, body) = desk.find(id).await?;
    kept(&delivery)?;
    Ok(body)
}

/// The body goes the way of a new one, but for its signature and for what was announced before.
async fn replay(State(desk): State<Desk>, Path(of): Path<Uuid>) -> Result<Json<Replayed>, Wrong> {
    let (delivery, body) = desk.find(of).await?;
    kept(&delivery)?;
    let app = &desk.app;
    let Delivery { source, event, .. } = &delivery;
    let Some(kind) = app.sources.kind(source) else {
        let why = format!("there is no source {source} in the settings any more");
        return Err(Wrong::new(StatusCode::CONFLICT, why));
    };
    let from = From {
        told: Told::Hook,
        source,
        delivery: &delivery.delivery,
    };
    let (id, time) = (app.world.new_id(), app.world.clock.now());
    let taken = app.take(from, kind, event, &body, Again::Yes).await;
    app.notes.add(
        Delivery {
            id,
            time,
            source: source.clone(),
            delivery: delivery.delivery.clone(),
            event: event.clone(),
            replay_of: Some(of),
            answer: taken.status.as_u16(),
            outcome: taken.outcome,
            said: taken.said.clone(),
            became: taken.became.clone(),
            body_bytes: body.len(),
            kept_bytes: 0,
        },
        Kept::default(),
    );
    Ok(Json(Replayed {
        id,
        of,
        outcome: taken.outcome,
        said: taken.said,
        became: taken.became,
    }))
}

impl Desk {
    async fn find(&self, id: Uuid) -> Result<(Delivery, Vec<u8>), Wrong> {
        let folder = self.folder.clone();
        let found = self
            .app
            .world
            .on_disk(move |disk| shelf::find(disk, &folder, id));
        let found = found.await.map_err(|error| Wrong::disk(&error))?;
        found.ok_or_else(|| {
            let why = format!("there is no delivery {id}; it may be too old");
            Wrong::new(StatusCode::NOT_FOUND, why)
        })
    }
}

fn kept(delivery: &Delivery) -> Result<(), Wrong> {
    if delivery.kept_bytes == 0 {
        let why = format!("the body of {} was not kept", delivery.id);
        return Err(Wrong::new(StatusCode::CONFLICT, why));
    }
    Ok(())
}
