#![doc = include_str!("../README.md")]

pub mod apt;
mod hints;
mod lines;
mod looker;
pub mod plan;
pub mod refresh;
mod run;
pub mod settings;
pub mod work;

use std::time::Duration;

use chassis::{Failure, Listen, Start, causes};
use events::Topic;
use tokio::{sync::mpsc, time::timeout};

pub use settings::Settings;

use crate::{apt::Apt, hints::Hints, looker::Looker, work::Work};

/// Hints that were read and not yet noted.
const HINTS: usize = 64;

/// What is found before the bus is there can only be said by a second look.
const FIRST_CONNECTION: Duration = Duration::from_secs(2);

/// Listens to updated packages and refreshes apt's sources until a stop.
///
/// # Errors
/// When apt is missing or cannot be asked.
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
    let apt = Apt::of_this_host(&world, settings.apt_config.clone()).await;
    let apt = apt.map_err(|error| Failure::Settings(causes(&error)))?;
    tracing::info!(architectures = %apt.architectures(), sources = settings.sources.len(), "refreshes apt");
    if settings.sources.is_empty() {
        tracing::warn!("no [sources.\"NAME.sources\"] is set, so there is nothing to do");
    }
    let mut connected = bus.connected();
    if timeout(FIRST_CONNECTION, connected.wait_for(|there| *there))
        .await
        .is_err()
    {
        tracing::info!("the bus is not there yet; apt is refreshed meanwhile");
    }
    let inbox = bus.listen(Listen::hints([Topic::PackagesUpdated])).await;
    let (marks, marked) = mpsc::channel(HINTS);
    let work = Work::new(settings.sources.keys().cloned(), settings.pace());
    let mut hints = Hints::new(settings.sources.clone(), apt.architectures().clone(), marks);
    let looker = Looker::new(host, settings, apt, bus.clone());
    status.ready();
    let (heard, ()) = tokio::join!(
        chassis::consume(&mut hints, inbox, &bus, &stop),
        run::run(work, &looker, marked, connected, &world, &stop, &status),
    );
    heard
}
