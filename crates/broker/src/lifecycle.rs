//! Opening, running and closing a broker.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{sync::mpsc, task::JoinSet, time::sleep, time::timeout};
use tokio_util::sync::CancellationToken;
use world::{Listener, World};

use crate::{
    connection::{self, House},
    core::Core,
    settings::Settings,
    state::State,
    store::Store,
};

/// The file in the data folder.
const FILE: &str = "broker.redb";
/// Inputs that wait for the core before connections are held back.
const QUEUED_INPUTS: usize = 1024;
/// After a failed accept (no more file descriptors, say) the broker waits this long.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// Why a broker cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another broker in this one, has the data folder.
    #[error("{} is in use by another broker", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The data folder cannot be made.
    #[error("cannot use the data folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be opened, or is damaged.
    #[error("cannot open {}", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl OpenError {
    pub(crate) fn store(path: &Path, error: redb::Error) -> Self {
        Self::Store {
            path: path.to_owned(),
            source: Box::new(error),
        }
    }
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
        let (store, found) = match settings.data.clone() {
            None => (None, None),
            Some(folder) => {
                let opened = world.on_disk({
                    let folder = folder.clone();
                    move |disk| {
                        disk.create_folders(&folder, 0o750)?;
                        Ok(Store::open(&folder.join(FILE)))
                    }
                });
                let opened = opened.await.map_err(|source| OpenError::Folder {
                    path: folder,
                    source,
                })?;
                let (store, found) = opened?;
                (Some(Arc::new(store)), Some(found))
            }
        };
        let now_s = world.clock.now().as_second();
        let state = State::new(settings.limits.clone(), found, now_s);
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
        });
        let mut connections = JoinSet::new();
        let mut next_id = 1;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                ended = &mut core => return ended.map_err(RunError::Disk),
                Some(done) = connections.join_next() => log_panic(done),
                accepted = listener.accept() => match accepted {
                    Ok((_, peer)) if connections.len() >= limits.connections => {
                        tracing::warn!(%peer, "too many connections, closed");
                    }
                    Ok((stream, peer)) => {
                        connections.spawn(connection::serve(stream, peer, next_id, Arc::clone(&house)));
                        next_id += 1;
                    }
                    Err(error) => {
                        tracing::warn!("cannot accept a connection: {error}");
                        sleep(ACCEPT_AGAIN).await;
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
