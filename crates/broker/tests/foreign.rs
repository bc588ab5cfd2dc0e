//! Clients that we did not write: the crate `tokio-stomp`, for what it can do, and Debian's `python3-stomp` and
//! `ruby-stomp`, each with a script of its own in `tests/foreign`.

use std::{net::SocketAddr, path::Path, time::Duration};

use broker::{Broker, RunError, Settings};
use command::{Limits, Program};
use futures_util::{SinkExt, StreamExt};
use tokio::task::JoinSet;
use tokio_stomp::{AckMode, FromServer, Message, ToServer, client};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::support::{Guest, next, soon, text};

async fn receive(transport: &mut client::ClientTransport) -> Message<FromServer> {
    let next = soon("a frame", transport.next()).await;
    next.expect("connected").expect("STOMP")
}

fn header<'a>(message: &'a Message<FromServer>, name: &str) -> Option<&'a [u8]> {
    let mut headers = message.extra_headers.iter();
    let (_, value) = headers.find(|(known, _)| known == name.as_bytes())?;
    Some(value)
}

/// Takes a message of `/topic/from.us`, and acknowledges it.
async fn take(transport: &mut client::ClientTransport) -> Vec<u8> {
    let received = receive(transport).await;
    let id = header(&received, "ack").expect("an ack header").to_vec();
    let FromServer::Message {
        destination,
        subscription,
        body,
        ..
    } = received.content
    else {
        panic!("{received:?}");
    };
    assert_eq!(destination, "/topic/from.us");
    assert_eq!(subscription, "s");
    let ack = ToServer::Ack {
        id: String::from_utf8(id).expect("text"),
        transaction: None,
    };
    transport.send(ack.into()).await.expect("connected");
    body.unwrap_or_default()
}

/// A broker on a port of loopback.
struct Listening {
    address: SocketAddr,
    stop: CancellationToken,
    running: JoinSet<Result<(), RunError>>,
}

impl Listening {
    async fn start(world: &World) -> Self {
        let broker = Broker::open(Settings::default(), world)
            .await
            .expect("it opens");
        let listener = world.net.listen("127.0.0.1:0").await.expect("a port");
        let address = listener.local_address().expect("it listens");
        let stop = CancellationToken::new();
        let mut running = JoinSet::new();
        running.spawn(broker.run(listener, stop.clone()));
        Self {
            address,
            stop,
            running,
        }
    }

    async fn stop(mut self) {
        self.stop.cancel();
        let ended = soon("stop", self.running.join_next()).await;
        ended.expect("it ran").expect("no panic").expect("no error");
    }
}

/// Runs a script against a broker; it says what is wrong.
async fn script_is_content(interpreter: &str, script: &str) {
    let world = World::real();
    let broker = Listening::start(&world).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/foreign")
        .join(script);
    let program = Program::new(interpreter)
        .arg(script.to_str().expect("a path in UTF-8"))
        .arg(broker.address.port().to_string());
    let ran = world
        .processes
        .run(&program, Limits::of(Duration::from_secs(60)));
    let output = ran.await.unwrap_or_else(|error| panic!("{error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "good\n", "{program}\n{complained}");
    assert!(output.success(), "{complained}");
    broker.stop().await;
}

#[tokio::test]
async fn debians_python_client_is_content() {
    // Not the first python3 on PATH: Debian's package belongs to Debian's interpreter.
    script_is_content("/usr/bin/python3", "stomp_py.py").await;
}

#[tokio::test]
async fn debians_ruby_client_is_content() {
    script_is_content("/usr/bin/ruby", "stomp_rb.rb").await;
}

#[tokio::test]
async fn tokio_stomp_and_our_client_understand_each_other() {
    let world = World::real();
    let broker = Listening::start(&world).await;
    let address = broker.address;
    let login = || Some("guest".to_owned());
    let wrong = Some("wrong".to_owned());
    let refused = client::connect(address, "/", login(), wrong).await;
    let refused = format!("{:?}", refused.err().unwrap());
    assert!(refused.contains("login or passcode is wrong"), "{refused}");
    let mut foreign = client::connect(address, "/", login(), login())
        .await
        .unwrap();
    let own = Guest::over(
        world.net.connect(&address.to_string()).await.unwrap(),
        "own",
    )
    .await;
    let mut deliveries = own.subscribe("from.them").await;

    let subscribe = ToServer::Subscribe {
        destination: "/topic/from.us".to_owned(),
        id: "s".to_owned(),
        ack: Some(AckMode::ClientIndividual),
    };
    foreign.send(subscribe.into()).await.unwrap();
    let send = ToServer::Send {
        destination: "/topic/from.them".to_owned(),
        transaction: None,
        body: Some(b"a\0b".to_vec()),
    };
    foreign.send(send.into()).await.unwrap();
    let delivery = next(&mut deliveries).await;
    assert_eq!(text(&delivery), "a\0b");

    for n in 0..3 {
        own.publish("from.us", &n.to_string()).await;
        assert_eq!(take(&mut foreign).await, n.to_string().as_bytes());
    }
    let unsubscribe = ToServer::Unsubscribe { id: "s".to_owned() };
    foreign.send(unsubscribe.into()).await.unwrap();
    let goodbye = ToServer::Disconnect {
        receipt: Some("bye".to_owned()),
    };
    foreign.send(goodbye.into()).await.unwrap();
    let receipt = receive(&mut foreign).await.content;
    assert!(
        matches!(&receipt, FromServer::Receipt { receipt_id } if receipt_id == "bye"),
        "{receipt:?}"
    );

    broker.stop().await;
}
