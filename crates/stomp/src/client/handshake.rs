//! CONNECT and CONNECTED.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};
use tokio_util::codec::Framed;

use super::{
    Client, Connect, ConnectError, Driver,
    driver::{HeartBeats, told, words},
};
use crate::{
    Secret,
    codec::{Codec, DecodeError, EncodeError, Item},
    dialect::Dialect,
    frame::{Command, Frame},
};

/// Shakes hands over a stream that is already connected, in [`super::Limits::handshake`].
///
/// # Errors
/// See [`ConnectError`].
pub async fn connect<S: AsyncRead + AsyncWrite + Send + Unpin>(
    stream: S,
    connect: Connect,
) -> Result<(Client, Driver<S>), ConnectError> {
    let frame = introduction(&connect)?;
    let limits = connect.limits;
    let mut framed = Framed::new(stream, Codec::new(limits.frame).pass_over_messages());
    let connected = exchange(&mut framed, frame, connect.passcode.as_ref());
    let connected = timeout(limits.handshake, connected).await;
    let connected = connected.unwrap_or(Err(ConnectError::Timeout(limits.handshake)))?;
    let version = connected.header("version").unwrap_or("1.0");
    if version != "1.2" {
        return Err(ConnectError::Version(words(version)));
    }
    let beats = HeartBeats::agreed(
        connect.heart_beat,
        connected.header("heart-beat").unwrap_or_default(),
    );
    let server = words(connected.header("server").unwrap_or_default());
    let dialect = connect.dialect.unwrap_or_else(|| Dialect::of(&server));
    let (client, queue) = Client::new(&server, dialect, limits);
    let driver = Driver::new(framed, queue, &client, beats);
    Ok((client, driver))
}

fn introduction(connect: &Connect) -> Result<Frame, ConnectError> {
    let passcode = connect.passcode.as_ref().map(|secret| secret.expose());
    let credentials = [("login", connect.login.as_deref()), ("passcode", passcode)];
    let odd = |text: &str| text.is_empty() || text.chars().any(|c| c == '\\' || c.is_control());
    for (name, text) in [("host", &connect.host), ("client-id", &connect.client_id)] {
        if odd(text) {
            return Err(ConnectError::NotPortable(name));
        }
    }
    let beat = connect.heart_beat.as_millis();
    let mut frame = Frame::new(Command::Connect)
        .with("accept-version", "1.2")
        .with("host", &connect.host)
        .with("client-id", &connect.client_id)
        .with("heart-beat", &format!("{beat},{beat}"));
    for (name, text) in credentials {
        let Some(text) = text else { continue };
        if odd(text) || text.contains(':') {
            return Err(ConnectError::NotPortable(name));
        }
        frame.headers.push(name, text);
    }
    Ok(frame)
}

async fn exchange<S: AsyncRead + AsyncWrite + Unpin>(
    framed: &mut Framed<S, Codec>,
    frame: Frame,
    passcode: Option<&Secret>,
) -> Result<Frame, ConnectError> {
    framed.send(frame).await.map_err(|error| match error {
        EncodeError::Io(error) => ConnectError::Io(error),
        EncodeError::Header(_) => ConnectError::NotPortable("CONNECT"),
    })?;
    loop {
        let item = framed.next().await.ok_or(ConnectError::Closed)?;
        match item {
            Ok(Item::HeartBeat) => {}
            Ok(Item::Frame(frame)) if frame.command == Command::Connected => return Ok(frame),
            Ok(Item::Frame(frame) | Item::Over { frame, .. }) => {
                return Err(ConnectError::Refused(told(&frame, passcode)));
            }
            Err(DecodeError::Io(error)) => return Err(ConnectError::Io(error)),
            Err(DecodeError::Truncated) => return Err(ConnectError::Closed),
            Err(error) => return Err(ConnectError::Protocol(error)),
        }
    }
}

impl HeartBeats {
    /// What both sides can do: `theirs` is the `heart-beat` header of CONNECTED.
    pub(super) fn agreed(ours: Duration, theirs: &str) -> Self {
        let (send, want) = theirs.split_once(',').unwrap_or_default();
        let agree = |theirs: &str| match theirs.trim().parse() {
            Ok(0) | Err(_) => None,
            Ok(_) if ours.is_zero() => None,
            Ok(theirs) => Some(ours.max(Duration::from_millis(theirs))),
        };
        Self {
            incoming: agree(send),
            outgoing: agree(want),
        }
    }
}
