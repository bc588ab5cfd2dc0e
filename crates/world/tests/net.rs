//! Byte streams.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use world::{Net, RealNet};

#[tokio::test]
async fn what_is_written_at_one_end_is_read_at_the_other() {
    let listener = RealNet.listen("127.0.0.1:0").await.expect("it listens");
    let address = listener.local_address().expect("an address");
    assert_ne!(address.port(), 0);
    let address = address.to_string();
    let (here, there) = tokio::join!(RealNet.connect(&address), listener.accept());
    let mut here = here.expect("connected");
    let (mut there, peer) = there.expect("accepted");
    assert!(peer.ip().is_loopback());
    here.write_all(b"hello").await.expect("written");
    here.shutdown().await.expect("closed");
    let mut text = String::new();
    there.read_to_string(&mut text).await.expect("read");
    assert_eq!(text, "hello");
}

#[tokio::test]
async fn a_port_in_use_says_so() {
    let listener = RealNet.listen("127.0.0.1:0").await.expect("it listens");
    let address = listener.local_address().expect("an address").to_string();
    let error = RealNet.listen(&address).await.expect_err("in use");
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
