//! One project: takes orders in, asks what comes next, has it done, writes each fact down before and after.

mod hear;
mod here;
mod links;
mod pruning;
mod watched;

use std::{io, sync::Arc, time::Duration};

use events::message::{Phase, Reported, State as Stands, Step};
use jiff::SignedDuration;
use orders::Admitted;
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub use hear::refused;
pub use here::{Alone, Ask, history, standing};
pub use watched::Seen;

use crate::{
    journal::{Journal, OpenError},
    machine::{
        Decision, End, Facts, Known, Outcome, Record, Rules, State, What, decide,
        report::{Whose, presence, report, untold},
    },
    steps::{self, Site, Work},
    tell::{Presence, Reports},
};

/// How long to wait before a journal that could not be written is tried again.
const JOURNAL_AGAIN: Duration = Duration::from_secs(5);

/// What may wait to be heard while a project is busy writing. What does not fit comes again: an order from the broker, a
/// confirmation after the next start.
const MAIL: usize = 256;

/// What a project hears.
#[derive(Debug)]
pub enum Mail {
    /// An order that is believed; `settled` once it is safely in the journal or answered.
    Order(Box<Admitted>, oneshot::Sender<()>),
    /// An order that is not believed; `settled` once it is answered.
    Unbelieved(Box<Claimed>, oneshot::Sender<()>),
    /// A final report is confirmed.
    Told(Uuid),
    /// A person at the host asks.
    Asked(Box<Ask>),
}

/// What an order says of itself that is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Its id.
    pub order: Uuid,
    /// Its deploy.
    pub deploy: Uuid,
    /// What it asks for.
    pub phase: Phase,
    /// Why it is not believed.
    pub reason: String,
    /// The digest of the message that brought it.
    pub copy: String,
}

/// Why a project cannot be opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// Another agent is at work on the same folder.
    #[error("{0}")]
    InUse(String),
    /// Nothing can be done for this project until a person has looked at it.
    #[error("{0}")]
    Stuck(String),
}

/// The agent stops; what is under way is found again by the next one.
#[derive(Debug, Clone, Copy)]
pub struct Stopped;

/// One project at work.
#[derive(Debug)]
pub struct Project {
    site: Arc<Site>,
    rules: Rules,
    skew: SignedDuration,
    journal: Journal,
    state: State,
    whose: Whose,
    mail: mpsc::Receiver<Mail>,
    own: mpsc::Sender<Mail>,
    reports: Arc<Reports>,
    presence: Arc<Presence>,
    stop: CancellationToken,
    /// Ends the step that is under way.
    end: CancellationToken,
    /// Old releases that are in use.
    spared: Option<pruning::Spared>,
    watchers: watched::Watchers,
}

/// What a project is opened with.
#[derive(Debug)]
pub struct Open {
    /// All that its steps need.
    pub site: Arc<Site>,
    /// Settings that decide.
    pub rules: Rules,
    /// How far clocks may differ.
    pub skew: SignedDuration,
    /// Where reports go.
    pub reports: Arc<Reports>,
    /// Where its state is said.
    pub presence: Arc<Presence>,
    /// The agent's stop.
    pub stop: CancellationToken,
}

impl Project {
    /// Reads the journal and makes the folders.
    ///
    /// # Errors
    /// See [`Unusable`].
    pub async fn open(open: Open) -> Result<(Self, mpsc::Sender<Mail>), Unusable> {
        let layout = open.site.layout.clone();
        let opened = open.site.world.on_disk(move |disk| {
            let opened = Journal::open(disk, &layout.journal());
            if opened.is_ok() {
                layout.make(disk)?;
            }
            Ok(opened)
        });
        let opened = opened.await.map_err(|error| {
            Unusable::Stuck(format!("{}: {error}", open.site.layout.folder().display()))
        })?;
        let (journal, records) = opened.map_err(|error| match error {
            OpenError::InUse { .. } => Unusable::InUse(error.to_string()),
            error => Unusable::Stuck(chassis::causes(&error)),
        })?;
        let (own, mail) = mpsc::channel(MAIL);
        let whose = Whose {
            host: open.site.host.clone(),
            project: open.site.project.clone(),
        };
        let project = Self {
            site: open.site,
            rules: open.rules,
            skew: open.skew,
            journal,
            state: State::replay(&records),
            whose,
            mail,
            own: own.clone(),
            reports: open.reports,
            presence: open.presence,
            end: CancellationToken::new(),
            spared: None,
            stop: open.stop,
            watchers: watched::Watchers::default(),
        };
        Ok((project, own))
    }

    /// Works until the stop. What an agent before this one left is finished or undone first.
    pub async fn run(mut self) {
        for mut report in untold(&self.state, &self.whose) {
            report.head = Some(self.journal.head());
            self.reports.tell(report, &self.own);
        }
        self.announce(None);
        self.derive_links().await;
        let name = self.whose.project.clone();
        let ended: Result<(), Stopped> = async {
            loop {
                self.next().await?;
            }
        }
        .await;
        if ended.is_err() {
            tracing::debug!(project = %name, "project stopped");
        }
    }

