//! One connection: the handshake, then frames in and frames out side by side.

mod handshake;
mod writer;

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::BytesMut;
use stomp::{Codec, Command, Frame, Item};
use tokio::{
    io::{AsyncReadExt, ReadHalf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tokio_util::{codec::Decoder, sync::CancellationToken};
use world::Stream;

use crate::{
    lifecycle::LARGE_FRAME_BYTES,
    link::{ConnectionId, Input, Link},
    settings::Settings,
};
use writer::{Last, Writer};

/// Room that a read is given: little for who is mostly idle, more once a read has filled it.
const READ_BYTES: (usize, usize) = (4 * 1024, 64 * 1024);
/// A larger frame takes its share of [`House::large_frames`]; the number of smaller ones is limit enough.
const LARGE_FRAME: usize = 16 * 1024;
/// After ERROR the peer is given this long to read it and hang up, while what it sends is thrown away: to close with
/// unread input would take the ERROR from it.
const LINGER: Duration = Duration::from_secs(1);

/// What all connections of a broker share.
#[derive(Debug)]
pub(crate) struct House {
    pub(crate) settings: Settings,
    pub(crate) inputs: mpsc::Sender<Input>,
    pub(crate) stop: CancellationToken,
    /// Bytes of large frames that may still wait for the core.
    pub(crate) large_frames: Arc<Semaphore>,
}

/// What a connection reads from, decoded so far.
struct Incoming {
    stream: ReadHalf<Box<dyn Stream>>,
    codec: Codec,
    buffer: BytesMut,
    room: usize,
}

/// Why reading is over.
enum Over {
    /// The peer is gone, or taken for dead.
    Gone(&'static str),
    /// The core has the last word.
    Told,
}

impl Incoming {
    /// The next item; `None` at the end of the stream, in or between frames. `heard` is told of every read.
    async fn next(&mut self, heard: impl Fn()) -> Result<Option<Item>, stomp::DecodeError> {
        loop {
            if let Some(item) = self.codec.decode(&mut self.buffer)? {
                return Ok(Some(item));
            }
            if self.buffer.is_empty() && self.buffer.capacity() > 4 * self.room {
                self.buffer = BytesMut::new();
            }
            self.buffer.reserve(self.room);
            let read = self.stream.read_buf(&mut self.buffer).await?;
            if read == 0 {
                return Ok(None);
            }
            let (least, most) = READ_BYTES;
            let wanted = if read >= self.room {
                self.room * 4
            } else {
                read
            };
            self.room = wanted.clamp(least, most);
            heard();
        }
    }

    async fn throw_away(&mut self) {
        let until_the_end = async {
            loop {
                self.buffer.clear();
                self.buffer.reserve(READ_BYTES.0);
                match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                }
            }
        };
        // Whoever goes on sending is cut.
        let _sends_on = timeout(LINGER, until_the_end).await;
    }
}

/// Serves a connection until it ends.
pub(crate) async fn serve(
    stream: Box<dyn Stream>,
    peer: SocketAddr,
    id: ConnectionId,
    stranger: OwnedSemaphorePermit,
    house: Arc<House>,
) {
    let limits = &house.settings.limits;
    let (read, write) = tokio::io::split(stream);
    let mut incoming = Incoming {
        stream: read,
        codec: Codec::new(handshake::limits(limits)),
        buffer: BytesMut::new(),
        room: READ_BYTES.0,
    };
    let mut writer = Writer::new(write, limits.write);
    let guest = tokio::select! {
        guest = handshake::shake(&mut incoming, &mut writer, &house.settings) => guest,
        () = house.stop.cancelled() => return,
    };
    let guest = match guest {
        Ok(guest) => guest,
        Err(why) => {
            drop(stranger);
            tracing::info!(connection = id, %peer, "not connected: {why}");
            return incoming.throw_away().await;
        }
    };
    drop(stranger);
    incoming.codec.set_limits(limits.frame);
    let (outgoing, queue) = mpsc::channel(limits.outgoing_frames);
    let link = Arc::new(guest.link(outgoing));
    let client_id = &link.client_id;
    tracing::debug!(connection = id, %peer, client_id, login = guest.login, "connected");
    let inputs = &house.inputs;
    if inputs
        .send(Input::Opened(id, Arc::clone(&link)))
        .await
        .is_err()
    {
        return;
    }
    let written = tokio::select! {
        over = read_all(id, &mut incoming, &link, &house) => {
            if let Over::Gone(why) = over {
                tracing::info!(connection = id, %peer, client_id, "disconnected: {why}");
            }
            None
        }
        last = writer.run(id, queue, &link, inputs, guest.beats.outgoing) => Some(last),
        () = link.cut.cancelled() => None,
    };
    // The core is gone only when the broker ends.
    let _broker_ends = inputs.send(Input::Closed(id)).await;
    if matches!(written, Some(Last::Error)) {
        incoming.throw_away().await;
    }
}

async fn read_all(id: ConnectionId, incoming: &mut Incoming, link: &Link, house: &House) -> Over {
    let over = tokio::select! {
        over = read_frames(id, incoming, link, house) => over,
        () = house.stop.cancelled() => {
            let _broker_ends = house.inputs.send(Input::Leave(id)).await;
            Over::Told
        }
    };
    match over {
        Over::Told => std::future::pending().await,
        gone @ Over::Gone(_) => gone,
    }
}

async fn read_frames(
    id: ConnectionId,
    incoming: &mut Incoming,
    link: &Link,
    house: &House,
) -> Over {
    let heard = || {
        let ms = u64::try_from(link.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        link.heard_ms.store(ms, Ordering::Relaxed);
    };
    loop {
        let next = silence_ends(link, incoming.next(heard)).await;
        let input = match next {
            None => return Over::Gone("silent for three heart-beats"),
            Some(Ok(None)) => return Over::Gone("closed by the peer"),
            Some(Ok(Some(Item::HeartBeat))) => continue,
            Some(Ok(Some(Item::Frame(frame) | Item::Over { frame, .. }))) => {
                let share = share(&frame, house).await;
                Input::Frame(id, frame, share)
            }
            Some(Err(stomp::DecodeError::Io(_))) => return Over::Gone("transport failed"),
            Some(Err(error)) => Input::Broken(id, error.to_string()),
        };
        let last = match &input {
            Input::Frame(_, frame, _) => frame.command == Command::Disconnect,
            _ => true,
        };
        if house.inputs.send(input).await.is_err() || last {
            return Over::Told;
        }
    }
}

/// Waits until there is memory for a large frame.
async fn share(frame: &Frame, house: &House) -> Option<OwnedSemaphorePermit> {
    let bytes = u32::try_from(frame.body.len()).unwrap_or(u32::MAX);
    if frame.body.len() <= LARGE_FRAME {
        return None;
    }
    let most = u32::try_from(LARGE_FRAME_BYTES).unwrap_or(u32::MAX);
    let room = Arc::clone(&house.large_frames);
    // It is never closed.
    room.acquire_many_owned(bytes.min(most)).await.ok()
}

/// Waits for `next`, but not beyond the peer's silence: `None`.
async fn silence_ends<T>(link: &Link, next: impl Future<Output = T>) -> Option<T> {
    let Some(silence) = link.silence else {
        return Some(next.await);
    };
    tokio::pin!(next);
    loop {
        let heard = Duration::from_millis(link.heard_ms.load(Ordering::Relaxed));
        let silent = link.opened.elapsed().saturating_sub(heard);
        if silent >= silence {
            return None;
        }
        if let Ok(next) = timeout(silence - silent, &mut next).await {
            return Some(next);
        }
    }
}
