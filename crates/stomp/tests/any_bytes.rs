//! What holds for any bytes that are fed to the codec: run by the tests over the corpus, and by the fuzz target.

use bytes::BytesMut;
use stomp::{Codec, FrameLimits, Item, encode};
use tokio_util::codec::Decoder;

/// Small, so that a short input can pass each of them.
const SMALL: FrameLimits = FrameLimits {
    header_bytes: 700,
    headers: 24,
    body_bytes: 900,
};

/// Of a MESSAGE that is passed over, so much of a header line is waited for.
const KEPT_LINE: usize = 1024;

/// All items up to an error, and the error's text.
type Read = (Vec<Item>, Option<String>);

/// # Panics
/// When the codec panics, reads a split stream otherwise, keeps more than its limits, or does not read what it wrote.
pub(crate) fn hold(bytes: &[u8]) {
    let (items, _) = any_split_is_read_the_same(bytes, FrameLimits::default(), false);
    any_split_is_read_the_same(bytes, SMALL, false);
    any_split_is_read_the_same(bytes, SMALL, true);
    for item in items {
        what_was_read_can_be_written_and_is_read_again(&item);
    }
}

fn any_split_is_read_the_same(bytes: &[u8], limits: FrameLimits, passes: bool) -> Read {
    let read = |pieces: &[&[u8]]| read(pieces, limits, passes);
    let whole = read(&[bytes]);
    let by_one: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(read(&by_one), whole, "one byte at a time");
    // Where the input itself says, so that a fuzzer can look for the place.
    let mut pieces = Vec::new();
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let (piece, later) = rest.split_at(rest.len().min(1 + usize::from(*first) % 61));
        pieces.push(piece);
        rest = later;
    }
    assert_eq!(read(&pieces), whole, "in pieces");
    whole
}

fn read(pieces: &[&[u8]], limits: FrameLimits, passes: bool) -> Read {
    let mut codec = Codec::new(limits);
    if passes {
        codec = codec.pass_over_messages();
    }
    let mut buffer = BytesMut::new();
    let mut items = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error.to_string())),
            }
        }
        let line = if passes { KEPT_LINE } else { 0 };
        let most = limits.header_bytes.max(limits.body_bytes).max(line);
        assert!(buffer.len() <= most, "{} bytes wait", buffer.len());
    }
    let end = codec.decode_eof(&mut buffer);
    (items, end.err().map(|error| error.to_string()))
}

fn what_was_read_can_be_written_and_is_read_again(item: &Item) {
    let Item::Frame(frame) = item else { return };
    let mut bytes = BytesMut::new();
    encode(frame, &mut bytes).expect("what was read can be written");
    // An escape makes two bytes of one.
    let limits = FrameLimits::default();
    let mut codec = Codec::new(FrameLimits {
        header_bytes: 2 * limits.header_bytes + 64,
        headers: limits.headers + 1,
        ..limits
    });
    let again = codec.decode(&mut bytes).expect("what was written is read");
    assert_eq!(again.as_ref(), Some(item));
    assert!(bytes.is_empty());
}
