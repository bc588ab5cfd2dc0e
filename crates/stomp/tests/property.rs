//! Properties of the codec over generated frames and bytes.

use bytes::{Bytes, BytesMut};
use proptest::{collection::vec, prelude::*};
use stomp::{Codec, Command, Frame, FrameLimits, Headers, Item, encode};
use tokio_util::codec::Decoder;

/// What a stream holds, and how it ended: all items up to an error's text.
fn decode(pieces: &[&[u8]]) -> (Vec<Item>, Option<String>) {
    decode_as(pieces, |codec| codec)
}

fn decode_as(pieces: &[&[u8]], set: fn(Codec) -> Codec) -> (Vec<Item>, Option<String>) {
    let limits = FrameLimits {
        header_bytes: 400,
        headers: 8,
        body_bytes: 300,
    };
    let mut codec = set(Codec::new(limits));
    let mut buffer = BytesMut::new();
    let mut items = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        buffer.extend_from_slice(piece);
        let last = at + 1 == pieces.len();
        loop {
            let item = if last {
                codec.decode_eof(&mut buffer)
            } else {
                codec.decode(&mut buffer)
            };
            match item {
                Ok(Some(item)) => items.push(item),
                Ok(None) => break,
                Err(error) => return (items, Some(error.to_string())),
            }
        }
    }
    (items, None)
}

fn split<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    at.extend([0, bytes.len()]);
    at.sort_unstable();
    at.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn commands() -> impl Strategy<Value = Command> {
    prop::sample::select(vec![
        Command::Send,
        Command::Message,
        Command::Error,
        Command::Ack,
    ])
}

fn frames() -> impl Strategy<Value = Frame> {
    let name = "[a-z:\\\\\r\n\u{e4}-]{1,8}";
    let value = "[ -~\r\n\u{e4}\u{1f600}]{0,20}";
    let headers = vec((name, value), 0..6);
    (commands(), headers, vec(any::<u8>(), 0..200)).prop_map(|(command, pairs, body)| {
        let headers: Headers = pairs
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        Frame {
            command,
            headers,
            body: Bytes::from(body),
        }
    })
}

/// Mostly STOMP, with damage: the decoder gets into all its states.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => frames().prop_map(|frame| {
            let mut bytes = BytesMut::new();
            encode(&frame, &mut bytes).expect("it can be written");
            bytes.to_vec()
        }),
        2 => Just(b"\n".to_vec()),
        1 => Just(b"\r\n".to_vec()),
        1 => Just(b"SEND\r\na:b\r\n\r\ntext\0".to_vec()),
        1 => vec(any::<u8>(), 0..20),
        1 => prop::sample::select(vec!["SEND", "\n", ":", "content-length:", "9", "\\", "\0", "\r"])
            .prop_map(|text| text.as_bytes().to_vec()),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// A frame as other programs may write it, by a writer of its own: CR LF, no content-length where the body holds no NUL,
/// content-length first or twice, line ends after the frame.
#[derive(Debug, Clone)]
struct Manner {
    line_end: &'static str,
    length: usize,
    beats: Vec<&'static str>,
}

fn manners() -> impl Strategy<Value = Manner> {
    let line_end = prop::sample::select(vec!["\n", "\r\n"]);
    let beats = vec(prop::sample::select(vec!["\n", "\r\n"]), 0..4);
    (line_end, 0..3_usize, beats).prop_map(|(line_end, length, beats)| Manner {
        line_end,
        length,
        beats,
    })
}

fn as_others_write(frame: &Frame, manner: &Manner) -> Vec<u8> {
    let end = manner.line_end;
    let escape = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('\r', "\\r");
        text.replace('\n', "\\n").replace(':', "\\c")
    };
    let times = match manner.length {
        0 if frame.body.contains(&0) => 1,
        times => times,
    };
    let length = format!("content-length:{}{end}", frame.body.len());
    let mut bytes = format!("{}{end}", frame.command).into_bytes();
    bytes.extend_from_slice(length.repeat(times.min(1)).as_bytes());
    for (name, value) in frame.headers.iter() {
        bytes.extend_from_slice(format!("{}:{}{end}", escape(name), escape(value)).as_bytes());
    }
    bytes.extend_from_slice(length.repeat(times.saturating_sub(1)).as_bytes());
    bytes.extend_from_slice(end.as_bytes());
    bytes.extend_from_slice(&frame.body);
    bytes.push(0);
    bytes.extend_from_slice(manner.beats.concat().as_bytes());
    bytes
}

