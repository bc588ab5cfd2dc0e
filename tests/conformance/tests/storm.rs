//! Confirmed messages through a network that fails by chance, while the broker is killed three times.
//!
//! Read: [`nothing_is_lost`] (the story), [`Tally`] (what was confirmed, heard and seen), [`Witness`] (who looks at the wire).

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use chassis::{Common, Inbox, Listen};
use events::Topic;
use futures_util::{
    StreamExt,
    future::{join, join_all},
    stream,
};
use stomp::{Connect, Delivery, Subscription};
use testkit::{BrokerProcess, Fault, Faults, Member, Proxy, SOON, Strike};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::World;

use crate::{durable::numbered, site::Site};

/// Members that publish.
const WRITERS: usize = 2;

/// Publishes that each of them has on its way.
const WINDOW: usize = 64;

/// The longest black hole. A client gives up after three heart-beats of 1 s, so it notices some of them and outlives others.
const BLACK_HOLE: Duration = Duration::from_secs(5);

/// The least number of strikes that is a storm; the schedule begins with one of each of [`MUST_STRIKE`].
const STRIKES: usize = 5;

/// What must have struck at least once.
const MUST_STRIKE: [&str; 3] = ["drop", "cut", "black hole"];

/// From the first publish to the last receipt, with three starts of the broker, on a machine that does much else.
const STORM_LIMIT: Duration = Duration::from_secs(420);

/// After the last fault, until everything that was confirmed has been heard.
const CALM_LIMIT: Duration = Duration::from_secs(60);

/// Pushes `messages` through a storm with a fault each `between_bytes` on average.
///
/// A [`chassis::Bus`] publishes each once, and sends it until it is confirmed; an inbox hears it once, and folds what comes
/// twice. A second durable subscription sees that some do come twice.
pub(crate) async fn nothing_is_lost(mut site: Site, messages: usize, between_bytes: u64) {
    let (seed, began) = (seed(), Instant::now());
    say(format_args!("the faults have the seed {seed}"));
    let proxy = Proxy::start(site.broker.address(), seed).await;
    let tally = Tally::default();
    let reader = Member::connect("storm-reader", through(&proxy, site.common("web1"))).await;
    let topic = Topic::GitFetched;
    let destination = reader.bus.names().destination(&topic);
    let durable = Listen::durable(topic, "storm-reader".to_owned());
    let mut inbox = reader.bus.listen(durable).await;
    let mut witness = Witness::of(&proxy, &site.broker, destination);
    witness.subscribed().await;
    let mut writers = Vec::new();
    for host in ["web2", "web3"] {
        writers.push(Member::connect("storm-writer", through(&proxy, site.common(host))).await);
    }
    let publish = async |number: usize| {
        let message = numbered(number);
        let published = writers[number % WRITERS].bus.publish(&message).await;
        tally.confirm(published.expect("in the end it is confirmed"));
    };
    // Each has a window of its own: one that waits for a connection does not hold up the other.
    let publishing = join_all((0..WRITERS).map(|writer| {
        stream::iter((writer..messages).step_by(WRITERS))
            .map(&publish)
            .buffer_unordered(WINDOW)
            .collect::<()>()
    }));
    let faults = Faults::random(seed, between_bytes, BLACK_HOLE);
    let story = async {
        let storm = async {
            tokio::select! {
                _ = join(publishing, kill_three_times(&mut site.broker, &tally, messages)) => {}
                () = proxy.suffer(faults, |strike| tally.struck(strike)) => {}
            }
        };
        let over = timeout(STORM_LIMIT, storm).await;
        over.unwrap_or_else(|_| panic!("not over in time: {:?}", tally.seen()));
        proxy.set(Fault::Pass);
        proxy.refuse(false);
        publish(messages).await;
        // What is missing after this time is lost, as is said below.
        let _late = timeout(CALM_LIMIT, tally.reaches(Seen::all)).await;
    };
    tokio::select! {
        () = story => {}
        () = hear(&mut inbox, &tally) => panic!("the inbox has ended"),
        () = witness.look(&tally) => {}
    }
    let seen = tally.seen();
    say(format_args!(
        "{:?}: {seen:?} in {:.1} s over {} connections",
        site.kind,
        began.elapsed().as_secs_f32(),
        proxy.accepted()
    ));
    seen.judge(messages + 1);
}

