//! A look at a source: refresh it if that is needed, and say what apt would install then.

use std::collections::{BTreeMap, BTreeSet};

use chassis::{Bus, causes};
use events::{
    HostName,
    message::{Candidate, PackagesRefreshed},
};

use crate::{
    apt::{Apt, AptError},
    lines::Place,
    plan::{AptName, Standing, Weighed, weigh},
    refresh::{Answer, ask},
    run::Look,
    settings::{PackagePattern, Settings, Source},
    work::{Done, Ending, Job, Reason, Told},
};

/// Somebody else's apt is told as a problem after so many tries, about six minutes.
const TOLD_BUSY: u32 = 12;

/// Looks at this host's sources.
#[derive(Debug)]
pub(crate) struct Looker {
    host: HostName,
    settings: Settings,
    apt: Apt,
    bus: Bus,
}

type Standings = BTreeMap<AptName, Standing>;

impl Looker {
    pub(crate) fn new(host: HostName, settings: Settings, apt: Apt, bus: Bus) -> Self {
        Self {
            host,
            settings,
            apt,
            bus,
        }
    }

    /// How everything of interest stands: what is installed and named in the settings, and what is upcoming.
    async fn standings(&self, source: &Source, job: &Job) -> Result<Standings, AptError> {
        let mut names = self.apt.installed().await?;
        names.retain(|package| {
            let matches = |pattern: &PackagePattern| pattern.matches(&package.name);
            let architecture = package.architecture.as_ref();
            let listed = source.architectures.is_empty()
                || architecture
                    .is_none_or(|architecture| source.architectures.contains(architecture));
            listed && source.packages.iter().any(matches)
        });
        let upcoming = source.upcoming.iter().filter_map(|pattern| pattern.name());
        names.extend(upcoming.map(|name| AptName {
            name,
            architecture: None,
        }));
        // Upcoming packages that only a pattern names are known from their announcements.
        let is_upcoming = |package: &&AptName| {
            let mut patterns = source.upcoming.iter();
            patterns.any(|pattern| pattern.matches(&package.name))
        };
        names.extend(job.told.keys().filter(is_upcoming).cloned());
        let announced = job.wants.iter().filter(|(_, want)| want.upcoming);
        let announced: BTreeSet<AptName> = announced.map(|(name, _)| name.clone()).collect();
        names.extend(announced);
        self.apt.standings(&names).await
    }

    /// Publishes what has changed since it was told last, and remembers that it was told.
    async fn publish(&self, place: Place<'_>, told: &mut Told, now: &Standings) {
        let changes = changes(told, now);
        if changes.is_empty() {
            return;
        }
        if !*self.bus.connected().borrow() {
            tracing::debug!(source = %place.source, "not connected: what was found is said later");
            return;
        }
        let message = PackagesRefreshed {
            host: self.host.clone(),
            source: Some(place.source.clone()),
            packages_total: changes.len(),
            packages: changes.clone(),
        };
        if let Err(error) = self.bus.publish(&message.cut_to_frame()).await {
            tracing::warn!(source = %place.source, error = causes(&error), "what was found is said later");
            return;
        }
        *told = candidates(now);
        for said in place.changed(&changes) {
            self.bus.say(said);
        }
    }

    async fn unanswered(&self, place: Place<'_>, job: Job, error: &AptError) -> Done {
        let cause = causes(error);
        match error {
            AptError::Busy { .. } => self.busy(place, job, &cause).await,
            _ => self.failed(place, job, &cause).await,
        }
    }

    async fn failed(&self, place: Place<'_>, job: Job, cause: &str) -> Done {
        tracing::warn!(source = %place.source, cause, failed = job.failed + 1, "cannot be refreshed");
        if job.failed == 0 {
            self.bus.say(place.problem(cause));
        }
        let ending = Ending::Failed;
        Done { job, ending }
    }

