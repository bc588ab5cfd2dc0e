//! The agent: hears orders, hands each to its project, says how this host stands.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use base64::{Engine, prelude::BASE64_STANDARD};
use chassis::{Bus, Delivery, Failure, Inbox, Listen, Start};
use events::{
    EnvironmentName, HostName, ProjectName, Topic,
    message::{Ordered, Reported, Signed},
};
use serde::Deserialize;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::World;

use crate::{
    facts,
    local::{
        socket::{self, Door, Doors},
        stuck,
    },
    machine::report::Whose,
    opening::Shared,
    project::{Claimed, Mail, Project, Unusable, refused},
    settings::{self, Settings},
    tell::{Reports, speak},
    trust::Trust,
};

/// The file below `base` that counts orders in hand; the dot keeps it apart from the folders of projects.
const IN_HAND: &str = "orders.in-hand";

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
    let trust = Trust::of(&settings);
    trust.read(&world).await.map_err(Failure::Settings)?;
    let (shared, said) = Shared::of(&world, &settings, host.clone(), &stop).await?;
    let version = shared.git.version().await;
    version.map_err(|error| Failure::Settings(chassis::causes(&error)))?;
    shared.reports.measure(bus.metrics());
    let mut at_work = JoinSet::new();
    let projects = projects(&shared, &world, &settings, &mut at_work).await?;
    let doors = Doors {
        host: host.clone(),
        world: world.clone(),
        trust: trust.clone(),
        projects: doors(&settings, &projects),
        connected: bus.connected(),
    };
    let (control, outside) = (settings.control(), world.clone());
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
            socket::serve(doors, &control, &stop),
            facts::keep(&outside, &settings, &shared.presence, &stop),
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

/// Opens all projects and sets those to work that can be; one that cannot does not hold up the others.
async fn projects(
    shared: &Shared,
    world: &World,
    settings: &Settings,
    at_work: &mut JoinSet<()>,
) -> Result<BTreeMap<ProjectName, Place>, Failure> {
    let mut projects = BTreeMap::new();
    for (name, own) in &settings.projects {
        let place = match Project::open(shared.open(world, settings, name, own)).await {
            Ok((project, mail)) => {
                at_work.spawn(project.run());
                Place::AtWork(mail)
            }
            Err(Unusable::InUse(reason)) => return Err(anyhow!(reason).into()),
            Err(Unusable::Stuck(reason)) => {
                tracing::error!(project = %name, reason, "nothing is done for this project");
                shared.presence.update(stuck(name, &reason));
                Place::Stuck(reason)
            }
        };
        projects.insert(name.clone(), place);
    }
    Ok(projects)
}

fn doors(
    settings: &Settings,
    projects: &BTreeMap<ProjectName, Place>,
) -> BTreeMap<ProjectName, (EnvironmentName, Door)> {
    let door = |(name, own): (&ProjectName, &settings::Project)| {
        let door = match projects.get(name)? {
            Place::AtWork(mail) => Door::Open(mail.clone()),
            Place::Stuck(reason) => Door::Stuck(reason.clone()),
        };
        Some((name.clone(), (own.environment.clone(), door)))
    };
    settings.projects.iter().filter_map(door).collect()
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
                self.refuse(&ordered, order.id, order.deploy, reason, None);
                acknowledge(delivery, None, answers);
            }
            (Ok(admitted), None) => {
                let names: Vec<&str> = self.projects.keys().map(ProjectName::as_str).collect();
                let known = names.join(", ");
                let reason = format!("{} is not deployed here, only: {known}", ordered.project);
                let order = &admitted.order;
                self.refuse(&ordered, order.id, order.deploy, reason, None);
                acknowledge(delivery, None, answers);
            }
            (Err(reason), place) => {
                let wait = self.disbelieve(&ordered, reason, place);
                acknowledge(delivery, wait, answers);
            }
        }
    }

    fn refuse(
        &self,
        ordered: &Ordered,
        order: Uuid,
        deploy: Uuid,
        reason: String,
        unbelieved: Option<String>,
    ) {
        let project = ordered.project.clone();
        tracing::warn!(%project, %order, reason, "order refused");
        let whose = Whose {
            host: self.host.clone(),
            project,
        };
        let report = Reported {
            unbelieved,
            ..refused(&whose, order, deploy, ordered.phase, reason)
        };
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
        let copy = orders::copy_digest(ordered);
        match place {
            Some(Place::AtWork(project)) => {
                let claimed = Claimed {
                    order,
                    deploy,
                    phase: ordered.phase,
                    reason,
                    copy,
                };
                let (settled, wait) = oneshot::channel();
                let _unheard = project.try_send(Mail::Unbelieved(Box::new(claimed), settled));
                Some(wait)
            }
            Some(Place::Stuck(_)) | None => {
                self.refuse(ordered, order, deploy, reason, Some(copy));
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
