//! A spool folder: messages that wait on disk until the broker has them.
//!
//! One file per message, `<microseconds>-<envelope id>.json`, so that the order of the names is the order in which they were
//! appended. A file counts from its rename on; a crash before it leaves a `.….new`, which is never read and is
//! removed when a spool is opened an hour later.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use anyhow::Context;
use events::{Envelope, Topic};
use serde::{Deserialize, Serialize};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;
use world::{Disk, World};

use crate::{Bus, Failure, PublishError, causes};

/// How soon a message that another process appended is found.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A file that is not finished after this many seconds belongs to nobody: its writer is gone.
const UNFINISHED_S: i64 = 3600;

/// How much a spool holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Messages.
    pub messages: usize,
    /// Bytes of all messages together.
    pub bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages: 10_000,
            bytes: 256 << 20,
        }
    }
}

/// Why a message was not spooled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// There is no more room.
    #[error("the spool {} is full: {messages} messages, {bytes} bytes", folder.display())]
    Full {
        /// The folder.
        folder: PathBuf,
        /// How many it holds.
        messages: usize,
        /// Their size.
        bytes: u64,
    },
    /// The disk does not do it.
    #[error("cannot use the spool {}", folder.display())]
    Disk {
        /// The folder.
        folder: PathBuf,
        /// The system's.
        source: io::Error,
    },
}

/// A message as it waits.
#[derive(Debug, Serialize, Deserialize)]
struct Waiting {
    topic: Topic,
    persistent: bool,
    envelope: Envelope,
}

/// A folder of envelopes, delivered in the order they were appended, each removed once the broker has it.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    limits: Limits,
    /// The number in the newest name.
    newest: Mutex<i64>,
    appended: Notify,
}

impl Spool {
    /// Opens the folder, and makes it where it is missing.
    ///
    /// # Errors
    /// The system's.
    pub fn open(world: &World, folder: &Path, limits: Limits) -> Result<Self, SpoolError> {
        let disk = &*world.disk;
        let opened = disk
            .create_folders(folder, 0o750)
            .and_then(|()| remove_unfinished(disk, folder, world.clock.now().as_second()))
            .and_then(|()| waiting(disk, folder));
        let files = opened.map_err(|source| SpoolError::Disk {
            folder: folder.to_owned(),
            source,
        })?;
        let newest = files.last().and_then(|(path, _)| number(path));
        Ok(Self {
            folder: folder.to_owned(),
            limits,
            newest: Mutex::new(newest.unwrap_or_default()),
            appended: Notify::new(),
        })
    }

    /// Appends a message; it lasts from then on. Synchronous and quick, for hooks; in a service, call it inside
    /// `World::on_disk`, or accept a few milliseconds.
    ///
    /// # Errors
    /// See [`SpoolError`].
    ///
    /// # Panics
    /// Never: an envelope holds only what JSON can hold.
    pub fn append(
        &self,
        world: &World,
        topic: &Topic,
        persistent: bool,
        envelope: &Envelope,
    ) -> Result<(), SpoolError> {
        let disk_error = |source| SpoolError::Disk {
            folder: self.folder.clone(),
            source,
        };
        let message = Waiting {
            topic: topic.clone(),
            persistent,
            envelope: envelope.clone(),
        };
        let bytes = serde_json::to_vec(&message).expect("an envelope holds only JSON values");
        // Held until the file is there, so that a later name never comes to be before an earlier one.
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let there = waiting(&*world.disk, &self.folder).map_err(disk_error)?;
        let size: u64 = there.iter().map(|(_, size)| size).sum();
        if there.len() >= self.limits.messages || size + bytes.len() as u64 > self.limits.bytes {
            return Err(SpoolError::Full {
                folder: self.folder.clone(),
                messages: there.len(),
                bytes: size,
            });
        }
        let next = world.clock.now().as_microsecond().max(*newest + 1);
        let name = format!("{next:020}-{}.json", envelope.id);
        world
            .disk
            .replace(&self.folder.join(name), &bytes, 0o640)
            .map_err(disk_error)?;
        *newest = next;
        drop(newest);
        self.appended.notify_one();
        Ok(())
    }

