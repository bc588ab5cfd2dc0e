//! Opening, running and closing a broker.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use world::{Listener, World};

use crate::{
    connection::{self, House},
    core::{Core, milliseconds},
    message::Memory,
    rarely::Rarely,
    settings::Settings,
    state::State,
    store::Store,
};

/// Inputs that wait for the core before connections are held back.
const QUEUED_INPUTS: usize = 1024;
/// Bytes of large frames that wait for the core before connections are held back.
pub(crate) const LARGE_FRAME_BYTES: usize = 32 * 1024 * 1024;
/// After a failed accept (no more file descriptors, say) the broker waits this long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Why a broker cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another broker in this one, has the data folder.
    #[error("{} is in use by another broker", path.display())]
    InUse {
        /// The file whose lock it holds.
        path: PathBuf,
    },
    /// The data folder cannot be made or used.
    #[error("cannot use the data folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of it cannot be opened.
    #[error("cannot open {}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What was once confirmed cannot be read. Nothing was changed.
    #[error(
        "{} is damaged at byte {offset}: {what}; put the folder back from a backup, or move it away to begin anew",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it.
        offset: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

/// Why a broker stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The disk failed. Nothing was confirmed that is not on it.
    #[error("the broker's disk failed")]
    Disk(#[source] io::Error),
}

/// An open broker, not yet listening.
#[derive(Debug)]
pub struct Broker {
    settings: Settings,
    core: Core,
}

impl Broker {
    /// Opens the data folder, or none.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(settings: Settings, world: &World) -> Result<Self, OpenError> {
        let memory = Memory::default();
        let (store, found) = match settings.data.clone() {
            None => (None, None),
            Some(folder) => {
                let limit = settings.limits.disk_bytes;
                let memory = memory.clone();
                let mut seed = [0; 8];
                world.entropy.fill(&mut seed);
                let seed = u64::from_le_bytes(seed);
                let opened = world.on_disk({
                    let folder = folder.clone();
                    move |disk| Ok(Store::open(disk, &folder, limit, memory, seed))
                });
                let opened = opened.await.map_err(|source| OpenError::Folder {
                    path: folder,
                    source,
                })?;
                let (store, found) = opened?;
                (Some(store), Some(found))
            }
        };
        let now_ms = milliseconds(world.clock.now());
        let state = State::new(settings.limits.clone(), found, memory, now_ms);
        let world = world.clone();
        let core = Core {
            state,
            store,
            world,
        };
        Ok(Self { settings, core })
    }

    /// Serves until the stop: then nobody new comes in, what was taken in is dealt with and answered, connections are
    /// closed, and the data folder is free. Dropped half way, it is as if the process had been killed.
    ///
    /// # Errors
    /// See [`RunError`].
    pub async fn run(
        self,
        listener: Box<dyn Listener>,
        stop: CancellationToken,
    ) -> Result<(), RunError> {
        let (inputs, queue) = mpsc::channel(QUEUED_INPUTS);
        let core = self.core.run(queue);
        tokio::pin!(core);
        let limits = self.settings.limits.clone();
        let house = Arc::new(House {
            settings: self.settings,
            inputs,
            stop: stop.clone(),
            large_frames: Arc::new(Semaphore::new(LARGE_FRAME_BYTES)),
        });
        let strangers = Arc::new(Semaphore::new(limits.strangers));
        let (mut turned_away, mut not_accepted) = (Rarely::default(), Rarely::default());
        let mut accept_from = Instant::now();
        let mut connections = JoinSet::new();
        let mut next_id = 1;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                ended = &mut core => return ended.map_err(RunError::Disk),
                Some(done) = connections.join_next() => log_panic(done),
                // The core goes on in the meantime.
                accepted = async { sleep_until(accept_from).await; listener.accept().await } => match accepted {
                    Ok((stream, peer)) => match Arc::clone(&strangers).try_acquire_owned() {
                        Ok(stranger) if connections.len() < limits.connections => {
                            let house = Arc::clone(&house);
                            connections.spawn(connection::serve(stream, peer, next_id, stranger, house));
                            next_id += 1;
                        }
                        not_logged_in => {
                            if let Some(times) = turned_away.due() {
                                let connections = connections.len();
                                let strangers = not_logged_in.is_err();
                                tracing::warn!(%peer, connections, strangers, times, "too many connections, closed");
                            }
                        }
                    },
                    Err(error) => {
                        accept_from = Instant::now() + ACCEPT_AGAIN;
                        if let Some(times) = not_accepted.due() {
                            tracing::warn!(times, "cannot accept a connection: {error}");
                        }
                    }
                },
            }
        }
        drop((listener, house));
        // The core ends when the last connection has: it alone still holds the way to it.
        let closing = async {
            let all = async {
                while let Some(done) = connections.join_next().await {
                    log_panic(done);
                }
            };
            if timeout(limits.stop, all).await.is_err() {
                tracing::warn!(
                    left = connections.len(),
                    "connections did not end in time, cut"
                );
                connections.shutdown().await;
            }
        };
        let (ended, ()) = tokio::join!(core, closing);
        ended.map_err(RunError::Disk)
    }
}

fn log_panic(done: Result<(), tokio::task::JoinError>) {
    if let Err(error) = done
        && error.is_panic()
    {
        tracing::error!("a connection's task panicked: {error}");
    }
}
