//! HTTP until a stop: an axum router on TCP or on a unix socket.

mod connections;

use std::{io, net::SocketAddr, path::Path, pin::pin, sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::{ConnectInfo, Request},
    middleware::{self, Next},
};
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use rustix::{fs::Mode, io::Errno};
use tokio::{
    net::{UnixListener, UnixStream},
    task::{JoinError, JoinSet},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use world::{Listener, Stream};

use crate::causes;
use connections::{Connections, Given, Place, watched};

/// Connections that a server has at most, unless told otherwise.
pub const CONNECTIONS: usize = 512;

/// What is read ahead of a connection; a longer head is refused with 431.
const BUFFER_BYTES: usize = 64 * 1024;

/// How long the head of a request may take.
const HEAD_LIMIT: Duration = Duration::from_secs(10);

/// The pause after a connection could not be accepted.
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// Who asks; handlers take it as `axum::extract::ConnectInfo<Peer>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Over TCP, from this address.
    Tcp(SocketAddr),
    /// Over a unix socket, from a process of this user, as the kernel says.
    Unix {
        /// The user's number.
        uid: u32,
        /// The group's number.
        gid: u32,
        /// The process, where the kernel knows it.
        pid: Option<i32>,
    },
}

/// What to serve on.
#[derive(Debug)]
pub enum Socket {
    /// From `world.net.listen`.
    Tcp(Box<dyn Listener>),
    /// From [`bind_unix`].
    Unix(UnixListener),
}

impl From<Box<dyn Listener>> for Socket {
    fn from(listener: Box<dyn Listener>) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixListener> for Socket {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

/// A unix socket at `path` with these permissions from its first moment on. One left over by a process that is gone is replaced.
///
/// # Errors
/// The system's; `AddrInUse` when a process answers there.
pub async fn bind_unix(path: &Path, mode: u32) -> io::Result<UnixListener> {
    if UnixStream::connect(path).await.is_ok() {
        let text = format!("another process serves on {}", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = Path::new(&beside);
    match rustix::fs::unlink(beside) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let listener = UnixListener::bind(beside)?;
    rustix::fs::chmod(beside, Mode::from_raw_mode(mode))?;
    rustix::fs::rename(beside, path)?;
    Ok(listener)
}

/// Serves HTTP/1.1 until the stop; requests under way then have `grace` to end, after which their connections are cut.
///
/// A connection that does not send its request's head within 10 s, or is idle for as long, is closed. There are at most
/// [`CONNECTIONS`]; see [`serve_at_most`].
pub async fn serve(
    router: Router,
    socket: impl Into<Socket>,
    stop: &CancellationToken,
    grace: Duration,
) {
    serve_at_most(CONNECTIONS, router, socket, stop, grace).await;
}

/// [`serve`] with at most so many connections. One more, and of those whose client is to send something (a head, the rest
/// of a body, the next request) or does not take what it is sent, the one that has been so for longest is cut; if all are being
/// answered, the new one is. An answer that streams is one until its end.
pub async fn serve_at_most(
    most: usize,
    router: Router,
    socket: impl Into<Socket>,
    stop: &CancellationToken,
    grace: Duration,
) {
    let socket = socket.into();
    let places = Connections::new(most);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            (stream, peer) = socket.accept() => {
                let Some(place) = places.open() else {
                    continue;
                };
                let noted = middleware::from_fn({
                    let place = Arc::clone(&place);
                    move |request, next| noted(Arc::clone(&place), request, next)
                });
                let router = router.clone().layer(noted).layer(Extension(ConnectInfo(peer)));
                connections.spawn(one_connection(stream, router, place, stop.clone()));
            }
            Some(ended) = connections.join_next() => report(ended),
            () = stop.cancelled() => break,
        }
    }
    drop(socket);
    let drained = timeout(grace, async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    });
    if drained.await.is_err() {
        tracing::warn!(
            connections = connections.len(),
            "cut: their requests did not end in time"
        );
        connections.shutdown().await;
    }
}

fn report(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a request's handler failed");
    }
}

/// Answers a request, and notes when its body is there and when the answer is at its end.
async fn noted(place: Arc<Place>, request: Request, next: Next) -> axum::response::Response {
    let request = request.map(|body| watched(body, Arc::clone(&place), true));
    let response = next.run(request).await;
    response.map(|body| watched(body, place, false))
}

async fn one_connection(
    stream: Box<dyn Stream>,
    router: Router,
    place: Arc<Place>,
    stop: CancellationToken,
) {
    let given = Given::new(stream, Arc::clone(&place));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .max_buf_size(BUFFER_BYTES)
        .serve_connection(TokioIo::new(given), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = place.cut.cancelled() => {
            tracing::debug!("an idle connection made room");
            return;
        }
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = causes(&error), "a connection broke off");
    }
}

impl Socket {
    /// The next connection. What goes wrong before one stands (too many open files) is logged and waited out.
    async fn accept(&self) -> (Box<dyn Stream>, Peer) {
        loop {
            let accepted = match self {
                Self::Tcp(listener) => listener
                    .accept()
                    .await
                    .map(|(stream, address)| (stream, Peer::Tcp(address))),
                Self::Unix(listener) => accept_unix(listener).await,
            };
            match accepted {
                Ok(accepted) => return accepted,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_AGAIN).await;
                }
            }
        }
    }
}

async fn accept_unix(listener: &UnixListener) -> io::Result<(Box<dyn Stream>, Peer)> {
    let (stream, _) = listener.accept().await?;
    let who = stream.peer_cred()?;
    let peer = Peer::Unix {
        uid: who.uid(),
        gid: who.gid(),
        pid: who.pid(),
    };
    Ok((Box::new(stream), peer))
}
