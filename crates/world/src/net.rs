//! Byte streams.

use std::{fmt::Debug, io, net::SocketAddr, time::Duration};

use rustix::net::sockopt;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use crate::Boxed;

/// A connection on which nothing came for so long is asked whether it is there, so that a firewall forgets no connection
/// of a protocol that is silent and one whose other end is gone ends.
pub const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(30);

/// It is asked again after so long without an answer.
pub const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// After so many questions without an answer it has ended: 60 s after the last byte.
pub const KEEP_ALIVE_COUNT: u32 = 3;

/// A connection whose other end acknowledges no byte, or has no room for one, for so long has ended (`TCP_USER_TIMEOUT`).
/// Without it the system tries for a quarter of an hour.
pub const UNACKNOWLEDGED_LIMIT: Duration = Duration::from_secs(60);

/// A connection: TCP, TLS over it, or a simulated one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The network.
pub trait Net: Send + Sync + Debug {
    /// Connects to `host:port`, without Nagle's delay, and such that a connection whose other end is gone ends within
    /// [`UNACKNOWLEDGED_LIMIT`] and keep-alive. The caller bounds the time.
    fn connect<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Stream>>>;
    /// Listens on `address` (`127.0.0.1:0` for a free port).
    fn listen<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>>;
}

/// Something that is connected to.
pub trait Listener: Send + Sync + Debug {
    /// The next connection, set up as one of [`Net::connect`], and who it is from.
    fn accept(&self) -> Boxed<'_, io::Result<(Box<dyn Stream>, SocketAddr)>>;
    /// Where it listens.
    ///
    /// # Errors
    /// The system's.
    fn local_address(&self) -> io::Result<SocketAddr>;
}

/// The system's TCP.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealNet;

#[derive(Debug)]
struct RealListener(TcpListener);

fn set_up(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(stream, true)?;
    sockopt::set_tcp_keepidle(stream, KEEP_ALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(stream, KEEP_ALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(stream, KEEP_ALIVE_COUNT)?;
    let limit_ms = u32::try_from(UNACKNOWLEDGED_LIMIT.as_millis()).unwrap_or(u32::MAX);
    sockopt::set_tcp_user_timeout(stream, limit_ms)?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "this is the seam")]
async fn connected(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    set_up(&stream)?;
    Ok(stream)
}

impl Net for RealNet {
    fn connect<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move { Ok(Box::new(connected(address).await?) as Box<dyn Stream>) })
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn listen<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            Ok(Box::new(RealListener(TcpListener::bind(address).await?)) as Box<dyn Listener>)
        })
    }
}

impl RealListener {
    async fn accepted(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = self.0.accept().await?;
        // What ended already is the reader's to find out; the listener goes on.
        let _gone = set_up(&stream);
        Ok((stream, peer))
    }
}

impl Listener for RealListener {
    fn accept(&self) -> Boxed<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async move {
            let (stream, peer) = self.accepted().await?;
            Ok((Box::new(stream) as Box<dyn Stream>, peer))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the seam is tried without its box"
    )]
    async fn both_ends_of_a_connection_find_out_that_the_other_one_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("it listens");
        let listener = RealListener(listener);
        let address = listener.local_address().expect("an address").to_string();
        let (here, there) = tokio::join!(connected(&address), listener.accepted());
        let (here, (there, _)) = (here.expect("connected"), there.expect("accepted"));
        for stream in [here, there] {
            assert!(stream.nodelay().expect("TCP_NODELAY"));
            assert_eq!(sockopt::socket_keepalive(&stream), Ok(true));
            assert_eq!(sockopt::tcp_keepidle(&stream), Ok(Duration::from_secs(30)));
            assert_eq!(sockopt::tcp_keepintvl(&stream), Ok(Duration::from_secs(10)));
            assert_eq!(sockopt::tcp_keepcnt(&stream), Ok(3));
            assert_eq!(sockopt::tcp_user_timeout(&stream), Ok(60_000));
        }
    }
}
