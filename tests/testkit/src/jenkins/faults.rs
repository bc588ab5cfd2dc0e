//! What the double does wrong when a test wants it to.

use std::{future::pending, io};

use axum::{
    body::{Body, Bytes},
    http::header,
    response::Response,
};
use futures_util::stream;

use super::routes::page;

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JenkinsFault {
    /// This status with an HTML page.
    Status(u16),
    /// 503 with `Retry-After`, seconds.
    NotReady(u64),
    /// 200 with an HTML page, as from a proxy that wants a login.
    Html,
    /// 302 to a page to log in.
    LoginRedirect,
    /// 200 and JSON that breaks off.
    Garbage,
    /// 200 and JSON without end.
    Endless,
    /// No answer, ever; nothing is done.
    Hang,
    /// The connection is cut; nothing is done.
    Cut,
    /// It is done, then the connection is cut.
    CutAfter,
    /// It is done, then there is no answer, ever.
    HangAfter,
}

impl JenkinsFault {
    /// True if the request still has its effect.
    pub(super) fn acts(&self) -> bool {
        matches!(self, Self::CutAfter | Self::HangAfter)
    }

    pub(super) async fn answer(&self) -> Response {
        match self {
            Self::Status(status) => page(
                *status,
                "Oops! A problem occurred while processing the request.",
            ),
            Self::NotReady(seconds) => {
                let mut response = page(503, "Please wait while Jenkins is getting ready to work");
                response
                    .headers_mut()
                    .insert(header::RETRY_AFTER, (*seconds).into());
                response
            }
            Self::Html => page(200, "Log in to continue"),
            Self::LoginRedirect => {
                let response = Response::builder()
                    .status(302)
                    .header(header::LOCATION, "/securityRealm/commenceLogin");
                response.body(Body::empty()).expect("an answer")
            }
            Self::Garbage => json(Body::from("{\"number\":1,\"build")),
            Self::Endless => {
                let piece = Bytes::from_static(&[b' '; 64 * 1024]);
                json(Body::from_stream(stream::repeat_with(move || {
                    Ok::<_, io::Error>(piece.clone())
                })))
            }
            Self::Hang | Self::HangAfter => pending().await,
            Self::Cut | Self::CutAfter => {
                let cut =
                    stream::iter([Err::<Bytes, _>(io::Error::other("cut, as the test asked"))]);
                json(Body::from_stream(cut))
            }
        }
    }
}

fn json(body: Body) -> Response {
    let response =
        Response::builder().header(header::CONTENT_TYPE, "application/json;charset=utf-8");
    response.body(body).expect("an answer")
}
