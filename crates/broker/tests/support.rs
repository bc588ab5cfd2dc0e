//! A broker whose connections are pipes in memory, so that time can be paused.

use std::{
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use broker::{Broker, Limits, RunError, Settings};
use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use stomp::{
    Client, Codec, Connect, Deliveries, Delivery, Ended, Frame, FrameLimits, Item, Message, Secret,
    Subscription,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::{Mutex, mpsc},
    task::JoinSet,
    time::timeout,
};
use tokio_util::{codec::Decoder, sync::CancellationToken};
use world::{Boxed, Listener, Stream, World};

/// The longest that anything here may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Bytes that a pipe holds before its writer waits.
const PIPE: usize = 64 * 1024;

/// Waits, but not for ever.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = timeout(LIMIT, future).await;
    done.unwrap_or_else(|_| panic!("{what}: not within {LIMIT:?}"))
}

#[derive(Debug)]
struct Pipes(Mutex<mpsc::Receiver<DuplexStream>>);

impl Listener for Pipes {
    fn accept(&self) -> Boxed<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async {
            let mut pipes = self.0.lock().await;
            match pipes.recv().await {
                Some(pipe) => Ok((
                    Box::new(pipe) as Box<dyn Stream>,
                    (Ipv4Addr::LOCALHOST, 0).into(),
                )),
                None => std::future::pending().await,
            }
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, 0).into())
    }
}

/// Wall time that a test sets.
#[derive(Debug, Clone)]
pub(crate) struct HandClock(Arc<AtomicI64>);

impl HandClock {
    /// In milliseconds since 1970 UTC.
    pub(crate) fn at_ms(ms: i64) -> Self {
        Self(Arc::new(ms.into()))
    }

    pub(crate) fn advance_ms(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl world::Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.load(Ordering::SeqCst)).expect("a time")
    }
}

/// A running broker.
pub(crate) struct House {
    pipes: mpsc::Sender<DuplexStream>,
    stop: CancellationToken,
    broker: JoinSet<Result<(), RunError>>,
}

impl House {
    /// In memory.
    pub(crate) async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    /// In memory, with other limits.
    pub(crate) async fn limited(limits: Limits) -> Self {
        Self::with(Settings {
            limits,
            ..Settings::default()
        })
        .await
    }

    /// On disk, with wall time by hand.
    pub(crate) async fn at(folder: &Path, clock: &HandClock) -> Self {
        Self::limited_at(folder, clock, Limits::default().disk_bytes).await
    }

    /// The same, with a limit of bytes on disk.
    pub(crate) async fn limited_at(folder: &Path, clock: &HandClock, disk_bytes: u64) -> Self {
        let settings = Settings {
            data: Some(folder.to_owned()),
            limits: Limits {
                disk_bytes,
                ..Limits::default()
            },
            ..Settings::default()
        };
        let mut world = World::real().with_inline_disk();
        world.clock = Arc::new(clock.clone());
        Self::of(settings, world).await
    }

    /// On disk.
    pub(crate) async fn on(folder: &Path) -> Self {
        Self::with(Settings {
            data: Some(folder.to_owned()),
            ..Settings::default()
        })
        .await
    }

    pub(crate) async fn with(settings: Settings) -> Self {
        Self::of(settings, World::real().with_inline_disk()).await
    }

    /// With the disk on a thread, as in production: not for paused time.
    pub(crate) async fn threaded(folder: &Path) -> Self {
        let settings = Settings {
            data: Some(folder.to_owned()),
            ..Settings::default()
        };
        Self::of(settings, World::real()).await
    }

    async fn of(settings: Settings, world: World) -> Self {
        let broker = Broker::open(settings, &world).await.expect("it opens");
        let (pipes, listener) = mpsc::channel(16);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let listener = Box::new(Pipes(Mutex::new(listener)));
        tasks.spawn(broker.run(listener, stop.clone()));
        Self {
            pipes,
            stop,
            broker: tasks,
        }
    }

    pub(crate) async fn pipe(&self) -> DuplexStream {
        let (near, far) = tokio::io::duplex(PIPE);
        self.pipes.send(far).await.expect("the broker runs");
        near
    }

    /// Somebody with our client, with heart-beats every second.
    pub(crate) async fn guest(&self, client_id: &str) -> Guest {
        Guest::over(self.pipe().await, client_id).await
    }

    /// Takes a durable subscription whose holder has just been cut off, as soon as the broker has noticed.
    pub(crate) async fn take_over(
        &self,
        client_id: &str,
        topic: &str,
        prefetch: u32,
    ) -> (Guest, Deliveries) {
        let subscription = Subscription {
            destination: format!("/topic/{topic}"),
            durable: Some(client_id.to_owned()),
            prefetch,
        };
        soon("take over", async {
            loop {
                let guest = self.guest(client_id).await;
                match guest.client.subscribe(subscription.clone()).await {
                    Ok(deliveries) => return (guest, deliveries),
                    Err(error) => {
                        assert!(error.to_string().contains("already connected"), "{error}")
                    }
                }
            }
        })
        .await
    }

    /// Somebody who writes frames by hand, logged in, without heart-beats.
    pub(crate) async fn raw(&self, client_id: &str) -> Raw {
        Raw::log_in(self.pipe().await, client_id).await
    }

    /// Ends as `kill -9` would: nothing is flushed or closed in an orderly way.
    pub(crate) async fn crash(mut self) {
        self.broker.abort_all();
        while self.broker.join_next().await.is_some() {}
    }

    pub(crate) fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Ends in an orderly way.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        let ended = soon("stop", self.broker.join_next()).await;
        ended.expect("it ran").expect("no panic").expect("no error");
    }
}

