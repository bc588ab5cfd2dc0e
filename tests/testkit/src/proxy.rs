//! A network that fails: a TCP proxy in front of a broker.
//!
//! Read: [`Fault`] (what can go wrong), [`Proxy`] (switching it), `pump` (one direction of one connection), `faults` (chance).

mod faults;
mod pump;

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    io::split,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use world::{Listener, Stream, World};

pub use faults::{Faults, Strike};
use pump::Pump;

/// From a client's connection to the one to the broker behind it, on loopback.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// What the client sends.
    ToBroker,
    /// What the broker sends.
    ToClient,
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: bytes pass as they come.
    Pass,
    /// It is closed on both sides, whatever is still on its way.
    Drop,
    /// Each chunk of at most 16,384 bytes, either way, waits this long, `jitter` more at most.
    Delay {
        /// The shortest wait.
        least: Duration,
        /// How much longer it may be, by chance.
        jitter: Duration,
    },
    /// Who receives this direction sees its end; what is sent that way goes nowhere. The other direction goes on. Final:
    /// the direction stays closed under later faults.
    HalfClose(Way),
    /// So many more bytes pass in this direction, then it is closed on both sides: in the middle of a frame.
    Cut {
        /// The direction whose bytes count; the other one passes meanwhile.
        way: Way,
        /// How many more.
        after_bytes: u64,
    },
    /// It stays open and nothing passes, in this direction or (`None`) in both, not even an end. What is held back passes
    /// when the fault is over.
    BlackHole(Option<Way>),
}

/// A TCP proxy on loopback, whose connections fail as the test says. Dropped, it closes them all.
///
/// Faults can be switched at any time: [`Proxy::strike`] for the connections there are, [`Proxy::set_for_new`] for those to
/// come, [`Proxy::set`] for all. When one of these returns, no byte passes any more that the fault forbids.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    seed: u64,
    state: Mutex<State>,
    accepted: AtomicU64,
    open: AtomicU64,
    /// Bytes that were passed on, both ways, of all connections.
    passed: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    for_new: Fault,
    refuses: bool,
    /// One for each connection. Those that have ended are taken out when the next one comes.
    links: Vec<watch::Sender<Link>>,
}

/// What has been said of one connection.
#[derive(Debug, Clone, Copy, Default)]
struct Link {
    /// What holds now, of those faults that can end.
    fault: Option<Fault>,
    dropped: bool,
    /// Directions that are closed.
    there: bool,
    back: bool,
}

impl Link {
    /// What is final stays, however soon the next fault follows.
    fn strike(&mut self, fault: Fault) {
        self.fault = Some(fault);
        match fault {
            Fault::Drop => self.dropped = true,
            Fault::HalfClose(Way::ToBroker) => self.there = true,
            Fault::HalfClose(Way::ToClient) => self.back = true,
            _ => {}
        }
    }
}

