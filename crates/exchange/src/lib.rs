#![doc = include_str!("../README.md")]

mod address;

use std::{future::pending, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::{HeaderMap, Request, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use world::{Stream, World};

pub use address::{Address, NoAddress};

/// Whom to ask.
#[derive(Debug, Clone, Copy)]
pub struct Peer<'a> {
    /// `host:port`.
    pub address: &'a str,
    /// The host, whom a certificate must be for.
    pub host: &'a str,
    /// With TLS.
    pub tls: Option<&'a Arc<ClientConfig>>,
}

/// How long it may take, and how much may come.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// TCP and TLS.
    pub connect: Duration,
    /// From the request to the end of the answer.
    pub answer: Duration,
    /// The longest answer that is read.
    pub bytes: usize,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Failed {
    /// Nobody is there: nothing was sent.
    #[error("{0}")]
    NotConnected(String),
    /// No connection within this limit: nothing was sent.
    #[error("no connection within {} s", .0.as_secs())]
    ConnectLate(Duration),
    /// It was cut, or is no HTTP; the request may have arrived.
    #[error("{0}")]
    Broken(String),
    /// No whole answer within this limit; the request may have arrived.
    #[error("nothing within {} s", .0.as_secs())]
    Late(Duration),
    /// The answer is longer than is read.
    #[error("the answer is too long")]
    TooLong,
    /// No certificate can be for the host.
    #[error("no certificate can be for its host")]
    Host,
}

/// Connects, sends, and reads the whole answer.
///
/// # Errors
/// See [`Failed`].
pub async fn exchange(
    world: &World,
    peer: Peer<'_>,
    limits: Limits,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Failed> {
    let connecting = timeout(limits.connect, connect(world, peer)).await;
    let stream = connecting.map_err(|_| Failed::ConnectLate(limits.connect))??;
    let talking = timeout(limits.answer, talk(stream, limits.bytes, request)).await;
    talking.map_err(|_| Failed::Late(limits.answer))?
}

async fn connect(world: &World, peer: Peer<'_>) -> Result<Box<dyn Stream>, Failed> {
    let stream = world.net.connect(peer.address).await;
    let stream = stream.map_err(|error| Failed::NotConnected(error.to_string()))?;
    let Some(config) = peer.tls else {
        return Ok(stream);
    };
    let name = ServerName::try_from(peer.host.to_owned()).map_err(|_| Failed::Host)?;
    let connector = TlsConnector::from(Arc::clone(config));
    match connector.connect(name, stream).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(error) => Err(Failed::NotConnected(format!("TLS: {error}"))),
    }
}

async fn talk(
    stream: Box<dyn Stream>,
    most: usize,
    request: Request<Full<Bytes>>,
) -> Result<Answer, Failed> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(broken)?;
    let talking = async {
        let answer = sender.send_request(request).await.map_err(broken)?;
        read(answer, most).await
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

async fn read(answer: hyper::Response<Incoming>, most: usize) -> Result<Answer, Failed> {
    let (head, body) = answer.into_parts();
    let body = Limited::new(body, most).collect().await;
    let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
        Some(_) => Failed::TooLong,
        None => Failed::Broken(error.to_string()),
    })?;
    Ok(Answer {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.to_bytes(),
    })
}

fn broken(error: hyper::Error) -> Failed {
    Failed::Broken(error.to_string())
}
