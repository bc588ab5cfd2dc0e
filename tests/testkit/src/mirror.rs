//! A web server of files, as a mirror of an apt repository is one.
#![expect(
    clippy::disallowed_methods,
    reason = "a test's own server, on loopback and outside of the world that it tests"
)]

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use crate::Folder;

/// Serves its own copy of a folder over HTTP on loopback, which is as old as its last [`Mirror::sync`].
#[derive(Debug)]
pub struct Mirror {
    folder: Folder,
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    serving: JoinSet<()>,
}

impl Mirror {
    /// With nothing in it yet.
    ///
    /// # Panics
    /// No port is free.
    pub async fn start() -> Self {
        let mut mirror = Self {
            folder: Folder::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            asked: Arc::default(),
            serving: JoinSet::new(),
        };
        mirror.start_again().await;
        mirror
    }

    /// Serves again where it did before.
    ///
    /// # Panics
    /// Somebody took the port.
    pub async fn start_again(&mut self) {
        let listener = TcpListener::bind(self.address).await.expect("a free port");
        self.address = listener.local_addr().expect("it listens");
        let (root, asked) = (self.files(), Arc::clone(&self.asked));
        self.serving.spawn(async move {
            let mut served = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                served.spawn(serve(stream, root.clone(), Arc::clone(&asked)));
            }
        });
    }

    /// Nobody answers any more.
    pub async fn stop(&mut self) {
        self.serving.shutdown().await;
    }

    /// Brings it up to date.
    ///
    /// # Panics
    /// The folder cannot be copied.
    pub fn sync(&self, from: &Path) {
        let files = self.files();
        let _none_yet = std::fs::remove_dir_all(&files);
        let copied = Command::new("cp").arg("-a").arg(from).arg(&files).output();
        assert!(
            copied.is_ok_and(|copied| copied.status.success()),
            "cp {}",
            from.display()
        );
    }

    /// Where it is: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How often somebody asked for an `InRelease` since the start.
    #[must_use]
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    fn files(&self) -> PathBuf {
        self.folder.join("files")
    }
}

/// One request of a connection: `GET`, a path without escapes, a whole file. What is asked for is a test's own.
async fn serve(stream: TcpStream, root: PathBuf, asked: Arc<AtomicUsize>) {
    let mut stream = BufReader::new(stream);
    let (mut first, mut line) = (String::new(), String::new());
    let _read = stream.read_line(&mut first).await;
    while matches!(stream.read_line(&mut line).await, Ok(3..)) {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    if path.ends_with("/InRelease") {
        asked.fetch_add(1, Ordering::SeqCst);
    }
    let file = std::fs::read(root.join(path.trim_start_matches('/')));
    let (status, body) = match file {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let _sent = stream.write_all(head.as_bytes()).await;
    let _sent = stream.write_all(&body).await;
    let _closed = stream.shutdown().await;
}
