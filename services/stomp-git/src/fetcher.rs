//! A look at a mirror: bringing it up to date, and saying what was found.

use chassis::{Bus, causes};
use events::{HostName, message::RefTip};
use git::{Ensured, Fetched, Git, GitError, Mirror, Origin, mirror_folder};

use crate::{
    lines::Place,
    run::Look,
    settings::Settings,
    work::{Done, Job, Reason, Told},
};

/// Looks at this host's mirrors.
#[derive(Debug)]
pub(crate) struct Fetcher {
    host: HostName,
    settings: Settings,
    git: Git,
    bus: Bus,
}

/// What a look found.
#[derive(Debug)]
struct Brought {
    ensured: Ensured,
    fetched: Fetched,
    refs: Vec<RefTip>,
}

impl Fetcher {
    pub(crate) fn new(host: HostName, settings: Settings, git: Git, bus: Bus) -> Self {
        Self {
            host,
            settings,
            git,
            bus,
        }
    }

    async fn found(&self, job: &Job, place: Place<'_>, brought: Brought) -> Told {
        let Brought {
            ensured,
            fetched,
            refs,
        } = brought;
        let cloned = (ensured == Ensured::Cloned).then(|| place.cloned(&refs));
        let news = cloned.is_some() || !fetched.changed.is_empty() || job.told.unsaid;
        let mut unsaid = false;
        if news || job.reason == Reason::Sweep {
            unsaid = !self.publish(place, refs).await;
        }
        if job.failed > 0 {
            self.bus.say(place.again(job.failed));
        }
        for said in cloned.into_iter().chain(place.changed(&fetched.changed)) {
            self.bus.say(said);
        }
        for tag in &fetched.moved_tags {
            if !job.told.moved_tags.contains(tag) {
                tracing::warn!(repository = %job.repository, name = %tag.name, here = %tag.here, there = tag.there, "a tag was moved");
                self.bus.say(place.moved(tag));
            }
        }
        if !fetched.unusable.is_empty() && fetched.unusable != job.told.unusable {
            self.bus.say(place.unusable(&fetched.unusable));
        }
        Told {
            moved_tags: fetched.moved_tags,
            unusable: fetched.unusable,
            unsaid,
        }
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
                tracing::warn!(repository = %place.repository, error = causes(&error), "what was found is said later");
                false
            }
        }
    }
}

impl Look for Fetcher {
    async fn look(&self, job: Job) -> Done {
        let repository = job.repository.clone();
        let place = Place {
            host: &self.host,
            repository: &repository,
        };
        let Some(wanted) = self.settings.repositories.get(&repository) else {
            return Done {
                repository,
                told: None,
            };
        };
        let folder = mirror_folder(&self.settings.base, &repository);
        let mirror = Mirror::at(folder, &self.git);
        let told = match bring(&mirror, &wanted.origin, job.reason).await {
            Ok(brought) => Some(self.found(&job, place, brought).await),
            Err(error) => {
                let cause = causes(&error);
                tracing::warn!(%repository, cause, failed = job.failed + 1, "cannot be fetched");
                if job.failed == 0 {
                    self.bus.say(place.problem(&cause));
                }
                None
            }
        };
        Done { repository, told }
    }
}

/// Clones or fetches, and reads what is there then.
async fn bring(mirror: &Mirror, origin: &Origin, reason: Reason) -> Result<Brought, GitError> {
    let ensured = mirror.ensure(origin).await?;
    let fetched = match ensured {
        Ensured::Cloned => Fetched::default(),
        Ensured::Kept | Ensured::Moved => mirror.fetch().await?,
    };
    if reason == Reason::Sweep {
        mirror.maintain().await?;
    }
    let refs = mirror.refs().await?;
    Ok(Brought {
        ensured,
        fetched,
        refs,
    })
}
