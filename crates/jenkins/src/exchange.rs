//! One request and its answer, over a connection of its own.

use std::{future::pending, pin::pin, sync::Arc};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{HeaderMap, Request, body::Incoming, client::conn::http1, http::request};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use tokio::time::timeout;
use world::{Stream, World};

use crate::{Access, Trouble, access::Base, tls};

/// The longest answer that is read. Fifty builds with their parameters take some 50 kB.
const ANSWER_BYTES: usize = 4 << 20;

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Connects, sends, and reads the whole answer, each within its limit.
pub(crate) async fn exchange(
    world: &World,
    access: &Access,
    base: &Base,
    config: Option<&Arc<ClientConfig>>,
    request: request::Builder,
    body: Bytes,
) -> Result<Answer, Trouble> {
    let request = request
        .body(Full::new(body))
        .map_err(|error| Trouble::Own(format!("jenkins: the request cannot be made: {error}")))?;
    let connecting = timeout(access.connect_limit(), connect(world, base, config));
    let stream = connecting.await.map_err(|_| {
        let limit = access.connect_limit_s;
        Trouble::Unreachable(format!("no connection within {limit} s (connect_limit_s)"))
    })??;
    let talking = timeout(access.request_limit(), talk(stream, request));
    talking.await.unwrap_or_else(|_| {
        let limit = access.request_limit_s;
        Err(Trouble::Broken(format!(
            "nothing within {limit} s (request_limit_s)"
        )))
    })
}

async fn connect(
    world: &World,
    base: &Base,
    config: Option<&Arc<ClientConfig>>,
) -> Result<Box<dyn Stream>, Trouble> {
    let address = base.address();
    let stream = world.net.connect(&address).await;
    let stream = stream.map_err(|error| Trouble::Unreachable(format!("{address}: {error}")))?;
    match config {
        Some(config) => tls::over(config, &base.host, stream).await,
        None => Ok(stream),
    }
}

async fn talk(stream: Box<dyn Stream>, request: Request<Full<Bytes>>) -> Result<Answer, Trouble> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let talking = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        read(answer).await
    };
    // Its end, good or bad, shows in the answer.
    let driving = async {
        let _ended = connection.await;
        pending::<()>().await;
    };
    let (talking, driving) = (pin!(talking), pin!(driving));
    tokio::select! {
        answer = talking => answer,
        () = driving => unreachable!("it never ends"),
    }
}

async fn read(answer: hyper::Response<Incoming>) -> Result<Answer, Trouble> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Trouble::TooLong,
        None => Trouble::Broken(error.to_string()),
    })?;
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.to_bytes(),
    })
}

fn broken(error: hyper::Error) -> Trouble {
    Trouble::Broken(error.to_string())
}
