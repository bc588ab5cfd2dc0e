//! The page of what happened.

use axum::{body::Body, http::Request};
use events::message::{Level, Said};
use futures_util::StreamExt;
use tower::ServiceExt;
use uuid::Uuid;

use super::{Site, values::canned};
use crate::feed::New;

impl Site {
    async fn hears(&self, number: u128, host: &str, said: Said) {
        let line = said.line("stomp-git".parse().unwrap(), &host.parse().unwrap());
        let (message, said) = (Uuid::from_u128(number), super::values::at(0));
        let new = New {
            message,
            said,
            line,
        };
        self.feed.keep(vec![new]).await.unwrap();
    }
}

async fn told() -> Site {
    let site = Site::new(canned()).await;
    let evil = Said::new("changed", "shop <script>alert(1)</script>").with("repository", "shop");
    site.hears(1, "web1", evil).await;
    let red = Said::new("problem", "shop cannot be fetched").level(Level::Problem);
    site.hears(2, "web2", red).await;
    site
}

#[tokio::test]
async fn the_page_shows_lines_newest_first_and_escapes_them() {
    let got = told().await.get("/feed").await;
    assert_eq!(got.status, 200);
    got.shows("web1: shop &#60;script&#62;alert(1)&#60;/script&#62;")
        .shows("⚠</span> problem")
        .shows("<a href=\"/feed?trouble=yes\">")
        .hides("<script>");
    let at = |text: &str| got.body.find(text).unwrap();
    assert!(at("web2: shop") < at("web1: shop"));
}

#[tokio::test]
async fn lines_are_chosen_by_host_project_and_trouble() {
    let site = told().await;
    let trouble = site.get("/feed?trouble=yes").await;
    trouble.shows("web2: shop").hides("web1: shop");
    let host = site.get("/feed?host=web1").await;
    host.shows("web1: shop").hides("web2: shop");
    let project = site.get("/feed?project=shop").await;
    project.shows("web1: shop").hides("web2: shop");
    let got = site.get("/feed?host=%22onload%3Dx").await;
    assert_eq!(got.status, 400);
    got.hides("\"onload");
}

#[tokio::test]
async fn an_empty_feed_says_so() {
    let site = Site::new(canned()).await;
    site.get("/feed").await.shows("<p>Nothing yet.</p>");
}

#[tokio::test]
async fn a_page_that_follows_gets_all_at_once_and_again_with_each_line() {
    let site = told().await;
    let request = Request::get("/feed/live").header("host", "localhost");
    let request = request.body(Body::empty()).unwrap();
    let response = site.router.clone().oneshot(request).await.unwrap();
    let mut events = response.into_body().into_data_stream();
    let mut next = async || {
        let event = events.next().await.unwrap().unwrap();
        String::from_utf8(event.to_vec()).unwrap()
    };
    assert!(next().await.contains("web2: shop"));
    site.hears(3, "web3", Said::new("changed", "more")).await;
    assert!(next().await.contains("web3: more"));
}
