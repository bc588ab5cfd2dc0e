//! Asking the origins, one after the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use chassis::causes;
use events::{RepoName, message::Pushed};
use git::{Git, GitError, Limits, Origin};
use jiff::Timestamp;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use world::World;

use super::{Look, known, plan, seen};
use crate::{
    announce::{Announcer, From},
    deliveries::{Became, Delivery, Kept, Notes, Outcome, record::SWEEP},
    fold::Told,
    measured::Measured,
    settings::SweepSettings,
};

/// How long an origin may take to answer.
const ASK_LIMIT: Duration = Duration::from_secs(30);

/// How long a hook has to come after its push was seen.
const GRACE: Duration = Duration::from_secs(20);

/// The first look is within this time after the start.
const FIRST: Duration = Duration::from_secs(60);

/// Pushes that are announced together: as many as a delivery keeps, so that none is announced again after a crash.
const TOGETHER: usize = 50;

/// What sweeps.
#[derive(Debug)]
pub(crate) struct Sweep {
    git: Git,
    every: Duration,
    grace: Duration,
    folder: PathBuf,
    origins: BTreeMap<RepoName, Origin>,
    announcer: Announcer,
    notes: Notes,
    measured: Measured,
    world: World,
    /// Of which it was said that they do not answer.
    silent: BTreeSet<RepoName>,
}

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
enum NoLook {
    #[error("its origin does not answer")]
    Origin(#[from] GitError),
    #[error("cannot use the folder {}", .0.display())]
    Disk(PathBuf, #[source] std::io::Error),
    #[error("{0}")]
    NotTaken(String),
}

impl Sweep {
    pub(crate) fn new(
        settings: &SweepSettings,
        folder: PathBuf,
        origins: BTreeMap<RepoName, Origin>,
        (announcer, notes): (Announcer, Notes),
        (measured, world): (Measured, World),
    ) -> Self {
        let limits = Limits {
            ask: ASK_LIMIT,
            ..Limits::default()
        };
        let mut git = Git::new(&world).with_limits(limits);
        if let Some(home) = settings.home.clone().or_else(std::env::home_dir) {
            git = git.with_home(home);
        }
        let every = Duration::from_secs(settings.every_s);
        Self {
            git,
            every,
            grace: GRACE.min(every / 2),
            folder,
            origins,
            announcer,
            notes,
            measured,
            world,
            silent: BTreeSet::new(),
        }
    }

    /// Asks each origin soon after the start and then slowly, until the stop.
    pub(crate) async fn run(mut self, stop: &CancellationToken) {
        let now = Instant::now();
        let first = self.every.min(FIRST);
        let names: Vec<RepoName> = self.origins.keys().cloned().collect();
        let soon = |name| (now + first.mul_f64(self.chance()), name);
        let mut due: BTreeSet<(Instant, RepoName)> = names.into_iter().map(soon).collect();
        let sweeping = async {
            while let Some((at, name)) = due.pop_first() {
                sleep_until(at).await;
                self.look(&name).await;
                // Give or take a quarter, so that hosts do not come at once.
                let splay = 0.75 + 0.5 * self.chance();
                due.insert((Instant::now() + self.every.mul_f64(splay), name));
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = sweeping => {}
            () = stop.cancelled() => {}
        }
    }

    /// From 0 to 1.
    fn chance(&self) -> f64 {
        let mut random = [0; 4];
        self.world.entropy.fill(&mut random);
        f64::from(u32::from_le_bytes(random)) / f64::from(u32::MAX)
    }

    async fn look(&mut self, name: &RepoName) {
        match self.looked(name).await {
            Ok(()) => {
                if self.silent.remove(name) {
                    tracing::info!(repository = %name, "the sweep can look again");
                }
            }
            Err(why) => {
                self.measured.failed.inc();
                if self.silent.insert(name.clone()) {
                    let why = causes(&why);
                    tracing::warn!(repository = %name, why, "the sweep could not look; it tries on");
                }
            }
        }
    }

    async fn looked(&self, name: &RepoName) -> Result<(), NoLook> {
        let Some(origin) = self.origins.get(name) else {
            return Ok(());
        };
        let asked = self.world.clock.now();
        let found = self.git.tips(origin).await?;
        let disk = |error| NoLook::Disk(self.folder.clone(), error);
        let (folder, repository) = (self.folder.clone(), name.clone());
        let known = self
            .world
            .on_disk(move |disk| known::read(disk, &folder, &repository));
        let known = known.await.map_err(disk)?;
        let news = || {
            let heard = self.announcer.fold().heard_of(name);
            let look = Look {
                repository: name,
                known: known.as_ref(),
                heard: &heard,
                asked,
            };
            plan(&look, &found)
        };
        if !news().is_empty() {
            sleep(self.grace).await;
            self.announce(name, news(), asked).await?;
        }
        let seen = seen(&found);
        if known.as_ref() == Some(&seen) {
            return Ok(());
        }
        let (folder, repository) = (self.folder.clone(), name.clone());
        let kept = self
            .world
            .on_disk(move |disk| known::write(disk, &folder, &repository, &seen));
        kept.await.map_err(disk)
    }

    async fn announce(
        &self,
        name: &RepoName,
        mut left: Vec<Pushed>,
        asked: Timestamp,
    ) -> Result<(), NoLook> {
        while !left.is_empty() {
            let rest = left.split_off(left.len().min(TOGETHER));
            let from = From {
                told: Told::Sweep,
                source: SWEEP,
                delivery: "",
            };
            let became = self.announcer.announce(from, left).await;
            let became = became.map_err(|why| NoLook::NotTaken(why.to_string()))?;
            let news = became
                .iter()
                .filter(|push| push.outcome == Outcome::Announced);
            self.measured.swept.inc_by(news.count() as u64);
            self.note(name, became, asked);
            left = rest;
        }
        Ok(())
    }

    fn note(&self, name: &RepoName, became: Vec<Became>, asked: Timestamp) {
        let outcome = Outcome::of(&became);
        let found = Delivery {
            id: self.world.new_id(),
            time: asked,
            source: SWEEP.to_owned(),
            delivery: String::new(),
            event: "push".to_owned(),
            answer: 0,
            replay_of: None,
            outcome,
            said: match outcome {
                Outcome::Announced => format!("hooks of {name} did not come"),
                _ => format!("hooks of {name} came after all"),
            },
            became,
            body_bytes: 0,
            kept_bytes: 0,
        };
        self.notes.add(found, Kept::default());
    }
}