/// Our client and its driver.
pub(crate) struct Guest {
    pub(crate) client: Client,
    driver: JoinSet<Ended>,
    stop: CancellationToken,
}

pub(crate) fn introduce(client_id: &str) -> Connect {
    Connect {
        host: "/".to_owned(),
        login: Some("guest".to_owned()),
        passcode: Some(Secret::new("guest")),
        client_id: client_id.to_owned(),
        heart_beat: Duration::from_secs(1),
        dialect: None,
        limits: stomp::Limits::default(),
    }
}

impl Guest {
    pub(crate) async fn over<S>(stream: S, client_id: &str) -> Self
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        let (client, driver) = stomp::connect(stream, introduce(client_id))
            .await
            .expect("it connects");
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run(stop.clone()));
        Self {
            client,
            driver: tasks,
            stop,
        }
    }

    pub(crate) async fn durable(&self, topic: &str, name: &str, prefetch: u32) -> Deliveries {
        let subscription = Subscription {
            destination: format!("/topic/{topic}"),
            durable: Some(name.to_owned()),
            prefetch,
        };
        self.client
            .subscribe(subscription)
            .await
            .expect("subscribed")
    }

    pub(crate) async fn subscribe(&self, topic: &str) -> Deliveries {
        let subscription = Subscription {
            destination: format!("/topic/{topic}"),
            durable: None,
            prefetch: 10,
        };
        self.client
            .subscribe(subscription)
            .await
            .expect("subscribed")
    }

    pub(crate) async fn publish(&self, topic: &str, text: &str) {
        self.client
            .send(message(topic, text))
            .await
            .expect("published");
    }

    /// The transport is cut, without a word.
    pub(crate) async fn drop_link(mut self) {
        self.driver.abort_all();
        while self.driver.join_next().await.is_some() {}
    }

    /// DISCONNECT.
    pub(crate) async fn leave(mut self) {
        self.stop.cancel();
        let ended = soon("leave", self.driver.join_next()).await;
        let ended = ended.expect("it ran").expect("no panic");
        assert!(matches!(ended, Ended::Stopped), "{ended}");
    }

    /// How the connection ended by itself.
    pub(crate) async fn ended(mut self) -> Ended {
        let ended = soon("end of the connection", self.driver.join_next()).await;
        ended.expect("it ran").expect("no panic")
    }
}

/// A persistent, confirmed message.
pub(crate) fn message(topic: &str, text: &str) -> Message {
    Message {
        destination: format!("/topic/{topic}"),
        headers: Vec::new(),
        body: Bytes::copy_from_slice(text.as_bytes()),
        persistent: true,
        confirm: true,
        expires: None,
    }
}

pub(crate) async fn next(deliveries: &mut Deliveries) -> Delivery {
    soon("a delivery", deliveries.next())
        .await
        .expect("a delivery")
}

pub(crate) fn text(delivery: &Delivery) -> &str {
    std::str::from_utf8(&delivery.body).expect("text")
}

/// The texts of the next deliveries, unacknowledged.
pub(crate) async fn texts(deliveries: &mut Deliveries, count: usize) -> Vec<String> {
    let mut texts = Vec::new();
    for _ in 0..count {
        texts.push(text(&next(deliveries).await).to_owned());
    }
    texts
}

/// Frames by hand.
pub(crate) struct Raw {
    pub(crate) pipe: Box<dyn Stream>,
    codec: Codec,
    buffer: BytesMut,
}

impl Raw {
    pub(crate) fn new(pipe: impl Stream + 'static) -> Self {
        Self {
            pipe: Box::new(pipe),
            codec: Codec::new(FrameLimits::default()),
            buffer: BytesMut::new(),
        }
    }

    /// Logged in, without heart-beats.
    pub(crate) async fn log_in(pipe: impl Stream + 'static, client_id: &str) -> Self {
        let mut raw = Self::new(pipe);
        raw.say(&format!(
            "CONNECT\naccept-version:1.2\nhost:/\nlogin:guest\npasscode:guest\nclient-id:{client_id}\n\n\0"
        ))
        .await;
        assert_eq!(raw.frame().await.command.name(), "CONNECTED");
        raw
    }

    pub(crate) async fn say(&mut self, text: &str) {
        let said = self.pipe.write_all(text.as_bytes()).await;
        said.expect("the broker reads");
    }

    /// The next item; `None` when the broker hung up.
    pub(crate) async fn item(&mut self) -> Option<Item> {
        soon("an item", async {
            loop {
                if let Some(item) = self.codec.decode(&mut self.buffer).expect("STOMP") {
                    return Some(item);
                }
                // A broker that was killed resets what was not read.
                if matches!(self.pipe.read_buf(&mut self.buffer).await, Ok(0) | Err(_)) {
                    return None;
                }
            }
        })
        .await
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Frame {
        loop {
            match self.item().await.expect("a frame") {
                Item::Frame(frame) | Item::Over { frame, .. } => return frame,
                Item::HeartBeat => {}
            }
        }
    }

    /// The broker's answer must be ERROR, then the end; its message.
    pub(crate) async fn error(&mut self) -> String {
        let frame = self.frame().await;
        assert_eq!(frame.command.name(), "ERROR", "{frame:?}");
        assert_eq!(self.item().await, None);
        frame.header("message").expect("a message").to_owned()
    }

    /// Waits for a receipt.
    pub(crate) async fn receipt(&mut self, id: &str) {
        let frame = self.frame().await;
        assert_eq!(frame.command.name(), "RECEIPT", "{frame:?}");
        assert_eq!(frame.header("receipt-id"), Some(id));
    }
}