/// The same settings by way of the proxy.
fn through(proxy: &Proxy, mut common: Common) -> Common {
    common.bus.brokers = vec![proxy.address()];
    common.bus.connect_limit_s = 3;
    common
}

/// Kills the broker and starts it again when a quarter, a half and three quarters are confirmed.
async fn kill_three_times(broker: &mut BrokerProcess, tally: &Tally, messages: usize) {
    for quarter in 1..=3 {
        let reached = |seen: &Seen| seen.confirmed.len() >= messages * quarter / 4;
        tally.reaches(reached).await;
        broker.kill().await;
        broker.start_again().await;
    }
}

/// Notes what the inbox gives out, and then acknowledges it, as a service does.
async fn hear(inbox: &mut Inbox, tally: &Tally) {
    while let Some(delivery) = inbox.next().await {
        let id = delivery.envelope().expect("only envelopes travel").id;
        tally.note(|seen| *seen.heard.entry(id).or_default() += 1);
        delivery.ack().await;
    }
}

/// What was confirmed, heard and seen so far.
#[derive(Debug, Default)]
struct Tally {
    seen: Mutex<Seen>,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct Seen {
    /// Ids that a broker confirmed.
    confirmed: Vec<Uuid>,
    /// How often the inbox gave each id out.
    heard: HashMap<Uuid, usize>,
    /// What came to the witness: as how manieth, and with which body, each id first came.
    witnessed: HashMap<Uuid, (usize, Bytes)>,
    /// What came to it again.
    duplicates: usize,
    /// The most ids that first came between a message and its duplicate.
    farthest: usize,
    /// How often each kind of fault struck.
    faults: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen());
        self.changed.send_replace(());
    }

    async fn reaches(&self, condition: impl Fn(&Seen) -> bool) {
        let mut changed = self.changed.subscribe();
        let reached = changed.wait_for(|()| condition(&self.seen())).await;
        reached.expect("the tally is kept");
    }

    fn confirm(&self, id: Uuid) {
        self.note(|seen| seen.confirmed.push(id));
    }

    fn struck(&self, strike: Strike) {
        let kind = match strike.fault {
            None => "refusal",
            Some(Fault::Pass) => "nothing",
            Some(Fault::Drop) => "drop",
            Some(Fault::Delay { .. }) => "delay",
            Some(Fault::HalfClose(_)) => "half-close",
            Some(Fault::Cut { .. }) => "cut",
            Some(Fault::BlackHole(_)) => "black hole",
        };
        self.note(|seen| *seen.faults.entry(kind).or_default() += 1);
    }

    /// The same id is the same message. That it is the id in the body is known from those that the inbox gave out.
    fn witness(&self, delivery: &Delivery) {
        let id = delivery.header("ce-id").and_then(|id| id.parse().ok());
        let (id, body): (Uuid, _) = (id.expect("only envelopes travel"), &delivery.body);
        self.note(|seen| {
            let number = seen.witnessed.len();
            match seen.witnessed.entry(id) {
                Entry::Occupied(first) => {
                    let (first, first_body) = first.get();
                    assert_eq!(first_body, body, "two messages have the id {id}");
                    seen.duplicates += 1;
                    seen.farthest = seen.farthest.max(number - first);
                }
                Entry::Vacant(new) => {
                    // A copy, which does not keep the buffer of a whole read with it.
                    new.insert((number, Bytes::copy_from_slice(body)));
                }
            }
        });
    }
}

impl Seen {
    /// The last message was heard and seen, and at least as many as were confirmed.
    fn all(&self) -> bool {
        let last = self.confirmed.last().expect("the last one was confirmed");
        self.heard.contains_key(last)
            && self.witnessed.contains_key(last)
            && self.heard.len().min(self.witnessed.len()) >= self.confirmed.len()
    }

