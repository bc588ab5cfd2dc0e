//! Doing what was decided: one task that hears, decides, keeps, and only then sends.
//!
//! What a person or an agent did is fed into the rollouts, whose new state and new orders are stored in one transaction;
//! only after that are orders published and reports acknowledged. A crash between any two of these is healed at the next
//! start: what was stored and may not have been sent is sent again, what was not acknowledged comes again.
//!
//! Read: this file (the loop, and the way from an input to what is sent), `asked` (requests), `heard` (messages),
//! `verdicts` (CI), `ordering` (orders), `sender`, `deadline` (when to look again).

mod asked;
mod deadline;
mod heard;
mod ordering;
mod sender;
mod verdicts;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use anyhow::Context as _;
use chassis::{Bus, Delivery, Failure, Inbox, Status};
use events::{
    HostName,
    message::{Phase, Said},
};
use futures_util::FutureExt;
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::{mpsc, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::World;

use crate::{
    app::Request,
    deploy::Deploy,
    known::Known,
    rollout::{Input, Output},
    settings::Settings,
    store::{Changes, Loaded, Store, StoredOrder},
    texts,
    told::{self, Stood},
    trust::Trust,
    views::Scene,
};
use deadline::Deadline;
use sender::Sender;

/// What the orchestrator is made of.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) settings: Arc<Settings>,
    pub(crate) world: World,
    pub(crate) bus: Bus,
    pub(crate) store: Store,
    pub(crate) trust: Trust,
    pub(crate) status: Status,
    pub(crate) version: watch::Sender<u64>,
}

/// Where everything comes in.
#[derive(Debug)]
pub(crate) struct Inlets {
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) reports: Inbox,
    pub(crate) hints: Inbox,
    pub(crate) succeeded: Inbox,
    pub(crate) failed: Inbox,
    pub(crate) output: Inbox,
}

/// The task that owns all rollouts.
#[derive(Debug)]
pub(crate) struct Orchestrator {
    parts: Parts,
    sender: Sender,
    known: Known,
    running: BTreeMap<Uuid, Deploy>,
    orders: HashMap<(Uuid, HostName, Phase), StoredOrder>,
    sequence: u64,
    epoch: u64,
    /// Not yet stored.
    changes: Changes,
    /// Rollouts that went on and are not yet stored.
    moved: BTreeSet<Uuid>,
    /// Hosts of which something was heard that is not yet stored.
    met: BTreeSet<HostName>,
    /// To be published once stored.
    outgoing: Vec<StoredOrder>,
    /// To be told to the feed once stored.
    said: Vec<Said>,
    /// The last line that was written about each deploy.
    told: HashMap<Uuid, String>,
    /// When what was only heard is stored.
    flush_at: Option<Timestamp>,
    /// When, after the bus came back, what may not have been sent is sent again; reports that waited go first.
    back_at: Option<Timestamp>,
    /// True while the bus is there: else nobody is late.
    in_touch: bool,
}

/// Messages that are taken in before they are stored together.
const BATCH: usize = 64;
/// How long what is only a hint may wait for being stored.
const FLUSH: SignedDuration = SignedDuration::from_millis(200);
/// How long reports that waited at the broker have to come before orders are sent again.
const CATCH_UP: SignedDuration = SignedDuration::from_secs(1);
/// How long orders that are being published have at a stop.
const GRACE: Duration = Duration::from_secs(2);

impl Orchestrator {
    pub(crate) fn new(parts: Parts, loaded: Loaded) -> Self {
        let Loaded {
            known,
            running,
            orders,
            sequence,
            epoch,
        } = loaded;
        for deploy in &running {
            tracing::info!(deploy = %deploy.about.id, project = %deploy.about.project, "goes on with {}", deploy.about.title());
        }
        Self {
            sender: Sender::new(parts.bus.clone()),
            parts,
            known,
            running: running
                .into_iter()
                .map(|deploy| (deploy.about.id, deploy))
                .collect(),
            orders: orders
                .into_iter()
                .map(|order| (order.key(), order))
                .collect(),
            sequence,
            epoch,
            changes: Changes::default(),
            moved: BTreeSet::new(),
            met: BTreeSet::new(),
            outgoing: Vec::new(),
            said: Vec::new(),
            told: HashMap::new(),
            flush_at: None,
            back_at: None,
            in_touch: false,
        }
    }

