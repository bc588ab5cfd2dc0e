//! What is known to be in the folder, without listing it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use world::Entry;

use super::{AppendError, Limits, file, levels::Counts};

/// The files of an outbox as far as this process knows: its own at once, those of others after the next listing.
#[derive(Debug)]
pub(super) struct Stock {
    folder: PathBuf,
    limits: Limits,
    held: Mutex<Held>,
    pub(super) counts: Counts,
}

#[derive(Debug, Default)]
struct Held {
    files: BTreeMap<String, Size>,
    /// Of all files, and of what is reserved.
    total: Size,
    /// The number in the newest name there ever was.
    newest: i64,
    refusing: Option<Refusing>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Size {
    messages: usize,
    bytes: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusing {
    Full,
    Disk,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
    }

    fn take(&mut self, other: Self) {
        self.messages -= other.messages;
        self.bytes -= other.bytes;
    }
}

/// Room for messages that are not written yet; given back when dropped.
#[derive(Debug)]
pub(super) struct Room {
    stock: Arc<Stock>,
    size: Size,
}

impl Room {
    /// What was kept is now counted by its file.
    fn spend(&mut self, held: &mut Held) {
        held.total.take(std::mem::take(&mut self.size));
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.stock.held().total.take(self.size);
    }
}

impl Stock {
    pub(super) fn new(folder: PathBuf, limits: Limits) -> Self {
        Self {
            folder,
            limits,
            held: Mutex::default(),
            counts: Counts::default(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Nothing is left half changed by a panic.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn disk_error(&self, source: io::Error) -> AppendError {
        AppendError::Disk {
            folder: self.folder.clone(),
            source: Arc::new(source),
        }
    }

    /// How many messages, and bytes of them; those that are being written included.
    pub(super) fn holds(&self) -> (usize, u64) {
        let Size { messages, bytes } = self.held().total;
        (messages, bytes)
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    pub(super) fn is_full(&self) -> bool {
        self.held().is_full(self.limits)
    }

    /// Keeps room for messages that are to be written.
    pub(super) fn reserve(
        self: &Arc<Self>,
        messages: usize,
        bytes: u64,
    ) -> Result<Room, AppendError> {
        let size = Size { messages, bytes };
        let mut held = self.held();
        let total = held.total;
        if total.messages + messages > self.limits.messages
            || total.bytes + bytes > self.limits.bytes
        {
            self.refuse_for_room(&mut held);
            self.counts.refused("full", messages as u64);
            return Err(AppendError::Full {
                folder: self.folder.clone(),
                messages: total.messages,
                bytes: total.bytes,
            });
        }
        held.total.add(size);
        Ok(Room {
            stock: Arc::clone(self),
            size,
        })
    }

    /// The name for the next file; higher than any before it.
    pub(super) fn next_name(&self, now_us: i64, id: uuid::Uuid, messages: usize) -> String {
        let mut held = self.held();
        held.newest = now_us.max(held.newest + 1);
        file::name(held.newest, id, messages)
    }

    /// A file is there, in the room that was kept for it.
    pub(super) fn written(&self, name: &str, bytes: u64, rooms: &mut [Room]) {
        let mut held = self.held();
        for room in rooms {
            room.spend(&mut held);
        }
        held.insert(name.to_owned(), bytes);
        if held.refusing == Some(Refusing::Disk) {
            self.take_again(&mut held);
        }
    }

    fn refuse_for_room(&self, held: &mut Held) {
        if held.refusing.replace(Refusing::Full).is_none() {
            let folder = self.folder.display();
            let Size { messages, bytes } = held.total;
            tracing::error!(%folder, messages, bytes, "the outbox is full: messages are refused until the broker takes some");
        }
    }

    /// Hooks, which count nothing themselves, were refused for want of room.
    pub(super) fn hooks_refused(&self, messages: u64) {
        if messages > 0 {
            self.counts.refused("full", messages);
            let folder = self.folder.display();
            tracing::error!(%folder, messages, "hooks were refused: what they had to announce is lost");
        }
    }

    fn take_again(&self, held: &mut Held) {
        held.refusing = None;
        tracing::info!(folder = %self.folder.display(), "the outbox takes messages again");
    }

    /// A file could not be written.
    pub(super) fn not_written(&self, messages: usize, error: &io::Error) {
        self.counts.refused("disk", messages as u64);
        let before = self.held().refusing.replace(Refusing::Disk);
        if before != Some(Refusing::Disk) {
            tracing::error!(folder = %self.folder.display(), %error, "the outbox cannot be written: messages are refused");
        }
    }

    /// A file is gone.
    pub(super) fn removed(&self, name: &str) {
        let mut held = self.held();
        held.remove(name);
        self.maybe_take_again(&mut held);
    }

    fn maybe_take_again(&self, held: &mut Held) {
        // Only once a fifth is free, so that it is not said at each message around the limit.
        let (total, limits) = (held.total, self.limits);
        let easy = total.messages * 5 <= limits.messages * 4 && total.bytes / 4 <= limits.bytes / 5;
        if held.refusing == Some(Refusing::Full) && easy {
            self.take_again(held);
        }
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.held().files.contains_key(name)
    }

    /// The first file that is not one of these, oldest first.
    pub(super) fn first_but(&self, taken: &BTreeSet<String>) -> Option<String> {
        let held = self.held();
        held.files
            .keys()
            .find(|name| !taken.contains(*name))
            .cloned()
    }

    /// The number in the oldest name: when it was appended, microseconds since 1970 UTC.
    pub(super) fn oldest_us(&self) -> Option<i64> {
        let held = self.held();
        held.files.keys().find_map(|name| file::number(name))
    }

    /// The files known now, for [`Stock::found`].
    pub(super) fn mark(&self) -> BTreeSet<String> {
        self.held().files.keys().cloned().collect()
    }

    /// Takes in a listing of the folder that was begun after the mark was taken. True if there is something new.
    pub(super) fn found(&self, entries: &[Entry], mark: &BTreeSet<String>) -> bool {
        let mut held = self.held();
        let mut there = BTreeSet::new();
        let mut new = false;
        for entry in entries {
            let Some(name) = file::is_message(&entry.path) else {
                continue;
            };
            there.insert(name);
            if !held.files.contains_key(name) && !mark.contains(name) {
                held.insert(name.to_owned(), entry.bytes);
                new = true;
            }
        }
        for name in mark {
            if !there.contains(name.as_str()) {
                held.remove(name);
            }
        }
        // Whoever filled it is another process, and so is who is refused: nobody else says so in a log.
        if held.is_full(self.limits) {
            self.refuse_for_room(&mut held);
        } else {
            self.maybe_take_again(&mut held);
        }
        new
    }
}

impl Held {
    fn is_full(&self, limits: Limits) -> bool {
        let Size { messages, bytes } = self.total;
        messages >= limits.messages || bytes >= limits.bytes
    }

    fn insert(&mut self, name: String, bytes: u64) {
        if let Some(number) = file::number(&name) {
            self.newest = self.newest.max(number);
        }
        let messages = file::messages(&name);
        let size = Size { messages, bytes };
        self.total.add(size);
        if let Some(before) = self.files.insert(name, size) {
            self.total.take(before);
        }
    }

    fn remove(&mut self, name: &str) {
        if let Some(size) = self.files.remove(name) {
            self.total.take(size);
        }
    }
}
