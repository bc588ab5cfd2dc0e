//! The loop: marks in, looks out, at most so many at once.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use chassis::Status;
use events::RepoName;
use tokio::{
    sync::{mpsc, watch},
    task::{Id, JoinError, JoinSet},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;
use world::World;

use crate::{
    Settings,
    work::{Done, Job, Work},
};

/// Does a look, to its end; bounds its own time.
pub(crate) trait Look: Send + Sync + 'static {
    fn look(&self, job: Job) -> impl Future<Output = Done> + Send;
}

/// How often and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Between two sweeps, give or take a quarter, so that many hosts do not ask at once.
    pub(crate) sweep: Duration,
    /// After the bus has come back, hosts look within this time: pushes may have been missed.
    pub(crate) back: Duration,
    /// What is under way at a stop may go on for this long.
    pub(crate) grace: Duration,
}

impl Pace {
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            sweep: Duration::from_secs(settings.sweep_s),
            back: Duration::from_secs(10),
            grace: Duration::from_secs(5),
        }
    }
}

/// A number from 0 to 1.
fn random(world: &World) -> f64 {
    let mut bytes = [0; 2];
    world.entropy.fill(&mut bytes);
    f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX)
}

/// Looks at every mirror now, when it is marked, and on the slow timer, until a stop.
#[expect(
    clippy::too_many_arguments,
    reason = "each is one end of a wire, and there is one caller"
)]
pub(crate) async fn run<L: Look>(
    mut work: Work,
    looker: Arc<L>,
    mut marked: mpsc::Receiver<RepoName>,
    mut connected: watch::Receiver<bool>,
    pace: Pace,
    world: &World,
    stop: &CancellationToken,
    status: &Status,
) {
    let start = Instant::now();
    let sweep_after = |now: Duration| now + pace.sweep.mul_f64(0.75 + random(world) / 2.0);
    let mut sweep_at = sweep_after(Duration::ZERO);
    let mut looks = Looks::default();
    connected.mark_unchanged();
    loop {
        let now = start.elapsed();
        if now >= sweep_at {
            work.sweep(now);
            sweep_at = sweep_after(now);
        }
        while let Some(job) = work.next(now) {
            looks.start(&looker, job);
        }
        status.says(summary(&work));
        let wake = work.due().map_or(sweep_at, |due| due.min(sweep_at));
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(done) = looks.next() => work.ended(done, start.elapsed(), random(world)),
            Some(repository) = marked.recv() => work.hint(&repository, start.elapsed()),
            Ok(()) = connected.changed() => {
                if *connected.borrow_and_update() {
                    sweep_at = sweep_at.min(start.elapsed() + pace.back.mul_f64(random(world)));
                }
            }
            () = sleep_until(start + wake) => {}
        }
    }
    looks.end(pace.grace).await;
}

fn summary(work: &Work) -> String {
    let (mirrors, running) = (work.mirrors(), work.running());
    let failing: Vec<&str> = work.failing().map(RepoName::as_str).collect();
    match failing.as_slice() {
        [] => format!("{mirrors} mirrors, {running} under way"),
        names => format!(
            "{mirrors} mirrors, {running} under way, failing: {}",
            names.join(", ")
        ),
    }
}

/// The looks that are under way.
#[derive(Default)]
struct Looks {
    tasks: JoinSet<Done>,
    names: HashMap<Id, RepoName>,
}

impl Looks {
    fn start<L: Look>(&mut self, looker: &Arc<L>, job: Job) {
        let looker = Arc::clone(looker);
        let name = job.repository.clone();
        let task = self.tasks.spawn(async move { looker.look(job).await });
        self.names.insert(task.id(), name);
    }

    /// The next that ends; `None` when there is none.
    async fn next(&mut self) -> Option<Done> {
        let ended = self.tasks.join_next_with_id().await?;
        let id = ended.as_ref().map_or_else(JoinError::id, |(id, _)| *id);
        let repository = self.names.remove(&id)?;
        Some(match ended {
            Ok((_, done)) => done,
            Err(panic) => {
                tracing::error!(%repository, %panic, "a look failed");
                Done {
                    repository,
                    told: None,
                }
            }
        })
    }

