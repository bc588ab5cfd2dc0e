//! The lines in SQLite, bounded by number and age.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use events::{
    HostName, OneLine, ServiceName,
    message::{Level, Line, RECORD_BYTES},
};
use jiff::{SignedDuration, Timestamp};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row, params};
use serde_json::{Value, json};
use uuid::Uuid;
use world::World;

use super::FeedLine;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// So many lines ...
    pub lines: u64,
    /// ... and none that came more than so many days ago.
    pub days: u32,
}

/// Why the feed cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// The folder or the file cannot be used.
    #[error("cannot use the feed's file {}", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    /// Written by a newer version.
    #[error("the feed's file {} has version {found}, this program knows up to {VERSION}: update it, or remove the file to begin a new feed", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
    },
    /// The database failed.
    #[error("the feed's database failed")]
    Database(#[from] rusqlite::Error),
    /// The work was not done.
    #[error("the feed's thread failed")]
    Thread(#[source] io::Error),
}

type Result<T> = std::result::Result<T, FeedError>;

/// A line that is to be kept.
#[derive(Debug, Clone, PartialEq)]
pub struct New {
    /// The id of its message, by which a second one is known.
    pub message: Uuid,
    /// When it was said.
    pub said: Timestamp,
    /// What was said.
    pub line: Line,
}

/// A line that is kept.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "as in FeedLine")]
pub struct Kept {
    pub id: u64,
    pub time: Timestamp,
    /// When it came.
    pub received: Timestamp,
    pub component: ServiceName,
    pub host: HostName,
    pub level: Level,
    pub event: String,
    pub line: OneLine,
    pub record: Value,
}

impl From<Kept> for FeedLine {
    fn from(kept: Kept) -> Self {
        Self {
            id: kept.id,
            time: kept.time,
            component: kept.component,
            host: kept.host,
            level: kept.level,
            event: kept.event,
            line: kept.line,
            record: kept.record,
        }
    }
}

const VERSION: i64 = 1;

/// `AUTOINCREMENT`: numbers are not given again, although all lines may have become too old.
const TABLES: &str = "
    CREATE TABLE lines (
        number   INTEGER PRIMARY KEY AUTOINCREMENT,
        message  TEXT NOT NULL UNIQUE,         -- id of the envelope
        said     INTEGER NOT NULL,             -- milliseconds since 1970
        received INTEGER NOT NULL,             -- the same
        line     TEXT NOT NULL                 -- JSON of events::message::Line
    ) STRICT;
    CREATE INDEX lines_by_age ON lines (received);
    CREATE TABLE positions (
        name     TEXT PRIMARY KEY,             -- relay.NAME
        number   INTEGER NOT NULL
    ) STRICT;
    PRAGMA user_version = 1;
";

#[derive(Debug, Clone)]
pub(super) struct Store {
    world: World,
    connection: Arc<Mutex<Connection>>,
    keep: Keep,
}

impl Store {
    /// The store, and the number of its newest line.
    pub(super) async fn open(world: &World, folder: &Path, keep: Keep) -> Result<(Self, u64)> {
        let file = folder.join("feed.sqlite");
        let begun = world.clock.now().as_second();
        let opened = world
            .on_disk(move |disk| Ok(open(disk, &file, begun)))
            .await;
        let (connection, newest) = opened.map_err(FeedError::Thread)??;
        let store = Self {
            world: world.clone(),
            connection: Arc::new(Mutex::new(connection)),
            keep,
        };
        Ok((store, newest))
    }

    async fn run<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    {
        let connection = Arc::clone(&self.connection);
        let done = self.world.on_disk(move |_| {
            // After a panic the transaction was rolled back: the connection is sound.
            let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(work(&mut connection))
        });
        done.await.map_err(FeedError::Thread)?
    }

    /// Keeps lines, forgets old ones, and says which is the newest.
    pub(super) async fn keep(&self, new: Vec<New>) -> Result<u64> {
        let (now, keep) = (self.world.clock.now(), self.keep);
        self.run(move |connection| {
            let transaction = connection.transaction()?;
            {
                let mut insert = transaction.prepare(
                    "INSERT OR IGNORE INTO lines (message, said, received, line) VALUES (?, ?, ?, ?)",
                )?;
                for New { message, said, line } in new {
                    let text = json!(bounded(line)).to_string();
                    let said = said.as_millisecond();
                    insert.execute(params![message.to_string(), said, now.as_millisecond(), text])?;
                }
            }
            let newest = newest(&transaction)?;
            let age = SignedDuration::from_hours(24 * i64::from(keep.days));
            let oldest = now.checked_sub(age).unwrap_or(Timestamp::MIN).as_millisecond();
            let last = i64::try_from(newest.saturating_sub(keep.lines)).unwrap_or(i64::MAX);
            transaction.execute("DELETE FROM lines WHERE number <= ?", [last])?;
            transaction.execute("DELETE FROM lines WHERE received < ?", [oldest])?;
            transaction.commit()?;
            Ok(newest)
        })
        .await
    }

    /// The first lines after a number, oldest first.
    pub(super) async fn after(&self, number: u64, most: usize) -> Result<Vec<Kept>> {
        self.some("number > ? ORDER BY number", number, most).await
    }

    /// The last lines before a number, newest first.
    pub(super) async fn before(&self, number: u64, most: usize) -> Result<Vec<Kept>> {
        self.some("number < ? ORDER BY number DESC", number, most)
            .await
    }

    async fn some(&self, which: &'static str, number: u64, most: usize) -> Result<Vec<Kept>> {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.run(move |connection| {
            let sql =
                format!("SELECT number, said, received, line FROM lines WHERE {which} LIMIT ?");
            let mut select = connection.prepare(&sql)?;
            let rows = select.query_map(
                params![number, i64::try_from(most).unwrap_or(i64::MAX)],
                kept,
            )?;
            Ok(rows.collect::<rusqlite::Result<Vec<Kept>>>()?)
        })
        .await
    }

    /// The number of the oldest line, if there is one.
    pub(super) async fn oldest(&self) -> Result<Option<u64>> {
        self.run(move |connection| {
            let select = "SELECT number FROM lines ORDER BY number LIMIT 1";
            let found = connection.query_row(select, [], |row| number_in(row, 0));
            Ok(found.optional()?)
        })
        .await
    }

    pub(super) async fn position(&self, name: &str) -> Result<Option<u64>> {
        let name = name.to_owned();
        self.run(move |connection| {
            let select = "SELECT number FROM positions WHERE name = ?";
            let found = connection.query_row(select, [name], |row| number_in(row, 0));
            Ok(found.optional()?)
        })
        .await
    }

    pub(super) async fn set_position(&self, name: &str, number: u64) -> Result<()> {
        let name = name.to_owned();
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.run(move |connection| {
            let set = "INSERT OR REPLACE INTO positions (name, number) VALUES (?, ?)";
            connection.execute(set, params![name, number])?;
            Ok(())
        })
        .await
    }
}

