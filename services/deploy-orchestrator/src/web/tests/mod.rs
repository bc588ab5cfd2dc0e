//! What the pages promise, through the router and in front of an orchestrator that answers from values.

mod canned;
mod feed;
mod forms;
mod guard;
mod pages;
mod values;
mod vendor;

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, header},
};
use canned::Canned;
use testkit::Folder;
use tower::ServiceExt;
use world::World;

use crate::feed::{Feed, Keep};

/// The pages with what is behind them.
struct Site {
    router: Router,
    canned: Arc<Mutex<Canned>>,
    changed: tokio::sync::watch::Sender<u64>,
    feed: Feed,
    _folder: Folder,
}

/// What a browser gets.
struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Site {
    async fn new(canned: Canned) -> Self {
        let (app, canned, changed) = canned::app(canned);
        let folder = Folder::new();
        let keep = Keep {
            lines: 1000,
            days: 30,
        };
        let feed = Feed::open(&World::real(), folder.path(), keep).await;
        let feed = feed.unwrap();
        Self {
            router: super::router(app, feed.clone()),
            canned,
            changed,
            feed,
            _folder: folder,
        }
    }

    async fn send(&self, request: Request<Body>) -> Got {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        Got {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    async fn get(&self, path: &str) -> Got {
        let request = Request::get(path).header(header::HOST, "localhost:8080");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// As the page's own form is sent.
    async fn post(&self, path: &str, form: &str) -> Got {
        let request = Request::post(path)
            .header(header::HOST, "localhost:8080")
            .header(header::ORIGIN, "http://localhost:8080")
            .header("sec-fetch-site", "same-origin")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.to_owned())).unwrap())
            .await
    }
}

impl Got {
    #[track_caller]
    fn shows(&self, text: &str) -> &Self {
        assert!(
            self.body.contains(text),
            "{text:?} is not in:\n{}",
            self.body
        );
        self
    }

    #[track_caller]
    fn hides(&self, text: &str) -> &Self {
        assert!(!self.body.contains(text), "{text:?} is in:\n{}", self.body);
        self
    }

    /// The value of a hidden field.
    fn field(&self, name: &str) -> String {
        let begin = format!("name=\"{name}\" value=\"");
        let (_, rest) = self.body.split_once(&begin).expect("the field is there");
        rest.split('"').next().unwrap().to_owned()
    }
}
