//! What leaves the host: reports (until confirmed), presence, output of scripts (best effort).

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chassis::{
    Bus, Metrics, PublishError,
    metrics::{Collector, ConstGauge, Counter, DescriptorEncoder, EncodeMetric, Unit},
};
use events::{
    Facts, GroupName, HostName, ProjectName,
    message::{JournalHead, Level, Present, ProjectState, Reported, Said, ScriptOutput, State},
};
use tokio::{
    sync::{Notify, mpsc},
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{machine::cut, project::Mail};

/// How long to wait after a report that no broker took.
const AGAIN: Duration = Duration::from_secs(1);

/// Orders whose reports may wait at once, far more than are remembered. What is over is left out: an order that was
/// accepted has its report in the journal, and any other is sent again by whoever wants its answer.
const WAITING: usize = 1024;

/// Reports on their way: the newest of each order, in the order in which they came. Each holds the whole state of its
/// order, so that a newer one replaces an older one that no broker has taken. Nobody waits for a broker here; what must
/// outlive the agent is in the journal.
#[derive(Debug, Default)]
pub struct Reports {
    waiting: Mutex<Vec<Waits>>,
    /// Where the journal of each project ended last. Put into a report when it is sent, so that the ends go out in their order.
    heads: Mutex<BTreeMap<ProjectName, JournalHead>>,
    more: Notify,
    left_out: Counter,
}

#[derive(Debug, Clone)]
struct Waits {
    report: Reported,
    project: mpsc::Sender<Mail>,
    /// When the first report of this order came that no broker has taken.
    since: Instant,
}

fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere leaves whole values behind: they are only ever replaced.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Reports {
    /// Shows how many reports wait, for how long, and how many were left out.
    pub fn measure(self: &Arc<Self>, metrics: &Metrics) {
        metrics.add(
            "reports_left_out",
            "Reports that were not kept because too many waited",
            self.left_out.clone(),
        );
        metrics.add_collector(Levels(Arc::clone(self)));
    }

    /// Puts a report on its way, in place of an older one of the same order. `project` hears when a final one is confirmed.
    pub fn tell(&self, mut report: Reported, project: &mpsc::Sender<Mail>) {
        if let Some(head) = report.head.take() {
            held(&self.heads).insert(report.project.clone(), head);
        }
        let mut waiting = held(&self.waiting);
        let full = waiting.len() >= WAITING;
        match waiting
            .iter_mut()
            .find(|old| old.report.order == report.order)
        {
            Some(old) if old.report.number > report.number => {}
            Some(old) => old.report = report,
            None if full => {
                self.left_out.inc();
                tracing::error!(order = %report.order, "left out: too many reports wait for the broker");
            }
            None => waiting.push(Waits {
                report,
                project: project.clone(),
                since: Instant::now(),
            }),
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// Puts a short report in place of this one, unless a newer one waits by now; false if it is short already.
    fn shorten(&self, report: &Reported) -> bool {
        let mut waiting = held(&self.waiting);
        let waits = waiting
            .iter_mut()
            .find(|old| old.report.order == report.order);
        waits.is_some_and(|waits| {
            if waits.report.number > report.number {
                return true;
            }
            let short = stub(&waits.report);
            let is_short = waits.report == short;
            waits.report = short;
            !is_short
        })
    }

    /// Sends reports until the stop, each until the broker has it.
    pub async fn deliver(&self, bus: &Bus, stop: &CancellationToken) {
        let mut late = false;
        loop {
            let next = held(&self.waiting).first().cloned();
            let Some(Waits {
                mut report,
                project,
                ..
            }) = next
            else {
                tokio::select! {
                    () = self.more.notified() => continue,
                    () = stop.cancelled() => return,
                }
            };
            report.head = held(&self.heads).get(&report.project).cloned();
            let sent = tokio::select! {
                sent = bus.publish(&report) => sent,
                () = stop.cancelled() => return,
            };
            let told = sent.is_ok();
            if let Err(error @ PublishError::Unsendable(_)) = &sent {
                let short = self.shorten(&report);
                tracing::error!(order = %report.order, short, error = chassis::causes(error), "a report cannot be sent as it is");
                if short {
                    continue;
                }
            } else if let Err(error) = sent {
                let (order, error) = (report.order, chassis::causes(&error));
                // Once for each time that the broker is away, not at each try.
                if std::mem::replace(&mut late, true) {
                    tracing::debug!(%order, error, "a report waits on for the broker");
                } else {
                    tracing::warn!(%order, error, "a report waits for the broker");
                }
                tokio::select! {
                    () = sleep(AGAIN) => continue,
                    () = stop.cancelled() => return,
                }
            }
            late = false;
            // A newer one that came meanwhile stays.
            held(&self.waiting).retain(|Waits { report: left, .. }| {
                left.order != report.order || left.number > report.number
            });
            if told && report.state.is_final() {
                // A project that does not hear it sends the report again when it starts.
                let _unheard = project.try_send(Mail::Told(report.order));
                bus.say(said(&report));
            }
        }
    }
}

/// How an order stands, without anything that may be long.
fn stub(report: &Reported) -> Reported {
    let mut stub = Reported {
        steps: Vec::new(),
        broke_glass: report.broke_glass.clone().map(cut),
        ..report.clone()
    };
    if let State::PutBack { reason }
    | State::Failed { reason }
    | State::Broken { reason }
    | State::Refused { reason }
    | State::Waiting { reason } = &mut stub.state
    {
        *reason =
            "the report of it was too long to be sent: the journal on the host has the reason"
                .to_owned();
    }
    stub
}

/// What is worked out when somebody asks.
#[derive(Debug)]
struct Levels(Arc<Reports>);

impl Collector for Levels {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (waiting, oldest) = {
            let waiting = held(&self.0.waiting);
            let oldest = waiting.iter().map(|waits| waits.since.elapsed()).max();
            (waiting.len(), oldest.unwrap_or_default())
        };
        let levels = [
            (
                "reports_waiting",
                None,
                waiting as f64,
                "Orders whose report waits for the broker",
            ),
            (
                "reports_oldest_age",
                Some(Unit::Seconds),
                oldest.as_secs_f64(),
                "How long the oldest of them waits",
            ),
        ];
        for (name, unit, value, help) in levels {
            let gauge = ConstGauge::new(value);
            let kind = gauge.metric_type();
            gauge.encode(encoder.encode_descriptor(name, help, unit.as_ref(), kind)?)?;
        }
        Ok(())
    }
}

/// How an order ended: event, level, and the sentence after the project's name.
pub(crate) fn sentence(report: &Reported) -> (&'static str, Level, String) {
    let phase = report.phase;
    let live = report.live.as_ref().map_or("nothing", |live| live.label());
    match &report.state {
        State::Live => ("live", Level::Info, format!("{live} is live")),
        State::Prepared { release } => ("prepared", Level::Info, format!("has {release} prepared")),
        State::PutBack { reason } => (
            "put-back",
            Level::Problem,
            format!("is back on {live}: {reason}"),
        ),
        State::Failed { reason } => (
            "failed",
            Level::Problem,
            format!("failed, {live} untouched: {reason}"),
        ),
        State::Broken { reason } => ("broken", Level::Alarm, format!("NEEDS A PERSON: {reason}")),
        State::Refused { reason } => (
            "refused",
            Level::Problem,
            format!("{phase} refused: {reason}"),
        ),
        State::Cleared => (
            "cleared",
            Level::Info,
            "was broken and is cleared: it takes deploys again".to_owned(),
        ),
        _ => (
            "aborted",
            Level::Info,
            format!("{phase} ended, {live} is live"),
        ),
    }
}

/// One line for people: `web1: shop v2 is live`.
fn said(report: &Reported) -> Said {
    let Reported { project, phase, .. } = report;
    let (event, level, text) = sentence(report);
    let reason = match &report.state {
        State::PutBack { reason }
        | State::Failed { reason }
        | State::Broken { reason }
        | State::Refused { reason } => Some(reason),
        _ => None,
    };
    let glass = report.broke_glass.as_ref();
    let (text, level) = match glass {
        // Loud, whatever it came to.
        Some(past) => (format!("{text}; GLASS BROKEN: {past}"), Level::Alarm),
        None => (text, level),
    };
    Said::new(event, format!("{project} {text}"))
        .level(level)
        .with("broke_glass", glass)
        .with("project", project)
        .with("phase", phase)
        .with("deploy", report.deploy)
        .with("order", report.order)
        .with("reason", reason)
        .with("live", report.live.as_ref().map(|live| live.label()))
        .with("revision", report.live.as_ref().map(|live| &live.revision))
}

/// What this host says about itself.
#[derive(Debug)]
pub struct Presence {
    host: HostName,
    instance: Uuid,
    groups: Vec<GroupName>,
    projects: Mutex<BTreeMap<ProjectName, ProjectState>>,
    facts: Mutex<Facts>,
    changed: Notify,
}

impl Presence {
    /// A new one for this start of the agent.
    #[must_use]
    pub fn new(host: HostName, instance: Uuid, groups: Vec<GroupName>) -> Self {
        Self {
            host,
            instance,
            groups,
            projects: Mutex::default(),
            facts: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// Takes in how a project stands; says so to the bus if that is new.
    pub fn update(&self, state: ProjectState) {
        let mut projects = held(&self.projects);
        if projects.get(&state.project) != Some(&state) {
            projects.insert(state.project.clone(), state);
            self.changed.notify_one();
        }
    }

    /// Takes in the facts of this host; says so to the bus if they are new.
    pub fn facts(&self, facts: Facts) {
        let mut known = held(&self.facts);
        if *known != facts {
            *known = facts;
            self.changed.notify_one();
        }
    }

    fn present(&self) -> Present {
        Present {
            host: self.host.clone(),
            instance: self.instance,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            groups: self.groups.clone(),
            facts: held(&self.facts).clone(),
            projects: held(&self.projects).values().cloned().collect(),
        }
    }

    /// Says that this host is there: at start, on change, after each connect, and every `period`, until the stop.
    pub async fn announce(&self, bus: &Bus, period: Duration, stop: &CancellationToken) {
        let mut connected = bus.connected();
        let mut ticks = interval(period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.changed.notified() => {}
                changed = connected.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = stop.cancelled() => return,
            }
            if !*connected.borrow_and_update() {
                continue;
            }
            let present = self.present();
            tokio::select! {
                said = bus.publish(&present) => if let Err(error) = said {
                    tracing::debug!(error = chassis::causes(&error), "presence was not heard");
                },
                () = stop.cancelled() => return,
            }
        }
    }
}

/// Sends output of scripts until the stop; what no broker takes is dropped.
pub async fn speak(bus: &Bus, mut said: mpsc::Receiver<ScriptOutput>, stop: &CancellationToken) {
    loop {
        let output = tokio::select! {
            output = said.recv() => output,
            () = stop.cancelled() => return,
        };
        let Some(output) = output else { return };
        if !*bus.connected().borrow() {
            continue;
        }
        tokio::select! {
            sent = bus.publish(&output) => if let Err(error) = sent {
                tracing::debug!(error = chassis::causes(&error), "output was not heard");
            },
            () = stop.cancelled() => return,
        }
    }
}
