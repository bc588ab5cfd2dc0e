//! A broker's side of the wire, in memory, that does what a test tells it to.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use chassis::{Bus, BusSettings, bus::Connection};
use events::{Envelope, HostName};
use futures_util::{SinkExt, StreamExt};
use stomp::{Codec, Command, Frame, FrameLimits, Item};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::timeout,
};
use tokio_util::{codec::Framed, sync::CancellationToken};
use world::{Boxed, Listener, Net, Stream, World};

/// No test waits longer for anything.
const LIMIT: Duration = Duration::from_secs(600);

/// What the peer does with a SEND.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnSend {
    /// Takes it and confirms it.
    Confirm,
    /// Takes it, and cuts the connection instead of confirming.
    Cut,
    /// Takes it and says nothing.
    Silence,
    /// Answers ERROR.
    Refuse,
}

/// What a client sent, and a message that waits for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) destination: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Sent {
    pub(crate) fn envelope(&self) -> Envelope {
        Envelope::parse(&self.body).expect("an envelope")
    }
}

#[derive(Debug)]
struct Waiting {
    destination: String,
    body: Vec<u8>,
    acknowledged: bool,
}

#[derive(Debug)]
struct State {
    up: bool,
    on_send: OnSend,
    refused_addresses: Vec<String>,
    connects: Vec<BTreeMap<String, String>>,
    /// Every command in the order it came.
    commands: Vec<String>,
    sent: Vec<Sent>,
    waiting: Vec<Waiting>,
    /// `(destination, subscription id, connection)`
    subscriptions: Vec<(String, String, mpsc::UnboundedSender<Option<Frame>>)>,
}

/// The peer; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Peer(Arc<Mutex<State>>);

impl Peer {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            up: true,
            on_send: OnSend::Confirm,
            refused_addresses: Vec::new(),
            connects: Vec::new(),
            commands: Vec::new(),
            sent: Vec::new(),
            waiting: Vec::new(),
            subscriptions: Vec::new(),
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub(crate) fn world(&self) -> World {
        let mut world = World::real().with_inline_disk();
        world.net = Arc::new(self.clone());
        world
    }

    /// Goes away: connections are cut, new ones refused.
    pub(crate) fn leave(&self) {
        let mut state = self.state();
        state.up = false;
        for (_, _, connection) in state.subscriptions.drain(..) {
            let _ = connection.send(None);
        }
    }

    pub(crate) fn come_back(&self) {
        self.state().up = true;
    }

    pub(crate) fn on_send(&self, what: OnSend) {
        self.state().on_send = what;
    }

    pub(crate) fn refuse(&self, address: &str) {
        self.state().refused_addresses.push(address.to_owned());
    }

    /// Puts a message where subscribers get it, until one acknowledges it.
    pub(crate) fn bring(&self, destination: &str, body: impl Into<Vec<u8>>) {
        let mut state = self.state();
        state.waiting.push(Waiting {
            destination: destination.to_owned(),
            body: body.into(),
            acknowledged: false,
        });
        let index = state.waiting.len() - 1;
        state.deliver(index);
    }

    /// Which of the messages were acknowledged, in the order they were brought.
    pub(crate) fn acknowledged(&self) -> Vec<bool> {
        self.state()
            .waiting
            .iter()
            .map(|w| w.acknowledged)
            .collect()
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.state().sent.clone()
    }

    pub(crate) fn commands(&self) -> Vec<String> {
        self.state().commands.clone()
    }

    /// The headers of each CONNECT.
    pub(crate) fn connects(&self) -> Vec<BTreeMap<String, String>> {
        self.state().connects.clone()
    }
}

impl State {
    fn deliver(&self, index: usize) {
        let waiting = &self.waiting[index];
        for (destination, id, connection) in &self.subscriptions {
            if *destination == waiting.destination && !waiting.acknowledged {
                let frame = Frame::new(Command::Message)
                    .with("subscription", id)
                    .with("message-id", &index.to_string())
                    .with("ack", &index.to_string())
                    .with("destination", destination)
                    .with_body(waiting.body.clone());
                let _ = connection.send(Some(frame));
            }
        }
    }
}

