//! The part of the story in which an agent is killed.

use std::{io, path::PathBuf, time::Duration};

use deploy_orchestrator::api::Action;
use events::HostName;

use super::{ASK_AGAIN, Story, canary_first};
use crate::{demo::source::Release, failure::Failure};

/// A start must be under way, and a killed agent must be back, within this time.
const LIMIT: Duration = Duration::from_secs(60);

impl Story<'_> {
    /// A deploy in the middle of which the agent of the last host is killed. The example's `start` waits while a file is there,
    /// so that it is known to be in the middle.
    pub(super) async fn survives(&mut self, release: &Release) -> Result<(), Failure> {
        let last = self.pipeline.layout.hosts.last();
        let (Some(host), Some(shared)) = (last.cloned(), self.source.shared.first()) else {
            self.chapter(&format!("Deploy {} after it", release.tag));
            return self.deploys(release).await;
        };
        let tag = &release.tag;
        self.chapter(&format!("Deploy {tag}, and kill {host}'s agent meanwhile"));
        let cold = self
            .project_folder(&host)
            .join("shared")
            .join(shared)
            .join("cold");
        self.world.disk.replace(&cold, b"", 0o644)?;
        let (view, killed) = {
            let mut deploy = std::pin::pin!(self.ask(Action::Deploy, Some(release)));
            tokio::select! {
                view = &mut deploy => (view?, Err(format!("{tag} was live before it was killed"))),
                killed = self.kill(&host, &cold) => (deploy.await?, killed?),
            }
        };
        let truth = killed.as_ref().map(|_| ()).map_err(Clone::clone);
        let (old, new) = killed.unwrap_or_default();
        let text = format!(
            "{host}'s agent was killed with -9 in the middle of start (process {old}, now {new})"
        );
        self.claim(&text, truth)?;
        self.claim("the canary went first, alone", canary_first(&view))?;
        let once = self.started_once(&host, release)?;
        self.claim(&format!("{host} came to its end, and start ran once"), once)?;
        self.live_everywhere(release)
    }

    /// Kills the agent of a host while a start runs there, and lets that start go on when the next agent is there. Gives
    /// both processes.
    async fn kill(
        &self,
        host: &HostName,
        cold: &std::path::Path,
    ) -> Result<Result<(u32, u32), String>, Failure> {
        let killing = async {
            while !self.starts(host)? {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            let agents = &self.pipeline.agents;
            let old = agents.kill(host)?;
            let mut pids = agents.pids();
            let another = |pid: &u32| *pid != old;
            let pids = pids
                .wait_for(|pids| pids.get(host).is_some_and(another))
                .await;
            let new = pids.ok().and_then(|pids| pids.get(host).copied());
            self.world.disk.remove_file(cold)?;
            Ok(new
                .map(|new| (old, new))
                .ok_or_else(|| "no agent came after it".to_owned()))
        };
        let killed = tokio::time::timeout(LIMIT, killing).await;
        let limit = LIMIT.as_secs();
        killed.unwrap_or_else(|_| Ok(Err(format!("not done within {limit} s"))))
    }

    /// True while a start runs on a host.
    fn starts(&self, host: &HostName) -> io::Result<bool> {
        let disk = &*self.world.disk;
        for run in self.starts_of(host)? {
            if disk.look(&run.join("started"))?.is_some()
                && disk.look(&run.join("status.json"))?.is_none()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Where each start of a host has left its output.
    fn starts_of(&self, host: &HostName) -> io::Result<Vec<PathBuf>> {
        let steps = self.project_folder(host).join("steps");
        let runs = self
            .world
            .disk
            .list(&steps)?
            .into_iter()
            .map(|run| run.path);
        Ok(runs
            .filter(|run| run.to_string_lossy().contains("-start-"))
            .collect())
    }

    fn started_once(
        &self,
        host: &HostName,
        release: &Release,
    ) -> Result<Result<(), String>, Failure> {
        let line = format!("the shop serves {} on", release.tag);
        let mut times = 0;
        for run in self.starts_of(host)? {
            let output = self.world.disk.read(&run.join("output"))?;
            times += String::from_utf8_lossy(&output).matches(&line).count();
        }
        Ok(match times {
            1 => Ok(()),
            _ => Err(format!("its output says so {times} times")),
        })
    }
}
