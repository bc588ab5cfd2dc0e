//! Writes deliveries beside the requests: none waits for it, none fails with it, and none finds less room because of it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chassis::{causes, metrics::Counter};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{MissedTickBehavior, interval},
};
use world::World;

use super::{Delivery, Shelf, shelf::Lost};

/// Deliveries that wait to be written; further ones are not kept.
const WAITING: usize = 1024;

/// Bytes of their bodies; further ones are kept without. The largest body fits in.
pub const WAITING_BYTES: usize = 32 * 1024 * 1024;

/// How often old ones are looked for where nothing comes.
const LOOK: Duration = Duration::from_secs(600);

/// A delivery on its way to the disk.
#[derive(Debug)]
struct Note {
    delivery: Delivery,
    body: Bytes,
    /// The room that its body takes up.
    room: Option<OwnedSemaphorePermit>,
}

/// What is to be kept of a body.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// All of it, or nothing.
    pub body: Bytes,
    /// How many bytes it takes up in memory: those of the form that it came in.
    pub takes: usize,
}

/// What hands deliveries in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Notes {
    sender: mpsc::Sender<Note>,
    room: Arc<Semaphore>,
    behind: Arc<Behind>,
}

/// What writes them; whoever made it runs it.
#[derive(Debug)]
pub struct Clerk {
    shelf: Shelf,
    notes: mpsc::Receiver<Note>,
    behind: Arc<Behind>,
    world: World,
}

/// Whether deliveries, or their bodies, are not kept. It is said when that begins and when it is over.
#[derive(Debug)]
struct Behind {
    lost: Counter,
    said: AtomicBool,
}

impl Behind {
    fn lose(&self, number: usize, why: &str) {
        self.lost.inc_by(number as u64);
        if !self.said.swap(true, Ordering::Relaxed) {
            tracing::warn!(why, "deliveries are not kept; hooks are taken all the same");
        }
    }

    fn is_over(&self) {
        if self.said.swap(false, Ordering::Relaxed) {
            tracing::info!("deliveries are kept again");
        }
    }
}

impl Clerk {
    /// Writes to `shelf`; `lost` counts what was not kept whole.
    #[must_use]
    pub fn new(shelf: Shelf, world: &World, lost: Counter) -> (Notes, Self) {
        let (sender, notes) = mpsc::channel(WAITING);
        let said = AtomicBool::new(false);
        let behind = Arc::new(Behind { lost, said });
        let clerk = Self {
            shelf,
            notes,
            behind: Arc::clone(&behind),
            world: world.clone(),
        };
        let room = Arc::new(Semaphore::new(WAITING_BYTES));
        let notes = Notes {
            sender,
            room,
            behind,
        };
        (notes, clerk)
    }

    /// Writes until the last [`Notes`] is gone.
    pub async fn run(self) {
        let Self {
            mut shelf,
            mut notes,
            behind,
            world,
        } = self;
        let mut gathered = Vec::new();
        let mut old = interval(LOOK);
        old.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                count = notes.recv_many(&mut gathered, WAITING) => if count == 0 {
                    return;
                },
                _ = old.tick() => {}
            }
            let now_s = world.clock.now().as_second();
            let mut rooms = Vec::new();
            let taken: Vec<_> = gathered
                .drain(..)
                .map(|note: Note| {
                    rooms.push(note.room);
                    (note.delivery.cut(), note.body)
                })
                .collect();
            let work = world.on_disk(move |disk| {
                let outcome = shelf.add(disk, &taken, now_s);
                Ok((shelf, outcome))
            });
            let outcome = match work.await {
                Ok((back, outcome)) => {
                    shelf = back;
                    outcome
                }
                Err(error) => {
                    tracing::error!(%error, "deliveries are not kept any more");
                    return;
                }
            };
            drop(rooms);
            match outcome {
                // Else there are some that had no place meanwhile.
                Ok(()) if notes.is_empty() => behind.is_over(),
                Ok(()) => {}
                Err(lost @ Lost { number, .. }) => behind.lose(number, &causes(&lost)),
            }
        }
    }
}

impl Notes {
    /// Hands a delivery in; never waits. Where there is no room for its body it is kept without.
    pub fn add(&self, mut delivery: Delivery, Kept { body, takes }: Kept) {
        let bytes = u32::try_from(takes).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes).ok();
        let whole = room.is_some();
        let body = if whole { body } else { Bytes::new() };
        delivery.kept_bytes = body.len();
        let note = Note {
            delivery,
            body,
            room,
        };
        if self.sender.try_send(note).is_err() || !whole {
            self.behind.lose(1, "the disk is slower than they come");
        }
    }
}