    async fn end(&mut self, grace: Duration) {
        let under_way = self.tasks.len();
        let all = async { while self.next().await.is_some() {} };
        if timeout(grace, all).await.is_ok() {
            tracing::debug!(under_way, "all looks have ended");
        } else {
            // Their git ends with them; a mirror stands being left at any point.
            tracing::info!(left = self.tasks.len(), "looks were ended by the stop");
            self.tasks.shutdown().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use chassis::Settings as _;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::work::Reason;

    /// Notes each look, and ends it when allowed to.
    struct Slow {
        started: Mutex<Vec<(String, Reason)>>,
        ended: Mutex<usize>,
        allowed: Semaphore,
    }

    impl Look for Slow {
        async fn look(&self, job: Job) -> Done {
            let name = job.repository.to_string();
            self.started.lock().unwrap().push((name, job.reason));
            self.allowed.acquire().await.unwrap().forget();
            *self.ended.lock().unwrap() += 1;
            Done {
                repository: job.repository,
                told: Some(job.told),
            }
        }
    }

    /// A loop over one mirror, `shop`, and its wires.
    struct Loop {
        slow: Arc<Slow>,
        marks: mpsc::Sender<RepoName>,
        bus: watch::Sender<bool>,
        stop: CancellationToken,
        tasks: JoinSet<()>,
    }

    impl Loop {
        fn start(allowed: usize) -> Self {
            let slow = Arc::new(Slow {
                started: Mutex::default(),
                ended: Mutex::default(),
                allowed: Semaphore::new(allowed),
            });
            let (marks, marked) = mpsc::channel(8);
            let (bus, connected) = watch::channel(true);
            let stop = CancellationToken::new();
            let mut tasks = JoinSet::new();
            let (looker, stopped) = (Arc::clone(&slow), stop.clone());
            tasks.spawn(async move {
                let (_, settings) =
                    chassis::settings::parse::<Settings>(Settings::SHIPPED, "shipped").unwrap();
                let work = Work::new(vec!["shop".parse().unwrap()], settings.parallel);
                let (pace, world, status) = (Pace::of(&settings), World::real(), Status::silent());
                run(
                    work, looker, marked, connected, pace, &world, &stopped, &status,
                )
                .await;
            });
            Self {
                slow,
                marks,
                bus,
                stop,
                tasks,
            }
        }

        async fn push(&self) {
            self.marks.send("shop".parse().unwrap()).await.unwrap();
        }

        /// Lets everything happen that can happen within this time of the paused clock.
        async fn pass(&self, seconds: u64) {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }

        fn reasons(&self) -> Vec<Reason> {
            self.slow
                .started
                .lock()
                .unwrap()
                .iter()
                .map(|(_, reason)| *reason)
                .collect()
        }
    }

    use Reason::{Hint, Sweep};

    #[tokio::test(start_paused = true)]
    async fn pushes_while_a_mirror_is_fetched_bring_exactly_one_more_fetch() {
        let this = Loop::start(0);
        this.pass(1).await;
        assert_eq!(this.reasons(), [Sweep]);
        for _ in 0..20 {
            this.push().await;
        }
        this.pass(1).await;
        assert_eq!(this.reasons(), [Sweep], "one at a time");
        this.slow.allowed.add_permits(10);
        this.pass(60).await;
        assert_eq!(this.reasons(), [Sweep, Hint]);
    }

    #[tokio::test(start_paused = true)]
    async fn everything_is_looked_at_again_on_the_slow_timer() {
        let this = Loop::start(100);
        this.pass(224).await; // 300 s less a quarter
        assert_eq!(this.reasons(), [Sweep]);
        this.pass(376 - 224).await; // and a quarter more
        assert_eq!(this.reasons(), [Sweep, Sweep]);
    }

    #[tokio::test(start_paused = true)]
    async fn everything_is_looked_at_soon_after_the_bus_has_come_back() {
        let this = Loop::start(100);
        this.pass(1).await;
        this.bus.send(false).unwrap();
        this.pass(60).await;
        assert_eq!(this.reasons(), [Sweep]);
        this.bus.send(true).unwrap();
        this.pass(11).await;
        assert_eq!(this.reasons(), [Sweep, Sweep]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_the_fetch_in_hand() {
        let mut this = Loop::start(0);
        this.pass(1).await;
        this.stop.cancel();
        this.pass(1).await;
        assert!(this.tasks.try_join_next().is_none(), "it waits");
        this.slow.allowed.add_permits(1);
        this.tasks.join_next().await.unwrap().unwrap();
        assert_eq!(*this.slow.ended.lock().unwrap(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_does_not_end_is_ended_by_the_stop_after_its_grace() {
        let mut this = Loop::start(0);
        this.pass(1).await;
        this.stop.cancel();
        let stopped = Instant::now();
        this.tasks.join_next().await.unwrap().unwrap();
        assert_eq!(stopped.elapsed().as_secs(), 5);
        assert_eq!(*this.slow.ended.lock().unwrap(), 0);
        assert_eq!(Arc::strong_count(&this.slow), 1, "its task is gone");
    }
}
