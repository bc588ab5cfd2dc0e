//! The web page: what runs where, a tag and servers to choose, Deploy and Roll back, each deploy live.
//!
//! Read: `view` (what each page shows; no I/O), `handlers` (the routes: ask the [`App`], show its answer), `form` (what
//! people send), `feed` (what happened), `live` (server-sent events), `guard` (what stands before all of it), `assets` (style and scripts).
//!
//! Reading and deploying work without JavaScript: forms are plain posts that end in a redirect. With it, the vendored
//! htmx swaps them in place and follows deploys; it selects what it needs from the same whole pages.

mod assets;
mod feed;
mod form;
mod guard;
mod handlers;
mod live;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use axum::{
    Router, middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::sync::Semaphore;

use crate::{app::App, feed::Feed, refused::Refused};

/// What every handler is given.
#[derive(Debug, Clone)]
struct Site {
    app: App,
    feed: Feed,
    /// Browsers that can still follow.
    seats: Arc<Semaphore>,
}

/// The pages. Every route is behind the check that its request is our own.
pub fn router(app: App, feed: Feed) -> Router {
    let site = Site {
        app,
        feed,
        seats: Arc::new(Semaphore::new(live::MOST)),
    };
    Router::new()
        .route("/", get(handlers::home))
        .route("/live", get(handlers::home_live))
        .route("/projects/{project}", get(handlers::project))
        .route(
            "/projects/{project}/plan",
            get(handlers::back_to_project).post(handlers::plan),
        )
        .route("/projects/{project}/deploys", post(handlers::deploy))
        .route("/deploys/{id}", get(handlers::show))
        .route("/deploys/{id}/live", get(handlers::show_live))
        .route("/deploys/{id}/output", get(handlers::output))
        .route("/deploys/{id}/{control}", post(handlers::control))
        .route("/hosts", get(handlers::hosts))
        .route("/history", get(handlers::history))
        .route("/feed", get(feed::page))
        .route("/feed/live", get(feed::live))
        .route("/static/{hash}/{name}", get(assets::serve))
        .fallback(handlers::no_such_page)
        .layer(middleware::from_fn(guard::guard))
        .with_state(site)
}

/// A refusal that is shown as a page.
#[derive(Debug)]
struct Problem(Refused);

type Answer<T> = Result<T, Problem>;

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        Self(refused)
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        view::error::page(&self.0).into_response()
    }
}
