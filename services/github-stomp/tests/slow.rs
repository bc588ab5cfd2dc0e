//! Clients that are slow or send without end, on real sockets.

use github_stomp::body::{BODY_LIMIT, DRIP_LIMIT};
use reqwest::StatusCode;
use testkit::{Folder, LONG, TestBroker};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, timeout},
};
use world::{Stream, World};

use crate::hub::{Hub, PUSH, answer};

const HEAD: &str = "POST /hook/hub HTTP/1.1\r\nhost: x\r\nx-github-event: push\r\n\
                    x-hub-signature-256: sha256=0000000000000000000000000000000000000000000000000000000000000000\r\n";

async fn connect(hub: &Hub, text: &str) -> Box<dyn Stream> {
    let address = hub.address.to_string();
    let mut stream = World::real().net.connect(&address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// What is answered before the connection ends.
async fn answered(stream: &mut Box<dyn Stream>) -> String {
    let mut bytes = Vec::new();
    let ended = timeout(LONG, stream.read_to_end(&mut bytes)).await;
    // It may be cut while it still sends; what was answered is there.
    let _cut = ended.expect("it ends within the limit");
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn a_body_of_a_gigabyte_in_chunks_is_refused_once_it_is_too_large() {
    const CHUNK: usize = 1 << 20;
    let broker = TestBroker::start().await;
    let hub = Hub::start(broker.common("hub1")).await;
    let head = format!("{HEAD}transfer-encoding: chunked\r\n\r\n");
    let stream = connect(&hub, &head).await;
    let (mut from, mut to) = tokio::io::split(stream);
    let chunk = [
        format!("{CHUNK:x}\r\n").as_bytes(),
        &vec![b' '; CHUNK],
        b"\r\n",
    ]
    .concat();
    let mut sent = 0;
    let sending = async {
        while sent < 1024 && to.write_all(&chunk).await.is_ok() {
            sent += 1;
        }
    };
    let mut answer = [0; 12];
    let reading = async { from.read_exact(&mut answer).await.map(|_| ()) };
    let (_sent, read) = tokio::join!(timeout(LONG, sending), timeout(LONG, reading));
    read.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 413");
    // What lies in the sockets' buffers is more than was read.
    assert!((25..=60).contains(&sent), "{sent} MiB were sent");
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn a_body_that_stops_coming_is_given_up_at_its_limit() {
    let broker = TestBroker::start().await;
    let hub = Hub::start(broker.common("hub1")).await;
    let began = Instant::now();
    let mut stream = connect(&hub, &format!("{HEAD}content-length: 20000000\r\n\r\n{{")).await;
    let said = answered(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    // At the limit of a part of a body, before that of a whole one.
    let took = began.elapsed();
    assert!(took >= DRIP_LIMIT && took < BODY_LIMIT, "{took:?}");
    hub.running.stop().await.unwrap();
}

#[tokio::test]
async fn slow_clients_cannot_take_all_connections() {
    let broker = TestBroker::start().await;
    let hub = Hub::start_in(Folder::new(), broker.common("hub1"), |settings| {
        settings.connections = 8;
    })
    .await;
    // Twice as many as there may be, each of them in the middle of something.
    let mut slow = Vec::new();
    for half in [
        HEAD.to_owned(),
        format!("{HEAD}content-length: 9\r\n\r\n{{"),
        String::new(),
    ] {
        for _ in 0..6 {
            slow.push(connect(&hub, &half).await);
        }
    }
    let began = Instant::now();
    let (status, text) = answer(hub.signed("push", PUSH)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{text}");
    assert_eq!(answered(&mut slow[0]).await, "", "the oldest made room");
    // Before any of them has passed a limit of time.
    assert!(began.elapsed() < DRIP_LIMIT);
    hub.running.stop().await.unwrap();
}
