//! The header block of a frame, line by line.

use bytes::{Buf, Bytes, BytesMut};

use super::{DecodeError, FrameLimits, Length, cut};
use crate::frame::{Command, Frame, Headers};

/// Room for the headers of most frames, so that reading them allocates twice.
const USUAL_BYTES: usize = 512;
const USUAL_HEADERS: usize = 16;

/// A header block of which some lines are still to come.
#[derive(Debug)]
pub(super) struct Head {
    command: Option<Command>,
    /// The headers so far, as [`Headers`] keeps them, and not yet known to be UTF-8.
    text: Vec<u8>,
    ends: Vec<(usize, usize)>,
    content_length: Option<usize>,
    /// Header lines seen, with `content-length`.
    lines: usize,
    /// Bytes of the lines already taken off the buffer.
    taken: usize,
    /// Bytes of the buffer that hold no line end.
    scanned: usize,
}

/// What a header block turned out to be.
pub(super) enum Progress {
    Incomplete(Head),
    Complete(Frame, Length),
}

impl Head {
    pub(super) fn new() -> Self {
        Self {
            command: None,
            text: Vec::with_capacity(USUAL_BYTES),
            ends: Vec::with_capacity(USUAL_HEADERS),
            content_length: None,
            lines: 0,
            taken: 0,
            scanned: 0,
        }
    }

    /// Takes whole lines off the buffer.
    pub(super) fn read(
        mut self,
        src: &mut BytesMut,
        limits: &FrameLimits,
    ) -> Result<Progress, DecodeError> {
        let limit = limits.header_bytes;
        let mut start = 0;
        loop {
            let rest = &src[start..];
            let Some(at) = memchr::memchr2(b'\n', 0, &rest[self.scanned..]) else {
                if self.taken + rest.len() > limit {
                    return Err(DecodeError::HeadersTooLong { limit });
                }
                self.scanned = rest.len();
                src.advance(start);
                return Ok(Progress::Incomplete(self));
            };
            let end = self.scanned + at;
            // First the limit: it is what a peer is told that sends the same bytes one by one.
            self.taken += end + 1;
            if self.taken > limit {
                return Err(DecodeError::HeadersTooLong { limit });
            }
            if rest[end] == 0 {
                return Err(DecodeError::NulInHeaders);
            }
            let line = &rest[..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.scanned = 0;
            start += end + 1;
            match self.command {
                None => self.command = Some(command(line)?),
                Some(command) if line.is_empty() => {
                    src.advance(start);
                    return self.complete(command);
                }
                Some(command) => self.header(command, line, limits)?,
            }
        }
    }

    fn complete(self, command: Command) -> Result<Progress, DecodeError> {
        let frame = Frame {
            command,
            headers: Headers::from_lines(self.text, self.ends).ok_or(DecodeError::NotUtf8)?,
            body: Bytes::new(),
        };
        let length = match self.content_length {
            Some(bytes) => Length::Known(bytes),
            None => Length::UpToNul { scanned: 0 },
        };
        Ok(Progress::Complete(frame, length))
    }

    fn header(
        &mut self,
        command: Command,
        line: &[u8],
        limits: &FrameLimits,
    ) -> Result<(), DecodeError> {
        let limit = limits.headers;
        self.lines += 1;
        if self.lines > limit {
            return Err(DecodeError::TooManyHeaders { limit });
        }
        let colon = memchr::memchr(b':', line).filter(|at| *at > 0);
        let colon = colon.ok_or_else(|| DecodeError::NoColon(shown(command, line)))?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let start = self.text.len();
        let name_end = match memchr::memchr2(b'\r', b'\\', line) {
            Some(at) if line[at..].contains(&b'\r') => {
                return Err(DecodeError::StrayCarriageReturn);
            }
            Some(_) if !command.has_raw_headers() => {
                let refused = || DecodeError::UndefinedEscape(cut(line));
                unescape(name, &mut self.text).ok_or_else(refused)?;
                let name_end = self.text.len();
                self.text.push(b':');
                unescape(value, &mut self.text).ok_or_else(refused)?;
                name_end
            }
            _ => {
                self.text.extend_from_slice(line);
                start + colon
            }
        };
        if self.text[start..name_end] != *b"content-length" {
            self.ends.push((name_end, self.text.len()));
            self.text.push(b'\n');
            return Ok(());
        }
        if self.content_length.is_none() {
            let value = &self.text[name_end + 1..];
            self.content_length = Some(length(value, limits.body_bytes)?);
        }
        self.text.truncate(start);
        Ok(())
    }
}

fn command(line: &[u8]) -> Result<Command, DecodeError> {
    if line.contains(&b'\r') {
        return Err(DecodeError::StrayCarriageReturn);
    }
    let known = std::str::from_utf8(line).map_err(|_| DecodeError::NotUtf8)?;
    Command::parse(known).ok_or_else(|| DecodeError::UnknownCommand(cut(line)))
}

/// A header line for a message.
fn shown(command: Command, line: &[u8]) -> String {
    if command.has_raw_headers() {
        "[not shown]".to_owned()
    } else {
        cut(line)
    }
}

fn length(value: &[u8], limit: usize) -> Result<usize, DecodeError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(DecodeError::BadContentLength(cut(value)));
    }
    // Digits that do not fit into a number are a length over any limit.
    let number = std::str::from_utf8(value)
        .ok()
        .and_then(|it| it.parse().ok());
    match number {
        Some(bytes) if bytes <= limit => Ok(bytes),
        _ => Err(DecodeError::BodyTooLong { limit }),
    }
}

fn unescape(text: &[u8], into: &mut Vec<u8>) -> Option<()> {
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        into.extend_from_slice(&rest[..at]);
        into.push(match rest.get(at + 1)? {
            b'r' => b'\r',
            b'n' => b'\n',
            b'c' => b':',
            b'\\' => b'\\',
            _ => return None,
        });
        rest = &rest[at + 2..];
    }
    into.extend_from_slice(rest);
    Some(())
}
