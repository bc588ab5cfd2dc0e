//! The whole pipeline on one machine: every service, and the embedded broker unless another one is named, wired over TCP as
//! in production.
//!
//! `demo` and `up` both start this. The agents are processes of their own (see [`crate::agents`]); the rest shares this one.

use std::{collections::BTreeMap, future::Future, net::SocketAddr, path::Path, time::Duration};

use broker::Broker;
use chassis::{BusSettings, Settings, Start, bus::passcode};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;
use world::{Listener, Lock, World};

use crate::{
    agents::Agents,
    announce,
    failure::Failure,
    home::Home,
    layout::{Broker as Place, Layout},
    listening::noting,
};

/// A service must listen within this time.
const START_LIMIT: Duration = Duration::from_secs(20);
/// All services together must have stopped within this time.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A pipeline that runs.
#[derive(Debug)]
pub struct Pipeline {
    /// What it is made of.
    pub layout: Layout,
    /// How the services reach the broker.
    pub bus: BusSettings,
    /// Where the web page listens.
    pub page: SocketAddr,
    /// Where webhooks are received.
    pub webhooks: SocketAddr,
    /// The agents' processes.
    pub agents: Agents,
    services: Services,
    broker_task: JoinSet<Result<(), broker::RunError>>,
    broker_stop: CancellationToken,
    stop: CancellationToken,
    _lock: Box<dyn Lock>,
}

type Services = JoinSet<(&'static str, Result<(), chassis::Failure>)>;

impl Pipeline {
    /// Starts everything, and returns once all of it listens.
    ///
    /// # Errors
    /// One sentence: the folder or a port is in use, git is too old or missing, a file cannot be written.
    pub async fn start(layout: Layout, person: &str, world: &World) -> Result<Self, Failure> {
        check_git(world).await?;
        check_socket(&layout.socket())?;
        let lock = claim(&layout, world)?;
        for folder in layout.folders() {
            world.disk.create_folders(&folder, 0o755)?;
        }
        let trust = layout.trust();
        trust.ensure(person, true, world)?;
        let home = Home {
            socket: layout.socket(),
            key_file: trust.operator_key.clone(),
            broker: match &layout.broker {
                Place::Embedded(listen) => Some(listen.clone()),
                Place::Elsewhere(bus) => bus.brokers.first().cloned(),
            },
            environments: BTreeMap::new(),
            groups: BTreeMap::new(),
        };
        home.write(&layout.data, &*world.disk)?;

        let broker_stop = CancellationToken::new();
        let mut broker_task = JoinSet::new();
        let bus = match &layout.broker {
            Place::Elsewhere(bus) => (**bus).clone(),
            Place::Embedded(listen) => {
                let (address, listener, broker) = open_broker(&layout, listen, world).await?;
                broker_task.spawn(broker.run(listener, broker_stop.clone()));
                layout.embedded(address)
            }
        };
        let stop = CancellationToken::new();
        let mut start = Starter {
            layout: &layout,
            bus: &bus,
            world,
            stop: &stop,
            services: JoinSet::new(),
        };
        let page = start.orchestrator().await?;
        let webhooks = start.receivers().await?;
        start.hosts()?;
        let services = start.services;
        let agents = start_agents(&layout, &bus, world, &stop).await?;
        Ok(Self {
            layout,
            bus,
            page,
            webhooks,
            agents,
            services,
            broker_task,
            broker_stop,
            stop,
            _lock: lock,
        })
    }

    /// Waits until a service ends, which it should not.
    pub async fn failed(&mut self) -> Failure {
        tokio::select! {
            Some(ended) = self.services.join_next() => ended_early(ended),
            Some(ended) = self.broker_task.join_next() => Failure::Failed(format!("the broker ended: {ended:?}")),
        }
    }

    /// Stops everything: agents and services first, then the broker.
    ///
    /// # Errors
    /// When something did not stop within its time, or failed at the stop.
    pub async fn stop(mut self) -> Result<(), Failure> {
        self.stop.cancel();
        let all = async {
            self.agents.ended().await;
            let mut result = Ok(());
            while let Some(ended) = self.services.join_next().await {
                if !matches!(ended, Ok((_, Ok(())))) {
                    result = Err(ended_early(ended));
                }
            }
            self.broker_stop.cancel();
            while let Some(ended) = self.broker_task.join_next().await {
                if !matches!(ended, Ok(Ok(()))) {
                    result = Err(Failure::Failed(format!("the broker failed: {ended:?}")));
                }
            }
            result
        };
        let limit = STOP_LIMIT.as_secs();
        let stopped = tokio::time::timeout(STOP_LIMIT, all).await;
        stopped.unwrap_or_else(|_| {
            Err(Failure::Failed(format!(
                "not everything stopped within {limit} s"
            )))
        })
    }
}

/// True only if there is a git, and it is new enough.
///
/// # Errors
/// One sentence with what to do.
pub async fn check_git(world: &World) -> Result<(), Failure> {
    let version = git::Git::new(world).version().await;
    version.map(drop).map_err(|error| match error {
        git::GitError::Run(command::RunError::Start { .. }) => Failure::Settings(
            "git is not installed: it is looked for in the system's usual folders".to_owned(),
        ),
        error => Failure::Settings(chassis::causes(&error)),
    })
}

/// The path of a unix socket has at most 107 bytes.
fn check_socket(socket: &Path) -> Result<(), Failure> {
    const LONGEST: usize = 107;
    let length = socket.as_os_str().len();
    if length <= LONGEST {
        return Ok(());
    }
    Err(Failure::Settings(format!(
        "the folder's path is too long for a socket in it ({} has {length} bytes, {LONGEST} are possible): name a shorter one",
        socket.display()
    )))
}

/// Takes the data folder for this process.
fn claim(layout: &Layout, world: &World) -> Result<Box<dyn Lock>, Failure> {
    let shown = layout.data.display();
    let cannot = |error: std::io::Error| {
        Failure::Settings(format!("cannot use the folder {shown}: {error}"))
    };
    world
        .disk
        .create_folders(&layout.data, 0o755)
        .map_err(cannot)?;
    let lock = world.disk.lock(&layout.data.join("lock")).map_err(cannot)?;
    lock.ok_or_else(|| Failure::Failed(format!("the folder {shown} is in use by another deploykit: stop that one, or name another with --data")))
}

/// Why it is not possible to listen, in words.
pub(crate) fn in_use(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "it is in use by another process".to_owned(),
        _ => error.to_string(),
    }
}

