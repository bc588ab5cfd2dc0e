//! A look at a mirror: bringing it and its folders up to date, and saying what was found.

use std::{collections::BTreeMap, sync::Arc};

use chassis::{Bus, causes};
use events::{HostName, RepoName, message::RefTip};
use git::Ensured;
use tokio::{sync::Semaphore, time::Instant};
use world::World;

use crate::{
    asking::Asking,
    checkouts::CheckedOut,
    errand::{Brought, Errand, Outcome, Site, Task},
    hands::Hands,
    kept::Kept,
    lines::Place,
    measured::Measured,
    run::Look,
    settings::{Gate, Settings},
    work::{Done, Job, Reason, Told, Work},
};

/// Looks at this host's mirrors.
#[derive(Debug)]
pub(crate) struct Fetcher {
    pub(crate) host: HostName,
    pub(crate) settings: Settings,
    pub(crate) sites: BTreeMap<RepoName, (Site, Hands)>,
    pub(crate) bus: Bus,
    pub(crate) asking: Arc<Asking>,
    pub(crate) world: World,
    pub(crate) measured: Measured,
    /// One mirror is packed at a time.
    pub(crate) packing: Arc<Semaphore>,
}

impl Fetcher {
    /// Says what a fetch found, and notes that it was said.
    async fn found(&self, job: &Job, place: Place<'_>, brought: Brought, told: &mut Told) {
        let Brought {
            ensured,
            fetched,
            refs,
        } = brought;
        let cloned = (ensured == Ensured::Cloned).then(|| place.cloned(&refs));
        let news = cloned.is_some() || !fetched.changed.is_empty() || job.told.unsaid;
        if news || job.reason == Reason::Sweep {
            told.unsaid = !self.publish(place, refs).await;
        }
        if job.told.cause.is_some() {
            tracing::info!(repository = %place.repository, failed = job.failed, "can be fetched again");
            self.bus.say(place.again(job.failed));
        }
        told.cause = None;
        for said in cloned.into_iter().chain(place.changed(&fetched.changed)) {
            self.bus.say(said);
        }
        for tag in &fetched.moved_tags {
            if !told.moved_tags.contains(tag) {
                tracing::warn!(repository = %place.repository, name = %tag.name, here = %tag.here, there = tag.there, "a tag was moved");
                self.bus.say(place.moved(tag));
            }
        }
        for tag in &told.moved_tags {
            let still = fetched.moved_tags.iter().any(|now| now.name == tag.name);
            if !still {
                tracing::info!(repository = %place.repository, name = %tag.name, "a moved tag is as at its origin again");
                self.bus.say(place.moved_back(tag));
            }
        }
        if !fetched.unusable.is_empty() && fetched.unusable != told.unusable {
            self.bus.say(place.unusable(&fetched.unusable));
        }
        told.moved_tags = fetched.moved_tags;
        told.unusable = fetched.unusable;
    }

    /// Says once that it cannot be fetched, with the reason there is then; `status` has the newest.
    fn failed(&self, job: &Job, place: Place<'_>, cause: String, told: &mut Told) {
        if told.cause.is_some() {
            tracing::debug!(repository = %place.repository, cause, failed = job.failed + 1, "still cannot be fetched");
        } else {
            tracing::warn!(repository = %place.repository, cause, "cannot be fetched");
            self.bus.say(place.problem(&cause));
        }
        told.cause = Some(cause);
    }

    /// Brings the folders to what the mirror has, whether or not that could be fetched.
    async fn check_out(&self, repository: &RepoName) -> Result<CheckedOut, String> {
        let has_folders = |(site, _): &(Site, Hands)| site.checkouts.is_some();
        if !self.sites.get(repository).is_some_and(has_folders) {
            return Ok(CheckedOut::default());
        }
        match self.run(repository, Task::CheckOut).await? {
            Outcome::CheckedOut(done) => Ok(done),
            other => Err(format!("{other:?} is no answer")),
        }
    }

    /// Says what became of the folders; false if it is to be tried again soon.
    fn checked_out(
        &self,
        place: Place<'_>,
        done: Result<CheckedOut, String>,
        told: &mut Told,
    ) -> bool {
        let (switched, troubles, good) = match done {
            Ok(done) => {
                let good = done.troubles.iter().all(|trouble| !trouble.passes);
                let troubles = done.troubles.into_iter().map(|trouble| trouble.text);
                (done.switched, troubles.collect(), good)
            }
            Err(error) => (Vec::new(), vec![error], false),
        };
        for folder in &switched {
            self.bus.say(place.switched(folder));
        }
        for trouble in &troubles {
            if !told.troubles.contains(trouble) {
                tracing::warn!(repository = %place.repository, trouble, "a folder is not as it should be");
                self.bus.say(place.trouble(trouble));
            }
        }
        if troubles.is_empty() && !told.troubles.is_empty() {
            tracing::info!(repository = %place.repository, "all folders are as they should be again");
            self.bus.say(place.trouble_over());
        }
        told.troubles = troubles;
        good
    }

