//! Frames to bytes and back.
//!
//! The decoder takes each header line off the buffer once it is whole and remembers how far it has looked, so that a
//! peer that sends one byte at a time costs linear time, and it checks every length before it waits for the bytes.

mod encode;

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::Decoder;

use crate::frame::{Command, Frame, Headers};

pub use encode::{EncodeError, encode};

/// A body up to this size is copied, so that it keeps no more memory alive than itself; a larger one keeps the read buffer.
const COPIED_BODY_BYTES: usize = 64 * 1024;

/// How large a frame may be that a peer sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameLimits {
    /// Bytes of command and headers together, with line ends. Default 64 kB.
    pub header_bytes: usize,
    /// Number of headers. Default 256.
    pub headers: usize,
    /// Bytes of the body. Default 16 MiB.
    pub body_bytes: usize,
}

impl Default for FrameLimits {
    fn default() -> Self {
        Self {
            header_bytes: 64 * 1024,
            headers: 256,
            body_bytes: 16 * 1024 * 1024,
        }
    }
}

/// What arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A frame.
    Frame(Frame),
    /// A line end between frames: the peer is alive.
    HeartBeat,
}

/// Why bytes are no frame. The connection cannot go on: where the next frame starts is not known.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The transport failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Not a command of STOMP 1.2.
    #[error("unknown command {0:?}")]
    UnknownCommand(String),
    /// A header line has no colon, or nothing before it.
    #[error("header line {0:?} has no name and colon")]
    NoColon(String),
    /// A backslash is followed by something that STOMP 1.2 does not define.
    #[error("undefined escape in header line {0:?}")]
    UndefinedEscape(String),
    /// A carriage return stands elsewhere than before a line feed.
    #[error("stray carriage return in the header block")]
    StrayCarriageReturn,
    /// A NUL stands in the header block, so that a blank line is missing.
    #[error("NUL in the header block")]
    NulInHeaders,
    /// The header block is not UTF-8.
    #[error("header block is not UTF-8")]
    NotUtf8,
    /// The header block is over [`FrameLimits::header_bytes`].
    #[error("header block is longer than {limit} bytes")]
    HeadersTooLong {
        /// The limit.
        limit: usize,
    },
    /// There are more headers than [`FrameLimits::headers`].
    #[error("more than {limit} headers")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// `content-length` is not a number of digits.
    #[error("content-length {0:?} is no length")]
    BadContentLength(String),
    /// The body is, or says it is, over [`FrameLimits::body_bytes`].
    #[error("body is longer than {limit} bytes")]
    BodyTooLong {
        /// The limit.
        limit: usize,
    },
    /// No NUL follows the announced length.
    #[error("body is not followed by NUL")]
    NoNulAfterBody,
    /// The stream ended inside a frame.
    #[error("stream ended inside a frame")]
    Truncated,
}

/// The STOMP 1.2 codec, for [`tokio_util::codec::Framed`] or by hand.
#[derive(Debug)]
pub struct Codec {
    limits: FrameLimits,
    state: State,
}

#[derive(Debug)]
enum State {
    Between,
    Head(Head),
    Body(Frame, Length),
}

#[derive(Debug, Default)]
struct Head {
    command: Option<Command>,
    headers: Headers,
    content_length: Option<usize>,
    /// Header lines seen, with `content-length`.
    lines: usize,
    /// Bytes of the lines already taken off the buffer.
    taken: usize,
    /// Bytes of the buffer that hold no line end.
    scanned: usize,
}

#[derive(Debug, Clone, Copy)]
enum Length {
    Known(usize),
    UpToNul { scanned: usize },
}

impl Codec {
    /// A codec at the start of a stream.
    #[must_use]
    pub fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            state: State::Between,
        }
    }

    /// Changes the limits, for what arrives from now on.
    pub fn set_limits(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }

    fn body(
        &mut self,
        mut frame: Frame,
        length: Length,
        src: &mut BytesMut,
    ) -> Result<Option<Item>, DecodeError> {
        let limit = self.limits.body_bytes;
        let bytes = match length {
            Length::Known(bytes) if src.len() <= bytes => {
                self.state = State::Body(frame, length);
                return Ok(None);
            }
            Length::Known(bytes) => bytes,
            Length::UpToNul { scanned } => match memchr::memchr(0, &src[scanned..]) {
                Some(at) if scanned + at <= limit => scanned + at,
                None if src.len() <= limit => {
                    let scanned = src.len();
                    self.state = State::Body(frame, Length::UpToNul { scanned });
                    return Ok(None);
                }
                _ => return Err(DecodeError::BodyTooLong { limit }),
            },
        };
        if src[bytes] != 0 {
            return Err(DecodeError::NoNulAfterBody);
        }
        frame.body = if bytes <= COPIED_BODY_BYTES {
            let body = Bytes::copy_from_slice(&src[..bytes]);
            src.advance(bytes);
            body
        } else {
            src.split_to(bytes).freeze()
        };
        src.advance(1);
        Ok(Some(Item::Frame(frame)))
    }
}

