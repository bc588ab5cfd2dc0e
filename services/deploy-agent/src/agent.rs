//! The agent: hears orders, hands each to its project, says how this host stands.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use base64::{Engine, prelude::BASE64_STANDARD};
use chassis::{Bus, Delivery, Failure, Inbox, Listen, Start};
use events::{
    HostName, ProjectName, Topic,
    message::{Ordered, ProjectState, Signed},
};
use git::Git;
use jiff::SignedDuration;
use serde::Deserialize;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::World;

use crate::{
    layout::Layout,
    machine::report::Whose,
    project::{Claimed, Mail, Open, Project, Unusable, refused},
    redact::Redactor,
    scripts::Scripts,
    settings::Settings,
    steps::Site,
    tell::{Presence, Reports, speak},
    trust::Trust,
};

/// The file below `base` that counts orders in hand; the dot keeps it apart from the folders of projects.
const IN_HAND: &str = "orders.in-hand";

/// Pieces of output that may wait for the bus; more are left out.
const VOICE: usize = 256;

/// What all orders go through.
struct Desk {
    host: HostName,
    world: World,
    trust: Trust,
    projects: BTreeMap<ProjectName, Place>,
    reports: Arc<Reports>,
    /// Takes what is said about reports of projects that are not at work.
    nobody: mpsc::Sender<Mail>,
}

/// A project of the settings.
enum Place {
    AtWork(mpsc::Sender<Mail>),
    Stuck(String),
}

/// Serves until the stop.
///
/// # Errors
/// Settings that cannot be used; a git that is too old; another agent on the same folder.
pub async fn serve(start: Start<Settings>) -> Result<(), Failure> {
    let Start {
        host,
        settings,
        bus,
        world,
        stop,
        status,
        ..
    } = start;
    let trust = Trust {
        allowed_signers: settings.allowed_signers.clone(),
        policy: settings.policy.clone(),
    };
    trust.read(&world).await.map_err(Failure::Settings)?;
    let mut git = Git::new(&world);
    if let Some(home) = settings.home.clone().or_else(std::env::home_dir) {
        git = git.with_home(home);
    }
    let version = git.version().await;
    version.map_err(|error| Failure::Settings(chassis::causes(&error)))?;
    let presence = Presence::new(host.clone(), world.new_id(), settings.groups.clone());
    let (voice, said) = mpsc::channel(VOICE);
    let reports = Arc::new(Reports::default());
    reports.measure(bus.metrics());
    let shared = Shared {
        host: host.clone(),
        runner: runner(&settings)?,
        redactor: Arc::new(redactor(&world, &settings).await?),
        git,
        voice,
        reports,
        presence: Arc::new(presence),
        stop: stop.clone(),
    };
    let mut at_work = JoinSet::new();
    let projects = shared.projects(&world, &settings, &mut at_work).await?;
    let in_hand = settings.base.join(IN_HAND);
    let (nobody, _) = mpsc::channel(1);
    let desk = Desk {
        host: host.clone(),
        world,
        trust,
        projects,
        reports: Arc::clone(&shared.reports),
        nobody,
    };
    let subscription = bus.names().subscription(start.service, &host);
    let topic = Topic::DeployOrders(host);
    let orders = Listen::durable(topic, subscription).counted_in(&in_hand);
    let inbox = bus.listen(orders).await;
    status.ready();
    let period = Duration::from_secs(settings.presence_s);
    let serve = async {
        tokio::join!(
            shared.reports.deliver(&bus, &stop),
            shared.presence.announce(&bus, period, &stop),
            speak(&bus, said, &stop),
            desk.serve(inbox, &bus, &stop),
        )
    };
    // A project without its task would neither hear nor answer, while presence looked fine: better to start anew.
    tokio::select! {
        _ = serve => {}
        failure = lost(&mut at_work, &stop) => return Err(failure.into()),
    }
    while let Some(ended) = at_work.join_next().await {
        ended.context("the task of a project failed")?;
    }
    Ok(())
}

/// Waits for the task of a project to end without being told to.
async fn lost(at_work: &mut JoinSet<()>, stop: &CancellationToken) -> anyhow::Error {
    while let Some(ended) = at_work.join_next().await {
        match ended {
            Err(error) => return anyhow::Error::new(error).context("the task of a project failed"),
            Ok(()) if !stop.is_cancelled() => return anyhow!("the task of a project ended"),
            Ok(()) => {}
        }
    }
    std::future::pending().await
}