    async fn busy(&self, place: Place<'_>, job: Job, cause: &str) -> Done {
        tracing::info!(source = %place.source, cause, tries = job.busy + 1, "another apt is at work");
        if job.busy + 1 == TOLD_BUSY {
            self.bus.say(place.problem(cause));
        }
        let ending = Ending::Busy;
        Done { job, ending }
    }

    /// What is to come of the announced versions, now that the source was refreshed.
    async fn settle(&self, place: Place<'_>, job: &mut Job, now: &Standings) {
        let absent = Standing::default();
        let mut waiting = BTreeMap::new();
        for (name, mut want) in std::mem::take(&mut job.wants) {
            let standing = now.get(&name).unwrap_or(&absent);
            let candidate = standing.candidate.as_ref();
            match weigh(&want, standing) {
                Weighed::NotInstalled | Weighed::Candidate => {}
                Weighed::Pinned => self.bus.say(place.pinned(&name, &want, candidate)),
                Weighed::Unknown => {
                    want.tries += 1;
                    if want.tries > self.settings.lag_tries {
                        tracing::warn!(package = %name, announced = %want.version, "does not come");
                        self.bus.say(place.given_up(&name, &want, candidate));
                    } else {
                        tracing::info!(package = %name, announced = %want.version, tries = want.tries, "is not at the mirror yet");
                        waiting.insert(name, want);
                    }
                }
            }
        }
        job.wants = waiting;
    }
}

impl Look for Looker {
    async fn look(&self, mut job: Job) -> Done {
        let name = job.source.clone();
        let place = Place { source: &name };
        let Some(source) = self.settings.sources.get(&name) else {
            let ending = Ending::Looked;
            return Done { job, ending };
        };
        let before = match self.standings(source, &job).await {
            Ok(before) => before,
            Err(error) => return self.unanswered(place, job, &error).await,
        };
        // What is looked at for the first time was told by nobody; what apt says now is where it starts from.
        for (package, standing) in &before {
            let told = job.told.entry(package.clone());
            told.or_insert_with(|| standing.candidate.clone());
        }
        let absent = Standing::default();
        let news = job.wants.iter().any(|(name, want)| {
            weigh(want, before.get(name).unwrap_or(&absent)) == Weighed::Unknown
        });
        if !news && job.reason == Reason::Hint {
            tracing::debug!(source = %name, "apt knows it all already");
            self.publish(place, &mut job.told, &before).await;
            self.settle(place, &mut job, &before).await;
            let ending = Ending::Looked;
            return Done { job, ending };
        }
        let limit = self.settings.refresh_limit();
        match ask(&self.settings.socket, &name, limit).await {
            Answer::Refreshed => {}
            Answer::Busy { why } => return self.busy(place, job, &why).await,
            Answer::Failed { why } | Answer::Refused { why } => {
                return self.failed(place, job, &why).await;
            }
        }
        let after = match self.standings(source, &job).await {
            Ok(after) => after,
            Err(error) => return self.unanswered(place, job, &error).await,
        };
        if job.failed > 0 {
            self.bus.say(place.again(job.failed));
        }
        self.publish(place, &mut job.told, &after).await;
        self.settle(place, &mut job, &after).await;
        let ending = Ending::Looked;
        Done { job, ending }
    }
}

fn candidates(standings: &Standings) -> Told {
    let candidate =
        |(name, standing): (&AptName, &Standing)| (name.clone(), standing.candidate.clone());
    standings.iter().map(candidate).collect()
}

/// Whose candidate is another one than was told.
fn changes(told: &Told, now: &Standings) -> Vec<Candidate> {
    let change = |(name, standing): (&AptName, &Standing)| {
        let before = told.get(name)?;
        (*before != standing.candidate).then(|| Candidate {
            name: name.name.clone(),
            architecture: name.architecture.clone(),
            installed: standing.installed.clone(),
            before: before.clone(),
            after: standing.candidate.clone(),
        })
    };
    now.iter().filter_map(change).collect()
}
