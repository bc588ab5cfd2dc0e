//! No password in what is shown or told, whatever the broker says.

use bytes::BytesMut;
use stomp::{Codec, Command, ConnectError, Frame, FrameLimits, Secret};
use tokio::io::AsyncWriteExt;
use tokio_util::codec::Decoder;

use crate::script::{Far, introduction};

const PASSCODE: &str = "hush-4711";

fn without_passcode(shown: &str) {
    assert!(!shown.contains("hush"), "{shown}");
}

#[test]
fn a_secret_is_shown_as_one() {
    assert_eq!(format!("{:?}", Secret::new(PASSCODE)), "[secret]");
    let connect = Frame::new(Command::Connect)
        .with("login", "me")
        .with("passcode", PASSCODE);
    let shown = format!("{connect:?}");
    assert!(
        shown.contains("me") && shown.contains("[secret]"),
        "{shown}"
    );
    without_passcode(&shown);
}

#[tokio::test(start_paused = true)]
async fn neither_the_introduction_nor_the_connection_shows_the_passcode() {
    let (near, far) = tokio::io::duplex(1024);
    let mut far = Far::new(far);
    let mut connect = introduction();
    connect.passcode = Some(Secret::new(PASSCODE));
    let shown = format!("{connect:?}");
    assert!(shown.contains("[secret]"), "{shown}");
    without_passcode(&shown);
    let (connected, ()) = tokio::join!(stomp::connect(near, connect), async {
        assert_eq!(far.frame().await.header("passcode"), Some(PASSCODE));
        far.say("CONNECTED\nversion:1.2\n\n\0").await;
    });
    without_passcode(&format!("{:?}", connected.unwrap()));
}

/// Brokers tell what was wrong with CONNECT, and some repeat it.
#[tokio::test(start_paused = true)]
async fn a_refusal_does_not_repeat_the_passcode() {
    let long = "x".repeat(293);
    for answer in [
        format!("ERROR\nmessage:bad passcode {PASSCODE}\n\nCONNECT\npasscode:{PASSCODE}\n\0"),
        // What is told is cut to 300 characters, here in the middle of the passcode.
        format!("ERROR\n\n{long} {PASSCODE}\0"),
        format!("CONNECTED\nversion:1.2\npasscode {PASSCODE}\n\n\0"),
        format!("CONNECT\nlogin:me\npasscode:{PASSCODE}\n\n\0"),
    ] {
        let (near, far) = tokio::io::duplex(1024);
        let mut far = Far::new(far);
        let mut connect = introduction();
        connect.passcode = Some(Secret::new(PASSCODE));
        let (connected, ()) = tokio::join!(stomp::connect(near, connect), async {
            far.frame().await;
            far.say(&answer).await;
            far.pipe.shutdown().await.expect("a pipe");
        });
        let error = connected.expect_err("no connection");
        without_passcode(&told(&error));
    }
}

/// With all its causes, as it is logged.
fn told(error: &ConnectError) -> String {
    let mut told = format!("{error} {error:?}");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        told += &format!(" {error} {error:?}");
        cause = error.source();
    }
    told
}

#[tokio::test(start_paused = true)]
async fn a_passcode_that_cannot_be_sent_is_not_shown_either() {
    let (near, _far) = tokio::io::duplex(1024);
    let mut connect = introduction();
    connect.passcode = Some(Secret::new(format!("{PASSCODE}\\")));
    let error = stomp::connect(near, connect).await.expect_err("refused");
    without_passcode(&told(&error));
}

/// What a broker that uses this codec would log.
#[test]
fn a_line_of_connect_is_not_shown() {
    for start in ["CONNECT", "STOMP", "CONNECTED"] {
        let text = format!("{start}\npasscode:a\n{PASSCODE}\n\n\0");
        let mut codec = Codec::new(FrameLimits::default());
        let error = codec
            .decode(&mut BytesMut::from(&*text))
            .expect_err("a line without a colon");
        without_passcode(&format!("{error} {error:?}"));
    }
}
