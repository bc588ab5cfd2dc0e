//! The HTTP API: each route asks the [`App`].

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, Request, State},
    http::{HeaderName, StatusCode, header, uri::Authority},
    middleware::{self, Next},
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
    routing::{get, post},
};
use events::{HostName, NameError, ProjectName, message::Step};
use futures_util::{Stream, StreamExt};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    app::{Answer, App, Control},
    feed::{self, Feed},
    refused::{Kind, Refused},
};

/// Deploys in a list, where the request does not say.
const LISTED: usize = 20;
/// Deploys in a list at most.
const LISTED_MOST: usize = 1000;
/// So that neither end takes a quiet watch for a dead one.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

type Fields = Query<HashMap<String, String>>;

/// The whole API, for the unix socket.
pub fn api(app: App, feed: Feed) -> Router {
    routes()
        .route("/api/v1/hosts/{host}/admit", post(admit))
        .route("/api/v1/hosts/{host}/looked", post(looked))
        .route("/api/v1/plans", post(plan))
        .route("/api/v1/deploys", post(deploy))
        .route("/api/v1/deploys/{id}/{control}", post(control))
        .with_state(app)
        .merge(feed::routes(feed))
        .fallback(no_such_path)
}

/// What only reads, for loopback TCP, where a foreign page in somebody's browser can ask too.
pub fn reading(app: App, feed: Feed) -> Router {
    routes()
        .with_state(app)
        .merge(feed::routes(feed))
        .layer(middleware::from_fn(own_name_only))
}

fn routes() -> Router<App> {
    Router::new()
        .route("/api/v1/status", get(status))
        .route("/api/v1/hosts", get(hosts))
        .route("/api/v1/projects/{project}/tags", get(tags))
        .route("/api/v1/ci/{*repository}", get(ci))
        .route("/api/v1/deploys", get(list))
        .route("/api/v1/deploys/{id}", get(show))
        .route("/api/v1/deploys/{id}/watch", get(watch_deploy))
        .route("/api/v1/deploys/{id}/output", get(output))
        .route("/api/v1/deploys/{id}/lines", get(lines))
        .route("/api/v1/watch", get(watch_status))
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self.body)).into_response()
    }
}

/// A name that leads to 127.0.0.1 but is not ours belongs to a page that wants to read this one (DNS rebinding).
async fn own_name_only(request: Request, next: Next) -> Response {
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    if host.is_some_and(is_loopback) {
        return next.run(request).await;
    }
    let error = format!(
        "this API answers as localhost only, not as {:?}",
        host.unwrap_or_default()
    );
    Refused::new(Kind::NotAllowed, error).into_response()
}

/// True if a `Host` header names this machine itself.
pub(crate) fn is_loopback(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else {
        return false;
    };
    let name = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']');
    name == "localhost"
        || name
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

async fn no_such_path(request: Request) -> Refused {
    Refused::new(
        Kind::Unknown,
        format!("there is no {} {}", request.method(), request.uri().path()),
    )
}

fn name<T: std::str::FromStr<Err = NameError>>(text: &str) -> Answer<T> {
    text.parse()
        .map_err(|error| Refused::new(Kind::NotUnderstood, error))
}

fn body<T: DeserializeOwned>(bytes: &Bytes) -> Answer<T> {
    serde_json::from_slice(bytes).map_err(|error| {
        Refused::new(
            Kind::NotUnderstood,
            format!("the body is not the JSON that belongs here: {error}"),
        )
    })
}

async fn status(State(app): State<App>) -> Answer<Response> {
    Ok(Json(app.status().await?).into_response())
}

async fn hosts(State(app): State<App>) -> Answer<Response> {
    Ok(Json(app.hosts().await?).into_response())
}

async fn admit(State(app): State<App>, Path(host): Path<String>) -> Answer<Response> {
    Ok(Json(app.admit(name(&host)?).await?).into_response())
}

async fn looked(State(app): State<App>, Path(host): Path<String>) -> Answer<Response> {
    Ok(Json(app.looked(name(&host)?).await?).into_response())
}

