//! The network that fails.

use std::time::Duration;

use testkit::{Fault, Faults, Proxy, SOON, Strike, Way, until};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use world::{Listener, Stream, World};

/// What stands for the broker, and a client that is connected to it.
struct Ends {
    proxy: Proxy,
    listener: Box<dyn Listener>,
    client: Box<dyn Stream>,
    broker: Box<dyn Stream>,
}

impl Ends {
    async fn new() -> Self {
        let listener = World::real().net.listen("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_address().unwrap().to_string();
        let proxy = Proxy::start(upstream, 1).await;
        let (client, broker) = connect(&proxy, &*listener).await;
        Self {
            proxy,
            listener,
            client,
            broker,
        }
    }
}

async fn connect(proxy: &Proxy, listener: &dyn Listener) -> (Box<dyn Stream>, Box<dyn Stream>) {
    let client = World::real().net.connect(&proxy.address()).await.unwrap();
    let (broker, _) = timeout(SOON, listener.accept()).await.unwrap().unwrap();
    (client, broker)
}

/// Sends a text one way and waits until it is there.
async fn pass(from: &mut dyn Stream, to: &mut dyn Stream, text: &str) {
    from.write_all(text.as_bytes()).await.unwrap();
    let mut read = vec![0; text.len()];
    let done = timeout(SOON, to.read_exact(&mut read)).await;
    done.expect("it comes soon").unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), text);
}

/// What still comes, up to the end. A connection that was reset has ended too.
async fn rest(stream: &mut dyn Stream) -> String {
    let mut read = Vec::new();
    let ended = timeout(SOON, stream.read_to_end(&mut read)).await;
    let _reset = ended.expect("it ends soon");
    String::from_utf8(read).unwrap()
}

/// True if nothing comes. What would come has had the time of a whole round trip beside it.
async fn silent(ends: &mut Ends, way: Way) -> bool {
    ends.proxy.set_for_new(Fault::Pass);
    let (mut client, mut broker) = connect(&ends.proxy, &*ends.listener).await;
    pass(&mut *client, &mut *broker, "beside").await;
    pass(&mut *broker, &mut *client, "beside").await;
    let end = match way {
        Way::ToBroker => &mut ends.broker,
        Way::ToClient => &mut ends.client,
    };
    timeout(Duration::ZERO, end.read_u8()).await.is_err()
}

#[tokio::test]
async fn bytes_and_ends_pass_both_ways() {
    let mut ends = Ends::new().await;
    pass(&mut *ends.client, &mut *ends.broker, "there").await;
    pass(&mut *ends.broker, &mut *ends.client, "back").await;
    assert_eq!(ends.proxy.passed(), 9);
    ends.client.shutdown().await.unwrap();
    assert_eq!(rest(&mut *ends.broker).await, "");
    pass(&mut *ends.broker, &mut *ends.client, "after the end").await;
    drop(ends.broker);
    assert_eq!(rest(&mut *ends.client).await, "");
    let closed = || async { (ends.proxy.open() == 0).then_some(()) };
    until("the connection is forgotten", SOON, closed).await;
    assert_eq!(ends.proxy.accepted(), 1);
}

#[tokio::test]
async fn a_drop_closes_both_sides_of_those_that_are_there() {
    let mut ends = Ends::new().await;
    ends.proxy.strike(Fault::Drop);
    assert_eq!(rest(&mut *ends.client).await, "");
    assert_eq!(rest(&mut *ends.broker).await, "");
    let (mut client, mut broker) = connect(&ends.proxy, &*ends.listener).await;
    pass(&mut *client, &mut *broker, "a new one").await;
    assert_eq!((ends.proxy.accepted(), ends.proxy.open()), (2, 1));
}

#[tokio::test]
async fn a_half_closed_direction_ends_and_the_other_goes_on() {
    for way in [Way::ToBroker, Way::ToClient] {
        let mut ends = Ends::new().await;
        ends.proxy.strike(Fault::HalfClose(way));
        let (sender, receiver) = match way {
            Way::ToBroker => (&mut ends.client, &mut ends.broker),
            Way::ToClient => (&mut ends.broker, &mut ends.client),
        };
        assert_eq!(rest(&mut **receiver).await, "");
        sender.write_all(b"to nowhere").await.unwrap();
        pass(&mut **receiver, &mut **sender, "the other way").await;
        ends.proxy.strike(Fault::Pass);
        sender.write_all(b"still to nowhere").await.unwrap();
        assert_eq!(rest(&mut **receiver).await, "", "closed for good");
    }
}

#[tokio::test]
async fn a_cut_lets_so_many_bytes_through() {
    for way in [Way::ToBroker, Way::ToClient] {
        let mut ends = Ends::new().await;
        let after_bytes = 12;
        ends.proxy.strike(Fault::Cut { way, after_bytes });
        let (sender, receiver) = match way {
            Way::ToBroker => (&mut ends.client, &mut ends.broker),
            Way::ToClient => (&mut ends.broker, &mut ends.client),
        };
        pass(
            &mut **receiver,
            &mut **sender,
            "the other way does not count",
        )
        .await;
        pass(&mut **sender, &mut **receiver, "whole, ").await;
        sender.write_all(b"in the middle").await.unwrap();
        assert_eq!(rest(&mut **receiver).await, "in th");
        assert_eq!(rest(&mut **sender).await, "");
    }
}

