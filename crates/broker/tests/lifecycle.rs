//! Opening, stopping, and the real network and disk.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Mutex,
    time::Duration,
};

use broker::{Broker, Limits, OpenError, Settings};
use stomp::Ended;
use tokio::{io::DuplexStream, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use world::{Boxed, Listener, Stream, World};

use crate::support::{Guest, House, next, soon, text, texts};

fn on(folder: &std::path::Path) -> Settings {
    Settings {
        data: Some(folder.to_owned()),
        ..Settings::default()
    }
}

#[tokio::test]
async fn a_data_folder_belongs_to_one_broker() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::real();
    let first = Broker::open(on(folder.path()), &world).await.unwrap();
    let second = Broker::open(on(folder.path()), &world).await.unwrap_err();
    let file = folder.path().join("broker.lock");
    assert_eq!(
        second.to_string(),
        format!("{} is in use by another broker", file.display())
    );
    assert!(matches!(second, OpenError::InUse { path } if path == file));
    drop(first);
    Broker::open(on(folder.path()), &world).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_and_a_file_that_is_none_of_ours_are_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::real();
    std::fs::write(folder.path().join("file"), "x").unwrap();
    let error = Broker::open(on(&folder.path().join("file/data")), &world)
        .await
        .unwrap_err();
    assert!(matches!(error, OpenError::Folder { .. }), "{error}");
    let (log, next) = (
        folder.path().join("00000001.log"),
        folder.path().join("00000002.log"),
    );
    std::fs::write(&log, "not a log".repeat(1000)).unwrap();
    std::fs::write(&next, "").unwrap();
    let error = Broker::open(on(folder.path()), &world).await.unwrap_err();
    let told = format!(
        "{} is damaged at byte 0: a group is damaged; put the folder back from a backup, or move it away to begin anew",
        log.display()
    );
    assert_eq!(error.to_string(), told);
}

#[tokio::test(start_paused = true)]
async fn a_stop_closes_connections_and_frees_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let house = House::on(folder.path()).await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    agent.publish("t", "x").await;
    assert_eq!(texts(&mut deliveries, 1).await, ["x"]);
    let mut raw = house.raw("b").await;
    let _stranger = house.pipe().await;
    house.stop().await;
    assert!(matches!(agent.ended().await, Ended::Closed));
    assert_eq!(raw.item().await, None);
    let house = House::on(folder.path()).await;
    let agent = house.guest("agent").await;
    let mut deliveries = agent.durable("t", "agent", 10).await;
    let delivery = next(&mut deliveries).await;
    assert_eq!((text(&delivery), delivery.redelivered()), ("x", true));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_does_not_hold_up_the_stop() {
    let house = House::limited(Limits::default()).await;
    let mut raw = house.raw("slow").await;
    raw.say("SUBSCRIBE\nid:s\ndestination:/topic/t\nreceipt:r\n\n\0")
        .await;
    raw.receipt("r").await;
    let writer = house.guest("w").await;
    let body = "x".repeat(200_000);
    writer.publish("t", &body).await;
    house.begin_stop();
    house.stop().await;
}

#[tokio::test(start_paused = true)]
async fn over_the_limit_of_connections_the_newest_is_closed() {
    let house = House::limited(Limits {
        connections: 1,
        ..Limits::default()
    })
    .await;
    let first = house.guest("a").await;
    let mut second = crate::support::Raw::new(house.pipe().await);
    assert_eq!(second.item().await, None);
    first.publish("t", "x").await;
}

/// Has one connection, and no file descriptors after it.
#[derive(Debug)]
struct OnlyOne(Mutex<Option<DuplexStream>>);

impl Listener for OnlyOne {
    fn accept(&self) -> Boxed<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        let pipe = self
            .0
            .lock()
            .expect("nobody panics while holding it")
            .take();
        Box::pin(async {
            let pipe = pipe.ok_or_else(|| io::Error::other("too many open files"))?;
            Ok((Box::new(pipe) as Box<dyn Stream>, self.local_address()?))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok((Ipv4Addr::LOCALHOST, 0).into())
    }
}

#[tokio::test(start_paused = true)]
async fn those_who_are_in_are_served_while_nobody_can_be_let_in() {
    let world = World::real();
    let broker = Broker::open(Settings::default(), &world).await.unwrap();
    let (near, far) = tokio::io::duplex(64 * 1024);
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(broker.run(Box::new(OnlyOne(Mutex::new(Some(far)))), stop.clone()));
    let guest = Guest::over(near, "a").await;
    let before = Instant::now();
    for _ in 0..20 {
        guest.publish("t", "x").await;
    }
    let took = before.elapsed();
    assert!(took < Duration::from_millis(100), "{took:?}");
    guest.leave().await;
    stop.cancel();
    let ended = soon("stop", running.join_next()).await;
    ended.unwrap().unwrap().unwrap();
}

/// As in production: TCP, and the disk on a thread.
#[tokio::test]
async fn over_tcp_with_many_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::real();
    let broker = Broker::open(on(folder.path()), &world).await.unwrap();
    let listener = world.net.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address().unwrap().to_string();
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(broker.run(listener, stop.clone()));
    let agent = Guest::over(world.net.connect(&address).await.unwrap(), "agent").await;
    let mut deliveries = agent.durable("t", "agent", 50).await;
    let mut writers = JoinSet::new();
    for writer in 0..4 {
        let guest = Guest::over(
            world.net.connect(&address).await.unwrap(),
            &format!("w{writer}"),
        )
        .await;
        writers.spawn(async move {
            let mut sends = JoinSet::new();
            for n in 0..100 {
                let client = guest.client.clone();
                let message = crate::support::message("t", &format!("{writer}-{n}"));
                sends.spawn(async move { client.send(message).await });
            }
            while let Some(sent) = sends.join_next().await {
                sent.unwrap().unwrap();
            }
            guest.leave().await;
        });
    }
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..400 {
        let delivery = next(&mut deliveries).await;
        assert!(seen.insert(text(&delivery).to_owned()));
        agent.client.ack(&delivery).await.unwrap();
    }
    while let Some(done) = soon("writers", writers.join_next()).await {
        done.unwrap();
    }
    agent.leave().await;
    stop.cancel();
    soon("stop", running.join_next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
