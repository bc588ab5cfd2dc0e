//! Headers on every answer, foreign forms, rebinding.

use axum::{body::Body, http::Request};

use super::{Got, Site, values::canned};

const PLAN: &str = "action=rollback&on=web1";

/// Sends the plan's form with these headers in place of the page's own.
async fn post_with(headers: &[(&str, &str)]) -> Got {
    let mut request = Request::post("/projects/shop/plan")
        .header("content-type", "application/x-www-form-urlencoded");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Site::new(canned())
        .await
        .send(request.body(Body::from(PLAN)).unwrap())
        .await
}

#[tokio::test]
async fn every_answer_keeps_foreign_content_out() {
    let site = Site::new(canned()).await;
    let deploy = format!("/deploys/{}", site.canned.lock().unwrap().deploys[1].id);
    for path in [
        "/",
        "/projects/shop",
        "/hosts",
        "/history",
        &deploy,
        "/nothing",
        "/live-not",
    ] {
        let got = site.get(path).await;
        let policy =
            "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";
        assert_eq!(got.headers["content-security-policy"], policy, "{path}");
        assert_eq!(got.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(got.headers["referrer-policy"], "same-origin", "{path}");
        assert_eq!(got.headers["cache-control"], "no-store", "{path}");
        // What the policy would stop.
        got.hides("<style")
            .hides(" style=")
            .hides(" onclick=")
            .hides("hx-on");
        assert_eq!(
            got.body.matches("<script").count(),
            got.body.matches("<script src=").count()
        );
    }
}

#[tokio::test]
async fn a_form_of_another_site_is_refused() {
    let host = ("host", "localhost:8080");
    for foreign in [
        &[
            host,
            ("sec-fetch-site", "cross-site"),
            ("origin", "https://evil.example"),
        ][..],
        &[
            host,
            ("sec-fetch-site", "same-site"),
            ("origin", "http://localhost:9000"),
        ],
        &[host, ("origin", "http://localhost:9000")],
        &[host, ("origin", "null")],
        &[host],
        &[],
    ] {
        let got = post_with(foreign).await;
        assert_eq!(got.status, 403, "{foreign:?}");
        got.shows("was not sent by a page of this orchestrator");
    }
}

#[tokio::test]
async fn a_form_of_our_own_is_taken() {
    let host = ("host", "localhost:8080");
    for ours in [
        &[host, ("sec-fetch-site", "same-origin")][..],
        &[host, ("origin", "http://localhost:8080")],
        &[
            ("host", "127.0.0.1:8080"),
            ("origin", "http://127.0.0.1:8080"),
        ],
        &[("host", "[::1]:8080"), ("origin", "http://[::1]:8080")],
    ] {
        assert_eq!(post_with(ours).await.status, 200, "{ours:?}");
    }
}

#[tokio::test]
async fn a_name_that_somebody_let_lead_to_loopback_is_refused() {
    let site = Site::new(canned()).await;
    for host in [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "localhost.evil.example",
    ] {
        let request = Request::get("/").header("host", host);
        let got = site.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(got.status, 403, "{host}");
        got.shows("on loopback only").hides("billing");
    }
    let own = [
        ("host", "evil.example"),
        ("origin", "http://evil.example"),
        ("sec-fetch-site", "same-origin"),
    ];
    assert_eq!(post_with(&own).await.status, 403);
}