/// The embedded broker with its listener, and where that is.
async fn open_broker(
    layout: &Layout,
    listen: &str,
    world: &World,
) -> Result<(String, Box<dyn Listener>, Broker), Failure> {
    let listener = world.net.listen(listen).await.map_err(|error| {
        let why = in_use(&error);
        Failure::Failed(format!("the broker cannot listen on {listen}: {why}"))
    })?;
    let address = listener.local_address()?;
    if !address.ip().is_loopback() {
        return Err(Failure::Settings(format!(
            "{address} can be reached from other machines, and the embedded broker has no TLS: listen on 127.0.0.1, or \
             use RabbitMQ or ActiveMQ"
        )));
    }
    let passcode = passcode(&layout.trust().broker_passcode(), &*world.disk)
        .map_err(|why| Failure::Failed(format!("the broker's passcode cannot be read: {why}")))?;
    let user = broker::User {
        login: "deploykit".to_owned(),
        passcode,
    };
    let settings = broker::Settings {
        data: Some(layout.broker_data()),
        users: vec![user],
        ..broker::Settings::default()
    };
    let broker = Broker::open(settings, world)
        .await
        .map_err(|error| Failure::Failed(chassis::causes(&error)))?;
    Ok((address.to_string(), listener, broker))
}

/// Starts services one after the other.
struct Starter<'a> {
    layout: &'a Layout,
    bus: &'a BusSettings,
    world: &'a World,
    stop: &'a CancellationToken,
    services: Services,
}

