//! Serving HTTP: who asks, and what a stop waits for.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::ConnectInfo, routing::get};
use chassis::http::{Peer, bind_unix, serve, serve_at_most};
use futures_util::stream;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::UnixStream,
    sync::mpsc,
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use world::{Boxed, Listener, Stream};

use crate::peer::until;

/// No test here takes longer, in real time.
async fn within<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(20);
    tokio::time::timeout(limit, future)
        .await
        .expect("it happens within the limit")
}

/// `/late` answers once a stop is under way, `/never` does not; both count that they have begun.
fn router(stop: &CancellationToken, begun: &Arc<AtomicUsize>) -> Router {
    let who = |ConnectInfo(peer): ConnectInfo<Peer>| async move { format!("{peer:?}") };
    let (stop, late, never) = (stop.clone(), Arc::clone(begun), Arc::clone(begun));
    let late = || async move {
        late.fetch_add(1, Ordering::Relaxed);
        stop.cancelled().await;
        "late"
    };
    let never = || async move {
        never.fetch_add(1, Ordering::Relaxed);
        std::future::pending::<()>().await;
    };
    Router::new()
        .route("/who", get(who))
        .route("/late", get(late))
        .route("/never", get(never))
}

async fn ask(socket: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer.rsplit("\r\n").next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_handler_knows_who_asks_on_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let socket = bind_unix(&path, 0o600).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let stop = CancellationToken::new();
    let serving = serve(
        router(&stop, &Arc::default()),
        socket,
        &stop,
        Duration::from_secs(1),
    );
    let asking = async {
        let said = ask(&path, "/who").await;
        let (uid, pid) = (rustix::process::getuid().as_raw(), std::process::id());
        assert!(said.starts_with(&format!("Unix {{ uid: {uid},")), "{said}");
        assert!(said.ends_with(&format!("pid: Some({pid}) }}")), "{said}");
        let taken = bind_unix(&path, 0o600).await.unwrap_err();
        assert_eq!(taken.kind(), ErrorKind::AddrInUse);
        stop.cancel();
    };
    within(async { tokio::join!(serving, asking) }).await;
    // The socket file is left behind; its process serves no more, so it is replaced.
    drop(bind_unix(&path, 0o666).await.unwrap());
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_cuts_those_that_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let socket = bind_unix(&path, 0o600).await.unwrap();
    let (stop, begun) = (CancellationToken::new(), Arc::<AtomicUsize>::default());
    let grace = Duration::from_millis(300);
    let stopping = async {
        until("both are under way", || begun.load(Ordering::Relaxed) == 2).await;
        stop.cancel();
        Instant::now()
    };
    let router = router(&stop, &begun);
    let (late, never, stopped, ()) = within(async {
        tokio::join!(
            ask(&path, "/late"),
            ask(&path, "/never"),
            stopping,
            serve(router, socket, &stop, grace),
        )
    })
    .await;
    assert_eq!((late.as_str(), never.as_str()), ("late", ""));
    assert!(stopped.elapsed() >= grace);
}

/// One connection in memory, and no other.
#[derive(Debug)]
struct OneConnection(Mutex<Option<DuplexStream>>);

