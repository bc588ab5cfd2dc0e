//! Frames out. A peer that does not read is given up after a limit.

use std::{
    fmt::Write as _,
    future::pending,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{BufMut, BytesMut};
use stomp::{Command, Frame, encode, encode_parts};
use tokio::{
    io::{AsyncWriteExt, WriteHalf},
    sync::mpsc,
    time::{sleep, timeout},
};
use world::Stream;

use crate::link::{ConnectionId, Delivery, Input, Link, Output};

/// Frames are gathered up to this size for one write.
const GATHERED_BYTES: usize = 64 * 1024;
/// What a delivery takes beside its subscription and its message.
const HEAD_BYTES: usize = 128;
/// A buffer that has grown beyond this is given back when there is less to write.
const KEPT_BYTES: usize = 8 * 1024;

/// How writing ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Last {
    /// As it should.
    Closed,
    /// With an ERROR frame.
    Error,
    /// The peer did not take it.
    Failed,
}

pub(super) struct Writer {
    stream: WriteHalf<Box<dyn Stream>>,
    gathered: BytesMut,
    limit: Duration,
    /// Ordinal of the last delivery in `gathered`, and the bytes of them all.
    ordinal: u64,
    bytes: usize,
}

impl Writer {
    pub(super) fn new(stream: WriteHalf<Box<dyn Stream>>, limit: Duration) -> Self {
        Self {
            stream,
            gathered: BytesMut::new(),
            limit,
            ordinal: 0,
            bytes: 0,
        }
    }

    pub(super) async fn write_frame(&mut self, frame: &Frame) -> io::Result<()> {
        self.gather(frame);
        self.flush().await
    }

    /// Says that nothing more comes.
    pub(super) async fn close(&mut self) {
        let _gone = timeout(self.limit, self.stream.shutdown()).await;
    }

    /// Writes what the core hands over until its last word.
    pub(super) async fn run(
        &mut self,
        id: ConnectionId,
        mut queue: mpsc::Receiver<Output>,
        link: &Link,
        inputs: &mpsc::Sender<Input>,
        beat: Option<Duration>,
    ) -> Last {
        loop {
            let idle = async {
                match beat {
                    Some(beat) => sleep(beat / 2).await,
                    None => pending().await,
                }
            };
            let mut last = None;
            tokio::select! {
                output = queue.recv() => match output {
                    Some(output) => last = self.gather_all(output, &mut queue),
                    None => last = Some(Last::Closed),
                },
                () = idle => self.gathered.put_u8(b'\n'),
            }
            link.offered.store(self.ordinal, Ordering::SeqCst);
            // Offered first, looked second: who cuts this and then looks, knows all that the peer may have.
            if link.cut.is_cancelled() {
                return Last::Failed;
            }
            let much = self.gathered.len() > KEPT_BYTES;
            if let Err(error) = self.flush().await {
                let client_id = &link.client_id;
                tracing::info!(connection = id, client_id, "cannot write: {error}");
                return Last::Failed;
            }
            if !much && self.gathered.capacity() > KEPT_BYTES {
                self.gathered = BytesMut::new();
            }
            link.written.store(self.ordinal, Ordering::SeqCst);
            link.queued_bytes.fetch_sub(self.bytes, Ordering::SeqCst);
            self.bytes = 0;
            if let Some(last) = last {
                self.close().await;
                return last;
            }
            if link.wants_flushed.swap(false, Ordering::SeqCst) {
                // The core is gone only when the broker ends.
                let _broker_ends = inputs.send(Input::Flushed(id)).await;
            }
        }
    }

    /// Takes in an output, and what else is there, up to a good size for one write.
    fn gather_all(&mut self, first: Output, queue: &mut mpsc::Receiver<Output>) -> Option<Last> {
        let mut last = self.gather_output(first);
        while last.is_none() && self.gathered.len() < GATHERED_BYTES {
            let Ok(output) = queue.try_recv() else { break };
            last = self.gather_output(output);
        }
        last
    }

    fn gather_output(&mut self, output: Output) -> Option<Last> {
        match output {
            Output::Receipt(id) => {
                let headers = [("receipt-id", &*id)].into_iter();
                encode_parts(Command::Receipt, headers, &[], &mut self.gathered)
                    .expect("a text that was decoded can be encoded");
            }
            Output::Deliver(delivery) => self.gather_delivery(&delivery),
            Output::Error {
                message,
                receipt_id,
            } => {
                let mut error = Frame::new(Command::Error).with("message", &message);
                if let Some(id) = receipt_id {
                    error = error.with("receipt-id", &id);
                }
                self.gather(&error);
                return Some(Last::Error);
            }
            Output::Close => return Some(Last::Closed),
        }
        None
    }

    fn gather_delivery(&mut self, delivery: &Delivery) {
        self.ordinal = delivery.ordinal;
        self.bytes += delivery.bytes;
        let message = delivery.message.as_ref().map(Arc::as_ref);
        let message = message.expect("the core has read it from disk");
        let gathered = &mut self.gathered;
        gathered.reserve(message.bytes() + delivery.subscription.len() + HEAD_BYTES);
        gathered.put_slice(b"MESSAGE\n");
        gathered.put_slice(&delivery.subscription);
        writeln!(gathered, "message-id:{}", delivery.sequence).expect("it grows");
        if delivery.wants_ack {
            writeln!(gathered, "ack:{}", delivery.ordinal).expect("it grows");
        }
        if delivery.redelivered {
            gathered.put_slice(b"redelivered:true\n");
        }
        gathered.put_slice(message.encoded());
    }

    fn gather(&mut self, frame: &Frame) {
        encode(frame, &mut self.gathered)
            .expect("texts that were decoded, and the broker's own, can be encoded");
    }

    async fn flush(&mut self) -> io::Result<()> {
        while !self.gathered.is_empty() {
            let written = timeout(self.limit, self.stream.write_buf(&mut self.gathered)).await;
            if written.map_err(|_| io::ErrorKind::TimedOut)?? == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
        }
        timeout(self.limit, self.stream.flush())
            .await
            .map_err(|_| io::ErrorKind::TimedOut)?
    }
}
