//! The one task that owns the state: takes in a batch, makes it last with one commit, then lets the connections see it.

use std::{collections::HashMap, future::pending, io, sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::yield_now,
    time::{Instant, MissedTickBehavior, interval_at, sleep_until},
};
use world::World;

use crate::{
    link::{Input, Link, Output},
    message::Message,
    state::{Effects, State},
    store::{Committed, Store},
};

/// Inputs of one commit, and about how many bytes of frames.
const BATCH: usize = 512;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// So often in a row connections get a turn before a commit and bring nothing: in the first their sockets are looked at,
/// in the second they read.
const TURNS: u32 = 2;
/// Acknowledgements without a receipt ride along with the next commit, or go alone after this time: nobody waits for them.
const PUT_OFF: Duration = Duration::from_millis(5);
/// About as many bytes of messages are read from disk after one commit.
const READ_BYTES_PER_BATCH: u64 = 4 * 1024 * 1024;
/// How often expired messages are looked for.
const EXPIRY_SWEEP: Duration = Duration::from_secs(10);
/// How often durable subscriptions are looked through for unused ones.
const UNUSED_SWEEP: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) state: State,
    /// Taken out while the disk works.
    pub(crate) store: Option<Store>,
    pub(crate) world: World,
}

/// Wall time as the state counts it: milliseconds since 1970 UTC.
pub(crate) fn milliseconds(now: Timestamp) -> u64 {
    u64::try_from(now.as_millisecond()).unwrap_or_default()
}

impl Core {
    /// Runs until nobody can send inputs any more.
    ///
    /// # Errors
    /// When the disk fails. What was not confirmed by then may be lost; what is in memory is not to be trusted further.
    pub(crate) async fn run(mut self, mut inputs: mpsc::Receiver<Input>) -> io::Result<()> {
        let every = |period| {
            let mut interval = interval_at(Instant::now() + period, period);
            interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
            interval
        };
        let (mut expiry, mut unused) = (every(EXPIRY_SWEEP), every(UNUSED_SWEEP));
        let mut busy = false;
        let mut put_off: Option<Instant> = None;
        loop {
            let mut first = None;
            let mut due = false;
            let (mut expire, mut remove) = (false, false);
            if !self.state.has_ready() && !busy {
                tokio::select! {
                    input = inputs.recv() => match input {
                        Some(input) => first = Some(input),
                        None if put_off.is_none() => return Ok(()),
                        None => due = true,
                    },
                    () = reached(put_off) => due = true,
                    _ = expiry.tick() => expire = true,
                    _ = unused.tick() => remove = true,
                }
            }
            self.state.set_now(milliseconds(self.world.clock.now()));
            if expire {
                self.state.drop_expired();
            }
            if remove {
                self.state.drop_unused();
            }
            self.take_in(first, &mut inputs).await;
            self.state.pump(READ_BYTES_PER_BATCH);
            if !due && !busy && self.state.has_only_settled(BATCH) {
                put_off.get_or_insert_with(|| Instant::now() + PUT_OFF);
                continue;
            }
            put_off = None;
            let effects = self.state.take_effects();
            busy = self.carry_out(effects, busy).await?;
        }
    }

    /// A batch. For one that goes to the disk, connections get a turn to add what has arrived meanwhile: to flush a few
    /// messages takes as long as to flush many.
    async fn take_in(&mut self, mut first: Option<Input>, inputs: &mut mpsc::Receiver<Input>) {
        let (mut taken, mut bytes, mut idle_turns) = (0, 0, 0);
        while taken < BATCH && bytes < BATCH_BYTES {
            if let Some(input) = first.take().or_else(|| inputs.try_recv().ok()) {
                (taken, idle_turns) = (taken + 1, 0);
                bytes += input.bytes();
                self.state.step(input);
            } else if idle_turns < TURNS && self.state.has_changes() {
                idle_turns += 1;
                yield_now().await;
            } else {
                return;
            }
        }
    }

    /// True when the store wants another commit, whether or not there is something for it.
    async fn carry_out(&mut self, effects: Effects, busy: bool) -> io::Result<bool> {
        let Effects { changes, outputs } = effects;
        let wanted = outputs.iter().filter_map(|(_, output)| match output {
            Output::Deliver(delivery) if delivery.message.is_none() => Some(delivery.sequence),
            _ => None,
        });
        let wanted: Vec<u64> = wanted.collect();
        let mut committed = Committed::default();
        if busy || !changes.is_empty() || !wanted.is_empty() {
            let store = self.store.take();
            let mut store = store.expect("what lasts or lies on disk has a store");
            let commit = move |disk: &dyn world::Disk| {
                let committed = store.commit(disk, &changes, &wanted)?;
                Ok((store, committed))
            };
            let (store, done) = self.world.on_disk(commit).await?;
            self.store = Some(store);
            self.state.set_disk_bytes(done.disk_bytes);
            committed = done;
        }
        for (link, output) in outputs {
            hand_over(&link, output, &committed.read);
        }
        Ok(committed.busy)
    }
}

/// Waits until then; for ever, where there is no such time.
async fn reached(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// Never waits: a connection that is too slow to take it is cut, and what it did not acknowledge stays.
fn hand_over(link: &Link, mut output: Output, read: &HashMap<u64, Arc<Message>>) {
    if let Output::Deliver(delivery) = &mut output
        && delivery.message.is_none()
    {
        delivery.message = read.get(&delivery.sequence).cloned();
    }
    match link.outgoing.try_send(output) {
        // A closed one has told, or is about to tell, that it is gone.
        Ok(()) | Err(TrySendError::Closed(_)) => {}
        Err(TrySendError::Full(_)) if link.cut.is_cancelled() => {}
        Err(TrySendError::Full(_)) => {
            let client_id = &link.client_id;
            tracing::warn!(
                client_id,
                "connection does not take what is sent to it, cut"
            );
            link.cut.cancel();
        }
    }
}