impl Listener for OneConnection {
    fn accept(&self) -> Boxed<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        let stream = self.0.lock().unwrap().take();
        Box::pin(async move {
            match stream {
                Some(stream) => Ok((
                    Box::new(stream) as Box<dyn Stream>,
                    ([127, 0, 0, 1], 9).into(),
                )),
                None => std::future::pending().await,
            }
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(([127, 0, 0, 1], 80).into())
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_does_not_send_its_head_is_closed() {
    let (mut client, server) = tokio::io::duplex(4096);
    let listener: Box<dyn Listener> = Box::new(OneConnection(Some(server).into()));
    let stop = CancellationToken::new();
    let router = router(&stop, &Arc::default());
    let began = Instant::now();
    let dawdling = async {
        client
            .write_all(b"GET /who HTTP/1.1\r\nhost:")
            .await
            .unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        stop.cancel();
    };
    let serving = serve(router, listener, &stop, Duration::from_secs(1));
    within(async { tokio::join!(serving, dawdling) }).await;
    assert_eq!(began.elapsed().as_secs(), 10);
}

/// Sends this and no more.
async fn sends(socket: &Path, text: &str) -> UnixStream {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn the_longest_idle_connection_makes_room_and_one_that_is_being_answered_does_not() {
    const NEVER: &str = "GET /never HTTP/1.1\r\nhost: x\r\n\r\n";
    const HALF: &str = "POST /who HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let socket = bind_unix(&path, 0o600).await.unwrap();
    let (stop, begun) = (CancellationToken::new(), Arc::<AtomicUsize>::default());
    let body = |body: axum::body::Bytes| async move { format!("{} bytes", body.len()) };
    let router = router(&stop, &begun).route("/body", axum::routing::post(body));
    let serving = serve_at_most(3, router, socket, &stop, Duration::ZERO);
    let clients = async {
        let _answered = sends(&path, NEVER).await;
        until("one is being answered", || {
            begun.load(Ordering::Relaxed) == 1
        })
        .await;
        let mut half = sends(&path, &HALF.replace("who", "body")).await;
        let mut drips = sends(&path, "GET /wh").await;
        // Each of these takes the place of the longest idle one.
        assert!(ask(&path, "/who").await.starts_with("Unix"));
        let mut nothing = Vec::new();
        half.read_to_end(&mut nothing).await.unwrap();
        assert!(nothing.is_empty(), "cut without an answer");
        drips
            .write_all(b"o HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        drips.read_exact(&mut [0; 17]).await.unwrap();

        let _second = sends(&path, NEVER).await;
        let _third = sends(&path, NEVER).await;
        until("all are being answered", || {
            begun.load(Ordering::Relaxed) == 3
        })
        .await;
        let mut eof = Vec::new();
        drips.read_to_end(&mut eof).await.unwrap();
        let mut new = UnixStream::connect(&path).await.unwrap();
        assert_eq!(new.read(&mut [0]).await.unwrap(), 0, "the new one is cut");
        stop.cancel();
    };
    within(async { tokio::join!(serving, clients) }).await;
}

/// `/watch` says what it is told, to the first who asks; `/flood` never ends.
fn streams(told: mpsc::UnboundedReceiver<&'static str>) -> Router {
    type Part = Result<&'static str, std::convert::Infallible>;
    let told = Arc::new(Mutex::new(Some(told)));
    let watch = || async move {
        let told = told.lock().unwrap().take().unwrap();
        let words = stream::unfold(told, |mut told| async {
            let word = told.recv().await?;
            Some((Part::Ok(word), told))
        });
        axum::body::Body::from_stream(words)
    };
    let flood = || async {
        let flood = stream::repeat_with(|| Part::Ok("0123456789abcdef"));
        axum::body::Body::from_stream(flood)
    };
    Router::new()
        .route("/watch", get(watch))
        .route("/flood", get(flood))
        .route("/short", get(|| async { "short" }))
}

async fn reads(stream: &mut UnixStream, word: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(word) {
        let more = stream.read_buf(&mut seen).await.unwrap();
        assert!(more > 0, "cut before {word:?}");
    }
}

/// True if the connection is there when its answer is.
async fn answered(stream: &mut UnixStream) -> bool {
    let mut text = Vec::new();
    let asked = b"GET /short HTTP/1.1\r\nhost: x\r\n\r\n";
    if stream.write_all(asked).await.is_err() {
        return false;
    }
    while let Ok(1..) = stream.read_buf(&mut text).await {
        if text.ends_with(b"short") {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_streaming_answer_is_kept_as_long_as_its_client_takes_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    let socket = bind_unix(&path, 0o600).await.unwrap();
    let stop = CancellationToken::new();
    let (tell, told) = mpsc::unbounded_channel();
    let serving = serve_at_most(2, streams(told), socket, &stop, Duration::ZERO);
    let clients = async {
        let mut watcher = sends(&path, "GET /watch HTTP/1.1\r\nhost: x\r\n\r\n").await;
        tell.send("one").unwrap();
        reads(&mut watcher, "one").await;
        // Whoever comes takes the place of who asks for nothing more, not that of the watcher, who was silent for longer.
        let mut idle = UnixStream::connect(&path).await.unwrap();
        assert!(answered(&mut idle).await);
        let mut new = UnixStream::connect(&path).await.unwrap();
        assert!(answered(&mut new).await);
        assert!(!answered(&mut idle).await, "it made room");
        drop(new);
        tell.send("two").unwrap();
        reads(&mut watcher, "two").await;

        // Who takes nothing makes room.
        let mut slow = sends(&path, "GET /flood HTTP/1.1\r\nhost: x\r\n\r\n").await;
        reads(&mut slow, "0123456789abcdef").await;
        while !answered(&mut UnixStream::connect(&path).await.unwrap()).await {
            tokio::task::yield_now().await;
        }
        let mut rest = Vec::new();
        slow.read_to_end(&mut rest).await.unwrap();
        tell.send("three").unwrap();
        reads(&mut watcher, "three").await;
        stop.cancel();
    };
    within(async { tokio::join!(serving, clients) }).await;
}
