//! The loop: marks in, one look at a time out.

use std::{
    future::{Future, pending},
    time::Duration,
};

use chassis::Status;
use events::AptSource;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use world::{Boxed, World};

use crate::{
    hints::Mark,
    work::{Done, Job, Work},
};

/// What is under way at a stop may go on for this long; the root part ends its apt by itself.
const GRACE: Duration = Duration::from_secs(5);

/// Does a look, to its end; bounds its own time.
pub(crate) trait Look: Sync {
    fn look(&self, job: Job) -> impl Future<Output = Done> + Send;
}

/// A number from 0 to 1.
fn random(world: &World) -> f64 {
    let mut bytes = [0; 2];
    world.entropy.fill(&mut bytes);
    f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX)
}

/// Looks at every source now, when it is marked, and on the slow timer, until a stop.
pub(crate) async fn run<L: Look>(
    mut work: Work,
    looker: &L,
    mut marked: mpsc::Receiver<Mark>,
    mut connected: watch::Receiver<bool>,
    world: &World,
    stop: &CancellationToken,
    status: &Status,
) {
    let start = Instant::now();
    let chance = || random(world);
    work.sweep(Duration::ZERO, chance);
    let mut sweep_at = work.sweep_after(Duration::ZERO, chance());
    let mut looking: Option<Boxed<'_, Done>> = None;
    connected.mark_unchanged();
    loop {
        let now = start.elapsed();
        if now >= sweep_at {
            work.sweep(now, chance);
            sweep_at = work.sweep_after(now, chance());
        }
        if let Some(job) = work.next(now) {
            looking = Some(Box::pin(looker.look(job)));
        }
        status.says(summary(&work));
        let wake = work.due().map_or(sweep_at, |due| due.min(sweep_at));
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            done = ended(&mut looking) => {
                looking = None;
                work.ended(done, start.elapsed(), chance());
            }
            Some((source, reason, wants)) = marked.recv() => work.hint(&source, reason, wants, start.elapsed(), chance()),
            Ok(()) = connected.changed() => {
                if *connected.borrow_and_update() {
                    sweep_at = sweep_at.min(work.sweep_when_back(start.elapsed(), chance()));
                }
            }
            () = sleep_until(start + wake) => {}
        }
    }
    if looking.is_some() && timeout(GRACE, ended(&mut looking)).await.is_err() {
        tracing::info!("a look was ended by the stop");
    }
}

async fn ended(looking: &mut Option<Boxed<'_, Done>>) -> Done {
    match looking {
        Some(look) => look.await,
        None => pending().await,
    }
}

fn summary(work: &Work) -> String {
    let (sources, awaited) = (work.sources(), work.awaited());
    let failing: Vec<&str> = work.failing().map(AptSource::as_str).collect();
    match failing.as_slice() {
        [] => format!("{sources} sources, {awaited} packages awaited"),
        names => format!(
            "{sources} sources, {awaited} packages awaited, failing: {}",
            names.join(", ")
        ),
    }
}
