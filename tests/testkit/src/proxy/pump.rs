//! One direction of one connection.

use std::{future::poll_fn, io, ops::Range, pin::Pin, task::Poll, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::watch,
    time::sleep,
};
use world::Stream;

use super::{Fault, Link, Way, faults::Chance};

/// The most that is read at once.
const CHUNK_BYTES: usize = 16 << 10;

/// Moves bytes one way.
pub(super) struct Pump {
    way: Way,
    from: ReadHalf<Box<dyn Stream>>,
    to: WriteHalf<Box<dyn Stream>>,
    chance: Chance,
    chunk: Vec<u8>,
    /// What of the chunk was read and is still to be written.
    unwritten: Range<usize>,
    /// What this chunk still has to wait.
    wait: Option<Duration>,
    /// The receiver was told that this is the end.
    closed: bool,
}

/// What a fault means for one direction.
#[derive(Debug, Clone, Copy)]
enum Rule {
    Open,
    Slow { least: Duration, jitter: Duration },
    Allow(u64),
    Shut,
    End,
}

impl Rule {
    fn of(link: Link, way: Way) -> Self {
        let closed = match way {
            Way::ToBroker => link.there,
            Way::ToClient => link.back,
        };
        match link.fault.unwrap_or(Fault::Pass) {
            _ if link.dropped => Self::Shut,
            _ if closed => Self::End,
            Fault::Delay { least, jitter } => Self::Slow { least, jitter },
            Fault::Cut {
                way: cut,
                after_bytes,
            } if cut == way => Self::Allow(after_bytes),
            Fault::BlackHole(None) => Self::Shut,
            Fault::BlackHole(Some(hole)) if hole == way => Self::Shut,
            _ => Self::Open,
        }
    }
}

impl Pump {
    pub(super) fn new(
        way: Way,
        from: ReadHalf<Box<dyn Stream>>,
        to: WriteHalf<Box<dyn Stream>>,
        chance: Chance,
    ) -> Self {
        Self {
            way,
            from,
            to,
            chance,
            chunk: vec![0; CHUNK_BYTES],
            unwritten: 0..0,
            wait: None,
            closed: false,
        }
    }

    /// Moves bytes until the sender has ended.
    ///
    /// # Errors
    /// When the connection must end: a cut, a receiver that is gone.
    pub(super) async fn run(
        mut self,
        mut link: watch::Receiver<Link>,
        passed: &watch::Sender<u64>,
    ) -> io::Result<()> {
        loop {
            let rule = Rule::of(*link.borrow_and_update(), self.way);
            let seen = link.clone();
            tokio::select! {
                biased;
                changed = link.changed() => changed.map_err(io::Error::other)?,
                ended = self.follow(rule, seen, passed) => return ended,
            }
        }
    }

    /// Follows one rule. Cancelled when the fault changes; nothing is lost then.
    async fn follow(
        &mut self,
        rule: Rule,
        link: watch::Receiver<Link>,
        passed: &watch::Sender<u64>,
    ) -> io::Result<()> {
        let mut left = u64::MAX;
        match rule {
            Rule::Shut => return std::future::pending().await,
            Rule::End if !self.closed => {
                self.closed = true;
                self.to.shutdown().await?;
            }
            Rule::Allow(bytes) => left = bytes,
            _ => {}
        }
        loop {
            while !self.unwritten.is_empty() && !self.closed {
                if left == 0 {
                    return Err(io::Error::other("it was cut"));
                }
                if let Some(wait) = self.wait {
                    // waits for the time of the fault, which is a delay
                    sleep(wait).await;
                    self.wait = None;
                }
                let most = usize::try_from(left).unwrap_or(usize::MAX);
                let end = self
                    .unwritten
                    .end
                    .min(self.unwritten.start.saturating_add(most));
                let chunk = &self.chunk[self.unwritten.start..end];
                let written = write(&mut self.to, chunk, &link).await?;
                self.unwritten.start += written;
                let written = u64::try_from(written).expect("a chunk is small");
                left -= written;
                passed.send_modify(|passed| *passed += written);
            }
            if left == 0 {
                return Err(io::Error::other("it was cut"));
            }
            let read = self.from.read(&mut self.chunk).await?;
            if read == 0 {
                return if self.closed {
                    Ok(())
                } else {
                    self.to.shutdown().await
                };
            }
            self.unwritten = 0..read;
            if let Rule::Slow { least, jitter } = rule {
                self.wait = Some(least + self.chance.up_to(jitter));
            }
        }
    }
}

/// One write, and none once there is another fault: the lock that this holds meanwhile is the one that a change needs.
async fn write(
    to: &mut WriteHalf<Box<dyn Stream>>,
    chunk: &[u8],
    link: &watch::Receiver<Link>,
) -> io::Result<usize> {
    poll_fn(|context| {
        let seen = link.borrow();
        if seen.has_changed() {
            // What waits for the change cancels this.
            return Poll::Pending;
        }
        Pin::new(&mut *to).poll_write(context, chunk)
    })
    .await
}
