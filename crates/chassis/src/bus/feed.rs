//! Lines for the feed on their way to the broker: who says one waits for nobody.

use std::time::Duration;

use events::message::Said;
use tokio::{sync::mpsc, time::timeout};
use tokio_util::sync::CancellationToken;

use super::Bus;
use crate::{causes, outbox::Waiting};

/// Lines that wait at once while the broker is away; of more, the newest are left out.
const WAITING: usize = 256;

/// Lines that are on their way to the broker at once.
const WINDOW: usize = 32;

/// How long lines that wait have to go out at a stop, if the broker is there.
const LAST: Duration = Duration::from_secs(1);

/// Where lines are put.
pub(super) type Lines = mpsc::Sender<Waiting>;

pub(super) fn lines() -> (Lines, mpsc::Receiver<Waiting>) {
    mpsc::channel(WAITING)
}

impl Bus {
    /// Puts one line for people, and the same as a record for machines, on `events.<service>`. Nobody is waited for: while
    /// the broker is away so many lines wait in memory, and go out in order when it is back. More are left out and counted.
    pub fn say(&self, said: Said) {
        let line = said.line(self.shared.service.clone(), &self.shared.host);
        let sealed = match self.seal(&line) {
            Ok(sealed) => Waiting::of(&line, sealed),
            Err(error) => {
                let error = causes(&error);
                return tracing::warn!(error, "the line stays in this log");
            }
        };
        if self.shared.lines.try_send(sealed).is_err() {
            self.counts().lines_left_out.inc();
            tracing::debug!("too many lines wait for the broker: this one stays in this log");
        }
    }

    /// Sends lines until the stop; then those that are left, for a moment.
    pub(super) async fn send_lines(
        &self,
        mut waiting: mpsc::Receiver<Waiting>,
        stop: &CancellationToken,
    ) {
        let mut out = self.in_order::<()>(WINDOW);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(line) = waiting.recv(), if out.has_room() => out.push((), &line),
                ((), sent) = out.settled() => if let Err(error) = sent {
                    tracing::warn!(error = causes(&error), "the line stays in this log");
                },
            }
        }
        let last = async {
            while let Ok(line) = waiting.try_recv() {
                out.push((), &line);
            }
            while !out.is_empty() {
                let _its_last_chance = out.settled().await;
            }
        };
        if *self.shared.connected.borrow() && timeout(LAST, last).await.is_err() {
            tracing::debug!("lines that the broker did not take at the stop stay in this log");
        }
    }
}
