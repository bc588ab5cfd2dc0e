//! What stands before every page: headers that keep foreign content out, and a check that a form is our own.
//!
//! There is no login yet, so the page is served on loopback only. A foreign page in the same browser can still send
//! requests there, under its own name (caught by `Sec-Fetch-Site` and `Origin`) or under a name of its own that it lets
//! lead to 127.0.0.1 (caught by `Host`).

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::view;
use crate::{
    http::is_loopback,
    refused::{Kind, Refused},
};

const POLICY: &str =
    "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// The layer.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let mut response = match check(request.method(), request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => view::error::page(&refused).into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(POLICY),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    // Not `no-referrer`: with it, browsers send `Origin: null` for our own forms.
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("same-origin"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn check(method: &Method, headers: &HeaderMap) -> Result<(), Refused> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let host = text(header::HOST);
    if let Some(host) = host.filter(|host| !is_loopback(host)) {
        let error = format!("this page answers on loopback only, not as {host:?}");
        return Err(Refused::new(Kind::NotAllowed, error).next(
            "open it as http://localhost:PORT/, from elsewhere through ssh -L PORT:localhost:PORT",
        ));
    }
    if method.is_safe() {
        return Ok(());
    }
    let ours = match (
        text(header::HeaderName::from_static("sec-fetch-site")),
        text(header::ORIGIN),
    ) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => host.is_some_and(|host| {
            origin
                .strip_prefix("http://")
                .or(origin.strip_prefix("https://"))
                == Some(host)
        }),
        (None, None) => false,
    };
    if ours {
        return Ok(());
    }
    let error = "this form was not sent by a page of this orchestrator, so nothing was done";
    Err(Refused::new(Kind::NotAllowed, error)
        .next("open the page anew and press the button there, or use the command line"))
}
