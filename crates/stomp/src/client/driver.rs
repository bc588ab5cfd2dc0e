//! The running half of a connection.
//!
//! Reading never waits for a caller and never for the writing, so that a peer that is itself held up by what it sends us
//! cannot lock both sides.

use std::{
    convert::Infallible,
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf},
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::{
    codec::{Decoder, Framed},
    sync::CancellationToken,
};

use super::{Client, Ended, Limits, SendError, book::Book};
use crate::{
    Secret,
    codec::{Codec, Item, encode},
    frame::{Command, Frame},
};

/// Frames are gathered up to this size for one write.
const GATHERED_BYTES: usize = 64 * 1024;
/// Room that each read is given.
const READ_BYTES: usize = 8 * 1024;
/// The receipt of DISCONNECT; the others are numbers.
const GOODBYE: &str = "goodbye";
/// A broker's text is cut to this length in messages.
const WORDS: usize = 300;

/// How often each side is heard of, where both agreed to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeartBeats {
    pub(super) incoming: Option<Duration>,
    pub(super) outgoing: Option<Duration>,
}

/// Moves the frames of a connection: a future that its caller owns. Dropped before its end, it fails everything outstanding.
#[derive(Debug)]
pub struct Driver<S> {
    framed: Framed<S, Codec>,
    queue: mpsc::Receiver<Bytes>,
    beats: HeartBeats,
    limits: Limits,
    ending: EndOnDrop,
}

#[derive(Debug)]
struct EndOnDrop(Arc<Book>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end("its driver was dropped");
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Driver<S> {
    pub(super) fn new(
        framed: Framed<S, Codec>,
        queue: mpsc::Receiver<Bytes>,
        client: &Client,
        beats: HeartBeats,
    ) -> Self {
        Self {
            framed,
            queue,
            beats,
            limits: client.limits,
            ending: EndOnDrop(Arc::clone(&client.book)),
        }
    }

    /// Runs the connection until it ends. At the stop it writes what was queued, says DISCONNECT and waits for its receipt.
    pub async fn run(self, stop: CancellationToken) -> Ended {
        let parts = self.framed.into_parts();
        let (read, write) = tokio::io::split(parts.io);
        let book = &self.ending.0;
        let leaving = AtomicBool::new(false);
        let writing = Writing {
            stream: write,
            queue: self.queue,
            gathered: BytesMut::new(),
            book,
            leaving: &leaving,
            limits: self.limits,
            beat: self.beats.outgoing,
        };
        let ended = tokio::select! {
            ended = read_all(read, parts.codec, parts.read_buf, book, &leaving, self.beats.incoming) => ended,
            ended = writing.run(stop) => ended,
            ended = receipts_come(book, self.limits.receipt) => ended,
        };
        book.end(&ended.to_string());
        ended
    }
}

/// Ends when a receipt is owed for too long.
async fn receipts_come(book: &Book, limit: Duration) -> Ended {
    loop {
        let owed = book.owed_for().unwrap_or_default();
        if owed >= limit {
            return Ended::NoReceipt(limit);
        }
        sleep(limit - owed).await;
    }
}

async fn read_all<S: AsyncRead + AsyncWrite>(
    mut stream: ReadHalf<S>,
    mut codec: Codec,
    mut buffer: BytesMut,
    book: &Arc<Book>,
    leaving: &AtomicBool,
    beat: Option<Duration>,
) -> Ended {
    let ended = loop {
        match codec.decode(&mut buffer) {
            Ok(Some(Item::HeartBeat)) => continue,
            Ok(Some(Item::Frame(frame))) => match dispatch(frame, book) {
                None => continue,
                Some(ended) => break ended,
            },
            Ok(Some(Item::Over { frame, why })) => match book.deliver(frame, Some(why)) {
                Ok(()) => continue,
                Err(ended) => break ended,
            },
            Ok(None) => {}
            Err(error) => break Ended::Protocol(error),
        }
        buffer.reserve(READ_BYTES);
        // Any byte shows that the peer is alive, not only a whole frame.
        let read = stream.read_buf(&mut buffer);
        let read = match beat.map(|beat| beat * 3) {
            Some(silence) => match timeout(silence, read).await {
                Ok(read) => read,
                Err(_) => break Ended::Silent(silence),
            },
            None => read.await,
        };
        match read {
            Ok(0) => break Ended::Closed,
            Ok(_) => {}
            Err(error) => break Ended::Io(error),
        }
    };
    match ended {
        // Once DISCONNECT is out, the broker may hang up before or after its receipt.
        Ended::Closed | Ended::Io(_) if leaving.load(Ordering::Relaxed) => Ended::Stopped,
        ended => ended,
    }
}

fn dispatch(frame: Frame, book: &Arc<Book>) -> Option<Ended> {
    match frame.command {
        Command::Message => book.deliver(frame, None).err(),
        Command::Receipt => match frame.header("receipt-id") {
            Some(GOODBYE) => Some(Ended::Stopped),
            id => {
                book.settle(id.unwrap_or_default(), Ok(()));
                None
            }
        },
        Command::Error => {
            let told = told(&frame, None);
            match frame.header("receipt-id") {
                Some(id) => book.settle(id, Err(SendError::Refused(told.clone()))),
                None => book.refuse_named(&told),
            }
            Some(Ended::Error(told))
        }
        other => Some(Ended::Unexpected(other)),
    }
}

struct Writing<'a, S> {
    stream: WriteHalf<S>,
    queue: mpsc::Receiver<Bytes>,
    gathered: BytesMut,
    book: &'a Book,
    leaving: &'a AtomicBool,
    limits: Limits,
    beat: Option<Duration>,
}

