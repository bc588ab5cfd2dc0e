//! TERM and INT as a stop.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that mean "stop", caught from the moment this is made.
#[derive(Debug)]
pub(crate) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    pub(crate) fn catch() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
        })
    }

    /// Cancels `stop` at the first signal and says so at each further one. Never ends by itself.
    pub(crate) async fn watch(mut self, stop: CancellationToken) {
        loop {
            let name = tokio::select! {
                Some(()) = self.term.recv() => "SIGTERM",
                Some(()) = self.int.recv() => "SIGINT",
                else => return std::future::pending().await,
            };
            if stop.is_cancelled() {
                tracing::warn!(
                    signal = name,
                    "already stopping; what is in hand is ended first"
                );
            } else {
                tracing::info!(signal = name, "stopping");
                stop.cancel();
            }
        }
    }
}