    async fn next(&mut self) -> Result<(), Stopped> {
        let facts = Facts {
            now: self.site.world.clock.now(),
            rules: self.rules,
        };
        match decide(&self.state, &facts) {
            Decision::Do(step, attempt) => self.act(step, attempt).await,
            Decision::Skip(step) => self.skip(step).await,
            Decision::Wait(until) => {
                let left = facts.now.duration_until(until);
                let left = Duration::try_from(left).unwrap_or_default();
                self.hear_for(left).await
            }
            Decision::Finish(state) => self.finish(state).await,
            Decision::Prune(releases) => self.prune(releases).await,
            Decision::Idle => self.hear_for(Duration::MAX).await,
        }
    }

    /// Hears at most one thing.
    async fn hear_for(&mut self, time: Duration) -> Result<(), Stopped> {
        let mail = tokio::select! {
            mail = self.mail.recv() => mail,
            () = sleep(time) => return Ok(()),
            () = self.stop.cancelled() => return Err(Stopped),
        };
        self.hear(mail.ok_or(Stopped)?).await
    }

    async fn act(&mut self, step: Step, attempt: u32) -> Result<(), Stopped> {
        let Some(job) = self.state.current().cloned() else {
            return Ok(());
        };
        let order = job.asked.order;
        let began = What::Began {
            order,
            step,
            attempt,
        };
        let waits = job.waits_for(step);
        if !waits && job.under_way() != Some((step, attempt)) {
            self.record(began.clone()).await?;
        }
        let release = self.state.release_of(&job, step);
        let (revision, tag) = match &release {
            Some(release) => self.state.identity(&job, release),
            None => (None, None),
        };
        let plan = release.as_ref().and_then(|name| self.state.plans.get(name));
        let work = Work {
            plan: plan.cloned(),
            step,
            attempt,
            asked: job.asked.clone(),
            release,
            revision,
            tag,
            before: job.before.clone(),
        };
        self.end = CancellationToken::new();
        self.end_if_cut();
        let mut doing = Box::pin(steps::act(Arc::clone(&self.site), work, self.end.clone()));
        let outcome = loop {
            let mail = tokio::select! {
                outcome = &mut doing => break outcome,
                mail = self.mail.recv() => mail,
                () = self.stop.cancelled() => return Err(Stopped),
            };
            self.hear(mail.ok_or(Stopped)?).await?;
        };
        if job.waits_as_before(step, &outcome) {
            let (project, why) = (self.whose.project.as_str(), outcome.detail.as_deref());
            tracing::info!(project, %order, %step, why, "waits on");
            self.state
                .waits_on(order, step, self.site.world.clock.now());
            return Ok(());
        }
        if waits {
            self.record(began).await?;
        }
        let ended = What::Ended {
            order,
            step,
            attempt,
            outcome,
        };
        self.record(ended).await
    }

    /// Writes down that a step was done before.
    async fn skip(&mut self, step: Step) -> Result<(), Stopped> {
        let Some(order) = self.state.current().map(|job| job.asked.order) else {
            return Ok(());
        };
        let attempt = 1;
        let detail = "done before for this revision".to_owned();
        self.record(What::Began {
            order,
            step,
            attempt,
        })
        .await?;
        self.record(What::Ended {
            order,
            step,
            attempt,
            outcome: Outcome::of(End::Skipped, Some(detail)),
        })
        .await
    }

    fn end_if_cut(&self) {
        if self.state.current().is_some_and(Known::ends_script) {
            self.end.cancel();
        }
    }

    async fn finish(&mut self, state: Stands) -> Result<(), Stopped> {
        let Some(order) = self.state.current().map(|job| job.asked.order) else {
            return Ok(());
        };
        let project = self.whose.project.as_str();
        tracing::info!(project, %order, ?state, "order finished");
        self.record(What::Finished { order, state }).await?;
        self.derive_links().await;
        Ok(())
    }

    fn complain(&self, what: &str, error: &io::Error) {
        tracing::error!(project = self.whose.project.as_str(), %error, "{what}");
    }

    /// Writes a fact down, then takes it in, then says it. Nothing acts on a fact that is not on disk.
    async fn record(&mut self, what: What) -> Result<(), Stopped> {
        let record = Record {
            at: self.site.world.clock.now(),
            what,
        };
        let entry = self.journal.next(&record);
        loop {
            let line = entry.clone();
            let written = self.site.world.on_disk(move |disk| line.write(disk)).await;
            let Err(error) = written else { break };
            self.complain("the journal cannot be written", &error);
            self.announce(Some(format!("the journal cannot be written: {error}")));
            tokio::select! {
                () = sleep(JOURNAL_AGAIN) => {}
                () = self.stop.cancelled() => return Err(Stopped),
            }
        }
        self.journal.written(entry);
        self.state.apply(&record);
        let order = match &record.what {
            What::Accepted { order, .. }
            | What::Refused { order, .. }
            | What::Untimely { order, .. } => order.order,
            What::Began { order, .. }
            | What::Ended { order, .. }
            | What::Finished { order, .. } => *order,
            What::Told { .. } | What::Pruned { .. } | What::Seen { .. } => return Ok(()),
        };
        self.tell(order);
        self.announce(None);
        Ok(())
    }

    fn tell(&mut self, order: Uuid) {
        if let Some(known) = self.state.known(order) {
            let mut report = report(&self.state, known, &self.whose);
            report.head = Some(self.journal.head());
            self.say(report);
        }
    }

    fn say(&mut self, report: Reported) {
        self.watchers.tell(&report);
        self.reports.tell(report, &self.own);
    }

    fn announce(&self, stuck: Option<String>) {
        let mut state = presence(&self.state, &self.whose.project);
        state.stuck = stuck.or(state.stuck);
        self.presence.update(state);
    }
}