impl Proxy {
    /// Listens on a free port of loopback and passes everything to `upstream`, `host:port`. The broker need not be there:
    /// a client is then closed at once. `seed` decides the jitter of [`Fault::Delay`].
    ///
    /// # Panics
    /// No port is free.
    pub async fn start(upstream: String, seed: u64) -> Self {
        let listener = World::real().net.listen("127.0.0.1:0").await;
        let listener = listener.expect("loopback has a free port");
        let address = listener.local_address().expect("it listens");
        let shared = Arc::new(Shared {
            upstream,
            seed,
            state: Mutex::new(State {
                for_new: Fault::Pass,
                refuses: false,
                links: Vec::new(),
            }),
            accepted: AtomicU64::new(0),
            open: AtomicU64::new(0),
            passed: watch::Sender::new(0),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(Arc::clone(&shared).accept(listener));
        Self {
            address,
            shared,
            _accepting: accepting,
        }
    }

    /// Where it listens, as `host:port`.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// This for the connections there are and for those to come.
    pub fn set(&self, fault: Fault) {
        let mut state = self.shared.state();
        state.for_new = fault;
        state.strike(u64::MAX, fault);
    }

    /// This for the connections to come.
    pub fn set_for_new(&self, fault: Fault) {
        self.shared.state().for_new = fault;
    }

    /// This for the connections there are.
    pub fn strike(&self, fault: Fault) {
        self.shared.state().strike(u64::MAX, fault);
    }

    /// From now on new connections are closed at once, or (`false`) no longer.
    pub fn refuse(&self, refuses: bool) {
        self.shared.state().refuses = refuses;
    }

    /// How many connections there have been, refused ones too.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// How many connections there are, those among them whose ends wait in a black hole.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// How many bytes have been passed on, both ways, of all connections.
    #[must_use]
    pub fn passed(&self) -> u64 {
        *self.shared.passed.borrow()
    }

    /// Strikes as these faults say, one after the other, until there are no more; calls `told` with each as it strikes.
    /// Every fault is over when the next begins.
    pub async fn suffer(
        &self,
        faults: impl IntoIterator<Item = Strike>,
        mut told: impl FnMut(Strike),
    ) {
        let mut passed = self.shared.passed.subscribe();
        for strike in faults {
            let from = *passed.borrow();
            let enough = |now: &u64| *now >= from + strike.after_bytes;
            let waited = passed.wait_for(enough).await;
            waited.expect("the proxy that counts is here");
            told(strike);
            match strike.fault {
                Some(fault) => self.shared.state().strike(strike.whom, fault),
                None => self.refuse(true),
            }
            if !strike.lasts.is_zero() {
                // waits for the fault to have lasted, which is what it is
                sleep(strike.lasts).await;
            }
            match strike.fault {
                Some(_) => self.strike(Fault::Pass),
                None => self.refuse(false),
            }
        }
    }
}

impl State {
    fn strike(&self, whom: u64, fault: Fault) {
        let links = self.links.iter().filter(|link| !link.is_closed());
        for (link, bit) in links.zip((0..64).cycle()) {
            if whom >> bit & 1 == 1 {
                link.send_modify(|link| link.strike(fault));
            }
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn accept(self: Arc<Self>, listener: Box<dyn Listener>) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (client, _) = accepted.expect("loopback accepts");
                    let number = self.accepted.fetch_add(1, Ordering::SeqCst);
                    if let Some(link) = self.open_link() {
                        connections.spawn(Arc::clone(&self).connection(client, link, number));
                    }
                }
                Some(_ended) = connections.join_next() => {}
            }
        }
    }

    /// The faults of a new connection; `None` when it is refused.
    fn open_link(&self) -> Option<watch::Receiver<Link>> {
        let mut state = self.state();
        state.links.retain(|link| !link.is_closed());
        if state.refuses {
            return None;
        }
        let mut link = Link::default();
        link.strike(state.for_new);
        let (sender, link) = watch::channel(link);
        state.links.push(sender);
        self.open.fetch_add(1, Ordering::SeqCst);
        Some(link)
    }

    async fn connection(
        self: Arc<Self>,
        client: Box<dyn Stream>,
        mut link: watch::Receiver<Link>,
        number: u64,
    ) {
        let passing = self.pass(client, link.clone(), number);
        tokio::select! {
            biased;
            _dropped = link.wait_for(|link| link.dropped) => {}
            // How it ended is for the two at its ends to see.
            _ended = passing => {}
        }
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    /// Both directions, until both have ended or one has failed.
    async fn pass(
        &self,
        client: Box<dyn Stream>,
        link: watch::Receiver<Link>,
        number: u64,
    ) -> io::Result<()> {
        let world = World::real();
        let broker = timeout(CONNECT_LIMIT, world.net.connect(&self.upstream)).await??;
        let (from_client, to_client) = split(client);
        let (from_broker, to_broker) = split(broker);
        let chance = faults::Chance::new(self.seed.wrapping_add(number << 1));
        let there = Pump::new(Way::ToBroker, from_client, to_broker, chance);
        let chance = faults::Chance::new(self.seed.wrapping_add((number << 1) + 1));
        let back = Pump::new(Way::ToClient, from_broker, to_client, chance);
        let (there, back) = (
            there.run(link.clone(), &self.passed),
            back.run(link, &self.passed),
        );
        tokio::try_join!(there, back).map(|((), ())| ())
    }
}
