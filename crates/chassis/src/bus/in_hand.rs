//! What of an inbox is in hand, noted on the disk, so that a message that crashes the service is known at the next start.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use uuid::Uuid;
use world::{Disk, LogFile, World};

use super::ledger::{Event, Ledger, line};

/// So often may the service crash with a message in hand; then that message is put aside.
pub const DELIVERY_LIMIT: u32 = 8;

/// How long a message that was in hand at a crash keeps all others from being given out beside it.
const ALONE: Duration = Duration::from_secs(60);

/// The file is written anew when it is larger, in bytes.
const COMPACT_BYTES: usize = 16 * 1024;

/// A larger file is none of ours and is not read, in bytes.
const MOST_BYTES: usize = 1024 * 1024;

/// The count of one inbox. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct InHand {
    world: World,
    /// Held on the disk's thread until its work is done, so that a caller that is cancelled leaves nothing half done.
    file: Arc<tokio::sync::Mutex<File>>,
    hand: Arc<Hand>,
}

#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Held open after its first note.
    log: Option<Box<dyn LogFile>>,
    bytes: usize,
    ledger: Ledger,
    /// False after an error, which is said once; the file is written anew then, since its last line may be torn.
    well: bool,
}

#[derive(Debug, Default)]
struct Hand {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// How many deliveries of each id are there.
    held: BTreeMap<Uuid, usize>,
    /// Until when a suspect has the hand for itself.
    alone: Option<Instant>,
    /// Since when a suspect waits for the hand to be empty.
    waits: Option<Instant>,
    /// What was let go of without an acknowledgement, and is not noted yet.
    back: Vec<Uuid>,
    /// The service has stopped in good order: nothing is noted any more.
    closed: bool,
}

/// A message in hand, for as long as its delivery is there.
#[derive(Debug)]
pub(super) struct Held {
    counted: InHand,
    id: Uuid,
}

impl Held {
    /// Notes that it is acknowledged.
    pub(super) async fn done(&self) {
        self.counted.note(vec![self.id], Event::Done).await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut state = self.counted.hand.state();
        let others = state.held.remove(&self.id).unwrap_or_default();
        match others.saturating_sub(1) {
            0 => state.back.push(self.id),
            // Its twin, brought by a newer connection, is in hand still.
            others => {
                state.held.insert(self.id, others);
            }
        }
        if state.held.is_empty() {
            state.alone = None;
        }
        self.counted.hand.freed.notify_waiters();
    }
}

impl Hand {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InHand {
    /// Reads the file, in which what is still in hand has crashed the service once more.
    pub(super) async fn open(world: &World, path: &Path) -> Self {
        let (world, path) = (world.clone(), path.to_owned());
        let read = path.clone();
        let opened = world.on_disk(move |disk| File::open(disk, read)).await;
        let file = opened.unwrap_or_else(|error| {
            let mut file = File::new(path);
            file.fails(&error);
            file
        });
        Self {
            world,
            file: Arc::new(tokio::sync::Mutex::new(file)),
            hand: Arc::new(Hand::default()),
        }
    }

    /// How often the service has crashed with each of them in hand; and how many of the first ones are noted as given out.
    pub(super) async fn look(&self, ids: &[Option<Uuid>]) -> (Vec<u32>, usize) {
        let file = self.file.lock().await;
        let crashes = |id: &Option<Uuid>| id.map_or(0, |id| file.ledger.crashes(id));
        let state = self.hand.state();
        let noted = |id: &&Option<Uuid>| {
            id.is_none_or(|id| file.ledger.is_in_hand(id) && !state.back.contains(&id))
        };
        let noted = ids.iter().take_while(noted).count();
        (ids.iter().map(crashes).collect(), noted)
    }

    /// Notes that these are given out.
    pub(super) async fn give(&self, ids: Vec<Uuid>) {
        self.note(ids, Event::Given).await;
    }

    /// Notes that everything goes back to the broker because the service stops: that is no crash.
    pub(super) async fn close(&self) {
        let in_hand = self.file.lock().await.ledger.in_hand();
        self.note(in_hand, Event::Back).await;
        self.hand.state().closed = true;
    }

    /// May be cancelled: what it was told is then noted all the same, or not at all. What is noted already costs no disk, so
    /// that a caller who is cancelled and calls again gets through.
    async fn note(&self, mut ids: Vec<Uuid>, event: Event) {
        let mut file = Arc::clone(&self.file).lock_owned().await;
        let back = {
            let mut state = self.hand.state();
            if state.closed {
                return;
            }
            let mut back = std::mem::take(&mut state.back);
            back.retain(|id| file.ledger.knows(*id));
            back
        };
        ids.retain(|id| back.contains(id) || file.ledger.is_changed_by(*id, event));
        if back.is_empty() && ids.is_empty() {
            return;
        }
        let noted = self.world.on_disk(move |disk| {
            let back = back.into_iter().map(|id| (id, Event::Back));
            let now = ids.into_iter().map(|id| (id, event));
            file.note(disk, back.chain(now));
            Ok(())
        });
        if let Err(error) = noted.await {
            tracing::warn!(%error, "what is in hand was not noted");
        }
    }

