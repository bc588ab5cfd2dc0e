//! The one task that owns the state: takes in a batch, makes it last with one commit, then lets the connections see it.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc::{self, error::TrySendError},
    time::{Instant, MissedTickBehavior, interval_at},
};
use world::World;

use crate::{
    link::{Input, Link, Output},
    message::Message,
    state::{Effects, State},
    store::Store,
};

/// Inputs of one commit.
const BATCH: usize = 512;
/// About as many bytes of messages are read from disk after one commit.
const READ_BYTES_PER_BATCH: u64 = 4 * 1024 * 1024;
/// How often durable subscriptions are looked through for unused ones.
const SWEEP: Duration = Duration::from_secs(3600);

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) state: State,
    pub(crate) store: Option<Arc<Store>>,
    pub(crate) world: World,
}

impl Core {
    /// Runs until nobody can send inputs any more.
    ///
    /// # Errors
    /// When the disk fails. What was not confirmed by then may be lost; what is in memory is not to be trusted further.
    pub(crate) async fn run(mut self, mut inputs: mpsc::Receiver<Input>) -> io::Result<()> {
        let mut sweep = interval_at(Instant::now() + SWEEP, SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let first = if self.state.has_ready() {
                None
            } else {
                tokio::select! {
                    input = inputs.recv() => match input {
                        Some(input) => Some(input),
                        None => return Ok(()),
                    },
                    _ = sweep.tick() => {
                        self.state.set_now(self.world.clock.now().as_second());
                        self.state.sweep();
                        None
                    }
                }
            };
            self.state.set_now(self.world.clock.now().as_second());
            if let Some(first) = first {
                self.state.step(first);
            }
            for _ in 1..BATCH {
                let Ok(input) = inputs.try_recv() else { break };
                self.state.step(input);
            }
            self.state.pump(READ_BYTES_PER_BATCH);
            let effects = self.state.take_effects();
            self.carry_out(effects).await?;
        }
    }

    async fn carry_out(&self, effects: Effects) -> io::Result<()> {
        let Effects { changes, outputs } = effects;
        let wanted = outputs.iter().filter_map(|(_, output)| match output {
            Output::Deliver(delivery) if delivery.message.is_none() => Some(delivery.sequence),
            _ => None,
        });
        let wanted: Vec<u64> = wanted.collect();
        let read = match &self.store {
            Some(store) if !changes.is_empty() || !wanted.is_empty() => {
                let store = Arc::clone(store);
                let commit = move |_: &dyn world::Disk| store.commit(&changes, &wanted);
                self.world.on_disk(commit).await?
            }
            _ => HashMap::new(),
        };
        for (link, output) in outputs {
            hand_over(&link, output, &read);
        }
        Ok(())
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