/// What a header block turned out to be.
enum Progress {
    Incomplete(Head),
    Complete(Frame, Length),
}

impl Head {
    fn read(mut self, src: &mut BytesMut, limits: &FrameLimits) -> Result<Progress, DecodeError> {
        let limit = limits.header_bytes;
        loop {
            let Some(at) = memchr::memchr2(b'\n', 0, &src[self.scanned..]) else {
                if self.taken + src.len() > limit {
                    return Err(DecodeError::HeadersTooLong { limit });
                }
                self.scanned = src.len();
                return Ok(Progress::Incomplete(self));
            };
            let end = self.scanned + at;
            if src[end] == 0 {
                return Err(DecodeError::NulInHeaders);
            }
            self.taken += end + 1;
            if self.taken > limit {
                return Err(DecodeError::HeadersTooLong { limit });
            }
            let line = &src[..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if memchr::memchr(b'\r', line).is_some() {
                return Err(DecodeError::StrayCarriageReturn);
            }
            let line = std::str::from_utf8(line).map_err(|_| DecodeError::NotUtf8)?;
            let blank = line.is_empty();
            match self.command {
                None => {
                    let known = Command::parse(line);
                    self.command =
                        Some(known.ok_or_else(|| DecodeError::UnknownCommand(cut(line)))?);
                }
                Some(_) if blank => {}
                Some(command) => self.header(command, line, limits)?,
            }
            src.advance(end + 1);
            self.scanned = 0;
            if let (Some(command), true) = (self.command, blank) {
                let length = match self.content_length {
                    Some(bytes) => Length::Known(bytes),
                    None => Length::UpToNul { scanned: 0 },
                };
                let frame = Frame {
                    command,
                    headers: self.headers,
                    body: Bytes::new(),
                };
                return Ok(Progress::Complete(frame, length));
            }
        }
    }

    fn header(
        &mut self,
        command: Command,
        line: &str,
        limits: &FrameLimits,
    ) -> Result<(), DecodeError> {
        let limit = limits.headers;
        self.lines += 1;
        if self.lines > limit {
            return Err(DecodeError::TooManyHeaders { limit });
        }
        let (name, value) = line
            .split_once(':')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| DecodeError::NoColon(cut(line)))?;
        if command.has_raw_headers() {
            self.headers.push(name, value);
        } else {
            let refused = || DecodeError::UndefinedEscape(cut(line));
            self.headers.push_with(
                |text| unescape(name, text).ok_or_else(refused),
                |text| unescape(value, text).ok_or_else(refused),
            )?;
        }
        let Some(("content-length", value)) = self.headers.iter().next_back() else {
            return Ok(());
        };
        if self.content_length.is_none() {
            self.content_length = Some(length(value, limits.body_bytes)?);
        }
        self.headers.pop();
        Ok(())
    }
}

fn length(value: &str, limit: usize) -> Result<usize, DecodeError> {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DecodeError::BadContentLength(cut(value)));
    }
    // Digits that do not fit into a number are a length over any limit.
    match value.parse() {
        Ok(bytes) if bytes <= limit => Ok(bytes),
        _ => Err(DecodeError::BodyTooLong { limit }),
    }
}

/// The start of a peer's text, for a message.
fn cut(text: &str) -> String {
    text.chars().take(64).collect()
}

fn unescape(text: &str, into: &mut String) -> Option<()> {
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        into.push_str(before);
        into.push(match after.as_bytes().first()? {
            b'r' => '\r',
            b'n' => '\n',
            b'c' => ':',
            b'\\' => '\\',
            _ => return None,
        });
        rest = &after[1..];
    }
    into.push_str(rest);
    Some(())
}

impl Decoder for Codec {
    type Item = Item;
    type Error = DecodeError;

    fn decode(&mut self, src: &mut BytesMut) -> Result<Option<Item>, DecodeError> {
        loop {
            match std::mem::replace(&mut self.state, State::Between) {
                State::Between => match (src.first(), src.get(1)) {
                    (None, _) | (Some(b'\r'), None) => return Ok(None),
                    (Some(b'\n'), _) => {
                        src.advance(1);
                        return Ok(Some(Item::HeartBeat));
                    }
                    (Some(b'\r'), Some(b'\n')) => {
                        src.advance(2);
                        return Ok(Some(Item::HeartBeat));
                    }
                    (Some(b'\r'), Some(_)) => return Err(DecodeError::StrayCarriageReturn),
                    (Some(_), _) => self.state = State::Head(Head::default()),
                },
                State::Head(head) => match head.read(src, &self.limits)? {
                    Progress::Incomplete(head) => {
                        self.state = State::Head(head);
                        return Ok(None);
                    }
                    Progress::Complete(frame, length) => self.state = State::Body(frame, length),
                },
                State::Body(frame, length) => return self.body(frame, length, src),
            }
        }
    }

    fn decode_eof(&mut self, src: &mut BytesMut) -> Result<Option<Item>, DecodeError> {
        match self.decode(src)? {
            None if !src.is_empty() || !matches!(self.state, State::Between) => {
                Err(DecodeError::Truncated)
            }
            item => Ok(item),
        }
    }
}
