//! Bodies in bounded memory: room first, then the bytes, within limits of size and time.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::StatusCode};
use bytes::BytesMut;
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

use crate::webhook::Refused;

/// The largest body: GitHub's cap, and what a form adds to it.
pub const BODY_BYTES: usize = 25 * 1024 * 1024 + 1024;

/// A body up to this size is small: a quarter of the room is kept for these.
const SMALL_BYTES: usize = 1024 * 1024;

/// How long a body waits for room before it is refused. GitHub waits 10 s in all.
pub const ROOM_LIMIT: Duration = Duration::from_secs(5);

/// How long a body may take to arrive.
pub const BODY_LIMIT: Duration = Duration::from_secs(30);

/// The next so many bytes of a body, or the rest of it, must be there within this time.
pub const DRIP_LIMIT: Duration = Duration::from_secs(5);
const DRIP_BYTES: usize = 256 * 1024;

/// The room for bodies that are in memory at once, before anybody knows that they are signed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Room {
    small: Lane,
    large: Lane,
}

#[derive(Debug, Clone)]
struct Lane {
    bytes: usize,
    free: Arc<Semaphore>,
}

impl Lane {
    fn new(bytes: usize) -> Self {
        let free = Arc::new(Semaphore::new(bytes));
        Self { bytes, free }
    }
}

/// The room that a body takes up, given back when the last one who holds it is gone.
pub(crate) type Held = Arc<OwnedSemaphorePermit>;

impl Room {
    /// Room for so many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            small: Lane::new(bytes / 4),
            large: Lane::new(bytes - bytes / 4),
        }
    }

    /// How much of it is taken, in bytes.
    #[must_use]
    pub fn taken(&self) -> usize {
        let lanes = [&self.small, &self.large];
        let taken = |lane: &Lane| lane.bytes - lane.free.available_permits();
        lanes.into_iter().map(taken).sum()
    }

    /// How much there is, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.small.bytes + self.large.bytes
    }

    /// Room for a body of this size, or of an unknown one, for which it waits its turn.
    async fn take(&self, size: Option<usize>) -> Result<Held, Refused> {
        let (lane, bytes) = match size {
            Some(size) if size <= SMALL_BYTES => (&self.small, size),
            Some(size) => (&self.large, size),
            None => (&self.large, BODY_BYTES),
        };
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let turn = Arc::clone(&lane.free).acquire_many_owned(permits);
        match timeout(ROOM_LIMIT, turn).await {
            Ok(Ok(held)) => Ok(Arc::new(held)),
            _ => {
                let why = "too many bodies at once; send it again";
                Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, why))
            }
        }
    }
}

/// Reads a body that says to have this size.
pub(crate) async fn read(
    room: &Room,
    size: Option<u64>,
    body: Body,
) -> Result<(BytesMut, Held), Refused> {
    let size = size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
    // Before a byte of it is read.
    if size.is_some_and(|size| size > BODY_BYTES) {
        return Err(too_large());
    }
    let held = room.take(size).await?;
    let bytes = arrive(size, body).await?;
    Ok((bytes, held))
}

fn too_large() -> Refused {
    let why = format!("the body is over {BODY_BYTES} bytes");
    Refused::new(StatusCode::PAYLOAD_TOO_LARGE, why)
}

