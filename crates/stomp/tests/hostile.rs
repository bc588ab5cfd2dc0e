//! A hostile peer costs bounded memory and linear time, and is told what it did wrong.

use std::time::Duration;

use bytes::BytesMut;
use rustix::time::{ClockId, clock_gettime};
use stomp::{Codec, FrameLimits};
use tokio_util::codec::Decoder;

/// As much as is read at once.
const PIECE: usize = 8 * 1024;

/// What a peer's bytes came to.
struct Seen {
    /// Bytes that it could send before it was refused.
    bytes: usize,
    /// The largest buffer meanwhile.
    buffer: usize,
    refused: Option<String>,
}

/// Feeds `start`, then `more` again and again up to `limit` bytes, in pieces.
fn feed(limits: FrameLimits, piece: usize, start: &[u8], more: &[u8], limit: usize) -> Seen {
    let mut codec = Codec::new(limits);
    let mut buffer = BytesMut::new();
    let mut seen = Seen {
        bytes: 0,
        buffer: 0,
        refused: None,
    };
    let mut stream = start.iter().chain(more.iter().cycle()).copied();
    while seen.bytes < limit {
        buffer.reserve(piece);
        let take = piece.min(limit - seen.bytes);
        buffer.extend(stream.by_ref().take(take));
        seen.bytes += take;
        seen.buffer = seen.buffer.max(buffer.capacity());
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) => {
                    seen.refused = Some(error.to_string());
                    return seen;
                }
            }
        }
    }
    seen
}

const HEAD: usize = 64 * 1024;
/// Less than the default, which would take its time one byte at a time.
const BODY: usize = 32 * 1024;

/// Bytes that are sent once, bytes that follow without end, how many may come at most, and what is said then.
type Attack = (&'static str, &'static str, usize, &'static str);

const ATTACKS: [Attack; 11] = [
    ("", "A", HEAD, "header block is longer"),
    ("SEND\na:", "b", HEAD, "header block is longer"),
    ("SEND\n", "b", HEAD, "header block is longer"),
    ("SEND\n", "a:b\n", HEAD, "more than 256 headers"),
    (
        "SEND\n",
        "content-length:1\n",
        HEAD,
        "more than 256 headers",
    ),
    ("SEND\ncontent-length:-1\n", "b", 64, "is no length"),
    (
        "SEND\ncontent-length:5368709120\n",
        "b",
        64,
        "body is longer",
    ),
    (
        "SEND\ncontent-length:99999999999999999999\n",
        "b",
        64,
        "body is longer",
    ),
    ("SEND\na:b\0", "SEND\na:b\0", 64, "NUL in the header block"),
    ("SEND\na:\\t\n", "b", 64, "undefined escape"),
    ("SEND\n\n", "b", BODY, "body is longer"),
];

#[test]
fn a_hostile_peer_is_refused_early_and_costs_little_memory() {
    for (start, more, most, expected) in ATTACKS {
        for piece in [1, PIECE] {
            let what = format!("{start:?} {more:?} by {piece}");
            let (start, more) = (start.as_bytes(), more.as_bytes());
            let limits = FrameLimits {
                body_bytes: BODY,
                ..FrameLimits::default()
            };
            let seen = feed(limits, piece, start, more, 2 * HEAD);
            let refused = seen.refused.unwrap_or_default();
            assert!(refused.contains(expected), "{what}: {refused}");
            let most = most + start.len() + PIECE;
            assert!(seen.bytes <= most, "{what}: {} bytes", seen.bytes);
            // A buffer that grows doubles.
            assert!(seen.buffer <= 2 * most, "{what}: {} buffered", seen.buffer);
        }
    }
}

#[test]
fn an_announced_body_takes_no_memory_before_it_comes() {
    let limits = FrameLimits::default();
    let start = b"SEND\ncontent-length:16777216\n\n";
    let seen = feed(limits, 1, start, b"b", 1000);
    assert_eq!(seen.refused, None);
    assert!(seen.buffer <= 4096, "{}", seen.buffer);
}

#[test]
fn endless_small_frames_and_heart_beats_do_not_grow_the_buffer() {
    let limits = FrameLimits::default();
    for more in [
        &b"\n"[..],
        b"\r\n",
        b"RECEIPT\nreceipt-id:1\n\n\0",
        b"SEND\n\nb\0\n",
    ] {
        let seen = feed(limits, PIECE, b"", more, 400_000);
        assert_eq!(seen.refused, None);
        assert!(seen.buffer <= 4 * PIECE, "{}", seen.buffer);
    }
}

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).expect("it counts up")
}

/// Four times the bytes take about four times as long, where the square would be sixteen. Measured in processor time, the
/// best of some tries, so that other work on the machine does not matter.
#[test]
fn whatever_comes_costs_linear_time_one_byte_at_a_time_too() {
    const TRIES: usize = 5;
    const BYTES: usize = 8_000;
    const AT_MOST: u32 = 8;
    let limits = FrameLimits {
        header_bytes: usize::MAX / 2,
        headers: usize::MAX,
        body_bytes: usize::MAX / 2,
    };
    let table: [(&str, &[u8], &[u8]); 8] = [
        ("a long header", b"SEND\na:", b"b"),
        ("a long header of escapes", b"SEND\na:", b"\\c"),
        ("many headers", b"SEND\n", b"a:b\n"),
        (
            "a body of a known length",
            b"SEND\ncontent-length:999999999\n\n",
            b"b",
        ),
        ("a body up to NUL", b"SEND\n\n", b"b"),
        ("small frames", b"", b"SEND\na:b\n\nb\0"),
        ("line ends", b"", b"\n"),
        ("line ends of two bytes", b"", b"\r\n"),
    ];
    for (what, start, more) in table {
        for piece in [1, PIECE] {
            let time = |bytes: usize| {
                let start_time = processor_time();
                let seen = feed(limits, piece, start, more, bytes);
                assert_eq!(seen.refused, None, "{what}");
                processor_time() - start_time
            };
            let linear = (0..TRIES).any(|_| time(4 * BYTES) < AT_MOST * time(BYTES));
            assert!(linear, "{what} by {piece}");
        }
    }
}
