//! CONNECT and CONNECTED against a scripted broker, in paused time.

use std::time::Duration;

use stomp::ConnectError;
use tokio::{io::AsyncWriteExt, time::Instant};

use crate::script::{Far, introduction, text};

async fn refusal(answer: &str) -> ConnectError {
    let (near, far) = tokio::io::duplex(1024);
    let mut far = Far::new(far);
    let (connected, ()) = tokio::join!(stomp::connect(near, introduction()), async {
        far.frame().await;
        far.say(answer).await;
        far.pipe.shutdown().await.expect("a pipe");
    });
    connected.expect_err("no connection")
}

#[tokio::test(start_paused = true)]
async fn connect_is_the_portable_subset() {
    let (near, far) = tokio::io::duplex(1024);
    let mut far = Far::new(far);
    let mut connect = introduction();
    connect.heart_beat = Duration::from_secs(5);
    let (connected, frame) = tokio::join!(stomp::connect(near, connect), async {
        let frame = far.frame().await;
        far.say("\nCONNECTED\nversion:1.2\nserver:RabbitMQ/3.10.8\nheart-beat:0,0\n\n\0")
            .await;
        frame
    });
    assert_eq!(
        text(&frame),
        "CONNECT\naccept-version:1.2\nhost:/\nclient-id:agent\nheart-beat:5000,5000\nlogin:me\npasscode:hush\n"
    );
    assert_eq!(connected.unwrap().0.server(), "RabbitMQ/3.10.8");
}

#[tokio::test(start_paused = true)]
async fn no_connection_says_why() {
    let table = [
        (
            "ERROR\nmessage:Bad CONNECT\n\nAccess refused\nfor user\0",
            "the broker refused the connection: Bad CONNECT: Access refused for user",
        ),
        (
            "ERROR\n\n\0",
            "the broker refused the connection: no reason given",
        ),
        (
            "CONNECTED\nversion:1.1\n\n\0",
            "the broker speaks STOMP \"1.1\", not 1.2",
        ),
        (
            "CONNECTED\n\n\0",
            "the broker speaks STOMP \"1.0\", not 1.2",
        ),
        ("", "the broker closed the connection during the handshake"),
        (
            "CONNEC",
            "the broker closed the connection during the handshake",
        ),
        (
            "HTTP/1.1 400 Bad Request\r\n\r\n",
            "no STOMP broker answers there",
        ),
    ];
    for (answer, expected) in table {
        assert_eq!(refusal(answer).await.to_string(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_mute_broker_is_given_up_after_the_handshake_limit() {
    let (near, _far) = tokio::io::duplex(1024);
    let start = Instant::now();
    let error = stomp::connect(near, introduction()).await.err().unwrap();
    assert!(matches!(error, ConnectError::Timeout(_)));
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn credentials_that_brokers_read_differently_are_refused_unsent() {
    for wrong in ["a\\b", "a:b", "a\nb", "a\0b", ""] {
        let (near, _far) = tokio::io::duplex(1024);
        let mut connect = introduction();
        connect.passcode = Some(stomp::Secret::new(wrong));
        let error = stomp::connect(near, connect).await.err().unwrap();
        assert!(
            matches!(error, ConnectError::NotPortable("passcode")),
            "{wrong:?}"
        );
    }
}
