//! The feed: what all components said, kept for a while, read and followed.
//!
//! It has a database of its own (`feed.sqlite`) and a task of its own, so that nothing here holds up a deploy. A line has a
//! number that only ever grows; whoever asks for what came after a number misses none and sees none twice.
//!
//! Read: `line` (what is kept of one), `wanted` (which ones somebody wants; pure), `store` (SQLite), `intake` (from the bus
//! into the store), `http` (the API).

mod http;
mod intake;
mod line;
mod store;
mod wanted;

use std::{collections::VecDeque, path::Path, sync::Arc};

use futures_util::{Stream, stream};
use tokio::sync::{Semaphore, watch};
use world::World;

pub use http::routes;
pub(crate) use intake::take_in;
pub use line::{FeedLine, FeedView};
use store::Store;
pub use store::{FeedError, Keep, Kept, New};
pub use wanted::Wanted;

/// Who can follow at once.
const FOLLOWERS: usize = 100;
/// Lines that are read at a time.
const CHUNK: usize = 500;

/// The feed. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Feed {
    store: Store,
    newest: watch::Sender<u64>,
    seats: Arc<Semaphore>,
}

impl Feed {
    /// Opens the feed in a folder, which is made where it is missing. A file that is no database any more is put beside
    /// and a new one begun: nothing in it is needed for a deploy.
    ///
    /// # Errors
    /// See [`FeedError`].
    pub async fn open(world: &World, folder: &Path, keep: Keep) -> Result<Self, FeedError> {
        let (store, newest) = Store::open(world, folder, keep).await?;
        Ok(Self {
            store,
            newest: watch::channel(newest).0,
            seats: Arc::new(Semaphore::new(FOLLOWERS)),
        })
    }

    /// Keeps new lines, in order; one that is known by its id already is not kept again.
    ///
    /// # Errors
    /// See [`FeedError`]; none was kept then.
    pub async fn keep(&self, new: Vec<New>) -> Result<(), FeedError> {
        let newest = self.store.keep(new).await?;
        self.newest.send_replace(newest);
        Ok(())
    }

    /// The newest lines that are wanted, at most so many, oldest first.
    ///
    /// # Errors
    /// See [`FeedError`].
    pub async fn newest(&self, wanted: &Wanted, most: usize) -> Result<FeedView, FeedError> {
        let newest = *self.newest.borrow();
        let mut found = VecDeque::new();
        let mut before = newest.saturating_add(1);
        'all: while found.len() < most {
            let chunk = self.store.before(before, CHUNK).await?;
            let Some(last) = chunk.last() else { break };
            before = last.id;
            for line in chunk {
                if wanted.since.is_some_and(|since| line.received < since) {
                    break 'all;
                }
                if wanted.takes(&line) && found.len() < most {
                    found.push_front(line.into());
                }
            }
        }
        let lines = found.into();
        Ok(FeedView { lines, newest })
    }

    /// The first wanted lines after a number, at most so many, and up to which number was looked.
    ///
    /// # Errors
    /// See [`FeedError`].
    pub async fn after(
        &self,
        wanted: &Wanted,
        after: u64,
        most: usize,
    ) -> Result<FeedView, FeedError> {
        // Numbers that no line has, or has any more, are behind too.
        let upto = *self.newest.borrow();
        let mut found: Vec<FeedLine> = Vec::new();
        let mut seen = after;
        while found.len() < most {
            let chunk = self.store.after(seen, CHUNK).await?;
            let full = chunk.len() == CHUNK;
            for line in chunk {
                if found.len() == most {
                    break;
                }
                seen = line.id;
                if wanted.takes(&line) {
                    found.push(line.into());
                }
            }
            if !full {
                if found.len() < most {
                    seen = seen.max(upto);
                }
                break;
            }
        }
        let (lines, newest) = (found, seen);
        Ok(FeedView { lines, newest })
    }

    /// The number of the newest line; changes with each.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// All wanted lines after a number, for ever: first those that are there, then each as it comes.
    pub fn follow(
        &self,
        wanted: Wanted,
        after: u64,
    ) -> impl Stream<Item = Result<FeedLine, FeedError>> + Send + use<> {
        let mut changes = self.changes();
        changes.mark_changed();
        let start = (self.clone(), wanted, after, changes, VecDeque::new());
        stream::unfold(
            start,
            |(feed, wanted, mut seen, mut changes, mut ready)| async move {
                loop {
                    if let Some(line) = ready.pop_front() {
                        return Some((Ok(line), (feed, wanted, seen, changes, ready)));
                    }
                    if *changes.borrow_and_update() <= seen {
                        changes.changed().await.ok()?;
                        continue;
                    }
                    match feed.after(&wanted, seen, CHUNK).await {
                        Ok(view) => {
                            seen = view.newest.max(seen);
                            ready.extend(view.lines);
                        }
                        Err(error) => {
                            // Its reader begins again from the last line that it has.
                            return Some((Err(error), (feed, wanted, u64::MAX, changes, ready)));
                        }
                    }
                }
            },
        )
    }

    /// How many lines after a number are kept no more.
    ///
    /// # Errors
    /// See [`FeedError`].
    pub async fn forgotten_after(&self, number: u64) -> Result<u64, FeedError> {
        let newest = *self.newest.borrow();
        let oldest = self.store.oldest().await?;
        let oldest = oldest.unwrap_or_else(|| newest.saturating_add(1));
        Ok(oldest.saturating_sub(number.saturating_add(1)))
    }

    /// Up to which line something that works through the feed has come, if it ever said so.
    ///
    /// # Errors
    /// See [`FeedError`].
    pub async fn position(&self, name: &str) -> Result<Option<u64>, FeedError> {
        self.store.position(name).await
    }

    /// Notes up to which line something that works through the feed has come.
    ///
    /// # Errors
    /// See [`FeedError`].
    pub async fn set_position(&self, name: &str, number: u64) -> Result<(), FeedError> {
        self.store.set_position(name, number).await
    }
}