/// What the projects have in common.
struct Shared {
    host: HostName,
    runner: Vec<String>,
    redactor: Arc<Redactor>,
    git: Git,
    voice: mpsc::Sender<events::message::ScriptOutput>,
    reports: Arc<Reports>,
    presence: Arc<Presence>,
    stop: CancellationToken,
}

impl Shared {
    /// Opens all projects and sets those to work that can be; one that cannot does not hold up the others.
    async fn projects(
        &self,
        world: &World,
        settings: &Settings,
        at_work: &mut JoinSet<()>,
    ) -> Result<BTreeMap<ProjectName, Place>, Failure> {
        let mut projects = BTreeMap::new();
        for (name, own) in &settings.projects {
            let place = match Project::open(self.open(world, settings, name, own)).await {
                Ok((project, mail)) => {
                    at_work.spawn(project.run());
                    Place::AtWork(mail)
                }
                Err(Unusable::InUse(reason)) => return Err(anyhow!(reason).into()),
                Err(Unusable::Stuck(reason)) => {
                    tracing::error!(project = %name, reason, "nothing is done for this project");
                    self.presence.update(stuck(name, &reason));
                    Place::Stuck(reason)
                }
            };
            projects.insert(name.clone(), place);
        }
        Ok(projects)
    }

    fn open(
        &self,
        world: &World,
        settings: &Settings,
        name: &ProjectName,
        own: &crate::settings::Project,
    ) -> Open {
        let site = Site {
            world: world.clone(),
            git: self.git.clone(),
            host: self.host.clone(),
            project: name.clone(),
            scripts: Scripts::of(own, settings.host_scripts.join(name.as_str())),
            settings: own.clone(),
            base: settings.base.clone(),
            layout: Layout::new(&settings.base, name),
            runner: self.runner.clone(),
            redactor: Arc::clone(&self.redactor),
            output_bytes: settings.output_kb.saturating_mul(1024),
            voice: self.voice.clone(),
        };
        let skew = i64::try_from(settings.clock_skew_s).unwrap_or(i64::MAX);
        Open {
            site: Arc::new(site),
            rules: own.rules(settings.retry_s),
            skew: SignedDuration::from_secs(skew),
            reports: Arc::clone(&self.reports),
            presence: Arc::clone(&self.presence),
            stop: self.stop.clone(),
        }
    }
}

/// Read once, at the start: the file is replaced by an upgrade while this process runs on.
fn runner(settings: &Settings) -> Result<Vec<String>, Failure> {
    if !settings.step_command.is_empty() {
        return Ok(settings.step_command.clone());
    }
    let own = std::env::current_exe().context("this program's own path is not known")?;
    let own = own
        .to_str()
        .context("this program's own path is not UTF-8")?;
    Ok(vec![own.to_owned(), "step".to_owned()])
}

async fn redactor(world: &World, settings: &Settings) -> Result<Redactor, Failure> {
    let mut texts = Vec::new();
    for path in &settings.secret_files {
        let file = path.clone();
        let read = world.on_disk(move |disk| disk.read(&file)).await;
        let bytes = read.map_err(|error| {
            Failure::Settings(format!("secret_files: {}: {error}", path.display()))
        })?;
        texts.push(String::from_utf8_lossy(&bytes).into_owned());
    }
    Ok(Redactor::new(texts.iter().map(String::as_str)))
}

fn stuck(project: &ProjectName, reason: &str) -> ProjectState {
    ProjectState {
        project: project.clone(),
        live: None,
        previous: None,
        busy: None,
        stuck: Some(reason.to_owned()),
        broken: None,
    }
}

impl Desk {
    async fn serve(&self, mut inbox: Inbox, bus: &Bus, stop: &CancellationToken) {
        let mut answers = JoinSet::new();
        loop {
            tokio::select! {
                delivery = inbox.next() => match delivery {
                    Some(delivery) => tokio::select! {
                        () = self.hear(delivery, bus, &mut answers) => {}
                        () = stop.cancelled() => break,
                    },
                    None => break,
                },
                Some(_) = answers.join_next() => {}
                () = stop.cancelled() => break,
            }
        }
        inbox.close().await;
    }