    fn judge(&self, messages: usize) {
        assert_eq!(self.confirmed.len(), messages, "each was confirmed once");
        let lost = |known: &dyn Fn(&Uuid) -> bool| {
            let lost = self.confirmed.iter().filter(|id| !known(id));
            let lost: Vec<&Uuid> = lost.collect();
            assert!(
                lost.is_empty(),
                "{} lost, {:?} among them",
                lost.len(),
                lost[0]
            );
        };
        lost(&|id| self.heard.contains_key(id));
        lost(&|id| self.witnessed.contains_key(id));
        let twice = self.heard.values().filter(|times| **times > 1).count();
        assert_eq!(twice, 0, "given out more than once by the inbox");
        assert_eq!(self.heard.len(), messages, "heard but never confirmed");
        assert!(self.duplicates > 0, "nothing came twice: no storm at all");
        let strikes: usize = self.faults.values().sum();
        let struck = MUST_STRIKE
            .iter()
            .all(|kind| self.faults.contains_key(kind));
        assert!(
            strikes >= STRIKES && struck,
            "no storm at all, only {:?}",
            self.faults
        );
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} confirmed, {} heard, {} seen, {} of them again (at most {} later), faults {:?}",
            self.confirmed.len(),
            self.heard.len(),
            self.witnessed.len(),
            self.duplicates,
            self.farthest,
            self.faults
        )
    }
}

/// Another durable subscription, read without an inbox, so that what comes twice is seen.
#[derive(Debug)]
struct Witness {
    proxy: String,
    introduction: Connect,
    subscription: Subscription,
}

impl Witness {
    fn of(proxy: &Proxy, broker: &BrokerProcess, destination: String) -> Self {
        let name = "storm-witness";
        Self {
            proxy: proxy.address(),
            introduction: broker.introduction(name),
            subscription: Subscription {
                destination,
                durable: Some(name.to_owned()),
                prefetch: 64,
            },
        }
    }

    /// The broker keeps everything for it from now on.
    async fn subscribed(&mut self) {
        let subscribed = timeout(SOON, self.connection(None)).await;
        let subscribed = subscribed.expect("the broker answers soon");
        subscribed.expect("there are no faults yet");
    }

    /// Looks over one connection after the other.
    async fn look(&self, tally: &Tally) {
        loop {
            if let Err(_lost) = self.connection(Some(tally)).await {
                // waits for nothing by itself: it keeps attempts from following each other without a pause
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }

    /// One connection, to its end; without a tally until it has subscribed.
    async fn connection(&self, tally: Option<&Tally>) -> anyhow::Result<()> {
        let stream = World::real().net.connect(&self.proxy).await?;
        let (client, driver) = stomp::connect(stream, self.introduction.clone()).await?;
        let stop = CancellationToken::new();
        let looking = async {
            let mut deliveries = client.subscribe(self.subscription.clone()).await?;
            while let Some(tally) = tally
                && let Some(delivery) = deliveries.next().await
            {
                tally.witness(&delivery);
                // One that is not acknowledged comes again.
                let _lost = client.ack(&delivery).await;
            }
            anyhow::Ok(())
        };
        tokio::select! {
            looked = looking => looked?,
            ended = driver.run(stop.clone()) => anyhow::bail!("{ended}"),
        }
        Ok(())
    }
}

/// Another one each time; a run that failed printed the one to set as `STORM_SEED`.
#[expect(
    clippy::disallowed_methods,
    reason = "who runs the test gives it by hand"
)]
fn seed() -> u64 {
    if let Ok(given) = std::env::var("STORM_SEED") {
        return given.parse().expect("STORM_SEED is a number");
    }
    let mut bytes = [0; 8];
    World::real().entropy.fill(&mut bytes);
    u64::from_ne_bytes(bytes)
}

#[expect(clippy::print_stdout, reason = "shown when the test fails")]
fn say(what: fmt::Arguments<'_>) {
    println!("{what}");
}