impl Net for Peer {
    fn connect<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let state = self.state();
            if !state.up
                || state
                    .refused_addresses
                    .iter()
                    .any(|refused| refused == address)
            {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            drop(state);
            let (client, server) = tokio::io::duplex(256 * 1024);
            tokio::spawn(serve(self.clone(), server));
            Ok(Box::new(client) as Box<dyn Stream>)
        })
    }

    fn listen<'a>(&'a self, _: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

pub(crate) async fn serve(peer: Peer, stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut framed = Framed::new(stream, Codec::new(FrameLimits::default()));
    let (outgoing, mut queue) = mpsc::unbounded_channel::<Option<Frame>>();
    loop {
        let item = tokio::select! {
            biased;
            frame = queue.recv() => match frame.flatten() {
                Some(frame) => {
                    if framed.send(frame).await.is_err() { return }
                    continue;
                }
                None => return,
            },
            item = framed.next() => item,
        };
        match item {
            Some(Ok(Item::HeartBeat)) => {}
            Some(Ok(Item::Frame(frame))) => answer(&peer, &frame, &outgoing),
            Some(Err(_)) | None => return,
        }
    }
}

fn answer(peer: &Peer, frame: &Frame, outgoing: &mpsc::UnboundedSender<Option<Frame>>) {
    let headers: BTreeMap<String, String> = frame
        .headers
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let header = |name: &str| frame.header(name).unwrap_or_default().to_owned();
    let mut state = peer.state();
    state.commands.push(frame.command.name().to_owned());
    let mut answer = frame
        .header("receipt")
        .map(|id| Frame::new(Command::Receipt).with("receipt-id", id));
    match frame.command {
        Command::Connect => {
            state.connects.push(headers);
            answer = Some(
                Frame::new(Command::Connected)
                    .with("version", "1.2")
                    .with("server", "peer/1"),
            );
        }
        Command::Send => {
            state.sent.push(Sent {
                destination: header("destination"),
                headers,
                body: frame.body.to_vec(),
            });
            match state.on_send {
                OnSend::Confirm => {}
                OnSend::Silence => answer = None,
                OnSend::Cut => {
                    let _ = outgoing.send(None);
                    return;
                }
                OnSend::Refuse => {
                    let id = header("receipt");
                    answer = Some(
                        Frame::new(Command::Error)
                            .with("receipt-id", &id)
                            .with("message", "access refused"),
                    );
                }
            }
        }
        Command::Subscribe => {
            let subscription = (header("destination"), header("id"), outgoing.clone());
            state.subscriptions.push(subscription);
            if let Some(receipt) = answer.take() {
                let _ = outgoing.send(Some(receipt));
            }
            for index in 0..state.waiting.len() {
                if state.waiting[index].destination == header("destination") {
                    state.deliver(index);
                }
            }
        }
        Command::Ack => {
            let index: usize = header("id").parse().unwrap();
            state.waiting[index].acknowledged = true;
        }
        _ => {}
    }
    if let Some(answer) = answer {
        let _ = outgoing.send(Some(answer));
    }
}

pub(crate) fn host() -> HostName {
    "hub1".parse().unwrap()
}

/// A bus of the service `tester` on the peer, and the task of its connection.
pub(crate) struct Tester {
    pub(crate) bus: Bus,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Tester {
    pub(crate) fn new(peer: &Peer) -> Self {
        Self::with(peer, BusSettings::default())
    }

    pub(crate) fn with(peer: &Peer, settings: BusSettings) -> Self {
        let (bus, connection): (Bus, Connection) =
            Bus::new("tester", &host(), settings, peer.world()).unwrap();
        let stop = CancellationToken::new();
        let task = tokio::spawn(connection.run(stop.clone()));
        Self { bus, stop, task }
    }

    pub(crate) async fn connected(&self) {
        let mut connected = self.bus.connected();
        within(connected.wait_for(|connected| *connected))
            .await
            .unwrap();
    }

    pub(crate) async fn disconnect(self) {
        self.stop.cancel();
        within(self.task).await.unwrap();
    }
}

/// Waits, but not for ever.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future)
        .await
        .expect("it happens within the limit")
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut so: impl FnMut() -> bool) {
    let wait = async {
        while !so() {
            // waits for `so`, within LIMIT
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(timeout(LIMIT, wait).await.is_ok(), "never: {what}");
}
