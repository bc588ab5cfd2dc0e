//! What lasts: messages, who waits for them, and the durable subscriptions, in one redb file.
//!
//! A message lies there once, however many subscriptions wait for it.

use std::{collections::HashMap, io, path::Path, sync::Arc};

use redb::{
    Database, DatabaseError, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction,
};
use serde::{Deserialize, Serialize};

use crate::{lifecycle::OpenError, message::Message};

/// Sequence → the message as a SEND frame.
const MESSAGES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("messages");
/// Queue and sequence → bytes of the message, and whether it was delivered before.
const WAITING: TableDefinition<'_, (u64, u64), (u64, bool)> = TableDefinition::new("waiting");
/// Queue → [`Durable`] as JSON.
const QUEUES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("queues");
/// `starts` → how often the broker was started here.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// Memory for redb's pages; what waits on disk is read once.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

/// A durable subscription as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Durable {
    pub(crate) client_id: String,
    pub(crate) name: String,
    pub(crate) destination: String,
    /// When somebody last held it, seconds since 1970 UTC.
    pub(crate) used_s: i64,
}

/// A change that must last.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    Put {
        sequence: u64,
        message: Arc<Message>,
    },
    Forget {
        sequence: u64,
    },
    Wait {
        queue: u64,
        sequence: u64,
        bytes: u64,
        redelivered: bool,
    },
    Settle {
        queue: u64,
        sequence: u64,
    },
    Keep {
        queue: u64,
        durable: Durable,
    },
    Remove {
        queue: u64,
    },
}

/// A message that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) queue: u64,
    pub(crate) sequence: u64,
    pub(crate) bytes: u64,
    pub(crate) redelivered: bool,
}

/// All that was there at the start.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) starts: u64,
    pub(crate) queues: Vec<(u64, Durable)>,
    pub(crate) waiting: Vec<Waiting>,
}

#[derive(Debug)]
pub(crate) struct Store(Database);

impl Store {
    /// Opens or makes the file. Blocks.
    pub(crate) fn open(path: &Path) -> Result<(Self, Found), OpenError> {
        let path_of = || path.to_owned();
        let opened = Database::builder().set_cache_size(CACHE_BYTES).create(path);
        let store = match opened {
            Ok(database) => Self(database),
            Err(DatabaseError::DatabaseAlreadyOpen) => {
                return Err(OpenError::InUse { path: path_of() });
            }
            Err(error) => return Err(OpenError::store(path, error.into())),
        };
        match store.begin() {
            Ok(found) => Ok((store, found)),
            Err(error) => Err(OpenError::store(path, error)),
        }
    }

    fn begin(&self) -> Result<Found, redb::Error> {
        let transaction = self.0.begin_write()?;
        let mut found = Found::default();
        {
            let mut meta = transaction.open_table(META)?;
            found.starts = meta.get("starts")?.map_or(0, |starts| starts.value()) + 1;
            meta.insert("starts", found.starts)?;
            transaction.open_table(MESSAGES)?;
            for row in transaction.open_table(QUEUES)?.iter()? {
                let (queue, durable) = row?;
                let durable = serde_json::from_slice(durable.value())
                    .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
                found.queues.push((queue.value(), durable));
            }
            for row in transaction.open_table(WAITING)?.iter()? {
                let (key, value) = row?;
                let ((queue, sequence), (bytes, redelivered)) = (key.value(), value.value());
                found.waiting.push(Waiting {
                    queue,
                    sequence,
                    bytes,
                    redelivered,
                });
            }
        }
        transaction.commit()?;
        Ok(found)
    }

    /// Makes changes last, all or none, and reads messages. Blocks.
    pub(crate) fn commit(
        &self,
        changes: &[Change],
        wanted: &[u64],
    ) -> io::Result<HashMap<u64, Arc<Message>>> {
        self.write(changes)
            .and_then(|()| self.read(wanted))
            .map_err(io::Error::other)
    }

    fn write(&self, changes: &[Change]) -> Result<(), redb::Error> {
        if changes.is_empty() {
            return Ok(());
        }
        let transaction = self.0.begin_write()?;
        apply(&transaction, changes)?;
        Ok(transaction.commit()?)
    }

    fn read(&self, wanted: &[u64]) -> Result<HashMap<u64, Arc<Message>>, redb::Error> {
        let mut read = HashMap::new();
        if wanted.is_empty() {
            return Ok(read);
        }
        let messages = self.0.begin_read()?.open_table(MESSAGES)?;
        for &sequence in wanted {
            let stored = messages.get(sequence)?;
            let message = stored.and_then(|stored| Message::from_stored(stored.value()));
            let message = message.ok_or_else(|| {
                redb::Error::Corrupted(format!("message {sequence} is unreadable"))
            })?;
            read.insert(sequence, Arc::new(message));
        }
        Ok(read)
    }
}

fn apply(transaction: &WriteTransaction, changes: &[Change]) -> Result<(), redb::Error> {
    let mut messages = transaction.open_table(MESSAGES)?;
    let mut waiting = transaction.open_table(WAITING)?;
    let mut queues = transaction.open_table(QUEUES)?;
    for change in changes {
        match change {
            Change::Put { sequence, message } => {
                messages.insert(sequence, &*message.to_stored())?;
            }
            Change::Forget { sequence } => {
                messages.remove(sequence)?;
            }
            Change::Wait {
                queue,
                sequence,
                bytes,
                redelivered,
            } => {
                waiting.insert((*queue, *sequence), (*bytes, *redelivered))?;
            }
            Change::Settle { queue, sequence } => {
                waiting.remove((*queue, *sequence))?;
            }
            Change::Keep { queue, durable } => {
                let json = serde_json::to_vec(durable).expect("plain text and numbers are JSON");
                queues.insert(queue, &*json)?;
            }
            Change::Remove { queue } => {
                queues.remove(queue)?;
            }
        }
    }
    Ok(())
}
