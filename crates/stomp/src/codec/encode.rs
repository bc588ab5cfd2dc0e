//! Frames to bytes.

use std::{fmt::Write as _, io};

use bytes::BytesMut;
use tokio_util::codec::Encoder;

use super::{Codec, cut};
use crate::frame::{Command, Frame};

/// Why a frame cannot be written. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The header cannot be written: it holds NUL, or in CONNECT and CONNECTED (where nothing is escaped) CR or LF,
    /// or its name is empty, or there holds a colon.
    #[error("header {0:?} holds what STOMP cannot carry")]
    Header(String),
}

impl Encoder<&Frame> for Codec {
    type Error = EncodeError;

    fn encode(&mut self, frame: &Frame, dst: &mut BytesMut) -> Result<(), EncodeError> {
        encode(frame, dst)
    }
}

impl Encoder<Frame> for Codec {
    type Error = EncodeError;

    fn encode(&mut self, frame: Frame, dst: &mut BytesMut) -> Result<(), EncodeError> {
        encode(&frame, dst)
    }
}

/// Writes a frame to the end of `dst`, with `content-length` when it has a body.
///
/// # Errors
/// When a header cannot be written; `dst` is then as it was.
pub fn encode(frame: &Frame, dst: &mut BytesMut) -> Result<(), EncodeError> {
    dst.reserve(frame.headers.text_bytes() + 4 * frame.headers.len() + frame.body.len() + 64);
    encode_parts(frame.command, frame.headers.iter(), &frame.body, dst)
}

/// The same for a frame that need not be made first.
///
/// # Errors
/// As [`encode`].
pub fn encode_parts<'a>(
    command: Command,
    headers: impl Iterator<Item = (&'a str, &'a str)>,
    body: &[u8],
    dst: &mut BytesMut,
) -> Result<(), EncodeError> {
    let start = dst.len();
    dst.extend_from_slice(command.name().as_bytes());
    dst.extend_from_slice(b"\n");
    let raw = command.has_raw_headers();
    for (name, value) in headers {
        if name == "content-length" {
            continue;
        }
        let plain = !name.is_empty() && is_plain(name) && is_plain(value);
        if !plain && !writable(name, value, raw) {
            dst.truncate(start);
            return Err(EncodeError::Header(cut(name.as_bytes())));
        }
        for (text, end) in [(name, b":"), (value, b"\n")] {
            if plain || raw {
                dst.extend_from_slice(text.as_bytes());
            } else {
                escape(text, dst);
            }
            dst.extend_from_slice(end);
        }
    }
    if !body.is_empty() {
        writeln!(dst, "content-length:{}", body.len()).expect("a BytesMut grows as it is written");
    }
    dst.extend_from_slice(b"\n");
    dst.extend_from_slice(body);
    dst.extend_from_slice(b"\0");
    Ok(())
}

/// True where nothing is escaped and nothing refused. Looking at each byte to the end lets the compiler take many at once.
fn is_plain(text: &str) -> bool {
    !text.bytes().fold(false, |odd, byte| {
        odd | matches!(byte, 0 | b'\r' | b'\n' | b':' | b'\\')
    })
}

fn writable(name: &str, value: &str, raw: bool) -> bool {
    let no_nul = |text: &str| memchr::memchr(0, text.as_bytes()).is_none();
    let one_line = |text: &str| memchr::memchr2(b'\r', b'\n', text.as_bytes()).is_none();
    !name.is_empty()
        && no_nul(name)
        && no_nul(value)
        && (!raw || (one_line(name) && one_line(value) && !name.contains(':')))
}

fn escape(text: &str, dst: &mut BytesMut) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b'\r' | b'\n' | b':' | b'\\'))
    {
        dst.extend_from_slice(&rest[..at]);
        dst.extend_from_slice(match rest[at] {
            b'\r' => b"\\r",
            b'\n' => b"\\n",
            b':' => b"\\c",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    dst.extend_from_slice(rest);
}