    /// Delivers what is there and what comes, until a stop. What other processes append is found within a second.
    ///
    /// A message that the broker does not take for now stays first; one that can never be sent is renamed to
    /// `….json.bad` and logged.
    ///
    /// # Errors
    /// When the folder cannot be read or changed.
    pub async fn deliver(
        &self,
        bus: &Bus,
        world: &World,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut unreadable = BTreeSet::new();
        loop {
            let folder = self.folder.clone();
            let files = world
                .on_disk(move |disk| waiting(disk, &folder))
                .await
                .with_context(|| format!("cannot read the spool {}", self.folder.display()))?;
            for (path, _) in files {
                if stop.is_cancelled()
                    || !self.deliver_one(bus, world, &path, &mut unreadable).await?
                {
                    break;
                }
            }
            tokio::select! {
                () = self.appended.notified() => {}
                () = sleep(LOOK_EVERY) => {}
                () = stop.cancelled() => return Ok(()),
            }
        }
    }

    /// False when the broker does not take it for now.
    async fn deliver_one(
        &self,
        bus: &Bus,
        world: &World,
        path: &Path,
        unreadable: &mut BTreeSet<PathBuf>,
    ) -> Result<bool, Failure> {
        let file = path.to_owned();
        let context = || format!("cannot remove or rename {}", path.display());
        let bytes = match world.on_disk(move |disk| disk.read(&file)).await {
            Ok(bytes) => bytes,
            // A hook of another user, say: it waits for a person, the others do not.
            Err(error) => {
                if unreadable.insert(path.to_owned()) {
                    tracing::error!(file = %path.display(), %error, "waits in the spool until it can be read");
                }
                return Ok(true);
            }
        };
        let bad = match serde_json::from_slice::<Waiting>(&bytes) {
            Err(error) => causes(&error),
            Ok(message) => {
                let published =
                    bus.publish_envelope(&message.topic, message.persistent, &message.envelope);
                match published.await {
                    Ok(()) => {
                        let file = path.to_owned();
                        let removed = world.on_disk(move |disk| disk.remove_file(&file));
                        removed.await.with_context(context)?;
                        return Ok(true);
                    }
                    Err(error @ PublishError::Unsendable(_)) => causes(&error),
                    Err(error) => {
                        let file = path.display().to_string();
                        tracing::warn!(file, error = causes(&error), "waits in the spool");
                        return Ok(false);
                    }
                }
            }
        };
        tracing::error!(file = %path.display(), cause = bad, "put aside as .bad: it can never be sent");
        let (from, mut to) = (path.to_owned(), path.as_os_str().to_owned());
        to.push(".bad");
        let moved = world.on_disk(move |disk| disk.rename(&from, Path::new(&to)));
        moved.await.with_context(context)?;
        Ok(true)
    }
}

fn file_name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

/// The messages in the folder with their sizes, oldest first.
fn waiting(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
    let is_message = |path: &Path| {
        let name = file_name(path);
        name.ends_with(".json") && !name.starts_with('.')
    };
    let entries = disk.list(folder)?;
    Ok(entries
        .into_iter()
        .filter(|entry| is_message(&entry.path))
        .map(|entry| (entry.path, entry.bytes))
        .collect())
}

fn number(path: &Path) -> Option<i64> {
    file_name(path).split_once('-')?.0.parse().ok()
}

fn remove_unfinished(disk: &dyn Disk, folder: &Path, now_s: i64) -> io::Result<()> {
    for entry in disk.list(folder)? {
        let name = file_name(&entry.path);
        let old = entry.modified_s < now_s - UNFINISHED_S;
        if old && name.starts_with('.') && name.ends_with(".new") {
            disk.remove_file(&entry.path)?;
        }
    }
    Ok(())
}
