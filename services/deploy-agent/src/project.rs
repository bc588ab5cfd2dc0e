//! One project: takes orders in, asks what comes next, has it done, writes each fact down before and after.

use std::{io, sync::Arc, time::Duration};

use events::message::{Phase, Reported, State as Stands};
use jiff::SignedDuration;
use orders::{Action, Admitted, Marks, Refusal};
use tokio::{
    sync::{mpsc, oneshot},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    journal::Journal,
    layout::Layout,
    machine::{
        Asked, Decision, Facts, Ground, Known, Record, Rules, State, What, accept, decide,
        report::{Whose, presence, report, untold},
    },
    steps::{self, Site, Work},
    tell::{Presence, Reports},
};

/// How long to wait before a journal that could not be written is tried again.
const JOURNAL_AGAIN: Duration = Duration::from_secs(5);

/// What a project hears.
#[derive(Debug)]
pub enum Mail {
    /// An order that is believed; `settled` once it is safely in the journal or answered.
    Order(Box<Admitted>, oneshot::Sender<()>),
    /// An order that is not believed.
    Unbelieved(Box<Claimed>),
    /// A final report is confirmed.
    Told(Uuid),
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
    /// Why nothing can be done for this project, in one sentence.
    pub async fn open(open: Open) -> Result<(Self, mpsc::Sender<Mail>), String> {
        let layout = open.site.layout.clone();
        let opened = open.site.world.on_disk(move |disk| {
            let opened = Journal::open(disk, &layout.journal());
            if opened.is_ok() {
                layout.make(disk)?;
            }
            Ok(opened)
        });
        let opened = opened
            .await
            .map_err(|error| format!("{}: {error}", open.site.layout.folder().display()))?;
        let (journal, records) = opened.map_err(|error| chassis::causes(&error))?;
        let (own, mail) = mpsc::channel(64);
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
            stop: open.stop,
        };
        Ok((project, own))
    }

    /// Works until the stop. What an agent before this one left is finished or undone first.
    pub async fn run(mut self) {
        for report in untold(&self.state, &self.whose) {
            self.reports.tell(report, &self.own);
        }
        self.announce(None);
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

    async fn act(&mut self, step: events::message::Step, attempt: u32) -> Result<(), Stopped> {
        let Some(job) = self.state.current().cloned() else {
            return Ok(());
        };
        let order = job.asked.order;
        if job.under_way() != Some((step, attempt)) {
            let began = What::Began {
                order,
                step,
                attempt,
            };
            self.record(began).await?;
        }
        let release = self.state.release_of(&job, step);
        let (revision, tag) = match &release {
            Some(release) => self.state.identity(&job, release),
            None => (None, None),
        };
        let work = Work {
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
        let ended = What::Ended {
            order,
            step,
            attempt,
            outcome,
        };
        self.record(ended).await
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

    /// `previous` and `next` are for people; the journal does not depend on them.
    async fn derive_links(&self) {
        let layout = self.site.layout.clone();
        let previous = self.state.previous().map(|past| past.release.clone());
        let live = self.state.live.as_ref().map(|live| live.release.clone());
        let next = self.state.newest.clone().filter(|newest| {
            Some(newest) != live.as_ref()
                && !self
                    .state
                    .history
                    .iter()
                    .any(|past| past.release == *newest)
                && !self.state.bad.contains(newest)
        });
        let derive = move |disk: &dyn world::Disk| {
            layout.derive(disk, "previous", previous.as_deref())?;
            layout.derive(disk, "next", next.as_deref())
        };
        if let Err(error) = self.site.world.on_disk(derive).await {
            let project = self.whose.project.as_str();
            tracing::warn!(project, %error, "the links previous and next are not right");
        }
    }

    async fn prune(&mut self, releases: Vec<String>) -> Result<(), Stopped> {
        let (layout, names) = (self.site.layout.clone(), releases.clone());
        let retire = move |disk: &dyn world::Disk| {
            names.iter().try_for_each(|name| layout.retire(disk, name))
        };
        if let Err(error) = self.site.world.on_disk(retire).await {
            self.complain("old releases cannot be removed", &error);
            return self.hear_for(JOURNAL_AGAIN).await;
        }
        self.record(What::Pruned { releases }).await?;
        let layout = self.site.layout.clone();
        let orders = self.state.orders.iter();
        let known: Vec<String> = orders.map(|known| known.asked.order.to_string()).collect();
        let sweep = move |disk: &dyn world::Disk| {
            layout.sweep(disk, |name| {
                known.iter().any(|order| name.starts_with(order))
            })
        };
        if let Err(error) = self.site.world.on_disk(sweep).await {
            self.complain("what is left of old releases cannot be removed", &error);
        }
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
            What::Accepted { order, .. } | What::Refused { order, .. } => order.order,
            What::Began { order, .. }
            | What::Ended { order, .. }
            | What::Finished { order, .. } => *order,
            What::Told { .. } | What::Pruned { .. } | What::Seen { .. } => return Ok(()),
        };
        self.tell(order);
        self.announce(None);
        Ok(())
    }

    fn tell(&self, order: Uuid) {
        if let Some(known) = self.state.known(order) {
            let report = report(&self.state, known, &self.whose);
            self.reports.tell(report, &self.own);
        }
    }

    fn announce(&self, stuck: Option<String>) {
        let mut state = presence(&self.state, &self.whose.project);
        state.stuck = stuck.or(state.stuck);
        self.presence.update(state);
    }

    async fn hear(&mut self, mail: Mail) -> Result<(), Stopped> {
        match mail {
            Mail::Order(admitted, settled) => {
                self.order(&admitted).await?;
                // The delivery is gone if nobody waits: the broker brings it again, and it is known then.
                let _gone = settled.send(());
                self.end_if_cut();
                Ok(())
            }
            Mail::Unbelieved(claimed) => {
                // An order that is known has its answer; nobody can change that by a forged copy.
                if self.state.known(claimed.order).is_none() {
                    let Claimed {
                        order,
                        deploy,
                        phase,
                        reason,
                    } = *claimed;
                    self.answer(order, deploy, phase, reason);
                }
                Ok(())
            }
            Mail::Told(order) => match self.state.known(order) {
                Some(known) if known.verdict.is_some() && !known.told => {
                    self.record(What::Told { order }).await
                }
                _ => Ok(()),
            },
        }
    }

    /// Refuses without a trace in the journal.
    fn answer(&self, order: Uuid, deploy: Uuid, phase: Phase, reason: String) {
        let refused = refused(&self.whose, order, deploy, phase, reason);
        let live = self.state.live.clone();
        let previous = self.state.previous().cloned();
        let report = Reported {
            live,
            previous,
            ..refused
        };
        self.reports.tell(report, &self.own);
    }

    async fn order(&mut self, admitted: &Admitted) -> Result<(), Stopped> {
        let asked = asked(admitted);
        if self.state.known(asked.order).is_some() {
            self.tell(asked.order);
            return Ok(());
        }
        let marks = Marks {
            sequence: self.state.sequence,
            epoch: self.state.epoch,
        };
        let now = self.site.world.clock.now();
        match admitted.timely(marks, now, self.skew) {
            Ok(()) => {}
            // Would be taken if it came again later, so it must be known then.
            Err(refusal @ Refusal::NotYetValid { .. }) => {
                let reason = refusal.to_string();
                return self
                    .record(What::Refused {
                        order: asked,
                        reason,
                    })
                    .await;
            }
            Err(refusal) => {
                self.answer(asked.order, asked.deploy, asked.phase, refusal.to_string());
                return Ok(());
            }
        }
        let what = match self.decide_about(admitted, &asked).await? {
            Ok(task) => What::Accepted { order: asked, task },
            Err(reason) => What::Refused {
                order: asked,
                reason,
            },
        };
        self.record(what).await
    }

    async fn decide_about(
        &mut self,
        admitted: &Admitted,
        asked: &Asked,
    ) -> Result<Result<crate::machine::Task, String>, Stopped> {
        let (here, found) = (&self.site.settings.environment, &admitted.order.environment);
        if here != found {
            return Ok(Err(format!(
                "this host is {here}, the order is for {found}"
            )));
        }
        if self.state.queue.is_empty()
            && let Err(reason) = self.see_live().await?
        {
            return Ok(Err(reason));
        }
        let (layout, scripts) = (self.site.layout.clone(), self.site.settings.scripts.clone());
        let ground = self
            .site
            .world
            .on_disk(move |disk| layout.ground(disk, &scripts))
            .await;
        let ground: Ground = match ground {
            Ok(ground) => ground,
            Err(error) => return Ok(Err(format!("the releases cannot be read: {error}"))),
        };
        let now = self.site.world.clock.now();
        Ok(accept(&self.state, asked, &ground, now))
    }

    /// Notices that somebody changed `live` by hand. A change to a known release is taken as it is.
    async fn see_live(&mut self) -> Result<Result<(), String>, Stopped> {
        let layout: Layout = self.site.layout.clone();
        let found = match self.site.world.on_disk(move |disk| layout.live(disk)).await {
            Ok(found) => found,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let known = self.state.live.as_ref().map(|live| live.release.clone());
        if found == known {
            return Ok(Ok(()));
        }
        let text = |release: Option<&String>| release.map_or("nothing", String::as_str).to_owned();
        let project = self.whose.project.as_str();
        let (is, was) = (text(found.as_ref()), text(known.as_ref()));
        tracing::warn!(project, is, was, "somebody else changed what is live");
        match found.filter(|found| self.state.releases.contains_key(found)) {
            Some(live) => self.record(What::Seen { live }).await.map(Ok),
            None => Ok(Err(format!(
                "live leads to {is}, the journal says {was}: point it back with ln -sfn releases/RELEASE {}/live",
                self.site.layout.folder().display()
            ))),
        }
    }
}

/// The parts of a believed order that are kept.
fn asked(admitted: &Admitted) -> Asked {
    let (order, grant) = (&admitted.order, &admitted.grant);
    Asked {
        order: order.id,
        deploy: order.deploy,
        phase: order.phase,
        undo: order.phase == Phase::Rollback && grant.action == Action::Deploy,
        commit: order.commit.clone().or_else(|| grant.commit.clone()),
        tag: order.tag.clone().or_else(|| grant.tag.clone()),
        wave: order.wave,
        sequence: order.sequence,
        epoch: order.epoch,
        grant: order.grant.clone(),
        by: admitted.by.clone(),
        expires: order.expires,
    }
}

/// A refusal of an order of which nothing is kept.
#[must_use]
pub fn refused(whose: &Whose, order: Uuid, deploy: Uuid, phase: Phase, reason: String) -> Reported {
    Reported {
        host: whose.host.clone(),
        project: whose.project.clone(),
        order,
        deploy,
        phase,
        number: 1,
        state: Stands::Refused { reason },
        steps: Vec::new(),
        live: None,
        previous: None,
    }
}
