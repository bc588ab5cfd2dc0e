//! The agents of `up` and `demo`: children of this executable, so that they can be killed, and come back.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use command::{Processes, Program};
use events::HostName;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

/// An agent that is told to end has this long before it is killed.
const GRACE: Duration = Duration::from_secs(10);
/// An agent that ended by itself is started again after this long.
const RESTART_AFTER: Duration = Duration::from_millis(500);

/// The agents' processes.
#[derive(Debug, Clone, Default)]
pub struct Agents {
    pids: Arc<Mutex<BTreeMap<HostName, u32>>>,
    tasks: TaskTracker,
}

impl Agents {
    /// Starts one, and again whenever it ends before the stop. Its output goes to `log`.
    pub fn keep(
        &self,
        host: HostName,
        executable: &Path,
        config: &Path,
        log: PathBuf,
        processes: Arc<dyn Processes>,
        stop: CancellationToken,
    ) {
        let program = Program::new(executable)
            .args(["agent", "--config"])
            .arg(config.display().to_string());
        let agents = self.clone();
        self.tasks.spawn(async move {
            while !stop.is_cancelled() {
                agents.once(&host, &program, &log, &*processes, &stop).await;
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(RESTART_AFTER) => {}
                }
            }
        });
    }

    async fn once(
        &self,
        host: &HostName,
        program: &Program,
        log: &Path,
        processes: &dyn Processes,
        stop: &CancellationToken,
    ) {
        let mut running = match processes.start(program, log) {
            Ok(running) => running,
            Err(error) => return warn!(%host, "the agent cannot be started: {error}"),
        };
        self.locked().insert(host.clone(), running.pid());
        tokio::select! {
            ending = running.ended() => warn!(%host, log = %log.display(), "the agent ended ({ending}); it is started again"),
            () = stop.cancelled() => {
                let ending = running.end(GRACE).await;
                if ending != "exit 0" {
                    warn!(%host, log = %log.display(), "the agent was stopped: {ending}");
                }
            }
        }
        self.locked().remove(host);
    }

    /// The process ids of those that run.
    #[must_use]
    pub fn pids(&self) -> BTreeMap<HostName, u32> {
        self.locked().clone()
    }

    /// Waits until all have ended, which takes a stop.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, BTreeMap<HostName, u32>> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
