//! A service that runs in the test, composed as its `main` composes it.

use std::future::Future;

use chassis::{Common, Failure, Settings, Start, compose};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use world::World;

use crate::LONG;

/// A running service. Dropped, it is cut off, as by `kill -9`.
#[derive(Debug)]
pub struct Running {
    stop: CancellationToken,
    tasks: JoinSet<Result<(), Failure>>,
}

impl Running {
    /// Starts a service's `serve`.
    #[must_use]
    pub fn start<S, F, Fut>(
        name: &'static str,
        common: Common,
        settings: S,
        world: World,
        serve: F,
    ) -> Self
    where
        S: Settings,
        F: FnOnce(Start<S>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(compose(name, common, settings, world, stop.clone(), serve));
        Self { stop, tasks }
    }

    /// Stops it, as SIGTERM would, and waits for its end.
    ///
    /// # Errors
    /// What it ended with, be it before the stop.
    ///
    /// # Panics
    /// It panicked, or has not ended within [`LONG`].
    pub async fn stop(mut self) -> Result<(), Failure> {
        self.stop.cancel();
        let ended = tokio::time::timeout(LONG, self.tasks.join_next()).await;
        let ended = ended.expect("a stop ends the service within its limit");
        ended
            .expect("there is one task")
            .expect("the service does not panic")
    }
}
