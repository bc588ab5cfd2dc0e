//! A request as a webhook: verified over its raw bytes, then decoded, before any handler sees it.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    RequestExt,
    body::Body,
    extract::{DefaultBodyLimit, Form, FromRef, FromRequest, Path, Request},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use chassis::Secret;
use serde::Deserialize;
use tokio::{sync::Semaphore, time::timeout};
use world::Clock;

use crate::{
    forge::{Headers, Kind, Signed},
    signature,
};

/// The largest body: GitHub's cap, and what a form adds to it.
pub const BODY_BYTES: usize = 25 * 1024 * 1024 + 1024;

/// How long a body may take to arrive.
const BODY_LIMIT: Duration = Duration::from_secs(30);

/// A body up to this size is read whenever it comes.
const SMALL_BYTES: u64 = 1024 * 1024;

/// How many larger ones are read at once: what they hold in memory, before anybody knows that they are signed, is bounded.
const LARGE_AT_ONCE: usize = 4;

/// The sources that are let in, each with its secrets, the places for large bodies, and the time.
#[derive(Debug, Clone)]
pub struct Sources(
    Arc<HashMap<String, (Kind, Vec<Secret>)>>,
    Arc<Semaphore>,
    Arc<dyn Clock>,
);

impl Sources {
    pub(crate) fn new(
        sources: HashMap<String, (Kind, Vec<Secret>)>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let large = Semaphore::new(LARGE_AT_ONCE);
        Self(Arc::new(sources), Arc::new(large), clock)
    }
}

/// A request that a known source signed.
#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) source: String,
    pub(crate) kind: Kind,
    /// What happened, as the forge calls it.
    pub(crate) event: String,
    /// The forge's number for this delivery, for logs.
    pub(crate) delivery: String,
    /// The event's JSON, out of its form if it came in one. Not looked at yet.
    pub(crate) body: Bytes,
}

/// Why a request is no webhook.
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
        (self.status, format!("{}\n", self.why)).into_response()
    }
}

impl<S> FromRequest<S> for Webhook
where
    Sources: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refused;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Refused> {
        let Sources(sources, large, clock) = FromRef::from_ref(state);
        let source = request.extract_parts::<Path<String>>().await;
        let Path(source) =
            source.map_err(|error| Refused::new(error.status(), error.body_text()))?;
        let Some((kind, secrets)) = sources.get(&source) else {
            return Err(Refused::new(StatusCode::NOT_FOUND, "no such source"));
        };
        let unsigned = |wrong: signature::Wrong| {
            tracing::warn!(source, %wrong, "a hook was refused");
            Refused::new(StatusCode::UNAUTHORIZED, wrong.to_string())
        };
        let headers = request.headers();
        let Headers { event, delivery } = kind.headers(headers);
        let form = kind.form().filter(|_| is_form(headers));
        // Before the body is read: who signs nothing sends nothing.
        let claim = kind.claim(headers).map_err(unsigned)?;
        let mut body = whole_body(request, &large).await?;
        if form == Some(Signed::Payload) {
            body = out_of_form(body).await?;
        }
        let now_s = clock.now().as_second();
        signature::verify(secrets, &body, &claim, now_s).map_err(unsigned)?;
        if event.is_empty() {
            let why = format!("there is no {} header", kind.event_header());
            return Err(Refused::new(StatusCode::BAD_REQUEST, why));
        }
        if form == Some(Signed::Form) {
            body = out_of_form(body).await?;
        }
        Ok(Self {
            kind: *kind,
            event,
            delivery,
            body,
            source,
        })
    }
}

/// A header; what is not visible ASCII is as good as empty.
fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?;
    Some(value.to_str().unwrap_or_default().to_owned())
}

/// A small body is read at once; a large one, or one of unknown size, only if not too many are being read.
async fn whole_body(request: Request, large: &Semaphore) -> Result<Bytes, Refused> {
    let size = text(request.headers(), "content-length").and_then(|size| size.parse::<u64>().ok());
    let _place = match size {
        Some(size) if size <= SMALL_BYTES => None,
        _ => Some(large.try_acquire().map_err(|_| {
            let why = "too many large bodies at once; send it again";
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, why)
        })?),
    };
    match timeout(BODY_LIMIT, Bytes::from_request(request, &())).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => Err(Refused::new(error.status(), error.body_text())),
        Err(_) => {
            let why = format!("the body took longer than {} s", BODY_LIMIT.as_secs());
            Err(Refused::new(StatusCode::REQUEST_TIMEOUT, why))
        }
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

fn is_form(headers: &HeaderMap) -> bool {
    let content_type = text(headers, "content-type").unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case(FORM)
}

/// The event in a form `payload=…`, which is GitHub's default for hooks made in the browser.
async fn out_of_form(body: Bytes) -> Result<Bytes, Refused> {
    #[derive(Deserialize)]
    struct Fields {
        payload: String,
    }
    let mut request = Request::post("/")
        .header(header::CONTENT_TYPE, FORM)
        .body(Body::from(body))
        .expect("these parts are a request");
    // It was measured when it came in; the default would be 2 MB.
    DefaultBodyLimit::disable().apply(&mut request);
    match Form::<Fields>::from_request(request, &()).await {
        Ok(Form(fields)) => Ok(fields.payload.into()),
        Err(error) => {
            let why = format!(
                "the body is not a form with a payload: {}",
                error.body_text()
            );
            Err(Refused::new(StatusCode::BAD_REQUEST, why))
        }
    }
}
