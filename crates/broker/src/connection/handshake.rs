//! CONNECT: who is there, and how often each side will be heard of.

use std::{
    fmt,
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize},
    time::Duration,
};

use stomp::{Command, DecodeError, Frame, FrameLimits, Item};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{Incoming, writer::Writer};
use crate::{
    link::{Link, Output},
    settings::{Limits, Settings},
};

/// How the broker calls itself; clients know its dialect by the first word.
const SERVER: &str = concat!("deploykit-broker/", env!("CARGO_PKG_VERSION"));

/// How large CONNECT may be: a stranger gets no more memory.
pub(super) fn limits(limits: &Limits) -> FrameLimits {
    FrameLimits {
        header_bytes: limits.frame.header_bytes.min(8 * 1024),
        headers: limits.frame.headers.min(32),
        body_bytes: 0,
    }
}

/// How often each side is heard of, where both agreed to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HeartBeats {
    incoming: Option<Duration>,
    pub(super) outgoing: Option<Duration>,
}

/// Somebody who may be here.
#[derive(Debug)]
pub(super) struct Guest {
    pub(super) login: String,
    client_id: String,
    pub(super) beats: HeartBeats,
}

impl Guest {
    pub(super) fn link(&self, outgoing: mpsc::Sender<Output>) -> Link {
        Link {
            client_id: self.client_id.clone(),
            outgoing,
            cut: CancellationToken::new(),
            offered: AtomicU64::new(0),
            written: AtomicU64::new(0),
            queued_bytes: AtomicUsize::new(0),
            wants_flushed: AtomicBool::new(false),
            heard_ms: AtomicU64::new(0),
            opened: Instant::now(),
            silence: self.beats.incoming.map(|beat| beat * 3),
        }
    }
}

/// Why somebody was not let in. The peer was told, where it could be.
#[derive(Debug)]
pub(super) struct NotConnected(String);

impl fmt::Display for NotConnected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) async fn shake(
    incoming: &mut Incoming,
    writer: &mut Writer,
    settings: &Settings,
) -> Result<Guest, NotConnected> {
    let limit = settings.limits.handshake;
    let first = timeout(limit, first_frame(incoming)).await;
    let first = first.unwrap_or_else(|_| Err(NotConnected(format!("no CONNECT within {limit:?}"))));
    let answer = first.and_then(|frame| welcome(&frame, settings));
    match answer {
        Ok((connected, guest)) => match writer.write_frame(&connected).await {
            Ok(()) => Ok(guest),
            Err(error) => Err(NotConnected(error.to_string())),
        },
        Err(refused) => {
            let error = Frame::new(Command::Error)
                .with("message", &refused.0)
                .with("version", "1.2");
            // Whoever is refused need not be there to hear of it.
            let _gone = writer.write_frame(&error).await;
            writer.close().await;
            Err(refused)
        }
    }
}

async fn first_frame(incoming: &mut Incoming) -> Result<Frame, NotConnected> {
    loop {
        match incoming.next(|| ()).await {
            Ok(Some(Item::Frame(frame) | Item::Over { frame, .. })) => return Ok(frame),
            Ok(Some(Item::HeartBeat)) => {}
            Ok(None) => return Err(NotConnected("closed before CONNECT".to_owned())),
            Err(DecodeError::Io(error)) => return Err(NotConnected(error.to_string())),
            Err(error) => return Err(NotConnected(error.to_string())),
        }
    }
}

fn welcome(connect: &Frame, settings: &Settings) -> Result<(Frame, Guest), NotConnected> {
    let refuse = |why: &str| Err(NotConnected(why.to_owned()));
    if !matches!(connect.command, Command::Connect | Command::Stomp) {
        return refuse("the first frame must be CONNECT");
    }
    let versions = connect.header("accept-version").unwrap_or("1.0");
    if !versions.split(',').any(|version| version.trim() == "1.2") {
        return refuse("this broker speaks STOMP 1.2 only");
    }
    let login = connect.header("login").unwrap_or_default();
    let passcode = connect.header("passcode").unwrap_or_default();
    let known = settings
        .users
        .iter()
        .any(|user| user.login == login && user.passcode.matches(passcode));
    if !known {
        return refuse("login or passcode is wrong");
    }
    let asked = connect.header("heart-beat").unwrap_or("0,0");
    let Some((theirs, ours)) = heart_beats(asked, settings.limits.heart_beat) else {
        return refuse("heart-beat must be two numbers of milliseconds");
    };
    let ms = |beat: Option<Duration>| beat.unwrap_or_default().as_millis();
    let connected = Frame::new(Command::Connected)
        .with("version", "1.2")
        .with("server", SERVER)
        .with("heart-beat", &format!("{},{}", ms(ours), ms(theirs)));
    let guest = Guest {
        login: login.to_owned(),
        client_id: connect.header("client-id").unwrap_or_default().to_owned(),
        beats: HeartBeats {
            incoming: theirs,
            outgoing: ours,
        },
    };
    Ok((connected, guest))
}

/// What the peer sends and what it wants, as this broker agrees to it: as asked, but not more often than `shortest`.
fn heart_beats(asked: &str, shortest: Duration) -> Option<(Option<Duration>, Option<Duration>)> {
    let agree = |text: &str| {
        let ms: u32 = text.trim().parse().ok()?;
        let beat = Duration::from_millis(ms.into()).max(shortest);
        Some((ms > 0).then_some(beat))
    };
    let (sends, wants) = asked.split_once(',')?;
    Some((agree(sends)?, agree(wants)?))
}
