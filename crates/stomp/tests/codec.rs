//! The codec. Each test of the first part names what some published crate gets wrong.

use bytes::{Bytes, BytesMut};
use stomp::{Codec, Command, DecodeError, EncodeError, Frame, FrameLimits, Item, encode};
use tokio_util::codec::Decoder;

/// Decodes all of `bytes`, given as one piece.
fn decode(bytes: &[u8]) -> Result<Vec<Item>, DecodeError> {
    decode_within(FrameLimits::default(), bytes)
}

fn decode_within(limits: FrameLimits, bytes: &[u8]) -> Result<Vec<Item>, DecodeError> {
    let mut codec = Codec::new(limits);
    let mut buffer = BytesMut::from(bytes);
    let mut items = Vec::new();
    while let Some(item) = codec.decode_eof(&mut buffer)? {
        items.push(item);
    }
    Ok(items)
}

fn frame(bytes: &[u8]) -> Frame {
    match decode(bytes).expect("it decodes").pop() {
        Some(Item::Frame(frame)) => frame,
        other => panic!("{other:?}"),
    }
}

fn written(frame: &Frame) -> String {
    let mut bytes = BytesMut::new();
    encode(frame, &mut bytes).expect("it can be written");
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn error(bytes: &[u8]) -> String {
    decode(bytes).expect_err("it is refused").to_string()
}

#[test]
fn custom_headers_are_written() {
    let frame = Frame::new(Command::Send)
        .with("destination", "/topic/a")
        .with("persistent", "true")
        .with("x-own", "1");
    assert_eq!(
        written(&frame),
        "SEND\ndestination:/topic/a\npersistent:true\nx-own:1\n\n\0"
    );
}

#[test]
fn names_and_values_are_escaped_and_back() {
    let frame = Frame::new(Command::Send).with("a:b\\", "c\r\nd:e\\n");
    let text = written(&frame);
    assert_eq!(text, "SEND\na\\cb\\\\:c\\r\\nd\\ce\\\\n\n\n\0");
    assert_eq!(self::frame(text.as_bytes()), frame);
}

#[test]
fn an_ack_id_is_escaped_once() {
    let received = frame(b"MESSAGE\nack:ID\\chost-1\\c2\n\nx\0");
    let id = received.header("ack").unwrap();
    assert_eq!(id, "ID:host-1:2");
    let ack = Frame::new(Command::Ack).with("id", id);
    assert_eq!(written(&ack), "ACK\nid:ID\\chost-1\\c2\n\n\0");
}

#[test]
fn connect_and_connected_are_not_escaped() {
    let connect = Frame::new(Command::Connect).with("passcode", "e:pw\\1");
    assert_eq!(written(&connect), "CONNECT\npasscode:e:pw\\1\n\n\0");
    for start in ["CONNECT", "STOMP", "CONNECTED"] {
        let frame = frame(format!("{start}\nsession:a\\cb:c\n\n\0").as_bytes());
        assert_eq!(frame.header("session"), Some("a\\cb:c"));
    }
}

#[test]
fn what_connect_cannot_carry_is_refused_and_nothing_written() {
    for (name, value) in [
        ("passcode", "a\nadmin:true"),
        ("passcode", "a\rb"),
        ("a:b", "c"),
        ("a", "b\0"),
        ("", "x"),
    ] {
        let mut bytes = BytesMut::from(&b"before"[..]);
        let refused = encode(&Frame::new(Command::Connect).with(name, value), &mut bytes);
        assert!(
            matches!(refused, Err(EncodeError::Header(_))),
            "{name:?} {value:?}"
        );
        assert_eq!(&bytes[..], b"before");
    }
    let nul = Frame::new(Command::Send).with("a", "b\0c");
    assert!(
        encode(&nul, &mut BytesMut::new()).is_err(),
        "there is no escape for NUL"
    );
}

#[test]
fn an_undefined_escape_is_an_error() {
    for header in ["a:\\t", "a:b\\", "a\\x:b", "a:\\0"] {
        let error = error(format!("SEND\n{header}\n\n\0").as_bytes());
        assert!(error.contains("undefined escape"), "{header}: {error}");
    }
}

#[test]
fn a_body_with_content_length_may_hold_nul() {
    let frame = frame(b"MESSAGE\ncontent-length:5\n\n\0a\0\xff\n\0");
    assert_eq!(&frame.body[..], b"\0a\0\xff\n");
    assert_eq!(
        frame.headers.len(),
        0,
        "content-length belongs to the writing"
    );
}

#[test]
fn content_length_is_always_written_for_a_body_and_only_for_one() {
    let frame = Frame::new(Command::Send)
        .with("content-length", "77")
        .with("a", "b");
    assert_eq!(written(&frame), "SEND\na:b\n\n\0");
    assert_eq!(
        written(&frame.with_body("text")),
        "SEND\na:b\ncontent-length:4\n\ntext\0"
    );
}

#[test]
fn a_content_length_that_is_no_length_is_an_error_and_not_ignored() {
    for wrong in ["-1", "+1", "1 ", " 1", "", "0x1", "1e3", "x"] {
        let error = error(format!("SEND\ncontent-length:{wrong}\n\na\0").as_bytes());
        assert!(error.contains("no length"), "{wrong:?}: {error}");
    }
    for long in [
        "5368709120",
        "16777217",
        "18446744073709551615",
        "99999999999999999999999",
    ] {
        let error = error(format!("SEND\ncontent-length:{long}\n\n").as_bytes());
        assert!(error.contains("body is longer"), "{long}: {error}");
    }
}

#[test]
fn a_content_length_that_does_not_fit_the_body_is_an_error() {
    assert!(error(b"SEND\ncontent-length:1\n\nab\0").contains("not followed by NUL"));
    assert!(error(b"SEND\ncontent-length:3\n\nab\0").contains("ended inside"));
}

#[test]
fn of_repeated_headers_the_first_wins_and_all_are_kept() {
    let frame = frame(b"MESSAGE\na:1\na:2\ncontent-length:1\ncontent-length:9\n\nx\0");
    assert_eq!(frame.header("a"), Some("1"));
    assert_eq!(
        frame.headers.iter().collect::<Vec<_>>(),
        [("a", "1"), ("a", "2")]
    );
    assert_eq!(&frame.body[..], b"x");
}

#[test]
fn cr_lf_line_ends_are_as_good() {
    let items = decode(b"\r\nMESSAGE\r\na:1\r\ncontent-length:2\r\n\r\n\r\n\0\r\n").unwrap();
    let expected = Frame::new(Command::Message)
        .with("a", "1")
        .with_body("\r\n");
    assert_eq!(
        items,
        [Item::HeartBeat, Item::Frame(expected), Item::HeartBeat]
    );
}

#[test]
fn any_number_of_line_ends_between_frames_are_heart_beats() {
    let items = decode(b"\n\n\nRECEIPT\n\n\0\n\r\n\nRECEIPT\n\n\0").unwrap();
    let beats = items
        .iter()
        .filter(|item| **item == Item::HeartBeat)
        .count();
    assert_eq!((items.len(), beats), (8, 6));
}

#[test]
fn a_nul_in_the_header_block_is_an_error_and_does_not_swallow_the_next_frame() {
    for bytes in [
        &b"SEND\na:b\0SEND\n\n\0"[..],
        b"SEND\0",
        b"\0",
        b"SEND\na:b\0c\n\n\0",
    ] {
        assert!(
            error(bytes).contains("NUL in the header block"),
            "{bytes:?}"
        );
    }
}

#[test]
fn everything_has_a_limit() {
    let limits = FrameLimits {
        header_bytes: 32,
        headers: 2,
        body_bytes: 4,
    };
    let table: [(&[u8], &str); 9] = [
        (
            b"SEND\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "longer than 32 bytes",
        ),
        (
            b"SENDSENDSENDSENDSENDSENDSENDSENDSEND",
            "longer than 32 bytes",
        ),
        (
            b"SEND\naaaaaaaa:bbbbb\naaaaaaaa:bbbbb\n\n\0",
            "longer than 32 bytes",
        ),
        (b"SEND\na:b\na:b\na:b\n\n\0", "more than 2 headers"),
        (b"SEND\ncontent-length:0\na:b\na:b\n", "more than 2 headers"),
        (b"SEND\ncontent-length:5\n\n", "longer than 4 bytes"),
        (b"SEND\n\n12345", "longer than 4 bytes"),
        (b"SEND\n\n12345\0", "longer than 4 bytes"),
        (b"SEND\n\n1234\0", ""),
    ];
    for (bytes, expected) in table {
        match decode_within(limits, bytes) {
            Err(error) => assert!(
                !expected.is_empty() && error.to_string().contains(expected),
                "{bytes:?}: {error}"
            ),
            Ok(_) => assert_eq!(expected, "", "{bytes:?}"),
        }
    }
}

#[test]
fn what_is_no_frame_is_said_so() {
    let table: [(&[u8], &str); 8] = [
        (b"GET / HTTP/1.1\r\n", "unknown command \"GET / HTTP/1.1\""),
        (b"send\n\n\0", "unknown command"),
        (b"SEND \n\n\0", "unknown command"),
        (b"SEND\nabc\n\n\0", "no name and colon"),
        (b"SEND\n:abc\n\n\0", "no name and colon"),
        (b"SEND\na:b\rc\n\n\0", "carriage return"),
        (b"\rSEND\n\n\0", "carriage return"),
        (b"SEND\na:\xff\n\n\0", "not UTF-8"),
    ];
    for (bytes, expected) in table {
        let error = error(bytes);
        assert!(error.contains(expected), "{bytes:?}: {error}");
    }
}

#[test]
fn the_end_of_the_stream_inside_a_frame_is_told_from_the_end_between_frames() {
    let whole = b"SEND\na:b\ncontent-length:3\n\nabc\0";
    for end in 1..whole.len() {
        assert!(
            matches!(decode(&whole[..end]), Err(DecodeError::Truncated)),
            "{end}"
        );
    }
    assert!(decode(b"").unwrap().is_empty());
    assert_eq!(decode(b"\n").unwrap(), [Item::HeartBeat]);
}

#[test]
fn a_value_may_be_empty_and_hold_colons_and_blanks() {
    let frame = frame(b"MESSAGE\na:\nb: c:d \n\n\0");
    assert_eq!(frame.header("a"), Some(""));
    assert_eq!(frame.header("b"), Some(" c:d "));
}

#[test]
fn a_large_body_is_not_copied_and_a_small_one_does_not_keep_the_buffer() {
    for size in [10, 1_000_000] {
        let sent = Frame::new(Command::Send).with_body(Bytes::from(vec![7; size]));
        let mut bytes = BytesMut::new();
        encode(&sent, &mut bytes).unwrap();
        let place = bytes.as_ptr() as usize..bytes.as_ptr() as usize + bytes.len();
        let item = Codec::new(FrameLimits::default())
            .decode(&mut bytes)
            .unwrap();
        let Some(Item::Frame(got)) = item else {
            panic!("{item:?}")
        };
        assert_eq!(got.body, sent.body);
        assert_eq!(
            place.contains(&(got.body.as_ptr() as usize)),
            size > 64 * 1024
        );
    }
}

#[test]
fn every_command_has_its_name() {
    for name in [
        "CONNECT",
        "STOMP",
        "CONNECTED",
        "SEND",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "ACK",
        "NACK",
        "BEGIN",
        "COMMIT",
        "ABORT",
        "DISCONNECT",
        "MESSAGE",
        "RECEIPT",
        "ERROR",
    ] {
        assert_eq!(Command::parse(name).unwrap().name(), name);
    }
}