/// A line of a component that does not keep to the bound of a record.
fn bounded(mut line: Line) -> Line {
    if line.record.to_string().len() > 2 * RECORD_BYTES {
        let (level, event) = (line.level().word(), line.event().map(OneLine::new));
        line.record = json!({ "event": event, "level": level, "cut": true });
    }
    line
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    let time = |index| -> rusqlite::Result<Timestamp> {
        let milliseconds = row.get(index)?;
        Ok(Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH))
    };
    let text: String = row.get(3)?;
    let line: Line = serde_json::from_str(&text).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(3, rusqlite::types::Type::Text, Box::new(error))
    })?;
    let event = line.event().map(OneLine::new);
    Ok(Kept {
        id: number_in(row, 0)?,
        time: time(1)?,
        received: time(2)?,
        level: line.level(),
        event: event.map_or_else(String::new, |event| event.to_string()),
        component: line.component,
        host: line.host,
        line: line.line,
        record: line.record,
    })
}

fn number_in(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    Ok(u64::try_from(number).unwrap_or_default())
}

fn newest(connection: &Connection) -> Result<u64> {
    let select = "SELECT seq FROM sqlite_sequence WHERE name = 'lines'";
    let found = connection.query_row(select, [], |row| number_in(row, 0));
    Ok(found.optional()?.unwrap_or_default())
}

fn open(disk: &dyn world::Disk, file: &Path, begun: i64) -> Result<(Connection, u64)> {
    let cannot = |error| FeedError::Folder(file.to_owned(), error);
    if let Some(folder) = file.parent() {
        disk.create_folders(folder, 0o750).map_err(cannot)?;
    }
    match tables(file, begun) {
        Err(FeedError::Database(rusqlite::Error::SqliteFailure(error, why)))
            if matches!(
                error.code,
                ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt
            ) =>
        {
            let beside = file.with_extension("sqlite.bad");
            tracing::error!(file = %file.display(), kept = %beside.display(), why, "the feed's file is damaged: a new feed is begun");
            disk.rename(file, &beside).map_err(cannot)?;
            for other in ["sqlite-wal", "sqlite-shm"] {
                // They belong to the damaged one; mostly there are none.
                let _absent = disk.remove_file(&file.with_extension(other));
            }
            tables(file, begun)
        }
        opened => opened,
    }
}

fn tables(file: &Path, begun: i64) -> Result<(Connection, u64)> {
    let mut connection = Connection::open(file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A loss of power may take the newest lines, and nothing else.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match found {
        0 => {
            let transaction = connection.transaction()?;
            transaction.execute_batch(TABLES)?;
            // Numbers go on growing if the file is lost: so many seconds is more than any feed had lines.
            let begin = "INSERT INTO sqlite_sequence (name, seq) VALUES ('lines', ?)";
            transaction.execute(begin, [begun])?;
            transaction.commit()?;
        }
        VERSION => {}
        found => {
            let file = file.to_owned();
            return Err(FeedError::Newer { file, found });
        }
    }
    let newest = newest(&connection)?;
    Ok((connection, newest))
}