    async fn hear(&self, delivery: Delivery, bus: &Bus, answers: &mut JoinSet<()>) {
        let ordered = match delivery.envelope() {
            Ok(envelope) => envelope
                .open::<Ordered>()
                .map_err(|error| chassis::causes(&error)),
            Err(error) => Err(chassis::causes(error)),
        };
        match ordered {
            Ok(ordered) => self.order(ordered, delivery, answers).await,
            Err(cause) => {
                let bus = bus.clone();
                answers.spawn(async move {
                    if let Err(error) = delivery.put_aside(&bus, &cause).await {
                        tracing::warn!(error = chassis::causes(&error), "not put aside yet");
                    }
                });
            }
        }
    }

    async fn order(&self, ordered: Ordered, delivery: Delivery, answers: &mut JoinSet<()>) {
        let believed = self.trust.believe(&self.world, &ordered, &self.host).await;
        let place = self.projects.get(&ordered.project);
        match (believed, place) {
            (Ok(admitted), Some(Place::AtWork(project))) => {
                let (settled, wait) = oneshot::channel();
                // A project that does not hear it settles nothing: the broker brings the order again.
                let _unheard = project.try_send(Mail::Order(Box::new(admitted), settled));
                acknowledge(delivery, Some(wait), answers);
            }
            (Ok(admitted), Some(Place::Stuck(reason))) => {
                let (order, reason) = (&admitted.order, reason.clone());
                self.refuse(&ordered, order.id, order.deploy, reason);
                acknowledge(delivery, None, answers);
            }
            (Ok(admitted), None) => {
                let names: Vec<&str> = self.projects.keys().map(ProjectName::as_str).collect();
                let known = names.join(", ");
                let reason = format!("{} is not deployed here, only: {known}", ordered.project);
                self.refuse(&ordered, admitted.order.id, admitted.order.deploy, reason);
                acknowledge(delivery, None, answers);
            }
            (Err(reason), place) => {
                let wait = self.disbelieve(&ordered, reason, place);
                acknowledge(delivery, wait, answers);
            }
        }
    }

    fn refuse(&self, ordered: &Ordered, order: Uuid, deploy: Uuid, reason: String) {
        let project = ordered.project.clone();
        tracing::warn!(%project, %order, reason, "order refused");
        let whose = Whose {
            host: self.host.clone(),
            project,
        };
        let report = refused(&whose, order, deploy, ordered.phase, reason);
        self.reports.tell(report, &self.nobody);
    }

    /// Whoever sent it may hear why, if it says whose answer that is. Gives what to wait for before it is acknowledged.
    fn disbelieve(
        &self,
        ordered: &Ordered,
        reason: String,
        place: Option<&Place>,
    ) -> Option<oneshot::Receiver<()>> {
        let project = ordered.project.as_str();
        tracing::warn!(project, phase = %ordered.phase, reason, "order not believed");
        let Claim { id: order, deploy } = claim(&ordered.order)?;
        match place {
            Some(Place::AtWork(project)) => {
                let claimed = Claimed {
                    order,
                    deploy,
                    phase: ordered.phase,
                    reason,
                };
                let (settled, wait) = oneshot::channel();
                let _unheard = project.try_send(Mail::Unbelieved(Box::new(claimed), settled));
                Some(wait)
            }
            Some(Place::Stuck(_)) | None => {
                self.refuse(ordered, order, deploy, reason);
                None
            }
        }
    }
}

/// Acknowledges once `wait`, if there is one, says that the order is settled; what is not settled comes again.
fn acknowledge(delivery: Delivery, wait: Option<oneshot::Receiver<()>>, answers: &mut JoinSet<()>) {
    answers.spawn(async move {
        let settled = match wait {
            Some(wait) => wait.await.is_ok(),
            None => true,
        };
        if settled {
            delivery.ack().await;
        }
    });
}

#[derive(Deserialize)]
struct Claim {
    id: Uuid,
    deploy: Uuid,
}

fn claim(signed: &Signed) -> Option<Claim> {
    let payload = BASE64_STANDARD.decode(&signed.payload).ok()?;
    serde_json::from_slice(&payload).ok()
}
