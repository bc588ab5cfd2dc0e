//! The header block of a frame, line by line.

use bytes::{Buf, Bytes, BytesMut};

use super::{DecodeError, FrameLimits, Length, cut};
use crate::frame::{Command, Frame, Headers};

/// Room for the headers of most frames, so that reading them allocates twice.
const USUAL_BYTES: usize = 512;
const USUAL_HEADERS: usize = 16;

/// The headers that are kept of a MESSAGE over the limits: enough to say which one it is, and to acknowledge it.
const KEPT: [&str; 4] = ["ack", "destination", "message-id", "subscription"];
/// Of a header block over the limits, longer lines are not looked at, nor more of these.
const KEPT_LINE_BYTES: usize = 1024;
const KEPT_LINES: usize = 16;

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
    /// The limit that it is over, where the frame is passed over for that.
    over: Option<DecodeError>,
    /// Lines that were kept since.
    kept: usize,
    /// The beginning of the line was thrown away.
    in_long_line: bool,
}

/// What a header block turned out to be.
pub(super) enum Progress {
    Incomplete(Head),
    Complete(Frame, Length),
    /// It is over a limit and to be passed over; what is kept of it.
    Over(Frame, Length, DecodeError),
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
            over: None,
            kept: 0,
            in_long_line: false,
        }
    }

    /// Takes whole lines off the buffer. With `passes`, a MESSAGE over the limits is passed over.
    pub(super) fn read(
        mut self,
        src: &mut BytesMut,
        limits: &FrameLimits,
        passes: bool,
    ) -> Result<Progress, DecodeError> {
        let limit = limits.header_bytes;
        let mut start = 0;
        loop {
            let rest = &src[start..];
            let Some(at) = memchr::memchr2(b'\n', 0, &rest[self.scanned..]) else {
                if self.taken + rest.len() > limit {
                    self.pass_over(DecodeError::HeadersTooLong { limit }, passes)?;
                }
                self.scanned = rest.len();
                src.advance(start);
                if self.over.is_some() && self.scanned > KEPT_LINE_BYTES {
                    self.in_long_line = true;
                    self.scanned = 0;
                    src.clear();
                }
                return Ok(Progress::Incomplete(self));
            };
            let end = self.scanned + at;
            // First the limit: it is what a peer is told that sends the same bytes one by one.
            self.taken = self.taken.saturating_add(end + 1);
            if self.taken > limit {
                self.pass_over(DecodeError::HeadersTooLong { limit }, passes)?;
            }
            if rest[end] == 0 {
                return Err(DecodeError::NulInHeaders);
            }
            let line = &rest[..end];
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            self.scanned = 0;
            start += end + 1;
            if std::mem::take(&mut self.in_long_line) {
                continue;
            }
            match self.command {
                None => self.command = Some(command(line)?),
                Some(command) if line.is_empty() => {
                    src.advance(start);
                    return self.complete(command);
                }
                Some(command) => {
                    let over = self.over.is_some();
                    if !over || (end <= KEPT_LINE_BYTES && self.keeps(line)) {
                        self.line(command, line, limits, passes)?;
                    }
                }
            }
        }
    }

    fn line(
        &mut self,
        command: Command,
        line: &[u8],
        limits: &FrameLimits,
        passes: bool,
    ) -> Result<(), DecodeError> {
        match self.header(command, line, limits) {
            Err(why @ DecodeError::BodyTooLong { .. }) => self.pass_over(why, passes),
            Err(why @ DecodeError::TooManyHeaders { .. }) => {
                self.pass_over(why, passes)?;
                match self.keeps(line) {
                    true => self.line(command, line, limits, passes),
                    false => Ok(()),
                }
            }
            other => other,
        }
    }

    /// Goes on without what is over a limit, where that is allowed.
    fn pass_over(&mut self, why: DecodeError, passes: bool) -> Result<(), DecodeError> {
        if !passes || self.command != Some(Command::Message) {
            return Err(why);
        }
        self.over.get_or_insert(why);
        Ok(())
    }

    /// Whether a line is looked at although the header block is over a limit. So many are; the first of a name counts.
    fn keeps(&mut self, line: &[u8]) -> bool {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
        let keeps = name == b"content-length" || KEPT.iter().any(|it| it.as_bytes() == name);
        if keeps {
            self.kept += 1;
        }
        keeps && self.kept <= KEPT_LINES
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
        Ok(match self.over {
            Some(why) => Progress::Over(kept(&frame), length, why),
            None => Progress::Complete(frame, length),
        })
    }

    fn header(
        &mut self,
        command: Command,
        line: &[u8],
        limits: &FrameLimits,
    ) -> Result<(), DecodeError> {
        let limit = limits.headers;
        self.lines += 1;
        if self.lines > limit && self.over.is_none() {
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
            self.content_length = Some(length(&self.text[name_end + 1..])?);
        }
        self.text.truncate(start);
        let limit = limits.body_bytes;
        match self.content_length {
            Some(bytes) if bytes > limit => Err(DecodeError::BodyTooLong { limit }),
            _ => Ok(()),
        }
    }
}

/// What is kept of a frame over the limits: of each header the first.
pub(super) fn kept(frame: &Frame) -> Frame {
    let all = KEPT
        .iter()
        .filter_map(|name| Some((*name, frame.header(name)?)));
    let short = all.filter(|(_, value)| value.len() <= KEPT_LINE_BYTES);
    Frame {
        command: frame.command,
        headers: short.collect(),
        body: Bytes::new(),
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

fn length(value: &[u8]) -> Result<usize, DecodeError> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(DecodeError::BadContentLength(cut(value)));
    }
    let number = std::str::from_utf8(value).ok();
    // Digits that do not fit into a number are a length over any limit.
    Ok(number.and_then(|it| it.parse().ok()).unwrap_or(usize::MAX))
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
