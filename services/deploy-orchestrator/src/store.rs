//! What must outlast the process: deploys with their rollouts, orders as they were signed, hosts, output, counters.
//!
//! One SQLite file, one writer: a second process on the same folder is refused by a lock. Every change is flushed before
//! this returns (`synchronous = FULL`), so that nothing is sent which would be forgotten.

mod ci;
mod rows;
mod schema;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use events::{
    CommitId, HostName, ProjectName, RepoName,
    message::{Ordered, Phase, ScriptOutput, Step},
};
use jiff::Timestamp;
use rusqlite::Connection;
use uuid::Uuid;
use world::{Lock, World};

use crate::{
    api::{LineView, OutputView},
    ci::Commit,
    deploy::Deploy,
    known::{HostKnown, Known},
    rollout::{Issued, Rollout},
};

/// The store.
#[derive(Debug, Clone)]
pub struct Store {
    world: World,
    connection: Arc<Mutex<Connection>>,
    keep: usize,
    _lock: Arc<dyn Lock>,
}

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it.
    #[error("the folder {} is in use by another orchestrator: stop that one, or set another `data`", .0.display())]
    InUse(PathBuf),
    /// Written by a newer version.
    #[error("the database {} has version {found}, this program knows up to {known}: update it", file.display())]
    Newer {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version that is known here.
        known: i64,
    },
    /// The folder or the file cannot be used.
    #[error("cannot use the folder {}", .0.display())]
    Folder(PathBuf, #[source] io::Error),
    /// The database failed.
    #[error("the database failed")]
    Database(#[from] rusqlite::Error),
    /// A row that this program did not write so.
    #[error("the database holds a {what} that cannot be read")]
    Row {
        /// What.
        what: &'static str,
        /// Why.
        source: serde_json::Error,
    },
    /// The work was not done.
    #[error("the database's thread failed")]
    Thread(#[source] io::Error),
}

type Result<T> = std::result::Result<T, StoreError>;

/// An order as it was signed.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredOrder {
    /// Its id.
    pub id: Uuid,
    /// The deploy that it belongs to.
    pub deploy: Uuid,
    /// What is published.
    pub ordered: Ordered,
    /// Not begun after this.
    pub expires: Timestamp,
}

impl StoredOrder {
    /// There is one order at a time per deploy, host and phase.
    #[must_use]
    pub fn key(&self) -> (Uuid, HostName, Phase) {
        (self.deploy, self.ordered.host.clone(), self.ordered.phase)
    }

    /// What its rollout has to know of it.
    #[must_use]
    pub fn issued(&self) -> Issued {
        Issued {
            order: self.id,
            expires: self.expires,
        }
    }
}

/// What was there when the orchestrator started.
#[derive(Debug, Default)]
pub struct Loaded {
    /// The fleet as it was known.
    pub known: Known,
    /// Deploys that have not ended.
    pub running: Vec<Deploy>,
    /// Their orders.
    pub orders: Vec<StoredOrder>,
    /// The highest sequence that an order was given.
    pub sequence: u64,
    /// The epoch of this start: higher than that of any start before.
    pub epoch: u64,
}

/// What is to be kept, all or nothing.
#[derive(Debug, Default)]
pub struct Changes {
    /// New deploys.
    pub deploys: Vec<Deploy>,
    /// Rollouts that went on.
    pub rollouts: Vec<Rollout>,
    /// Orders; one of the same deploy, host and phase is replaced.
    pub orders: Vec<StoredOrder>,
    /// The highest sequence in use.
    pub sequence: Option<u64>,
    /// What happened, in one line each.
    pub lines: Vec<(Uuid, Timestamp, String)>,
    /// Hosts as they are known.
    pub hosts: Vec<(HostName, HostKnown)>,
    /// Hosts that are known no longer.
    pub forgotten: Vec<HostName>,
    /// Refs of hosts.
    pub refs: Vec<events::message::Fetched>,
    /// What CI has said of a commit by now.
    pub ci: Vec<(RepoName, CommitId, Commit)>,
    /// Commits of which nothing that CI said is kept any more.
    pub ci_forgotten: Vec<(RepoName, CommitId)>,
    /// Output of scripts.
    pub output: Vec<ScriptOutput>,
}

impl Changes {
    /// True if there is nothing to keep.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.deploys.is_empty()
            && self.rollouts.is_empty()
            && self.orders.is_empty()
            && self.sequence.is_none()
            && self.lines.is_empty()
            && self.hosts.is_empty()
            && self.forgotten.is_empty()
            && self.refs.is_empty()
            && self.ci.is_empty()
            && self.ci_forgotten.is_empty()
            && self.output.is_empty()
    }
}

impl Store {
    /// Opens the store in a folder, which is made where it is missing, and brings its schema up to date. Of each project
    /// `keep` deploys are kept, beside those under way.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn open(world: &World, folder: &Path, keep: usize) -> Result<Self> {
        let folder = folder.to_owned();
        let opened = world.on_disk(move |disk| Ok(open(disk, &folder))).await;
        let (connection, lock) = opened.map_err(StoreError::Thread)??;
        Ok(Self {
            world: world.clone(),
            connection: Arc::new(Mutex::new(connection)),
            keep,
            _lock: Arc::from(lock),
        })
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
        done.await.map_err(StoreError::Thread)?
    }

    /// Reads what a start needs, and begins a new epoch. Agents refuse what is below the epoch and the sequence that they
    /// have seen; so that a lost or restored database locks nobody out, neither is below the time.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn load(&self) -> Result<Loaded> {
        let now = self.world.clock.now();
        self.run(move |connection| rows::load(connection, now))
            .await
    }

    /// Keeps changes; when this returns they outlast a loss of power.
    ///
    /// # Errors
    /// See [`StoreError`]; nothing was kept then.
    pub async fn save(&self, changes: Changes) -> Result<()> {
        if changes.is_empty() {
            return Ok(());
        }
        let keep = self.keep;
        self.run(move |connection| rows::save(connection, &changes, keep))
            .await
    }

    /// Deploys, newest first.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn deploys(&self, project: Option<ProjectName>, limit: usize) -> Result<Vec<Deploy>> {
        self.run(move |connection| rows::deploys(connection, project.as_ref(), limit))
            .await
    }

    /// Deploys whose id begins or ends so, at most ten.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn find(&self, id: &str) -> Result<Vec<Deploy>> {
        let id = id.to_owned();
        self.run(move |connection| rows::find(connection, &id))
            .await
    }

    /// What happened in a deploy, in order.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn lines(&self, deploy: Uuid) -> Result<Vec<LineView>> {
        self.run(move |connection| rows::lines(connection, deploy))
            .await
    }

    /// Output of a deploy's scripts, by host, step and offset.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn output(
        &self,
        deploy: Uuid,
        host: Option<HostName>,
        step: Option<Step>,
    ) -> Result<Vec<OutputView>> {
        self.run(move |connection| rows::output(connection, deploy, host.as_ref(), step))
            .await
    }
}

fn open(disk: &dyn world::Disk, folder: &Path) -> Result<(Connection, Box<dyn Lock>)> {
    let cannot = |error| StoreError::Folder(folder.to_owned(), error);
    disk.create_folders(folder, 0o750).map_err(cannot)?;
    let lock = disk.lock(&folder.join("lock")).map_err(cannot)?;
    let lock = lock.ok_or_else(|| StoreError::InUse(folder.to_owned()))?;
    let file = folder.join("orchestrator.sqlite");
    let mut connection = Connection::open(&file)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    schema::migrate(&mut connection, &file)?;
    Ok((connection, lock))
}