impl Starter<'_> {
    async fn orchestrator(&mut self) -> Result<SocketAddr, Failure> {
        let text = self.layout.deploy_orchestrator(self.bus);
        let path = self.layout.settings("deploy-orchestrator");
        let address = self.service(
            "deploy-orchestrator",
            &path,
            &text,
            deploy_orchestrator::serve,
        )?;
        self.listening("deploy-orchestrator", address).await
    }

    async fn receivers(&mut self) -> Result<SocketAddr, Failure> {
        let keepalive = self.layout.stomp_keepalive(self.bus);
        self.service(
            "stomp-keepalive",
            &self.layout.settings("stomp-keepalive"),
            &keepalive,
            stomp_keepalive::serve,
        )?;
        let spool = self.layout.announce(self.bus);
        self.service(
            "announce",
            &self.layout.settings("announce"),
            &spool,
            announce::serve,
        )?;
        let on = self.layout.settings("on");
        let text = self.layout.on(self.bus);
        self.world.disk.replace(&on, text.as_bytes(), 0o644)?;
        let text = self.layout.github_stomp(self.bus);
        let address = self.service(
            "github-stomp",
            &self.layout.settings("github-stomp"),
            &text,
            github_stomp::serve,
        )?;
        self.listening("github-stomp", address).await
    }

    fn hosts(&mut self) -> Result<(), Failure> {
        for host in &self.layout.hosts {
            let text = self.layout.stomp_git(host, self.bus);
            self.service(
                "stomp-git",
                &self.layout.host_settings("stomp-git", host),
                &text,
                stomp_git::serve,
            )?;
        }
        Ok(())
    }

    /// Writes a service's settings, reads them as the service itself would, and starts it.
    fn service<S, F, Fut>(
        &mut self,
        name: &'static str,
        path: &Path,
        text: &str,
        serve: F,
    ) -> Result<watch::Receiver<Option<SocketAddr>>, Failure>
    where
        S: Settings,
        F: FnOnce(Start<S>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), chassis::Failure>> + Send + 'static,
    {
        self.world.disk.replace(path, text.as_bytes(), 0o644)?;
        let parsed = chassis::settings::parse::<S>(text, &path.display().to_string());
        let (common, settings) = parsed.map_err(|error| Failure::Settings(error.to_string()))?;
        let (world, address) = noting(self.world);
        let stop = self.stop.clone();
        self.services.spawn(async move {
            (
                name,
                chassis::compose(name, common, settings, world, stop, serve).await,
            )
        });
        Ok(address)
    }

    async fn listening(
        &mut self,
        name: &str,
        mut address: watch::Receiver<Option<SocketAddr>>,
    ) -> Result<SocketAddr, Failure> {
        let listens = tokio::time::timeout(START_LIMIT, address.wait_for(Option::is_some));
        tokio::select! {
            biased;
            listens = listens => match listens {
                Ok(Ok(address)) => address.ok_or_else(|| Failure::Failed(format!("{name} does not say where it listens"))),
                Ok(Err(_)) => Err(self.services.join_next().await.map_or(Failure::Told, ended_early)),
                Err(_) => Err(Failure::Failed(format!("{name} does not listen after {} s", START_LIMIT.as_secs()))),
            },
            Some(ended) = self.services.join_next() => Err(ended_early(ended)),
        }
    }
}

/// Starts the agents, and waits until each is a process.
async fn start_agents(
    layout: &Layout,
    bus: &BusSettings,
    world: &World,
    stop: &CancellationToken,
) -> Result<Agents, Failure> {
    let executable = std::env::current_exe()?;
    let agents = Agents::new(world.processes.clone(), stop.clone());
    for host in &layout.hosts {
        let config = layout.host_settings("deploy-agent", host);
        let text = layout.deploy_agent(host, bus);
        world.disk.replace(&config, text.as_bytes(), 0o644)?;
        agents.keep(host.clone(), &executable, &config, layout.agent_log(host));
    }
    let mut pids = agents.pids();
    let all = pids.wait_for(|pids| pids.len() == layout.hosts.len());
    match tokio::time::timeout(START_LIMIT, all).await {
        Ok(Ok(_)) => Ok(agents),
        Ok(Err(_)) | Err(_) => Err(Failure::Failed(
            "not all agents could be started".to_owned(),
        )),
    }
}

fn ended_early(ended: Result<(&'static str, Result<(), chassis::Failure>), JoinError>) -> Failure {
    match ended {
        Ok((name, Ok(()))) => Failure::Failed(format!("{name} ended")),
        Ok((name, Err(chassis::Failure::Settings(text)))) => {
            Failure::Settings(format!("{name}: {text}"))
        }
        Ok((name, Err(error))) => Failure::Failed(format!("{name} failed: {error}")),
        Err(error) => Failure::Failed(format!("a service failed: {error}")),
    }
}
