//! Peers that mean harm, or know no better: bounded memory, a clear ERROR, and everybody else goes on.

use broker::{Broker, Settings};
use stomp::ConnectError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::support::{House, Raw, introduce, soon, texts};

/// What a peer says after CONNECT, and a word of the answer.
#[tokio::test(start_paused = true)]
async fn what_is_no_stomp_is_answered_with_error() {
    let endless = format!("SEND\nx:{}", "y".repeat(100_000));
    let many = format!("SEND\n{}\n\n\0", "a:b\n".repeat(300));
    let table = [
        ("GET / HTTP/1.1\r\n", "unknown command"),
        (&endless, "header block is longer"),
        (&many, "headers"),
        (
            "SEND\ndestination:/topic/t\ncontent-length:5368709120\n\n",
            "body is longer",
        ),
        (
            "SEND\ndestination:/topic/t\ncontent-length:-1\n\n",
            "no length",
        ),
        (
            "SEND\ndestination:/topic/t\ncontent-length:1x\n\n",
            "no length",
        ),
        (
            "SEND\ndestination:/topic/t\ncontent-length:1\n\nab\0",
            "not followed by NUL",
        ),
        ("SEND\ndestination:/topic/t\0", "NUL in the header block"),
        ("SEND\ndestination:\\t\n\n\0", "undefined escape"),
        ("SEND\nno colon\n\n\0", "no name and colon"),
        ("SEND\n\n\0", "needs a destination"),
        ("SEND\ndestination:/queue/x\n\n\0", "topics only"),
        ("SEND\ndestination:/topic/a/b\n\n\0", "no topic name"),
        ("SEND\ndestination:/topic/a.*\n\n\0", "no topic name"),
        (
            "SEND\ndestination:/topic/a\ntransaction:1\n\n\0",
            "no transactions",
        ),
        ("BEGIN\ntransaction:1\n\n\0", "no transactions"),
        ("NACK\nid:1\n\n\0", "no NACK"),
        ("SUBSCRIBE\ndestination:/topic/a\n\n\0", "needs an id"),
        ("SUBSCRIBE\nid:1\n\n\0", "needs a destination"),
        (
            "SUBSCRIBE\nid:1\ndestination:/topic/a\nack:maybe\n\n\0",
            "ack mode",
        ),
        (
            "SUBSCRIBE\nid:1\ndestination:/topic/a\nprefetch-count:x\n\n\0",
            "prefetch",
        ),
        (
            "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n\0SUBSCRIBE\nid:1\ndestination:/topic/b\n\n\0",
            "there already",
        ),
        ("UNSUBSCRIBE\nid:1\n\n\0", "no subscription"),
        ("CONNECT\n\n\0", "already connected"),
        ("MESSAGE\n\n\0", "for servers"),
    ];
    let house = House::new().await;
    let bystander = house.guest("b").await;
    for (said, expected) in table {
        let mut raw = house.raw("a").await;
        raw.say(said).await;
        let told = raw.error().await;
        assert!(told.contains(expected), "{said:?} was answered {told:?}");
    }
    bystander.publish("t", "still here").await;
}

#[tokio::test(start_paused = true)]
async fn an_error_names_the_frame_by_its_receipt() {
    let house = House::new().await;
    let mut raw = house.raw("a").await;
    raw.say("SEND\ndestination:/queue/x\nreceipt:r7\n\n\0")
        .await;
    let error = raw.frame().await;
    assert_eq!(error.header("receipt-id"), Some("r7"));
}