    /// Works until the stop.
    ///
    /// # Errors
    /// When something cannot be stored: a new start then goes on from what was.
    pub(crate) async fn run(
        mut self,
        mut inlets: Inlets,
        stop: &CancellationToken,
    ) -> Result<(), Failure> {
        let mut connected = self.parts.bus.connected();
        self.touch(*connected.borrow_and_update());
        let mut deadline = Deadline::new(self.now());
        loop {
            // Not left to the sleep alone: under a steady stream of messages it would never end.
            deadline.note(self.next_due());
            if deadline.is_due(self.now()) {
                self.tick().await?;
                deadline = Deadline::new(self.now());
                deadline.note(self.next_due());
            }
            let pause = deadline.pause(self.now());
            tokio::select! {
                () = stop.cancelled() => break,
                Some(request) = inlets.requests.recv() => self.answer(request).await?,
                Some(first) = inlets.reports.next() => {
                    let batch = batch(first, &mut inlets.reports);
                    self.reports(batch).await?;
                }
                Some(first) = inlets.hints.next() => {
                    let batch = batch(first, &mut inlets.hints);
                    self.hints(batch).await?;
                }
                Some(first) = inlets.succeeded.next() => {
                    let batch = batch(first, &mut inlets.succeeded);
                    self.verdicts(batch).await?;
                }
                Some(first) = inlets.failed.next() => {
                    let batch = batch(first, &mut inlets.failed);
                    self.verdicts(batch).await?;
                }
                Some(first) = inlets.output.next() => {
                    let batch = batch(first, &mut inlets.output);
                    self.output_pieces(batch).await?;
                }
                Ok(()) = connected.changed() => self.touch(*connected.borrow_and_update()),
                () = self.sender.sent() => {}
                () = sleep(pause) => deadline.pass(),
            }
        }
        self.commit().await?;
        for inbox in [inlets.reports, inlets.succeeded, inlets.failed] {
            inbox.close().await;
        }
        self.sender.finish(GRACE).await;
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.parts.world.clock.now()
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            settings: &self.parts.settings,
            known: &self.known,
            now: self.now(),
        }
    }

    fn deploys(&self) -> Vec<&Deploy> {
        self.running.values().collect()
    }

    fn touch(&mut self, connected: bool) {
        self.in_touch = false;
        self.back_at =
            connected.then(|| self.now().checked_add(CATCH_UP).unwrap_or(Timestamp::MAX));
    }

    /// When something is due.
    fn next_due(&self) -> Option<Timestamp> {
        let rollouts = self.running.values().filter(|_| self.in_touch);
        let due = rollouts.filter_map(|deploy| deploy.rollout.next_wake());
        let silent = self.known.next_silence(self.now(), self.scene().limit());
        let all = due.chain(self.flush_at).chain(self.back_at).chain(silent);
        all.min()
    }

    async fn tick(&mut self) -> Result<(), Failure> {
        let now = self.now();
        if self.back_at.is_some_and(|back| back <= now) {
            self.back_at = None;
            self.in_touch = true;
            self.feed_all(&Input::Back);
        }
        if self.in_touch {
            let due = |deploy: &&Deploy| deploy.rollout.next_wake().is_some_and(|wake| wake <= now);
            let due: Vec<Uuid> = self
                .running
                .values()
                .filter(due)
                .map(|deploy| deploy.about.id)
                .collect();
            for deploy in due {
                self.feed(deploy, Input::Tick);
            }
        }
        let forgotten = self.known.forget(now, &self.parts.settings);
        self.changes.forgotten.extend(forgotten);
        self.commit().await?;
        self.bump();
        Ok(())
    }

    fn feed_all(&mut self, input: &Input) {
        let all: Vec<Uuid> = self.running.keys().copied().collect();
        for deploy in all {
            self.feed(deploy, input.clone());
        }
    }

    /// Gives a rollout what happened, and puts aside what is to be stored and sent.
    fn feed(&mut self, deploy: Uuid, input: Input) {
        let now = self.now();
        let Some(found) = self.running.get_mut(&deploy) else {
            return;
        };
        let stood = Stood::of(&found.rollout);
        let outputs = found.rollout.step(now, input);
        self.said.extend(told::went_on(stood, found));
        for output in outputs {
            match output {
                Output::Order { host, phase } => self.order(now, deploy, &host, phase),
                Output::Changed | Output::Ended => {}
            }
            self.moved.insert(deploy);
        }
    }

    /// Stores what changed; then sends what that calls for.
    async fn commit(&mut self) -> Result<(), Failure> {
        let now = self.now();
        for deploy in std::mem::take(&mut self.moved) {
            let Some(found) = self.running.get(&deploy) else {
                continue;
            };
            if let Some(line) = news(&mut self.told, found) {
                tracing::info!(%deploy, project = %found.about.project, "{line}");
                self.changes.lines.push((deploy, now, line));
            }
            self.changes.rollouts.push(found.rollout.clone());
        }
        for host in std::mem::take(&mut self.met) {
            if let Some(known) = self.known.hosts.get(&host) {
                self.changes.hosts.push((host, known.clone()));
            }
        }
        self.flush_at = None;
        if self.changes.is_empty() && self.outgoing.is_empty() {
            return Ok(());
        }
        let changes = std::mem::take(&mut self.changes);
        self.parts
            .store
            .save(changes)
            .await
            .context("cannot keep what happened")?;
        for said in self.said.drain(..) {
            self.parts.bus.say(said);
        }
        for order in std::mem::take(&mut self.outgoing) {
            self.sender.send(order);
        }
        self.forget_ended();
        self.bump();
        Ok(())
    }

    fn forget_ended(&mut self) {
        let ended = self
            .running
            .values()
            .filter(|deploy| deploy.rollout.is_ended());
        let ended: BTreeSet<Uuid> = ended.map(|deploy| deploy.about.id).collect();
        if !ended.is_empty() {
            self.running.retain(|id, _| !ended.contains(id));
            self.orders.retain(|(id, ..), _| !ended.contains(id));
            self.told.retain(|id, _| !ended.contains(id));
        }
        self.parts.status.says(match self.running.len() {
            0 => "nothing under way".to_owned(),
            1 => "1 deploy under way".to_owned(),
            many => format!("{many} deploys under way"),
        });
    }

    fn bump(&self) {
        self.parts.version.send_modify(|version| *version += 1);
    }

    fn flush_soon(&mut self) {
        let soon = self.now().checked_add(FLUSH).unwrap_or(Timestamp::MAX);
        self.flush_at.get_or_insert(soon);
    }
}

/// One line on where a deploy stands, if that is not what was said last.
fn news(told: &mut HashMap<Uuid, String>, deploy: &Deploy) -> Option<String> {
    let state = texts::state_word(texts::state(&deploy.rollout));
    let line = match texts::reason(&deploy.rollout) {
        Some(reason) => format!("{} {state}: {reason}", deploy.about.title()),
        None => format!("{} {state}", deploy.about.title()),
    };
    let last = told.insert(deploy.about.id, line.clone());
    (last.as_ref() != Some(&line)).then_some(line)
}

/// What has come already, so that it is stored together.
fn batch(first: Delivery, inbox: &mut Inbox) -> Vec<Delivery> {
    let mut batch = vec![first];
    while batch.len() < BATCH
        && let Some(Some(next)) = inbox.next().now_or_never()
    {
        batch.push(next);
    }
    batch
}
