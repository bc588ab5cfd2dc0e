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
use jiff::Timestamp;
use stomp::{Codec, Command, Frame, FrameLimits, Item};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::{codec::Framed, sync::CancellationToken};
use world::{Boxed, Clock, Listener, Net, Stream, World};

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
    /// Takes it, and confirms it once told to.
    Later,
    /// Answers ERROR.
    Refuse,
    /// Answers ERROR to what is sent to this destination, and owes the receipts of all else for a moment; who is
    /// refused does not get them, as with a broker that confirms when its disk has it.
    RefuseTo(&'static str),
}

/// What the peer does with a CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnConnect {
    /// Lets the client in.
    Answer,
    /// Says nothing.
    Silence,
    /// Hangs up.
    HangUp,
    /// Lets the client in, and hangs up when it subscribes.
    HangUpLater,
    /// There is not even TCP.
    Hang,
    /// There is TCP, and nobody reads or says a word.
    Deaf,
    /// Lets the client in with heart-beats, and never says a word again.
    Mute,
    /// Lets the client in, and reads nothing after.
    Stall,
}

/// The wall's clock, which goes on with tokio's: where that one is paused, so is this.
#[derive(Debug, Clone, Copy)]
struct TestClock(Timestamp, Instant);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        self.0 + self.1.elapsed()
    }
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
    clock: TestClock,
    up: bool,
    on_connect: BTreeMap<String, OnConnect>,
    on_send: OnSend,
    /// Cuts the connection at each so manieth SEND.
    cut_every: Option<usize>,
    refused_addresses: Vec<String>,
    /// Where TCP connections were made to.
    reached: Vec<String>,
    /// `address COMMAND`, in the order they came.
    heard: Vec<String>,
    subscribes: Vec<BTreeMap<String, String>>,
    /// Receipts that wait to be sent.
    later: Vec<(mpsc::UnboundedSender<Option<Frame>>, Frame)>,
    connects: Vec<BTreeMap<String, String>>,
    /// Every command in the order it came.
    commands: Vec<String>,
    sent: Vec<Sent>,
    waiting: Vec<Waiting>,
    subscriptions: Vec<Subscribed>,
}

#[derive(Debug)]
struct Subscribed {
    address: String,
    destination: String,
    id: String,
    connection: mpsc::UnboundedSender<Option<Frame>>,
}

/// The peer; clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Peer(Arc<Mutex<State>>);

