//! Writes deliveries beside the requests: none waits for it, and none fails with it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use chassis::metrics::Counter;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    time::{MissedTickBehavior, interval},
};
use world::World;

use super::{Delivery, Shelf};

/// Deliveries that wait to be written; further ones are not kept.
const WAITING: usize = 1024;

/// How often old ones are looked for where nothing comes.
const LOOK: Duration = Duration::from_secs(600);

/// A delivery on its way to the disk.
#[derive(Debug)]
struct Note {
    delivery: Delivery,
    body: Bytes,
    /// The room in memory that its body takes up.
    _room: Option<Arc<OwnedSemaphorePermit>>,
}

/// What hands deliveries in. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Notes {
    sender: mpsc::Sender<Note>,
    lost: Counter,
}

/// What writes them; whoever made it runs it.
#[derive(Debug)]
pub struct Clerk {
    shelf: Shelf,
    notes: mpsc::Receiver<Note>,
    lost: Counter,
    world: World,
}

impl Clerk {
    /// Writes to `shelf`; `lost` counts what was not kept.
    #[must_use]
    pub fn new(shelf: Shelf, world: &World, lost: Counter) -> (Notes, Self) {
        let (sender, notes) = mpsc::channel(WAITING);
        let clerk = Self {
            shelf,
            notes,
            lost: lost.clone(),
            world: world.clone(),
        };
        (Notes { sender, lost }, clerk)
    }

    /// Writes until the last [`Notes`] is gone.
    pub async fn run(self) {
        let Self {
            mut shelf,
            mut notes,
            lost,
            world,
        } = self;
        let mut gathered = Vec::new();
        let mut old = interval(LOOK);
        old.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut failing = false;
        loop {
            tokio::select! {
                count = notes.recv_many(&mut gathered, WAITING) => if count == 0 {
                    return;
                },
                _ = old.tick() => {}
            }
            let now_s = world.clock.now().as_second();
            let (taken, rooms): (Vec<_>, Vec<_>) = gathered
                .drain(..)
                .map(
                    |Note {
                         delivery,
                         body,
                         _room,
                     }| ((delivery.cut(), body), _room),
                )
                .unzip();
            let count = taken.len() as u64;
            let work = world.on_disk(move |disk| {
                let outcome = match taken.is_empty() {
                    true => shelf.remove_old(disk, now_s),
                    false => shelf.add(disk, &taken, now_s),
                };
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
                Ok(()) => {
                    if std::mem::take(&mut failing) {
                        tracing::info!("deliveries are kept again");
                    }
                }
                Err(error) => {
                    lost.inc_by(count);
                    if !std::mem::replace(&mut failing, true) {
                        tracing::warn!(%error, "deliveries are not kept; hooks are taken all the same");
                    }
                }
            }
        }
    }
}

impl Notes {
    /// Hands a delivery in, with what is to be kept of its body and the room that this takes up; never waits.
    pub fn add(&self, delivery: Delivery, body: Bytes, room: Option<Arc<OwnedSemaphorePermit>>) {
        let note = Note {
            delivery,
            body,
            _room: room,
        };
        if self.sender.try_send(note).is_err() {
            self.lost.inc();
        }
    }
}
