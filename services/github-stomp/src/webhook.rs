//! A request as a webhook: verified over its raw bytes, then decoded, before anybody looks at what it says.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chassis::Secret;
use world::Clock;

use crate::{
    body::{self, Held, Room},
    forge::{Headers, Kind, Signed},
    signature::{self, Claim},
};

/// What a forge is told to wait before it tries again, where it does.
const RETRY_AFTER_S: &str = "30";

/// The sources that are let in, each with its secrets, and the time. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sources(Arc<HashMap<String, (Kind, Vec<Secret>)>>, Arc<dyn Clock>);

impl Sources {
    pub(crate) fn new(
        sources: HashMap<String, (Kind, Vec<Secret>)>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self(Arc::new(sources), clock)
    }

    /// What kind of forge a source is.
    pub(crate) fn kind(&self, source: &str) -> Option<Kind> {
        Some(self.0.get(source)?.0)
    }

    /// The names of all of them.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

/// A request that a known source signed, or that it need not sign.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) kind: Kind,
    /// False where anybody may have sent it.
    pub(crate) signed: bool,
    /// The event's JSON, out of its form if it came in one. Not looked at yet.
    pub(crate) body: Bytes,
    /// How many bytes came.
    pub(crate) came: usize,
    /// The room that it takes up.
    pub(crate) held: Held,
}

/// Why a request is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: StatusCode,
    pub(crate) why: String,
}

impl Refused {
    pub(crate) fn new(status: StatusCode, why: impl Into<String>) -> Self {
        let why = why.into();
        Self { status, why }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let text = format!("{}\n", self.why);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let retry = [(header::RETRY_AFTER, RETRY_AFTER_S)];
            return (self.status, retry, text).into_response();
        }
        (self.status, text).into_response()
    }
}

/// Reads a request to a source. What its headers say about it goes into `said`, which is there when it is refused too.
pub(crate) async fn receive(
    sources: &Sources,
    room: &Room,
    source: &str,
    request: Request,
    said: &mut Option<Headers>,
) -> Result<Webhook, Refused> {
    let Some((kind, secrets)) = sources.0.get(source) else {
        return Err(Refused::new(StatusCode::NOT_FOUND, "no such source"));
    };
    let unsigned =
        |wrong: signature::Wrong| Refused::new(StatusCode::UNAUTHORIZED, wrong.to_string());
    let (parts, body) = request.into_parts();
    let headers = said.insert(kind.headers(&parts.headers));
    // Before the body is read: who signs nothing sends nothing.
    let claim = kind.claim(&parts.headers).map_err(unsigned)?;
    let size = text(&parts.headers, "content-length").parse().ok();
    let form = kind.form().filter(|_| is_form(&parts.headers));
    let (mut bytes, held) = body::read(room, size, body).await?;
    let came = bytes.len();
    let no_form = |no: body::NoForm| Refused::new(StatusCode::BAD_REQUEST, no.to_string());
    if form == Some(Signed::Payload) {
        bytes = body::out_of_form(bytes).map_err(no_form)?;
    }
    let now_s = sources.1.now().as_second();
    signature::verify(secrets, &bytes, &claim, now_s).map_err(unsigned)?;
    if headers.event.is_empty() {
        let why = format!("there is no {} header", kind.event_header());
        return Err(Refused::new(StatusCode::BAD_REQUEST, why));
    }
    if form == Some(Signed::Form) {
        bytes = body::out_of_form(bytes).map_err(no_form)?;
    }
    Ok(Webhook {
        kind: *kind,
        signed: !matches!(claim, Claim::Nobody),
        body: bytes.freeze(),
        came,
        held,
    })
}

/// A header; what is not visible ASCII is as good as empty.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let value = headers.get(name).and_then(|value| value.to_str().ok());
    value.unwrap_or_default()
}

const FORM: &str = "application/x-www-form-urlencoded";

fn is_form(headers: &HeaderMap) -> bool {
    let essence = text(headers, "content-type").split(';').next();
    essence
        .unwrap_or_default()
        .trim()
        .eq_ignore_ascii_case(FORM)
}