#[tokio::test]
async fn nothing_leaves_a_black_hole_until_it_is_over() {
    let mut ends = Ends::new().await;
    ends.proxy.set(Fault::BlackHole(None));
    ends.client.write_all(b"held back").await.unwrap();
    ends.broker.write_all(b"this too").await.unwrap();
    assert!(silent(&mut ends, Way::ToBroker).await);
    assert!(silent(&mut ends, Way::ToClient).await);
    ends.proxy.strike(Fault::Pass);
    pass(&mut *ends.client, &mut *ends.broker, "").await;
    let mut read = [0; 9];
    ends.broker.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"held back");
    ends.client.read_exact(&mut read[..8]).await.unwrap();
    assert_eq!(&read[..8], b"this too");
}

#[tokio::test]
async fn a_black_hole_may_be_one_way_and_swallows_ends_too() {
    let mut ends = Ends::new().await;
    ends.proxy.strike(Fault::BlackHole(Some(Way::ToBroker)));
    pass(&mut *ends.broker, &mut *ends.client, "the other way").await;
    ends.client.shutdown().await.unwrap();
    assert!(silent(&mut ends, Way::ToBroker).await);
    ends.proxy.strike(Fault::Pass);
    assert_eq!(rest(&mut *ends.broker).await, "");
}

#[tokio::test]
async fn a_new_connection_is_refused_and_one_that_is_there_is_not() {
    let mut ends = Ends::new().await;
    ends.proxy.refuse(true);
    let refused = World::real().net.connect(&ends.proxy.address()).await;
    assert_eq!(rest(&mut *refused.unwrap()).await, "");
    pass(&mut *ends.client, &mut *ends.broker, "as before").await;
    ends.proxy.refuse(false);
    let (mut client, mut broker) = connect(&ends.proxy, &*ends.listener).await;
    pass(&mut *client, &mut *broker, "again").await;
    assert_eq!(ends.proxy.accepted(), 3);
}

#[tokio::test]
async fn a_client_of_a_broker_that_is_not_there_is_closed() {
    let ends = Ends::new().await;
    drop((ends.listener, ends.broker, ends.client));
    let refused = World::real().net.connect(&ends.proxy.address()).await;
    assert_eq!(rest(&mut *refused.unwrap()).await, "");
}

#[tokio::test]
async fn a_delay_holds_each_chunk_back() {
    let mut ends = Ends::new().await;
    let began = tokio::time::Instant::now();
    let (least, jitter) = (Duration::from_millis(20), Duration::from_millis(5));
    ends.proxy.set(Fault::Delay { least, jitter });
    for _ in 0..2 {
        pass(&mut *ends.client, &mut *ends.broker, "there").await;
        pass(&mut *ends.broker, &mut *ends.client, "back").await;
    }
    assert!(began.elapsed() >= least * 4, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_schedule_strikes_after_so_many_bytes_and_is_told() {
    let Ends {
        proxy,
        listener,
        mut client,
        mut broker,
    } = Ends::new().await;
    let strike = |after_bytes, fault| Strike {
        after_bytes,
        fault,
        whom: u64::MAX,
        lasts: Duration::ZERO,
    };
    let strikes = [strike(10, Some(Fault::Drop)), strike(5, None)];
    let mut told = Vec::new();
    let traffic = async {
        pass(&mut *client, &mut *broker, "nine byte").await;
        pass(&mut *client, &mut *broker, ".").await;
        assert_eq!(rest(&mut *client).await, "");
        let (mut client, mut broker) = connect(&proxy, &*listener).await;
        pass(&mut *client, &mut *broker, "five!").await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = proxy.suffer(strikes, |strike| told.push(strike)) => {}
        () = traffic => {}
    }
    assert_eq!(told, strikes);
}

#[tokio::test]
async fn a_strike_may_spare_some() {
    let mut ends = Ends::new().await;
    let (mut client, mut broker) = connect(&ends.proxy, &*ends.listener).await;
    let strike = Strike {
        after_bytes: 0,
        fault: Some(Fault::Drop),
        whom: 0b10,
        lasts: Duration::ZERO,
    };
    ends.proxy.suffer([strike], drop).await;
    assert_eq!(rest(&mut *client).await, "");
    assert_eq!(rest(&mut *broker).await, "");
    pass(&mut *ends.client, &mut *ends.broker, "the older one").await;
}

#[test]
fn chance_is_the_same_for_the_same_seed_and_brings_every_fault() {
    let random = |seed| Faults::random(seed, 1000, Duration::from_secs(4)).take(200);
    let strikes: Vec<Strike> = random(7).collect();
    assert_eq!(strikes, random(7).collect::<Vec<_>>());
    assert_ne!(strikes, random(8).collect::<Vec<_>>());
    let some = |wanted: fn(&Option<Fault>) -> bool| strikes.iter().any(|it| wanted(&it.fault));
    assert!(some(|it| matches!(it, Some(Fault::Drop))));
    assert!(some(|it| matches!(it, Some(Fault::Delay { .. }))));
    assert!(some(|it| matches!(it, Some(Fault::HalfClose(_)))));
    assert!(some(|it| matches!(it, Some(Fault::Cut { .. }))));
    assert!(some(|it| matches!(it, Some(Fault::BlackHole(None)))));
    assert!(some(|it| matches!(it, Some(Fault::BlackHole(Some(_))))));
    assert!(some(Option::is_none));
    let all = strikes.iter().filter(|it| it.whom == u64::MAX).count();
    assert!((50..150).contains(&all), "{all} of 200 strike everybody");
    assert!(
        strikes
            .iter()
            .all(|it| (500..1500).contains(&it.after_bytes))
    );
}

#[tokio::test]
async fn a_dropped_proxy_closes_everything() {
    let mut ends = Ends::new().await;
    ends.proxy.strike(Fault::BlackHole(None));
    drop(ends.proxy);
    assert_eq!(rest(&mut *ends.client).await, "");
    assert_eq!(rest(&mut *ends.broker).await, "");
}