    async fn maintain(&self, repository: &RepoName) {
        let Ok(_one) = self.packing.acquire().await else {
            return;
        };
        let every_s = i64::try_from(self.settings.maintain_s).unwrap_or(i64::MAX);
        let since_s = self.world.clock.now().as_second().saturating_sub(every_s);
        match self.run(repository, Task::Maintain { since_s }).await {
            Ok(Outcome::Maintained(true)) => tracing::debug!(%repository, "packed"),
            Ok(_) => {}
            // The mirror is as usable as before, and the next sweep tries again.
            Err(error) => tracing::info!(%repository, error, "could not be packed"),
        }
    }

    pub(crate) async fn run(&self, repository: &RepoName, task: Task) -> Result<Outcome, String> {
        let (site, hands) = self
            .sites
            .get(repository)
            .ok_or("it is not in the settings")?;
        let site = site.clone();
        hands.run(&Errand { site, task }).await
    }

    /// True if the broker has it. A bus that is away is not waited for: when it is back, everything is looked at.
    async fn publish(&self, place: Place<'_>, refs: Vec<RefTip>) -> bool {
        if !*self.bus.connected().borrow() {
            tracing::debug!(repository = %place.repository, "not connected: what was found is said later");
            return false;
        }
        match self.bus.publish(&place.fetched(refs)).await {
            Ok(_id) => true,
            Err(error) => {
                // The bus says itself, once, that it is away.
                tracing::debug!(repository = %place.repository, error = causes(&error), "what was found is said later");
                false
            }
        }
    }

    async fn keep(&self, repository: &RepoName, kept: Kept) {
        let (base, name) = (self.settings.base.clone(), repository.clone());
        let written = self
            .world
            .on_disk(move |disk| kept.write(disk, &base, &name));
        if let Err(error) = written.await {
            tracing::debug!(%repository, %error, "how it stands is not noted");
        }
    }

    /// How it stood after the look before.
    async fn kept(&self, repository: &RepoName) -> Kept {
        let (base, name) = (self.settings.base.clone(), repository.clone());
        let read = self
            .world
            .on_disk(move |disk| Kept::read(disk, &base, &name));
        read.await.unwrap_or_default()
    }
}

impl Look for Fetcher {
    async fn look(&self, job: Job) -> Done {
        let repository = job.repository.clone();
        let place = Place {
            host: &self.host,
            repository: &repository,
        };
        let mut told = job.told.clone();
        let wanted = self.settings.repositories.get(&repository);
        let mut kept = self.kept(&repository).await;
        let began = Instant::now();
        let fetched = match wanted.and_then(|wanted| wanted.gate) {
            None => {
                told.waiting.clear();
                self.run(&repository, Task::Fetch).await
            }
            Some(Gate::Ci) => self.behind_the_gate(place, &mut told).await,
        };
        let fetched = fetched.and_then(|outcome| match outcome {
            Outcome::Fetched(brought) => Ok(brought),
            other => Err(format!("{other:?} is no answer")),
        });
        self.measured.fetched(began.elapsed(), fetched.is_ok());
        let now_s = self.world.clock.now().as_second();
        kept.tried_s = Some(now_s);
        let fetched_good = fetched.is_ok();
        // Saying takes as long as the broker does; files do not wait for it.
        let said = async {
            match fetched {
                Ok(brought) => {
                    kept.fetched(now_s, &brought.refs);
                    self.found(&job, place, brought, &mut told).await;
                }
                Err(cause) => {
                    kept.failures = job.failed.saturating_add(1);
                    self.failed(&job, place, cause, &mut told);
                }
            }
        };
        let ((), done) = tokio::join!(said, self.check_out(&repository));
        let good = self.checked_out(place, done, &mut told) && fetched_good;
        kept.told = told.clone();
        self.keep(&repository, kept).await;
        if good && job.reason == Reason::Sweep {
            self.maintain(&repository).await;
        }
        Done {
            repository,
            good,
            told: Some(told),
        }
    }

    fn stands(&self, work: &Work) {
        self.measured.stand(work.failing().count(), work.told());
    }
}
