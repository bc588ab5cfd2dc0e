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

use crate::work::{Done, Job, Work};

/// Does a look, to its end; bounds its own time.
pub(crate) trait Look: Send + Sync + 'static {
    fn look(&self, job: Job) -> impl Future<Output = Done> + Send;

    /// Notes how it stands with all of them.
    fn stands(&self, work: &Work);
}

/// What is under way at a stop may go on for this long.
const GRACE: Duration = Duration::from_secs(5);

/// Without a mirror only a stop ends the wait.
const FOREVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// A number from 0 to 1.
pub(crate) fn random(world: &World) -> f64 {
    let mut bytes = [0; 2];
    world.entropy.fill(&mut bytes);
    f64::from(u16::from_le_bytes(bytes)) / f64::from(u16::MAX)
}

/// Looks at every mirror now, when it is marked, and on the slow timer, until a stop.
pub(crate) async fn run<L: Look>(
    mut work: Work,
    looker: Arc<L>,
    mut marked: mpsc::Receiver<RepoName>,
    mut connected: watch::Receiver<bool>,
    world: &World,
    stop: &CancellationToken,
    status: &Status,
) {
    let start = Instant::now();
    let chance = || random(world);
    let mut looks = Looks::default();
    connected.mark_unchanged();
    loop {
        let now = start.elapsed();
        work.tick(now, chance);
        while let Some(job) = work.next(now) {
            looks.start(&looker, job);
        }
        status.says(summary(&work));
        looker.stands(&work);
        let wake = work.due().unwrap_or(FOREVER);
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(done) = looks.next() => work.ended(done, start.elapsed(), chance()),
            Some(repository) = marked.recv() => work.hint(&repository, start.elapsed(), chance()),
            Ok(()) = connected.changed() => {
                if *connected.borrow_and_update() {
                    work.back(start.elapsed(), chance);
                }
            }
            () = sleep_until(start + wake) => {}
        }
    }
    looks.end(GRACE).await;
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
                    good: false,
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
    use crate::{Settings, work::Reason};

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
                good: true,
                told: Some(job.told),
            }
        }

        fn stands(&self, _work: &Work) {}
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
                let (world, status) = (World::real(), Status::silent());
                let work = Work::new(vec!["shop".parse().unwrap()], settings.pace(), || 0.0);
                run(work, looker, marked, connected, &world, &stopped, &status).await;
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
        this.pass(377 - 224).await; // and a quarter more
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
