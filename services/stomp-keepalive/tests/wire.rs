//! A network in memory whose delay a test sets, for a paused clock.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex, split},
    sync::{Mutex as Turn, mpsc},
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use world::{Boxed, Listener, Net, Stream};

type Coming = mpsc::UnboundedReceiver<Box<dyn Stream>>;

/// Leads every connection to its one listener. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Wire(Arc<Inside>);

#[derive(Debug)]
struct Inside {
    /// Of each way; `None` when nobody can be reached.
    delay: Mutex<Option<Duration>>,
    cut: Mutex<CancellationToken>,
    arrivals: mpsc::UnboundedSender<Box<dyn Stream>>,
    coming: Turn<Coming>,
    carrying: Mutex<JoinSet<()>>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        let (arrivals, coming) = mpsc::unbounded_channel();
        Self(Arc::new(Inside {
            delay: Mutex::new(Some(Duration::ZERO)),
            cut: Mutex::default(),
            arrivals,
            coming: Turn::new(coming),
            carrying: Mutex::default(),
        }))
    }

    /// From now on each way takes so long.
    pub(crate) fn delay(&self, each_way: Duration) {
        *self.0.delay.lock().unwrap() = Some(each_way);
    }

    /// Cuts all connections and refuses new ones, until a delay is set again.
    pub(crate) fn cut(&self) {
        *self.0.delay.lock().unwrap() = None;
        std::mem::take(&mut *self.0.cut.lock().unwrap()).cancel();
    }

    fn delay_now(&self) -> Option<Duration> {
        *self.0.delay.lock().unwrap()
    }

    async fn carry(&self, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut buffer).await {
            // waits for the delay that the test asked for, by its paused clock
            sleep(self.delay_now().unwrap_or_default()).await;
            if to.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
    }
}

impl Net for Wire {
    fn connect<'a>(&'a self, _: &'a str) -> Boxed<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            if self.delay_now().is_none() {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (client, near) = duplex(64 * 1024);
            let (far, server) = duplex(64 * 1024);
            let (wire, cut) = (self.clone(), self.0.cut.lock().unwrap().clone());
            let carrying = async move {
                let ((near_read, near_write), (far_read, far_write)) = (split(near), split(far));
                tokio::select! {
                    () = wire.carry(near_read, far_write) => {}
                    () = wire.carry(far_read, near_write) => {}
                    () = cut.cancelled() => {}
                }
            };
            self.0.carrying.lock().unwrap().spawn(carrying);
            let _nobody_listens = self.0.arrivals.send(Box::new(server));
            Ok(Box::new(client) as Box<dyn Stream>)
        })
    }

    fn listen<'a>(&'a self, _: &'a str) -> Boxed<'a, io::Result<Box<dyn Listener>>> {
        Box::pin(async move { Ok(Box::new(self.clone()) as Box<dyn Listener>) })
    }
}

impl Listener for Wire {
    fn accept(&self) -> Boxed<'_, io::Result<(Box<dyn Stream>, SocketAddr)>> {
        Box::pin(async move {
            let stream = self.0.coming.lock().await.recv().await;
            Ok((
                stream.expect("the sender is in here"),
                self.local_address()?,
            ))
        })
    }

    fn local_address(&self) -> io::Result<SocketAddr> {
        Ok(SocketAddr::from(([127, 0, 0, 1], 61613)))
    }
}