    /// Takes one into the hand. A suspect was in hand at a crash.
    pub(super) fn hold(&self, id: Uuid, suspect: bool) -> Held {
        let mut state = self.hand.state();
        *state.held.entry(id).or_default() += 1;
        state.waits = None;
        if suspect {
            state.alone = Some(Instant::now() + ALONE);
        }
        Held {
            counted: self.clone(),
            id,
        }
    }

    /// Waits until the next one may be given out: a suspect alone, and nothing beside a suspect, but not for ever.
    pub(super) async fn turn(&self, suspect: bool) {
        loop {
            let freed = self.hand.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let until = {
                let mut state = self.hand.state();
                let now = Instant::now();
                let empty = match suspect && !state.held.is_empty() {
                    true => Some(*state.waits.get_or_insert(now) + ALONE),
                    false => None,
                };
                let until = state.alone.max(empty).filter(|until| *until > now);
                let Some(until) = until else { return };
                until
            };
            tokio::select! {
                () = freed => {}
                () = sleep_until(until) => {}
            }
        }
    }
}

impl File {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            log: None,
            bytes: 0,
            ledger: Ledger::default(),
            well: true,
        }
    }

    fn open(disk: &dyn Disk, path: PathBuf) -> io::Result<Self> {
        let mut file = Self::new(path);
        if disk.look(&file.path)?.is_none() {
            return Ok(file);
        }
        let text = disk.read_at(&file.path, 0, MOST_BYTES + 1)?;
        if text.len() <= MOST_BYTES {
            file.ledger = Ledger::read(&text);
            file.ledger.crashed();
        }
        file.compact(disk)?;
        Ok(file)
    }

    fn note(&mut self, disk: &dyn Disk, events: impl Iterator<Item = (Uuid, Event)>) {
        let mut lines = String::new();
        for (id, event) in events {
            // A delivery that is done is dropped too, later.
            if event != Event::Given && !self.ledger.knows(id) {
                continue;
            }
            self.ledger.note(id, event);
            lines += &line(id, event);
        }
        self.bytes += lines.len();
        let written = match self.bytes {
            0..=COMPACT_BYTES if self.well => self.append(disk, &lines),
            _ => self.compact(disk),
        };
        match written {
            Ok(()) => self.well = true,
            Err(error) => self.fails(&error),
        }
    }

    /// Nothing is flushed: it is to outlive the process, and need not outlive the machine.
    fn append(&mut self, disk: &dyn Disk, lines: &str) -> io::Result<()> {
        let log = match self.log.take() {
            Some(log) => log,
            None => disk.open_log(&self.path)?,
        };
        self.log.insert(log).append(lines.as_bytes())
    }

    fn compact(&mut self, disk: &dyn Disk) -> io::Result<()> {
        let text = self.ledger.text();
        self.bytes = text.len();
        self.log = None;
        disk.replace(&self.path, text.as_bytes(), 0o640)
    }

    fn fails(&mut self, error: &io::Error) {
        if std::mem::replace(&mut self.well, false) {
            let file = self.path.display();
            tracing::warn!(%file, %error, "messages that crash this service cannot be counted");
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    async fn counted() -> (tempfile::TempDir, InHand) {
        let folder = tempfile::tempdir().expect("a folder");
        let world = World::real().with_inline_disk();
        let counted = InHand::open(&world, &folder.path().join("in-hand")).await;
        (folder, counted)
    }

    #[tokio::test]
    async fn what_was_let_go_of_is_still_to_be_noted_after_a_call_that_was_cancelled() {
        let (_folder, counted) = counted().await;
        let id = Uuid::from_u128(1);
        counted.give(vec![id]).await;
        drop(counted.hold(id, false));
        let busy = counted.file.lock().await;
        let other = vec![Uuid::from_u128(2)];
        assert!(counted.give(other.clone()).now_or_never().is_none());
        drop(busy);
        counted.give(other.clone()).await;
        assert_eq!(counted.file.lock().await.ledger.in_hand(), other);
    }

    #[tokio::test]
    async fn a_message_is_in_hand_until_the_last_of_its_twins_is_let_go_of() {
        let (_folder, counted) = counted().await;
        let id = Uuid::from_u128(1);
        counted.give(vec![id]).await;
        let (older, newer) = (counted.hold(id, false), counted.hold(id, false));
        drop(older);
        counted.give(Vec::new()).await;
        assert_eq!(counted.file.lock().await.ledger.in_hand(), [id]);
        drop(newer);
        counted.give(Vec::new()).await;
        assert!(counted.file.lock().await.ledger.in_hand().is_empty());
    }
}
