//! Byte streams.

use std::{fmt::Debug, io, net::SocketAddr};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

use crate::Boxed;

/// A connection: TCP, TLS over it, or a simulated one.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The network.
pub trait Net: Send + Sync + Debug {
    /// Connects to `host:port`, without Nagle's delay. The caller bounds the time.
    fn connect<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Stream>>>;
    /// Listens on `address` (`127.0.0.1:0` for a free port).
    fn listen<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>>;
}

/// Something that is connected to.
pub trait Listener: Send + Sync + Debug {
    /// The next connection, without Nagle's delay, and who it is from.
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

impl Net for RealNet {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn connect<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn listen<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            Ok(Box::new(RealListener(TcpListener::bind(address).await?)) as Box<dyn Listener>)
        })
    }
}

impl Listener for RealListener {
    fn accept(&self) -> Boxed<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            stream.set_nodelay(true)?;
            Ok((Box::new(stream) as Box<dyn Stream>, peer))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