async fn tags(State(app): State<App>, Path(project): Path<String>) -> Answer<Response> {
    Ok(Json(app.tags(name(&project)?).await?).into_response())
}

async fn plan(State(app): State<App>, bytes: Bytes) -> Answer<Response> {
    Ok(Json(app.plan(body(&bytes)?).await?).into_response())
}

async fn deploy(State(app): State<App>, bytes: Bytes) -> Answer<Response> {
    Ok(Json(app.deploy(body(&bytes)?).await?).into_response())
}

async fn ci(
    State(app): State<App>,
    Path(repository): Path<String>,
    Query(fields): Fields,
) -> Answer<Response> {
    let revision = fields.get("revision").filter(|text| !text.is_empty());
    let limit = limit(&fields)?;
    let views = app.ci(name(&repository)?, revision.cloned(), limit).await?;
    Ok(Json(views).into_response())
}

fn limit(fields: &HashMap<String, String>) -> Answer<usize> {
    match fields.get("limit").map(|text| text.parse::<usize>()) {
        None => Ok(LISTED),
        Some(Ok(limit)) => Ok(limit.min(LISTED_MOST)),
        Some(Err(_)) => Err(Refused::new(Kind::NotUnderstood, "limit is not a number")),
    }
}

async fn list(State(app): State<App>, Query(fields): Fields) -> Answer<Response> {
    let project = fields.get("project").filter(|text| !text.is_empty());
    let project: Option<ProjectName> = project.map(|text| name(text)).transpose()?;
    let limit = limit(&fields)?;
    Ok(Json(app.list(project, limit).await?).into_response())
}

async fn show(State(app): State<App>, Path(id): Path<String>) -> Answer<Response> {
    Ok(Json(app.show(&id).await?).into_response())
}

async fn output(
    State(app): State<App>,
    Path(id): Path<String>,
    Query(fields): Fields,
) -> Answer<Response> {
    let given = |key: &str| fields.get(key).filter(|text| !text.is_empty());
    let host: Option<HostName> = given("host").map(|text| name(text)).transpose()?;
    let step = given("step").map(|text| step(text)).transpose()?;
    Ok(Json(app.output(&id, host, step).await?).into_response())
}

fn step(text: &str) -> Answer<Step> {
    let word = serde_json::Value::String(text.to_owned());
    serde_json::from_value(word)
        .map_err(|error| Refused::new(Kind::NotUnderstood, format!("step: {error}")))
}

async fn lines(State(app): State<App>, Path(id): Path<String>) -> Answer<Response> {
    Ok(Json(app.lines(&id).await?).into_response())
}

async fn control(
    State(app): State<App>,
    Path((id, word)): Path<(String, String)>,
) -> Answer<Response> {
    let control = match word.as_str() {
        "abort" => Control::Abort,
        "pause" => Control::Pause,
        "resume" => Control::Resume,
        _ => {
            let error = format!("{word:?} is nothing that can be done with a deploy");
            return Err(Refused::new(Kind::Unknown, error).exists(["abort", "pause", "resume"]));
        }
    };
    Ok(Json(app.control(&id, control).await?).into_response())
}

async fn watch_deploy(State(app): State<App>, Path(id): Path<String>) -> Answer<Response> {
    Ok(events("deploy", app.watch_deploy(&id).await?))
}

async fn watch_status(State(app): State<App>) -> Response {
    events("status", app.watch_status())
}

/// Each value is whole and newer than the one before, so whoever missed some needs nothing but the next.
fn events<T: Serialize + Send + Sync + 'static>(
    kind: &'static str,
    values: impl Stream<Item = Arc<T>> + Send + 'static,
) -> Response {
    let event = move |(number, value): (usize, Arc<T>)| {
        let event = Event::default().event(kind).id((number + 1).to_string());
        let json = serde_json::to_string(&*value).unwrap_or_default();
        Ok::<_, Infallible>(event.data(json))
    };
    let unbuffered = [(HeaderName::from_static("x-accel-buffering"), "no")];
    let alive = KeepAlive::new().interval(KEEP_ALIVE);
    (
        unbuffered,
        Sse::new(values.enumerate().map(event)).keep_alive(alive),
    )
        .into_response()
}
