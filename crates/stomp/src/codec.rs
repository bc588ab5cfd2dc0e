//! Frames to bytes and back.
//!
//! The decoder takes each header line off the buffer once it is whole and remembers how far it has looked, so that a
//! peer that sends one byte at a time costs linear time, and it checks every length before it waits for the bytes.

mod encode;
mod head;

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio_util::codec::Decoder;

use crate::frame::{Command, Frame};

pub use encode::{EncodeError, encode, encode_parts};
use head::{Head, Progress};

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
    /// A MESSAGE over the limits, where those are passed over ([`Codec::pass_over_messages`]).
    Over {
        /// Its `ack`, `destination`, `message-id` and `subscription`, without a body.
        frame: Frame,
        /// Which limit.
        why: String,
    },
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
    /// A header line has no colon, or nothing before it. A line of CONNECT or CONNECTED is
    /// not shown: it may be part of a password.
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
    passes: bool,
    state: State,
}

#[derive(Debug)]
enum State {
    Between,
    Head(Head),
    Body(Frame, Length),
    /// What is kept of a frame whose body is thrown away, and why.
    Over(Frame, Length, String),
}

/// How far a body reaches.
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
            passes: false,
            state: State::Between,
        }
    }

    /// From now on a MESSAGE over the limits is an [`Item::Over`], not an error: its reader can acknowledge it and go on. An
    /// error would end a connection on which the broker brings it again, for ever.
    #[must_use]
    pub fn pass_over_messages(mut self) -> Self {
        self.passes = true;
        self
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
                _ if self.passes && frame.command == Command::Message => {
                    let why = DecodeError::BodyTooLong { limit }.to_string();
                    return self.over(head::kept(&frame), length, why, src);
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

    /// Throws a body away, as it comes.
    fn over(
        &mut self,
        frame: Frame,
        length: Length,
        why: String,
        src: &mut BytesMut,
    ) -> Result<Option<Item>, DecodeError> {
        let (body, left) = match length {
            Length::Known(bytes) => {
                let here = bytes.min(src.len());
                (here, Length::Known(bytes - here))
            }
            Length::UpToNul { .. } => {
                let here = memchr::memchr(0, src).unwrap_or(src.len());
                (here, Length::UpToNul { scanned: 0 })
            }
        };
        src.advance(body);
        match (src.first(), left) {
            (None, left) => {
                self.state = State::Over(frame, left, why);
                Ok(None)
            }
            (Some(0), _) => {
                src.advance(1);
                Ok(Some(Item::Over { frame, why }))
            }
            (Some(_), _) => Err(DecodeError::NoNulAfterBody),
        }
    }
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
                    (Some(_), _) => self.state = State::Head(Head::new()),
                },
                State::Head(head) => match head.read(src, &self.limits, self.passes)? {
                    Progress::Incomplete(head) => {
                        self.state = State::Head(head);
                        return Ok(None);
                    }
                    Progress::Complete(frame, length) => self.state = State::Body(frame, length),
                    Progress::Over(frame, length, why) => {
                        self.state = State::Over(frame, length, why.to_string());
                    }
                },
                State::Body(frame, length) => return self.body(frame, length, src),
                State::Over(frame, length, why) => return self.over(frame, length, why, src),
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

/// The start of a peer's text, for a message.
fn cut(text: &[u8]) -> String {
    let start = &text[..text.len().min(256)];
    String::from_utf8_lossy(start).chars().take(64).collect()
}