impl Peer {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(State {
            clock: TestClock(World::real().clock.now(), Instant::now()),
            up: true,
            on_connect: BTreeMap::new(),
            on_send: OnSend::Confirm,
            cut_every: None,
            refused_addresses: Vec::new(),
            reached: Vec::new(),
            heard: Vec::new(),
            subscribes: Vec::new(),
            later: Vec::new(),
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
        world.clock = Arc::new(self.state().clock);
        world
    }

    /// Goes away: connections are cut, new ones refused.
    pub(crate) fn leave(&self) {
        let mut state = self.state();
        state.up = false;
        for subscription in state.subscriptions.drain(..) {
            let _ = subscription.connection.send(None);
        }
    }

    pub(crate) fn come_back(&self) {
        self.state().up = true;
    }

    pub(crate) fn on_send(&self, what: OnSend) {
        self.state().on_send = what;
    }

    pub(crate) fn cut_every(&self, sends: usize) {
        self.state().cut_every = Some(sends);
    }

    pub(crate) fn refuse(&self, address: &str) {
        self.state().refused_addresses.push(address.to_owned());
    }

    pub(crate) fn accept(&self, address: &str) {
        self.state().refused_addresses.retain(|a| a != address);
    }

    pub(crate) fn on_connect(&self, address: &str, what: OnConnect) {
        self.state().on_connect.insert(address.to_owned(), what);
    }

    /// Sends the receipts that were kept back.
    pub(crate) fn confirm_now(&self) {
        for (connection, receipt) in self.state().later.drain(..) {
            let _ = connection.send(Some(receipt));
        }
    }

    /// Cuts the connections to an address.
    pub(crate) fn cut(&self, address: &str) {
        let mut state = self.state();
        state.subscriptions.retain(|subscription| {
            let here = subscription.address == address;
            if here {
                let _ = subscription.connection.send(None);
            }
            !here
        });
    }

    /// The addresses that TCP connections were made to.
    pub(crate) fn reached(&self) -> Vec<String> {
        self.state().reached.clone()
    }

    /// `address COMMAND`, in the order they came.
    pub(crate) fn heard(&self) -> Vec<String> {
        self.state().heard.clone()
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

    /// The headers of each SUBSCRIBE.
    pub(crate) fn subscribes(&self) -> Vec<BTreeMap<String, String>> {
        self.state().subscribes.clone()
    }

    /// Sends ERROR to whoever is subscribed.
    pub(crate) fn complain(&self) {
        let error = Frame::new(Command::Error).with("message", "queue is gone");
        for subscription in &self.state().subscriptions {
            let _ = subscription.connection.send(Some(error.clone()));
        }
    }

    /// The headers of each CONNECT.
    pub(crate) fn connects(&self) -> Vec<BTreeMap<String, String>> {
        self.state().connects.clone()
    }
}

impl State {
    fn on_connect(&self, address: &str) -> OnConnect {
        let set = self.on_connect.get(address).copied();
        set.unwrap_or(OnConnect::Answer)
    }

    fn reach(&mut self, address: &str) -> io::Result<OnConnect> {
        if !self.up || self.refused_addresses.iter().any(|a| a == address) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.reached.push(address.to_owned());
        Ok(self.on_connect(address))
    }

    fn subscribe(&mut self, subscription: Subscribed, receipt: Option<Frame>) {
        if let Some(receipt) = receipt {
            let _ = subscription.connection.send(Some(receipt));
        }
        let destination = subscription.destination.clone();
        self.subscriptions.push(subscription);
        for index in 0..self.waiting.len() {
            if self.waiting[index].destination == destination {
                self.deliver(index);
            }
        }
    }

    fn deliver(&self, index: usize) {
        let waiting = &self.waiting[index];
        for Subscribed {
            destination,
            id,
            connection,
            ..
        } in &self.subscriptions
        {
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
        let reached = self.state().reach(address);
        Box::pin(async move {
            let on_connect = reached?;
            let (client, server) = tokio::io::duplex(256 * 1024);
            match on_connect {
                OnConnect::Hang => return std::future::pending().await,
                OnConnect::Deaf => {
                    tokio::spawn(async move {
                        std::future::pending::<()>().await;
                        drop(server)
                    });
                }
                _ => {
                    tokio::spawn(serve(self.clone(), address.to_owned(), server));
                }
            }
            Ok(Box::new(client) as Box<dyn Stream>)
        })
    }

    fn listen<'a>(&'a self, _: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

pub(crate) async fn serve(
    peer: Peer,
    address: String,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) {
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
            Some(Ok(Item::Frame(frame) | Item::Over { frame, .. })) => {
                answer(&peer, &address, &frame, &outgoing)
            }
            Some(Err(_)) | None => return,
        }
        if peer.state().on_connect(&address) == OnConnect::Stall {
            while let Ok(Some(frame)) = queue.try_recv() {
                framed.send(frame).await.unwrap();
            }
            std::future::pending().await
        }
    }
}

fn answer(
    peer: &Peer,
    address: &str,
    frame: &Frame,
    outgoing: &mpsc::UnboundedSender<Option<Frame>>,
) {
    let headers: BTreeMap<String, String> = frame
        .headers
        .iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let header = |name: &str| frame.header(name).unwrap_or_default().to_owned();
    let mut state = peer.state();
    let name = frame.command.name();
    state.commands.push(name.to_owned());
    state.heard.push(format!("{address} {name}"));
    assert_ne!(
        frame.command,
        Command::Nack,
        "brokers do three different things with it"
    );
    let on_connect = state.on_connect(address);
    let mut answer = frame
        .header("receipt")
        .map(|id| Frame::new(Command::Receipt).with("receipt-id", id));
    match frame.command {
        Command::Connect => {
            state.connects.push(headers);
            match on_connect {
                OnConnect::Silence => return,
                OnConnect::HangUp => return hang_up(outgoing),
                _ => answer = Some(greeting(on_connect)),
            }
        }
        Command::Send => {
            state.sent.push(Sent {
                destination: header("destination"),
                headers,
                body: frame.body.to_vec(),
            });
            let cut = state
                .cut_every
                .is_some_and(|every| state.sent.len().is_multiple_of(every));
            match if cut { OnSend::Cut } else { state.on_send } {
                OnSend::Confirm => {}
                OnSend::Silence => answer = None,
                OnSend::Later => {
                    let kept = answer.take().map(|receipt| (outgoing.clone(), receipt));
                    state.later.extend(kept);
                }
                OnSend::Cut => return hang_up(outgoing),
                OnSend::RefuseTo(refused) if header("destination") != refused => {
                    owe(answer.take(), outgoing.clone());
                }
                OnSend::Refuse | OnSend::RefuseTo(_) => {
                    answer = Some(refusal(&header("receipt")));
                }
            }
        }
        Command::Subscribe => {
            if on_connect == OnConnect::HangUpLater {
                return hang_up(outgoing);
            }
            state.subscribes.push(headers);
            let receipt = answer.take();
            let subscription = Subscribed {
                address: address.to_owned(),
                destination: header("destination"),
                id: header("id"),
                connection: outgoing.clone(),
            };
            state.subscribe(subscription, receipt);
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

/// Sends the receipt a little later; never, if the connection ends before.
fn owe(receipt: Option<Frame>, outgoing: mpsc::UnboundedSender<Option<Frame>>) {
    tokio::spawn(async move {
        // waits for nothing: it is how long the receipt is owed
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = outgoing.send(receipt);
    });
}

fn refusal(receipt_id: &str) -> Frame {
    Frame::new(Command::Error)
        .with("receipt-id", receipt_id)
        .with("message", "access refused")
}

fn greeting(on_connect: OnConnect) -> Frame {
    let connected = Frame::new(Command::Connected)
        .with("version", "1.2")
        .with("server", "peer/1");
    match on_connect {
        OnConnect::Mute => connected.with("heart-beat", "1000,1000"),
        _ => connected,
    }
}

fn hang_up(connection: &mpsc::UnboundedSender<Option<Frame>>) {
    let _ = connection.send(None);
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
        Self::in_world(peer.world(), settings)
    }

    pub(crate) fn in_world(world: World, settings: BusSettings) -> Self {
        let (bus, connection): (Bus, Connection) =
            Bus::new("tester", &host(), settings, world).unwrap();
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

    /// Ends it without a word.
    pub(crate) fn crash(self) {
        self.task.abort();
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
