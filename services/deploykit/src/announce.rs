//! `deploykit announce`: what hooks call, and what delivers their spool.

pub mod hooks;
pub mod packages;
mod spool;
pub mod svn;
mod tags;

use chassis::{
    Failure as ServiceFailure, Settings, Start,
    outbox::{Outbox, OutboxSettings, Waiting},
};
use events::{
    CommitId, HostName, NameError, Payload, RefName, RepoName, SealError, message::Pushed,
};
use serde::Deserialize;
use world::World;

pub use spool::Spool;

/// What delivers the spool, as a service.
pub const NAME: &str = "announce";

/// Where hooks leave their messages, unless told otherwise.
pub const SPOOL: &str = "/var/spool/deploykit";

/// Settings of what delivers the spool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Deliver {
    /// The spool.
    pub outbox: OutboxSettings,
}

impl Settings for Deliver {
    const SHIPPED: &'static str = include_str!("../dist/announce.toml");

    fn check(&self) -> Result<(), String> {
        self.outbox.check()
    }
}

/// Delivers what hooks leave in the spool.
///
/// # Errors
/// When the folder cannot be read at all.
pub async fn serve(start: Start<Deliver>) -> Result<(), ServiceFailure> {
    let outbox = &start.settings.outbox;
    let opened = Outbox::open(&start.bus, &start.world, outbox, SPOOL).await;
    let (_hooks_append, keeper) = opened.map_err(|error| ServiceFailure::Failed(error.into()))?;
    start.status.ready();
    keeper.run(&start.stop).await;
    Ok(())
}

/// Why a line of a hook's input is not a moved ref.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Not three words.
    #[error("{0:?} is not \"OLD NEW REF\"")]
    Shape(String),
    /// Some of it is no text; what is not, is shown as `\u{fffd}`.
    #[error("{0:?} is not UTF-8")]
    Text(String),
    /// One of them is no such name.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// Reads what git gives to post-receive: a line `OLD NEW REF` per ref. A line that is not one does not spoil the others.
#[must_use]
pub fn moved_refs(
    repository: &RepoName,
    pusher: Option<&str>,
    input: &str,
) -> Vec<Result<Pushed, LineError>> {
    input
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| moved_ref(repository, pusher, line))
        .collect()
}

fn moved_ref(repository: &RepoName, pusher: Option<&str>, line: &str) -> Result<Pushed, LineError> {
    let words: Vec<&str> = line.split(' ').collect();
    let shown = || line.chars().take(200).collect();
    if line.contains(char::REPLACEMENT_CHARACTER) {
        return Err(LineError::Text(shown()));
    }
    let [before, after, name] = words[..] else {
        return Err(LineError::Shape(shown()));
    };
    let name: RefName = name.parse()?;
    let pusher = pusher.map(|who| who.chars().filter(|c| !c.is_control()).take(100).collect());
    Ok(Pushed {
        pusher,
        ..Pushed::of(repository.clone(), name, commit(before)?, commit(after)?)
    })
}

/// All zeros are git's way to say "none".
fn commit(text: &str) -> Result<Option<CommitId>, NameError> {
    if matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte == b'0') {
        return Ok(None);
    }
    text.parse().map(Some)
}

/// Puts messages of this host into envelopes.
#[derive(Debug)]
pub struct Sealer<'a> {
    source: String,
    world: &'a World,
}

impl<'a> Sealer<'a> {
    /// For this host.
    #[must_use]
    pub fn new(host: &HostName, world: &'a World) -> Self {
        let source = format!("/deploykit/announce/{host}");
        Self { source, world }
    }

    /// A message as it waits in the spool.
    ///
    /// # Errors
    /// When it does not fit a frame.
    pub fn seal<P: Payload>(&self, payload: &P) -> Result<Waiting, SealError> {
        Waiting::seal(payload, &self.source, self.world)
    }
}

/// Puts pushes into the spool; they last from then on.
///
/// # Errors
/// The spool's.
pub fn spool(
    pushes: &[Pushed],
    spool: &Spool,
    host: &HostName,
    world: &World,
) -> anyhow::Result<()> {
    let sealer = Sealer::new(host, world);
    let messages: Result<Vec<Waiting>, _> = pushes.iter().map(|push| sealer.seal(push)).collect();
    spool.drop_in(world, &messages?)
}

/// The scripts of hooks/ in the source, by name.
const HOOKS: [(&str, &str); 6] = [
    ("post-receive", include_str!("../../../hooks/post-receive")),
    ("post-commit", include_str!("../../../hooks/post-commit")),
    (
        "svn-post-commit",
        include_str!("../../../hooks/svn-post-commit"),
    ),
    ("reprepro-log", include_str!("../../../hooks/reprepro-log")),
    ("reprepro-end", include_str!("../../../hooks/reprepro-end")),
    ("apt.conf", include_str!("../../../hooks/apt.conf")),
];

/// The names of the hooks.
#[must_use]
pub fn hook_names() -> [&'static str; 6] {
    HOOKS.map(|(name, _)| name)
}

/// A hook's text.
#[must_use]
pub fn hook(name: &str) -> Option<&'static str> {
    HOOKS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
}
