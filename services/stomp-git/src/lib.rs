#![doc = include_str!("../README.md")]

mod fetcher;
mod hints;
mod lines;
pub mod plan;
mod run;
pub mod settings;
pub mod work;

use std::{sync::Arc, time::Duration};

use chassis::{Failure, Listen, Start, causes};
use events::Topic;
use git::Git;
use tokio::{sync::mpsc, time::timeout};

pub use settings::Settings;

use crate::{fetcher::Fetcher, hints::Hints, run::Pace, work::Work};

/// Pushes that were read and not yet noted; they are noted at once, so this is never full for long.
const HINTS: usize = 64;

/// What is fetched before the bus is there can only be said by a second look.
const FIRST_CONNECTION: Duration = Duration::from_secs(2);

/// Listens to pushes and keeps the mirrors until a stop.
///
/// # Errors
/// When git is missing or too old.
pub async fn serve(start: Start<Settings>) -> Result<(), Failure> {
    let Start {
        host,
        settings,
        bus,
        world,
        stop,
        status,
        ..
    } = start;
    let mut git = Git::new(&world).with_limits(settings.limits());
    if let Some(home) = settings.home.clone().or_else(std::env::home_dir) {
        git = git.with_home(home);
    }
    let version = git.version().await;
    let version = version.map_err(|error| Failure::Settings(causes(&error)))?;
    let names: Vec<_> = settings.repositories.keys().cloned().collect();
    tracing::info!(git = %version, repositories = names.len(), "keeps mirrors");
    if names.is_empty() {
        tracing::warn!("no [repositories.NAME] is set, so there is nothing to do");
    }
    // Listening before the first look, so that no push falls between. A bus that is away is waited for a moment only.
    let mut connected = bus.connected();
    if timeout(FIRST_CONNECTION, connected.wait_for(|there| *there))
        .await
        .is_err()
    {
        tracing::info!("the bus is not there yet; mirrors are brought up to date meanwhile");
    }
    let inbox = bus.listen(Listen::hints([Topic::GitCommits])).await;
    let (marks, marked) = mpsc::channel(HINTS);
    let work = Work::new(names, settings.parallel);
    let pace = Pace::of(&settings);
    let mut hints = Hints::new(settings.repositories.clone(), marks);
    let fetcher = Arc::new(Fetcher::new(host, settings, git, bus.clone()));
    status.ready();
    let (heard, ()) = tokio::join!(
        chassis::consume(&mut hints, inbox, &bus, &stop),
        run::run(
            work, fetcher, marked, connected, pace, &world, &stop, &status
        ),
    );
    heard
}
