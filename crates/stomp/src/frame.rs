//! Frames as values. Nothing here knows how a frame is written.

use std::fmt;

use bytes::Bytes;

/// What a frame asks or tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Client: the first frame of a connection.
    Connect,
    /// Client: another name for [`Command::Connect`].
    Stomp,
    /// Server: welcome.
    Connected,
    /// Client: publish.
    Send,
    /// Client: start to receive.
    Subscribe,
    /// Client: stop to receive.
    Unsubscribe,
    /// Client: a delivery was dealt with.
    Ack,
    /// Client: a delivery was not dealt with.
    Nack,
    /// Client: start of a transaction.
    Begin,
    /// Client: end of a transaction.
    Commit,
    /// Client: a transaction is taken back.
    Abort,
    /// Client: a polite end.
    Disconnect,
    /// Server: a delivery.
    Message,
    /// Server: a frame that asked for it was dealt with.
    Receipt,
    /// Server: something is wrong, and the connection ends.
    Error,
}

const NAMES: [(Command, &str); 15] = [
    (Command::Connect, "CONNECT"),
    (Command::Stomp, "STOMP"),
    (Command::Connected, "CONNECTED"),
    (Command::Send, "SEND"),
    (Command::Subscribe, "SUBSCRIBE"),
    (Command::Unsubscribe, "UNSUBSCRIBE"),
    (Command::Ack, "ACK"),
    (Command::Nack, "NACK"),
    (Command::Begin, "BEGIN"),
    (Command::Commit, "COMMIT"),
    (Command::Abort, "ABORT"),
    (Command::Disconnect, "DISCONNECT"),
    (Command::Message, "MESSAGE"),
    (Command::Receipt, "RECEIPT"),
    (Command::Error, "ERROR"),
];

impl Command {
    /// As it stands on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES[self as usize].1
    }

    /// From the wire; `None` for what STOMP 1.2 does not know.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        NAMES
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(command, _)| *command)
    }

    /// True where STOMP 1.2 forbids escapes, for the sake of 1.0 peers.
    pub(crate) fn has_raw_headers(self) -> bool {
        matches!(self, Self::Connect | Self::Stomp | Self::Connected)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Room for the headers of most frames that are made here, so that a frame allocates twice for them.
const USUAL_BYTES: usize = 128;
const USUAL_HEADERS: usize = 6;

/// The headers of a frame in their order, in one piece of memory.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    /// A line `name:value` for each, without escapes.
    text: String,
    /// Where in it each name and each value ends; the byte after either is a colon or a line end.
    ends: Vec<(usize, usize)>,
}

impl Headers {
    /// No headers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// From lines, with where each name and each value in them ends; `None` when they are not UTF-8.
    pub(crate) fn from_lines(lines: Vec<u8>, ends: Vec<(usize, usize)>) -> Option<Self> {
        // An end stands before an ASCII byte, so it never divides a character.
        let text = String::from_utf8(lines).ok()?;
        Some(Self { text, ends })
    }

    /// Adds one to the end.
    pub fn push(&mut self, name: &str, value: &str) {
        if self.ends.is_empty() {
            self.text.reserve(USUAL_BYTES);
            self.ends.reserve(USUAL_HEADERS);
        }
        self.text.reserve(name.len() + value.len() + 2);
        self.text.push_str(name);
        let name_end = self.text.len();
        self.text.push(':');
        self.text.push_str(value);
        self.ends.push((name_end, self.text.len()));
        self.text.push('\n');
    }

    /// The value of a header; the first one when it is repeated.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// All of them in order, repeated ones too.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&str, &str)> + ExactSizeIterator {
        (0..self.ends.len()).map(|at| {
            let start = if at == 0 { 0 } else { self.ends[at - 1].1 + 1 };
            let (name_end, end) = self.ends[at];
            (&self.text[start..name_end], &self.text[name_end + 1..end])
        })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of all names and values.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.text.len() - 2 * self.ends.len()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(pairs: T) -> Self {
        let mut headers = Self::new();
        for (name, value) in pairs {
            headers.push(name, value);
        }
        headers
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(name, value)| {
            (
                name,
                if name == "passcode" {
                    "[secret]"
                } else {
                    value
                },
            )
        };
        f.debug_map().entries(self.iter().map(shown)).finish()
    }
}

/// One frame.
///
/// `content-length` is not among the headers: it belongs to the writing of the frame, and the codec keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it asks or tells.
    pub command: Command,
    /// Its headers.
    pub headers: Headers,
    /// Its body, often empty.
    pub body: Bytes,
}

impl Frame {
    /// A frame without headers and body.
    #[must_use]
    pub fn new(command: Command) -> Self {
        Self {
            command,
            headers: Headers::new(),
            body: Bytes::new(),
        }
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push(name, value);
        self
    }

    /// The same with another body.
    #[must_use]
    pub fn with_body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The value of a header; the first one when it is repeated.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)
    }
}
