#![doc = include_str!("../README.md")]

mod asking;
pub mod checkouts;
mod errand;
mod fetcher;
pub mod gate;
mod gated;
mod hands;
mod hints;
pub mod kept;
mod lines;
pub mod measured;
pub mod plan;
mod run;
pub mod settings;
mod sites;
pub mod status;
pub mod work;

use std::{sync::Arc, time::Duration};

use chassis::{Failure, Listen, Start, causes};
use events::Topic;
use git::Git;
use tokio::{
    sync::{Semaphore, mpsc},
    time::timeout,
};

pub use hands::{WORD as ERRAND, main as errand_main};
pub use settings::Settings;

use crate::{
    asking::{Answers, Asking},
    fetcher::Fetcher,
    hints::Hints,
    measured::Measured,
    work::Work,
};

/// Pushes that were read and not yet noted; they are noted at once, so this is never full for long.
const HINTS: usize = 64;

/// What is fetched before the bus is there can only be said by a second look.
const FIRST_CONNECTION: Duration = Duration::from_secs(2);

/// Listens to pushes and keeps the mirrors until a stop.
///
/// # Errors
/// When git is missing or too old, or a repository's user cannot be had.
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
    let version = Git::new(&world).version().await;
    let version = version.map_err(|error| Failure::Settings(causes(&error)))?;
    let sites = sites::sites(&settings, &world).await;
    let sites = sites.map_err(Failure::Settings)?;
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
    let work = Work::new(names, settings.pace(), || run::random(&world));
    let answered = marks.clone();
    let mut hints = Hints::new(settings.repositories.clone(), marks);
    let limit = Duration::from_secs(settings.answer_limit_s);
    let asking = Arc::new(Asking::new(host.clone(), bus.clone(), limit));
    let gated = { settings.repositories.values() }.any(|repository| repository.gate.is_some());
    let mut answers = Answers {
        asking: &asking,
        repositories: settings.repositories.clone(),
        marks: answered,
    };
    let answers_inbox = match gated {
        true => Some(bus.listen(Listen::hints([Topic::CiAnswered])).await),
        false => None,
    };
    let fetcher = Arc::new(Fetcher {
        asking: Arc::clone(&asking),
        host,
        settings,
        sites,
        measured: Measured::new(bus.metrics()),
        bus: bus.clone(),
        world: world.clone(),
        packing: Arc::new(Semaphore::new(1)),
    });
    status.ready();
    let answers = async {
        match answers_inbox {
            Some(inbox) => chassis::consume(&mut answers, inbox, &bus, &stop).await,
            None => Ok(()),
        }
    };
    let (heard, answers, ()) = tokio::join!(
        chassis::consume(&mut hints, inbox, &bus, &stop),
        answers,
        run::run(work, fetcher, marked, connected, &world, &stop, &status),
    );
    heard.and(answers)
}
