//! Serving HTTP: who asks, and what a stop waits for.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::ConnectInfo, routing::get};
use chassis::http::{Peer, bind_unix, serve};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::UnixStream,
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
struct OneConnection(std::sync::Mutex<Option<DuplexStream>>);

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