async fn arrive(size: Option<usize>, mut body: Body) -> Result<BytesMut, Refused> {
    let mut bytes = BytesMut::with_capacity(size.unwrap_or_default());
    let last = Instant::now() + BODY_LIMIT;
    let (mut due, mut came) = (Instant::now() + DRIP_LIMIT, 0);
    loop {
        let Ok(frame) = timeout_at(due.min(last), body.frame()).await else {
            let why = format!(
                "the body took longer than {} s, or less than {DRIP_BYTES} bytes of it came in {} s",
                BODY_LIMIT.as_secs(),
                DRIP_LIMIT.as_secs()
            );
            return Err(Refused::new(StatusCode::REQUEST_TIMEOUT, why));
        };
        let Some(frame) = frame else {
            return Ok(bytes);
        };
        let broken = |_| Refused::new(StatusCode::BAD_REQUEST, "the body broke off");
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > BODY_BYTES {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
        came += data.len();
        if came >= DRIP_BYTES {
            (due, came) = (Instant::now() + DRIP_LIMIT, 0);
        }
    }
}

/// The event in a form `payload=…`, which is GitHub's default for hooks made in the browser.
///
/// It is undone in place, so that a large one is not in memory twice.
///
/// # Errors
/// When it is a form without exactly one payload.
pub fn out_of_form(mut body: BytesMut) -> Result<BytesMut, NoForm> {
    let mut found = None;
    let mut at = 0;
    for field in body[..].split(|&byte| byte == b'&') {
        if field.starts_with(PAYLOAD) {
            let value = at + PAYLOAD.len()..at + field.len();
            if found.replace(value).is_some() {
                return Err(NoForm);
            }
        }
        at += field.len() + 1;
    }
    let value = found.ok_or(NoForm)?;
    body.truncate(value.end);
    let mut body = body.split_off(value.start);
    let length = unescape(&mut body);
    body.truncate(length);
    Ok(body)
}

const PAYLOAD: &[u8] = b"payload=";

/// The body is no such form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a form with one payload")]
pub struct NoForm;

/// Undoes `+` and `%20` in place; the length of what is left. What is no escape stays as it is.
fn unescape(bytes: &mut [u8]) -> usize {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let (mut from, mut to) = (0, 0);
    while let Some(&byte) = bytes.get(from) {
        let escaped = (digit(bytes.get(from + 1)), digit(bytes.get(from + 2)));
        let (plain, length) = match (byte, escaped) {
            (b'+', _) => (b' ', 1),
            (b'%', (Some(high), Some(low))) => (u8::try_from(high * 16 + low).unwrap_or(byte), 3),
            _ => (byte, 1),
        };
        bytes[to] = plain;
        from += length;
        to += 1;
    }
    to
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, time::Duration};

    use futures_util::stream;
    use tokio::time::sleep;

    use super::*;

    const MIB: usize = 1 << 20;

    /// A body that sends so many bytes every so often, for ever.
    fn drips(bytes: usize, every: Duration) -> Body {
        Body::from_stream(stream::unfold((), move |()| async move {
            sleep(every).await;
            Some((Ok::<_, Infallible>(vec![b' '; bytes]), ()))
        }))
    }

    /// What it is answered, and after how many seconds.
    async fn refused(room: &Room, size: Option<u64>, body: Body) -> (u16, u64) {
        let began = Instant::now();
        let refused = read(room, size, body).await.unwrap_err();
        (refused.status.as_u16(), began.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_or_never_ends_is_given_up() {
        let room = Room::new(72 * MIB);
        let second = Duration::from_secs(1);
        assert_eq!(refused(&room, Some(9), drips(0, second)).await, (408, 5));
        assert_eq!(refused(&room, None, drips(1, second)).await, (408, 5));
        // As much as must be there each time, and never all of it.
        let just = drips(DRIP_BYTES, 4 * second);
        assert_eq!(refused(&room, None, just).await, (408, 30));
        let much = drips(MIB, second);
        assert_eq!(refused(&room, None, much).await, (413, 26));
        assert_eq!(room.taken(), 0, "all is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_says_that_it_is_too_large_is_refused_before_it_is_read() {
        let room = Room::new(72 * MIB);
        let size = Some(BODY_BYTES as u64 + 1);
        let never = || drips(1, Duration::from_secs(1000));
        assert_eq!(refused(&room, size, never()).await, (413, 0));
        assert_eq!(refused(&room, Some(u64::MAX), never()).await, (413, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_room_and_leave_some_for_small_ones() {
        let room = Room::new(36 * MIB);
        let large = || Body::from(vec![b' '; 20 * MIB]);
        let size = Some(20 * MIB as u64);
        let (body, held) = read(&room, size, large()).await.unwrap();
        assert_eq!((body.len(), room.taken()), (20 * MIB, 20 * MIB));
        // Until the limit, in vain.
        assert_eq!(refused(&room, size, large()).await, (503, 5));
        assert_eq!(refused(&room, None, large()).await, (503, 5));
        // More of them than there is room left for large ones.
        let mut small = Vec::new();
        for _ in 0..9 {
            let body = Body::from(vec![b' '; MIB]);
            small.push(read(&room, Some(MIB as u64), body).await.unwrap());
        }
        assert_eq!(room.taken(), 29 * MIB);
        drop(small);
        // Until there is room.
        let freed = async {
            sleep(Duration::from_secs(2)).await;
            drop(held);
        };
        let began = Instant::now();
        let (came, ()) = tokio::join!(read(&room, size, large()), freed);
        assert_eq!(began.elapsed().as_secs(), 2);
        assert_eq!(came.unwrap().0.len(), 20 * MIB);
    }

    #[test]
    fn a_payload_comes_out_of_its_form_wherever_it_stands() {
        let table = [
            ("payload=%7B%22a%22%3A+%22b%22%7D", Ok(r#"{"a": "b"}"#)),
            ("x=1&payload=a%2Bb&y=2", Ok("a+b")),
            ("payload=100%&x", Ok("100%")),
            ("payload=%zz%4", Ok("%zz%4")),
            ("payload=%C3%A9", Ok("é")),
            ("payload=", Ok("")),
            ("mypayload=1", Err(NoForm)),
            ("payload=1&payload=2", Err(NoForm)),
            ("", Err(NoForm)),
        ];
        for (body, expected) in table {
            let found = out_of_form(BytesMut::from(body));
            assert_eq!(found, expected.map(BytesMut::from), "{body}");
        }
    }
}
