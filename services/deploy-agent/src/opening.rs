//! What all projects of an agent have in common: made once, for the service and for a command at the host.

use std::sync::Arc;

use anyhow::Context;
use chassis::Failure;
use events::{HostName, ProjectName, message::ScriptOutput};
use git::Git;
use jiff::SignedDuration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{
    layout::Layout,
    project::Open,
    redact::Redactor,
    scripts::Scripts,
    settings::{self, Settings},
    steps::Site,
    tell::{Presence, Reports},
};

/// Pieces of output that may wait for the bus; more are left out.
const VOICE: usize = 256;

/// What they have in common.
pub(crate) struct Shared {
    pub(crate) host: HostName,
    pub(crate) runner: Vec<String>,
    pub(crate) redactor: Arc<Redactor>,
    pub(crate) git: Git,
    pub(crate) voice: mpsc::Sender<ScriptOutput>,
    pub(crate) reports: Arc<Reports>,
    pub(crate) presence: Arc<Presence>,
    pub(crate) stop: CancellationToken,
}

impl Shared {
    /// For this start of the agent; and what scripts say, to be sent.
    pub(crate) async fn of(
        world: &World,
        settings: &Settings,
        host: HostName,
        stop: &CancellationToken,
    ) -> Result<(Self, mpsc::Receiver<ScriptOutput>), Failure> {
        let mut git = Git::new(world);
        if let Some(home) = settings.home.clone().or_else(std::env::home_dir) {
            git = git.with_home(home);
        }
        let presence = Presence::new(host.clone(), world.new_id(), settings.groups.clone());
        let (voice, said) = mpsc::channel(VOICE);
        let shared = Self {
            host,
            runner: runner(settings)?,
            redactor: Arc::new(redactor(world, settings).await?),
            git,
            voice,
            reports: Arc::new(Reports::default()),
            presence: Arc::new(presence),
            stop: stop.clone(),
        };
        Ok((shared, said))
    }

    /// All that one project is opened with.
    pub(crate) fn open(
        &self,
        world: &World,
        settings: &Settings,
        name: &ProjectName,
        own: &settings::Project,
    ) -> Open {
        let site = Site {
            world: world.clone(),
            git: self.git.clone(),
            host: self.host.clone(),
            project: name.clone(),
            scripts: Scripts::of(own, settings.host_scripts.join(name.as_str())),
            settings: own.clone(),
            base: settings.base.clone(),
            layout: Layout::new(&settings.base, name),
            runner: self.runner.clone(),
            redactor: Arc::clone(&self.redactor),
            output_bytes: settings.output_kb.saturating_mul(1024),
            voice: self.voice.clone(),
        };
        let skew = i64::try_from(settings.clock_skew_s).unwrap_or(i64::MAX);
        Open {
            site: Arc::new(site),
            rules: own.rules(settings.retry_s),
            skew: SignedDuration::from_secs(skew),
            reports: Arc::clone(&self.reports),
            presence: Arc::clone(&self.presence),
            stop: self.stop.clone(),
        }
    }
}

/// Read once, at the start: the file is replaced by an upgrade while this process runs on.
fn runner(settings: &Settings) -> Result<Vec<String>, Failure> {
    if !settings.step_command.is_empty() {
        return Ok(settings.step_command.clone());
    }
    let own = std::env::current_exe().context("this program's own path is not known")?;
    let own = own
        .to_str()
        .context("this program's own path is not UTF-8")?;
    Ok(vec![own.to_owned(), "step".to_owned()])
}

async fn redactor(world: &World, settings: &Settings) -> Result<Redactor, Failure> {
    let mut texts = Vec::new();
    for path in &settings.secret_files {
        let file = path.clone();
        let read = world.on_disk(move |disk| disk.read(&file)).await;
        let bytes = read.map_err(|error| {
            Failure::Settings(format!("secret_files: {}: {error}", path.display()))
        })?;
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(Redactor::new(texts.iter().map(String::as_str)))
}
