//! The agents of `up` and `demo`: children of this executable, so that they can be killed, and come back.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use command::{Processes, Program};
use events::HostName;
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

/// An agent that is told to end has this long before it is killed.
const GRACE: Duration = Duration::from_secs(10);
/// An agent that ended by itself is started again after this long.
const RESTART_AFTER: Duration = Duration::from_millis(500);

/// The agents' processes.
#[derive(Debug)]
pub struct Agents {
    processes: Arc<dyn Processes>,
    stop: CancellationToken,
    pids: watch::Sender<BTreeMap<HostName, u32>>,
    tasks: TaskTracker,
}

/// One of them.
#[derive(Debug)]
struct Agent {
    host: HostName,
    program: Program,
    log: PathBuf,
    processes: Arc<dyn Processes>,
    stop: CancellationToken,
    pids: watch::Sender<BTreeMap<HostName, u32>>,
}

impl Agents {
    /// None yet; those to come run until `stop`.
    #[must_use]
    pub fn new(processes: Arc<dyn Processes>, stop: CancellationToken) -> Self {
        let (pids, _) = watch::channel(BTreeMap::new());
        Self {
            processes,
            stop,
            pids,
            tasks: TaskTracker::new(),
        }
    }

    /// Starts one, and again whenever it ends before the stop. Its output goes to `log`.
    pub fn keep(&self, host: HostName, executable: &Path, config: &Path, log: PathBuf) {
        let agent = Agent {
            host,
            program: Program::new(executable)
                .args(["agent", "--config"])
                .arg(config.display().to_string()),
            log,
            processes: Arc::clone(&self.processes),
            stop: self.stop.clone(),
            pids: self.pids.clone(),
        };
        self.tasks.spawn(agent.kept());
    }

    /// The process ids of those that run, as they change.
    #[must_use]
    pub fn pids(&self) -> watch::Receiver<BTreeMap<HostName, u32>> {
        self.pids.subscribe()
    }

    /// `kill -9` for the agent of a host; gives its process id. It is started again.
    ///
    /// # Errors
    /// The system's; `NotFound` when there is none.
    pub fn kill(&self, host: &HostName) -> io::Result<u32> {
        let id = self.pids.borrow().get(host).copied();
        let id = id.ok_or(io::ErrorKind::NotFound)?;
        let process = i32::try_from(id).ok().and_then(Pid::from_raw);
        kill_process(process.ok_or(io::ErrorKind::NotFound)?, Signal::KILL)?;
        Ok(id)
    }

    /// Waits until all have ended, which takes a stop.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Agent {
    async fn kept(self) {
        while !self.stop.is_cancelled() {
            self.once().await;
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(RESTART_AFTER) => {}
            }
        }
    }

    async fn once(&self) {
        let (host, log) = (&self.host, self.log.display());
        let mut running = match self.processes.start(&self.program, &self.log) {
            Ok(running) => running,
            Err(error) => return warn!(%host, "the agent cannot be started: {error}"),
        };
        let pid = running.pid();
        self.pids.send_modify(|pids| {
            pids.insert(host.clone(), pid);
        });
        tokio::select! {
            ending = running.ended() => warn!(%host, %log, "the agent ended ({ending}); it is started again"),
            () = self.stop.cancelled() => {
                let ending = running.end(GRACE).await;
                if ending != "exit 0" {
                    warn!(%host, %log, "the agent was stopped: {ending}");
                }
            }
        }
        self.pids.send_modify(|pids| {
            pids.remove(host);
        });
    }
}
