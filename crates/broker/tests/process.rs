//! `kill -9` of a broker that is a process of its own, with publishes and acknowledgements on their way.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use broker::{Broker, Settings};
use stomp::Subscription;
use tokio::{io::AsyncWriteExt, sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::support::{Guest, Raw, message, next, soon, text, texts};

/// How often the broker is killed.
const ROUNDS: u64 = 25;
/// The folder of a broker that this program is to be.
const DATA: &str = "BROKER_PROCESS_DATA";
/// What stands before its address.
const LISTENS: &str = "listens on ";

/// Not a test: what [`Process`] starts.
#[test]
fn be_the_broker() {
    let Ok(data) = std::env::var(DATA) else {
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    // It ends with the test that started it.
    let _ends = std::thread::spawn(|| {
        let _closed = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    runtime.block_on(async {
        let world = World::real();
        let settings = Settings {
            data: Some(data.into()),
            ..Settings::default()
        };
        let broker = Broker::open(settings, &world).await.unwrap();
        let listener = world.net.listen("127.0.0.1:0").await.unwrap();
        let address = listener.local_address().unwrap();
        let line = format!("\n{LISTENS}{address}\n");
        std::io::stdout().write_all(line.as_bytes()).unwrap();
        broker
            .run(listener, CancellationToken::new())
            .await
            .unwrap();
    });
}

/// A broker as a process.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(data: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("a program"))
            .args(["--exact", "process::be_the_broker", "--nocapture"])
            .env(DATA, data)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        let mut lines = output.lines().map(|line| line.expect("text"));
        let address = lines.find_map(|line| line.strip_prefix(LISTENS).map(str::to_owned));
        let address = address.expect("it says where it listens");
        Self { child, address }
    }

    async fn connect(&self) -> Box<dyn world::Stream> {
        let connected = World::real().net.connect(&self.address).await;
        connected.expect("the broker listens")
    }

    async fn guest(&self, client_id: &str) -> Guest {
        Guest::over(self.connect().await, client_id).await
    }

    fn kill(mut self) {
        self.child.kill().expect("it ran until now");
        self.child.wait().expect("it is gone");
    }
}

#[derive(Default)]
struct Seen {
    sent: BTreeSet<String>,
    confirmed: BTreeSet<String>,
    acknowledging: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
    /// Text → in which round it was received first.
    received: BTreeMap<String, u64>,
}

/// Takes what comes, and acknowledges two of three with receipts, until the broker dies.
async fn consume(mut raw: Raw, round: u64, seen: Arc<Mutex<Seen>>) {
    while let Some(item) = raw.item().await {
        let stomp::Item::Frame(frame) = item else {
            continue;
        };
        if let Some(receipt) = frame.header("receipt-id") {
            let mut seen = seen.lock().expect("no panic");
            seen.acknowledged.insert(receipt.to_owned());
            continue;
        }
        let text = String::from_utf8(frame.body.to_vec()).expect("text");
        let ack = frame.header("ack").expect("an ack header").to_owned();
        {
            let mut seen = seen.lock().expect("no panic");
            assert!(!seen.acknowledged.contains(&text), "{text} came back");
            let first = *seen.received.entry(text.clone()).or_insert(round);
            let again = frame.header("redelivered") == Some("true");
            assert!(
                again || first == round,
                "{text} comes again and does not say so"
            );
            if text.ends_with(['0', '3', '6', '9']) {
                continue;
            }
            seen.acknowledging.insert(text.clone());
        }
        let ack = format!("ACK\nid:{ack}\nreceipt:{text}\n\n\0");
        if raw.pipe.write_all(ack.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// Publishes until the broker dies, and counts what was confirmed.
async fn publish(
    client: stomp::Client,
    writer: String,
    seen: Arc<Mutex<Seen>>,
    count: Arc<watch::Sender<u64>>,
) {
    for n in 0.. {
        let text = format!("{writer}-{n}");
        seen.lock().expect("no panic").sent.insert(text.clone());
        if client.send(message("t", &text)).await.is_err() {
            return;
        }
        seen.lock().expect("no panic").confirmed.insert(text);
        count.send_modify(|count| *count += 1);
    }
}

const SUBSCRIBE: &str = "SUBSCRIBE\nid:agent\ndestination:/topic/t\nack:client-individual\ndurable:true\nprefetch-count:1000\n\n\0";

#[tokio::test]
async fn killed_again_and_again_it_loses_nothing_and_brings_nothing_back() {
    let folder = tempfile::tempdir().unwrap();
    let seen = Arc::new(Mutex::new(Seen::default()));
    for round in 0..ROUNDS {
        let broker = Process::start(folder.path());
        let mut raw = Raw::log_in(broker.connect().await, "agent").await;
        raw.say(SUBSCRIBE).await;
        let mut tasks = JoinSet::new();
        let writers = [broker.guest("w0").await, broker.guest("w1").await];
        let count = Arc::new(watch::Sender::new(0));
        tasks.spawn(consume(raw, round, Arc::clone(&seen)));
        for n in 0..16 {
            let client = writers[n % 2].client.clone();
            let writer = format!("{round}-{n}");
            tasks.spawn(publish(
                client,
                writer,
                Arc::clone(&seen),
                Arc::clone(&count),
            ));
        }
        // Any moment will do, as long as it is another one in each round.
        let moment = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56;
        let mut counted = count.subscribe();
        soon("confirmed", counted.wait_for(|count| *count > moment))
            .await
            .unwrap();
        broker.kill();
        while let Some(done) = soon("the end of a task", tasks.join_next()).await {
            done.unwrap();
        }
    }
    let broker = Process::start(folder.path());
    let agent = broker.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 1000).await;
    agent.publish("t", "end").await;
    let mut kept = BTreeSet::new();
    loop {
        let delivery = next(&mut deliveries).await;
        if text(&delivery) == "end" {
            break;
        }
        agent.client.ack(&delivery).await.unwrap();
        assert!(kept.insert(text(&delivery).to_owned()), "delivered twice");
    }
    let seen = seen.lock().unwrap();
    let lost: Vec<_> = seen
        .confirmed
        .difference(&seen.acknowledging)
        .filter(|text| !kept.contains(*text))
        .collect();
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(kept.is_subset(&seen.sent));
    let back: Vec<_> = kept.intersection(&seen.acknowledged).collect();
    assert!(back.is_empty(), "came back: {back:?}");
    assert!(
        seen.acknowledged.len() > 100 && kept.len() > 100,
        "there was traffic"
    );
    broker.kill();
}

#[tokio::test]
async fn after_a_kill_only_what_may_have_been_delivered_says_redelivered() {
    let folder = tempfile::tempdir().unwrap();
    let subscription = Subscription {
        destination: "/topic/t".to_owned(),
        durable: Some("agent".to_owned()),
        prefetch: 3,
    };
    let broker = Process::start(folder.path());
    let agent = broker.guest("agent").await;
    drop(agent.client.subscribe(subscription.clone()).await.unwrap());
    agent.leave().await;
    let writer = broker.guest("w").await;
    for text in ["1", "2", "3", "4", "5"] {
        writer.publish("t", text).await;
    }
    broker.kill();
    let mut redelivered = Vec::new();
    for _ in 0..2 {
        let broker = Process::start(folder.path());
        let agent = broker.guest("agent").await;
        let mut deliveries = agent.client.subscribe(subscription.clone()).await.unwrap();
        for text in ["1", "2", "3"] {
            let delivery = next(&mut deliveries).await;
            assert_eq!(delivery.body, text);
            redelivered.push(delivery.redelivered());
        }
        broker.kill();
    }
    assert_eq!(redelivered, [false, false, false, true, true, true]);
    let broker = Process::start(folder.path());
    let agent = broker.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    assert_eq!(texts(&mut deliveries, 3).await, ["1", "2", "3"]);
    for text in ["4", "5"] {
        let delivery = next(&mut deliveries).await;
        assert_eq!(
            (&*delivery.body, delivery.redelivered()),
            (text.as_bytes(), false)
        );
    }
    broker.kill();
}