impl<S: AsyncRead + AsyncWrite> Writing<'_, S> {
    async fn run(mut self, stop: CancellationToken) -> Ended {
        if let Err(ended) = self.until_stop(stop).await {
            return ended;
        }
        let limit = self.limits.disconnect;
        match timeout(limit, self.leave()).await {
            Ok(Err(ended)) => ended,
            // The reader ends the connection when the receipt is there.
            Ok(Ok(never)) => match never {},
            Err(_) => Ended::Stopped,
        }
    }

    async fn until_stop(&mut self, stop: CancellationToken) -> Result<(), Ended> {
        loop {
            let idle = async {
                match self.beat {
                    Some(beat) => sleep(beat / 2).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                frame = self.queue.recv() => match frame {
                    Some(frame) => self.gather(&frame),
                    None => return Ok(()),
                },
                () = self.book.cancelled.notified() => self.gather_cancelled(),
                () = idle => self.gathered.put_u8(b'\n'),
            }
            self.flush().await?;
        }
    }

    /// Takes in a frame, and what else is queued, up to a good size for one write.
    fn gather(&mut self, first: &Bytes) {
        self.gather_one(first);
        while self.gathered.len() < GATHERED_BYTES {
            let Ok(frame) = self.queue.try_recv() else {
                break;
            };
            self.gather_one(&frame);
        }
    }

    fn gather_one(&mut self, frame: &Bytes) {
        // A subscription that was dropped ends before the same name is subscribed again, and after the acknowledgements of
        // what it brought: RabbitMQ hangs up on those of a subscription that has ended.
        if frame.starts_with(Command::Subscribe.name().as_bytes()) {
            self.gather_cancelled();
        }
        self.gathered.put_slice(frame);
    }

    fn gather_cancelled(&mut self) {
        for id in self.book.take_cancelled() {
            self.gather_frame(&Frame::new(Command::Unsubscribe).with("id", &id));
        }
    }

    fn gather_frame(&mut self, frame: &Frame) {
        encode(frame, &mut self.gathered).expect("an id that was subscribed with can be written");
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        let limit = self.limits.write;
        while !self.gathered.is_empty() {
            let written = timeout(limit, self.stream.write_buf(&mut self.gathered)).await;
            let written = written.map_err(|_| Ended::Stuck(limit))?;
            if written.map_err(Ended::Io)? == 0 {
                return Err(Ended::Closed);
            }
        }
        let flushed = timeout(limit, self.stream.flush()).await;
        flushed.map_err(|_| Ended::Stuck(limit))?.map_err(Ended::Io)
    }

    async fn leave(&mut self) -> Result<Infallible, Ended> {
        self.queue.close();
        while let Some(frame) = self.queue.recv().await {
            self.gather(&frame);
            self.flush().await?;
        }
        self.gather_frame(&Frame::new(Command::Disconnect).with("receipt", GOODBYE));
        self.leaving.store(true, Ordering::Relaxed);
        self.flush().await?;
        pending().await
    }
}

/// What an ERROR frame says, for a person. A broker may repeat what it was told, so the secret is taken out.
pub(super) fn told(error: &Frame, secret: Option<&Secret>) -> String {
    let message = error.header("message").unwrap_or_default();
    let body = String::from_utf8_lossy(&error.body);
    let text = match (message, &*body) {
        ("", "") => "no reason given".to_owned(),
        ("", text) | (text, "") => text.to_owned(),
        (message, body) => format!("{message}: {body}"),
    };
    match secret {
        Some(secret) => words(&text.replace(secret.expose(), "[secret]")),
        None => words(&text),
    }
}

/// A broker's text, fit for one line of a log.
pub(super) fn words(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(WORDS).collect::<String>().trim().to_owned()
}