#[tokio::test(start_paused = true)]
async fn strangers_are_told_why_they_are_not_let_in() {
    let long = format!("CONNECT\nx:{}\n\n\0", "y".repeat(10_000));
    let table = [
        (
            "CONNECT\naccept-version:1.2\nlogin:guest\npasscode:wrong\n\n\0",
            "login or passcode",
        ),
        ("CONNECT\naccept-version:1.2\n\n\0", "login or passcode"),
        (
            "CONNECT\naccept-version:1.0,1.1\nlogin:guest\npasscode:guest\n\n\0",
            "1.2 only",
        ),
        ("SEND\ndestination:/topic/t\n\n\0", "must be CONNECT"),
        (&long, "header block is longer"),
        ("CONNECT\ncontent-length:1\n\n", "body is longer"),
    ];
    let house = House::new().await;
    for (said, expected) in table {
        let mut raw = Raw::new(house.pipe().await);
        raw.say(said).await;
        let told = raw.error().await;
        assert!(told.contains(expected), "{said:?} was answered {told:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_hung_up_on() {
    let house = House::new().await;
    let mut raw = Raw::new(house.pipe().await);
    assert!(raw.error().await.contains("no CONNECT within 10s"));
}

#[tokio::test(start_paused = true)]
async fn one_byte_at_a_time_is_as_good_as_all_at_once() {
    let house = House::new().await;
    let guest = house.guest("b").await;
    let mut deliveries = guest.subscribe("t").await;
    let mut raw = house.raw("a").await;
    for byte in b"SEND\ndestination:/topic/t\ncontent-length:3\n\na\0b\0" {
        raw.pipe.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(texts(&mut deliveries, 1).await, ["a\0b"]);
}

#[tokio::test(start_paused = true)]
async fn a_frame_cut_in_the_middle_is_nothing() {
    let house = House::new().await;
    let guest = house.guest("b").await;
    let mut deliveries = guest.subscribe("t").await;
    let mut raw = house.raw("a").await;
    raw.say("SEND\ndestination:/topic/t\n\nhalf").await;
    drop(raw);
    guest.publish("t", "whole").await;
    assert_eq!(texts(&mut deliveries, 1).await, ["whole"]);
}

#[tokio::test(start_paused = true)]
async fn our_client_says_that_the_passcode_is_wrong() {
    let house = House::new().await;
    let mut wrong = introduce("a");
    wrong.passcode = Some(stomp::Secret::new("not-it"));
    let refused = stomp::connect(house.pipe().await, wrong).await;
    assert!(
        matches!(&refused, Err(ConnectError::Refused(why)) if why == "login or passcode is wrong"),
        "{:?}",
        refused.err()
    );
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_line_ends_is_only_a_sign_of_life() {
    let house = House::new().await;
    let mut raw = house.raw("a").await;
    soon("flood", raw.say(&"\n".repeat(1_000_000))).await;
    raw.say("SEND\ndestination:/topic/t\nreceipt:r\n\n\0").await;
    raw.receipt("r").await;
}

/// Over TCP, where a connection that is closed with unread input is reset.
#[tokio::test]
async fn who_is_still_sending_can_read_its_error() {
    let world = World::real();
    let broker = Broker::open(Settings::default(), &world).await.unwrap();
    let listener = world.net.listen("127.0.0.1:0").await.unwrap();
    let address = listener.local_address().unwrap().to_string();
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(broker.run(listener, stop.clone()));
    let connect = "CONNECT\naccept-version:1.2\nlogin:guest\npasscode:guest\n\n\0";
    let table = [
        (
            format!("{connect}SEND\ncontent-length:5368709120\n\n"),
            "body is longer",
        ),
        (
            connect.replace("passcode:guest", "passcode:wrong"),
            "login or passcode is wrong",
        ),
    ];
    for (said, expected) in table {
        let mut peer = world.net.connect(&address).await.unwrap();
        peer.write_all(said.as_bytes()).await.unwrap();
        for _ in 0..16 {
            let sent = soon("sent", peer.write_all(&[b'x'; 1024 * 1024])).await;
            sent.expect("the broker throws it away");
        }
        peer.shutdown().await.unwrap();
        let mut answer = String::new();
        soon("answer", peer.read_to_string(&mut answer))
            .await
            .unwrap();
        assert!(answer.contains(expected), "{answer}");
    }
    stop.cancel();
    soon("stop", running.join_next())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
}
