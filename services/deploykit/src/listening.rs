//! A network that tells where a service has come to listen, so that port 0 can be used.

use std::{io, net::SocketAddr, sync::Arc};

use tokio::sync::watch;
use world::{Boxed, Listener, Net, Stream, World};

/// The world of one service, with a note of the address that it listens on.
#[derive(Debug)]
struct Noting {
    inner: Arc<dyn Net>,
    address: watch::Sender<Option<SocketAddr>>,
}

/// The same world; the second value shows the address once the service listens.
#[must_use]
pub fn noting(world: &World) -> (World, watch::Receiver<Option<SocketAddr>>) {
    let (address, receiver) = watch::channel(None);
    let mut world = world.clone();
    world.net = Arc::new(Noting {
        inner: Arc::clone(&world.net),
        address,
    });
    (world, receiver)
}

impl Net for Noting {
    fn connect<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Stream>>> {
        self.inner.connect(address)
    }

    fn listen<'a>(&'a self, address: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = self.inner.listen(address).await?;
            self.address.send_replace(Some(listener.local_address()?));
            Ok(listener)
        })
    }
}