/// CONNECT and CONNECTED, whose headers are written as they are.
fn introductions() -> impl Strategy<Value = Frame> {
    let command = prop::sample::select(vec![Command::Connect, Command::Stomp, Command::Connected]);
    let headers = vec(
        ("[a-z\\\\\u{e4}-]{1,8}", "[ -~\u{e4}\u{1f600}]{0,20}"),
        0..6,
    );
    (command, headers).prop_map(|(command, pairs)| {
        let start = Frame::new(command);
        pairs
            .iter()
            .fold(start, |frame, (name, value)| frame.with(name, value))
    })
}

proptest! {
    #[test]
    fn what_others_write_is_read_whatever_the_split(
        pairs in vec((frames(), manners()), 1..5),
        cuts in vec(any::<prop::sample::Index>(), 0..12),
    ) {
        let written: Vec<_> = pairs.iter().map(|(frame, manner)| as_others_write(frame, manner)).collect();
        let mut expected = Vec::new();
        for (frame, manner) in pairs {
            expected.push(Item::Frame(frame));
            expected.extend(manner.beats.iter().map(|_| Item::HeartBeat));
        }
        let bytes = written.concat();
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        for pieces in [split(&bytes, &cuts), single] {
            prop_assert_eq!(decode(&pieces), (expected.clone(), None));
        }
    }

    #[test]
    fn an_introduction_is_read_as_it_was_written(frame in introductions()) {
        let mut bytes = BytesMut::new();
        encode(&frame, &mut bytes).expect("it can be written");
        let mut codec = Codec::new(FrameLimits::default());
        prop_assert_eq!(codec.decode(&mut bytes).unwrap(), Some(Item::Frame(frame)));
        prop_assert!(bytes.is_empty());
    }

    #[test]
    fn what_is_written_is_read(frames in vec(frames(), 1..4)) {
        let mut bytes = BytesMut::new();
        for frame in &frames {
            encode(frame, &mut bytes).expect("it can be written");
        }
        let mut codec = Codec::new(FrameLimits::default());
        for frame in frames {
            prop_assert_eq!(codec.decode(&mut bytes).unwrap(), Some(Item::Frame(frame)));
        }
        prop_assert!(bytes.is_empty());
    }

    #[test]
    fn what_is_over_the_limits_is_passed_over_whatever_the_split(
        headers in vec(("[a-z]{1,6}", prop_oneof!["[a-z]{0,20}", "[a-z]{90,2500}"]), 0..14),
        body in prop_oneof![vec(1..=u8::MAX, 0..300), vec(1..=u8::MAX, 301..3000)],
        with_length in any::<bool>(),
        cuts in vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let line = |(name, value): &(String, String)| format!("{name}:{value}\n");
        let lines: Vec<String> = headers.iter().map(line).collect();
        let (before, after) = lines.split_at(lines.len() / 2);
        let length = if with_length { format!("content-length:{}\n", body.len()) } else { String::new() };
        let own = "subscription:s\nack:a\\c1\n";
        let head = format!("MESSAGE\n{}{own}{}{length}\n", before.concat(), after.concat());
        let mut bytes = head.clone().into_bytes();
        bytes.extend_from_slice(&body);
        bytes.extend_from_slice(b"\0MESSAGE\nack:next\n\n\0");
        let next = Item::Frame(Frame::new(Command::Message).with("ack", "next"));
        let counted = headers.len() + 2 + usize::from(with_length);
        let over = head.len() > 400 || counted > 8 || body.len() > 300;
        let (whole, error) = decode_as(&[&bytes], Codec::pass_over_messages);
        prop_assert_eq!(error, None);
        prop_assert_eq!(whole.len(), 2);
        prop_assert_eq!(&whole[1], &next);
        match &whole[0] {
            Item::Over { frame, .. } => {
                prop_assert!(over);
                let kept = Frame::new(Command::Message).with("ack", "a:1").with("subscription", "s");
                prop_assert_eq!(frame, &kept);
            }
            Item::Frame(frame) => {
                prop_assert!(!over);
                prop_assert_eq!(&frame.body[..], &body[..]);
            }
            Item::HeartBeat => prop_assert!(false),
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        for pieces in [split(&bytes, &cuts), single] {
            prop_assert_eq!(decode_as(&pieces, Codec::pass_over_messages), (whole.clone(), None));
        }
    }

    #[test]
    fn any_split_is_read_the_same(bytes in streams(), cuts in vec(any::<prop::sample::Index>(), 0..12)) {
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        for set in [|codec| codec, Codec::pass_over_messages] {
            let whole = decode_as(&[&bytes], set);
            prop_assert_eq!(&decode_as(&split(&bytes, &cuts), set), &whole);
            if !single.is_empty() {
                prop_assert_eq!(&decode_as(&single, set), &whole);
            }
        }
    }
}
