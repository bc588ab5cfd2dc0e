//! An orchestrator between a real broker and agents that do what the test says.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex},
};

use chassis::Listen;
use deploy_orchestrator::{
    Project, Settings,
    api::{DeployRequest, DeployView, Plan},
};
use events::{
    HostName, RefName, Topic,
    message::{
        Fetched, Ordered, Phase, Present, ProjectState, RefTip, Reported, Running as Release,
        State, Step, StepReport, StepState,
    },
};
use orders::{Document, Grant, Key};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use testkit::{Folder, LONG, Member, Running, SOON, TestBroker, Trust, until};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpStream, UnixStream},
    sync::watch,
    task::JoinSet,
};
use uuid::Uuid;
use world::World;

use crate::support::{commit, host, running};

/// What an agent does with the orders of one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Does {
    Works,
    FailsItsCheck,
    /// Says nothing until the test lets it.
    Holds,
    /// Refuses a forged copy, then works.
    HearsAForgery,
    /// Does not believe what was sent to it.
    Disbelieves,
}

type Behaviour = Arc<Mutex<BTreeMap<(HostName, Phase), Does>>>;

/// Everything of one test. Dropped, all of it is cut off.
pub(crate) struct Fleet {
    pub(crate) broker: TestBroker,
    pub(crate) folder: Folder,
    pub(crate) trust: Trust,
    pub(crate) settings: Settings,
    /// `web1 prepare` and so on, as agents got them; each order once.
    pub(crate) log: Arc<Mutex<Vec<String>>>,
    behaviour: Behaviour,
    release: watch::Sender<()>,
    orchestrator: Option<Running>,
    agents: JoinSet<()>,
}

impl Fleet {
    /// Agents on these hosts, with v1 live, and mirrors that hold v1, v2 and v3.
    pub(crate) async fn of(names: &[&str]) -> Self {
        Self::with(names, |_| {}).await
    }

    /// The same, with other settings.
    pub(crate) async fn with(names: &[&str], change: impl FnOnce(&mut Settings)) -> Self {
        let broker = TestBroker::start().await;
        let folder = Folder::new();
        let trust = Trust::default();
        let web = Key::generate(&[9; 32], "web");
        let signers = format!(
            "{}{}\n",
            trust.allowed_signers(),
            web.allowed_signer("web", &[Grant::NAMESPACE])
        );
        let mut project = Project::new(
            "shop".parse().expect("a repository"),
            "prod".parse().expect("an environment"),
        );
        project.hosts = names.iter().map(|name| host(name)).collect();
        let mut settings = Settings {
            data: folder.join("data"),
            socket: folder.join("api.sock"),
            listen: free_address(),
            orchestrator_key_file: folder.write("orchestrator", &trust.orchestrator.to_openssh()),
            web_key_file: Some(folder.write("web", &web.to_openssh())),
            allowed_signers: folder.write("allowed_signers", &signers),
            policy: folder.write("policy.toml", &trust.policy_text()),
            resend_s: 1,
            reach_limit_s: 10,
            projects: BTreeMap::from([("shop".parse().expect("a project"), project)]),
            ..Settings::default()
        };
        change(&mut settings);
        let mut fleet = Self {
            broker,
            folder,
            trust,
            settings,
            log: Arc::default(),
            behaviour: Arc::default(),
            release: watch::channel(()).0,
            orchestrator: None,
            agents: JoinSet::new(),
        };
        for name in names {
            fleet.agent(name).await;
        }
        fleet.start();
        fleet.announce(names).await;
        fleet
    }

    pub(crate) fn start(&mut self) {
        self.start_in(World::real());
    }

    pub(crate) fn start_in(&mut self, world: World) {
        let common = self.broker.common("hub1");
        let settings = self.settings.clone();
        let serve = deploy_orchestrator::serve;
        self.orchestrator = Some(Running::start(
            "deploy-orchestrator",
            common,
            settings,
            world,
            serve,
        ));
    }

    /// As by `kill -9`.
    pub(crate) fn kill(&mut self) {
        self.orchestrator = None;
    }

    pub(crate) async fn stop(mut self) {
        let orchestrator = self.orchestrator.take().expect("it runs");
        orchestrator.stop().await.expect("it stops well");
        self.broker.stop().await;
    }

    pub(crate) fn does(&self, name: &str, phase: Phase, does: Does) {
        self.behaviour
            .lock()
            .expect("not poisoned")
            .insert((host(name), phase), does);
    }

    /// Whoever holds goes on.
    pub(crate) fn let_go(&self) {
        let mut behaviour = self.behaviour.lock().expect("not poisoned");
        behaviour.retain(|_, does| *does != Does::Holds);
        self.release.send_replace(());
    }

    /// Hints are said until the orchestrator has heard them: it may not listen yet.
    pub(crate) async fn announce(&self, names: &[&str]) {
        let member = Member::connect("stomp-git", self.broker.common("web1")).await;
        let heard = || async {
            for name in names {
                member
                    .bus
                    .publish(&fetched(name))
                    .await
                    .expect("it is published");
                member
                    .bus
                    .publish(&present(name, "v1"))
                    .await
                    .expect("it is published");
            }
            let tags = self.get("/api/v1/projects/shop/tags").await.ok()?.1;
            let all = tags
                .as_array()?
                .iter()
                .all(|tag| tag["missing"] == json!([]));
            let status = self.get("/api/v1/status").await.ok()?.1;
            let hosts = status["projects"][0]["hosts"].as_array()?.clone();
            let known = hosts.iter().all(|host| host["present"] == json!(true));
            (all && tags.as_array()?.len() == 3 && known).then_some(())
        };
        until("the orchestrator has heard of the fleet", LONG, heard).await;
    }

    async fn agent(&mut self, name: &str) {
        let member = Member::connect("deploy-agent", self.broker.common(name)).await;
        let subscription = member.bus.names().subscription("deploy-agent", &host(name));
        let orders = Listen::durable(Topic::DeployOrders(host(name)), subscription);
        let mut inbox = member.bus.listen(orders).await;
        let mut agent = FakeAgent {
            member,
            name: host(name),
            live: Some(running("v1")),
            past: vec![running("v0")],
            behaviour: Arc::clone(&self.behaviour),
            log: Arc::clone(&self.log),
            release: self.release.subscribe(),
            keyring: self.trust.keyring(),
            policy: self.trust.policy(),
            seen: Vec::new(),
        };
        self.agents.spawn(async move {
            loop {
                let delivery = inbox.next().await.expect("the connection is kept");
                let ordered = delivery.envelope().expect("an envelope").open::<Ordered>();
                agent.obey(ordered.expect("an order")).await;
                delivery.ack().await;
            }
        });
    }

    pub(crate) async fn get(&self, path: &str) -> io::Result<(u16, Value)> {
        self.ask("GET", path, "").await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.ask("POST", path, &body.to_string())
            .await
            .expect("it answers")
    }

    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: &str,
    ) -> io::Result<(u16, Value)> {
        let stream = UnixStream::connect(&self.settings.socket).await?;
        let (status, body) = exchange(stream, method, path, "localhost", body).await?;
        Ok((
            status,
            serde_json::from_str(&body).unwrap_or(Value::String(body)),
        ))
    }

    /// Over TCP, as a browser that knows the page by this name.
    pub(crate) async fn browse(&self, method: &str, path: &str, name: &str) -> (u16, String) {
        let stream = TcpStream::connect(&self.settings.listen)
            .await
            .expect("it listens");
        exchange(stream, method, path, name, "")
            .await
            .expect("it answers")
    }

    pub(crate) async fn plan(&self, request: Value) -> Plan {
        let (status, body) = self.post("/api/v1/plans", request).await;
        assert_eq!(status, 200, "{body}");
        parsed(body)
    }

    pub(crate) async fn request(&self, request: Value, key: &Key) -> (u16, Value) {
        let plan = self.plan(request).await;
        let grant = orders::sign(&plan.grant, key).expect("it is signed");
        let request = DeployRequest {
            grant,
            targets: plan.targets,
            untested: plan.untested,
        };
        self.post(
            "/api/v1/deploys",
            serde_json::to_value(request).expect("it is JSON"),
        )
        .await
    }

    /// Plans, signs as the operator, and starts.
    pub(crate) async fn deploy(&self, request: Value) -> DeployView {
        let (status, body) = self.request(request, &self.trust.operator).await;
        assert_eq!(status, 200, "{body}");
        parsed(body)
    }

    /// The last event of a watch, which ends by itself.
    pub(crate) async fn watch_to_the_end(&self, id: Uuid) -> DeployView {
        let (status, body) =
            tokio::time::timeout(LONG, self.get(&format!("/api/v1/deploys/{id}/watch")))
                .await
                .expect("the deploy ends in time")
                .expect("it answers");
        let text = body.as_str().unwrap_or_default().to_owned();
        assert_eq!(status, 200, "{text}");
        let last = text
            .lines()
            .rev()
            .find_map(|line| line.strip_prefix("data: "))
            .expect("an event");
        serde_json::from_str(last).expect("a view")
    }

    /// The data of the first server-sent events of a path.
    pub(crate) async fn events(&self, path: &str, count: usize) -> Vec<Value> {
        let stream = UnixStream::connect(&self.settings.socket).await;
        let mut stream = stream.expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut lines = BufReader::new(stream).lines();
        let mut events = Vec::new();
        while events.len() < count {
            let line = lines.next_line().await.expect("read").expect("more comes");
            if let Some(data) = line.strip_prefix("data: ") {
                events.push(serde_json::from_str(data).expect("JSON"));
            }
        }
        events
    }

    pub(crate) async fn until_ordered(&self, order: &str) {
        let ordered = || async { self.log().iter().any(|known| known == order).then_some(()) };
        until(order, SOON, ordered).await;
    }

    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().expect("not poisoned").clone()
    }
}

pub(crate) fn parsed<T: DeserializeOwned>(body: Value) -> T {
    serde_json::from_value(body).expect("the body is what the API says")
}

/// One request on one connection; for server-sent events, until the other side ends them.
async fn exchange(
    mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin,
    method: &str,
    path: &str,
    name: &str,
    body: &str,
) -> io::Result<(u16, String)> {
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {name}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}

fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    listener.local_addr().expect("it listens").to_string()
}

fn fetched(name: &str) -> Fetched {
    let tip = |(tag, committed_s): (&str, i64)| RefTip {
        name: format!("refs/tags/{tag}")
            .parse::<RefName>()
            .expect("a ref"),
        commit: commit(tag),
        committed_s,
    };
    let refs: Vec<RefTip> = [("v1", 100), ("v2", 200), ("v3", 300)].map(tip).to_vec();
    let repository = "shop".parse().expect("a repository");
    Fetched {
        host: host(name),
        repository,
        refs_total: refs.len(),
        refs,
    }
}

fn present(name: &str, live: &str) -> Present {
    Present {
        host: host(name),
        instance: Uuid::from_u128(1),
        version: "0.1.0".to_owned(),
        groups: Vec::new(),
        facts: events::Facts::default(),
        projects: vec![ProjectState {
            project: "shop".parse().expect("a project"),
            live: Some(running(live)),
            previous: Some(running("v0")),
            busy: None,
            stuck: None,
            broken: None,
            held: None,
            prepared: Vec::new(),
        }],
    }
}

/// Answers orders as an agent does, with the same checks.
struct FakeAgent {
    member: Member,
    name: HostName,
    live: Option<Release>,
    /// What was live before, the newest last.
    past: Vec<Release>,
    behaviour: Behaviour,
    log: Arc<Mutex<Vec<String>>>,
    release: watch::Receiver<()>,
    keyring: orders::Keyring,
    policy: orders::Policy,
    seen: Vec<Uuid>,
}

impl FakeAgent {
    async fn obey(&mut self, ordered: Ordered) {
        let now = World::real().clock.now();
        let admitted = orders::authentic(&ordered, &self.name, &self.keyring, &self.policy, now);
        let order = admitted.expect("an order that can be believed").order;
        if self.seen.contains(&order.id) {
            return;
        }
        self.seen.push(order.id);
        self.log
            .lock()
            .expect("not poisoned")
            .push(match order.undoes {
                Some(deploy) => format!("{} {} of {deploy}", self.name, order.phase),
                None => format!("{} {}", self.name, order.phase),
            });
        self.held(order.phase).await;
        match self.behaviour(order.phase) {
            Does::HearsAForgery => {
                let mut forged = ordered.clone();
                forged.order.signatures.clear();
                self.disbelieve(&order, &forged).await;
            }
            Does::Disbelieves => return self.disbelieve(&order, &ordered).await,
            Does::Works | Does::FailsItsCheck | Does::Holds => {}
        }
        let before = self.live.clone();
        self.say(&order, 1, State::Accepted, Vec::new()).await;
        let fails = self.behaviour(order.phase) == Does::FailsItsCheck;
        let tag = order
            .tag
            .as_ref()
            .map_or("v0", |tag| tag.as_str())
            .to_owned();
        let (state, live) = match order.phase {
            Phase::Prepare => (
                State::Prepared {
                    release: running(&tag).release,
                },
                before,
            ),
            Phase::Activate if fails => {
                let reason = "check: exit 1, 3 tries: GET /health 500 \"no such table\"".to_owned();
                (State::PutBack { reason }, before)
            }
            Phase::Activate => {
                self.past.extend(before);
                (State::Live, Some(running(&tag)))
            }
            Phase::Rollback => (State::Live, self.past.pop()),
            Phase::Abort => (State::Aborted, before),
            Phase::Clear => (State::Cleared, before),
        };
        self.live = live;
        let step = |step, state, duration_ms| StepReport {
            step,
            state,
            exit: Some(1),
            tries: 3,
            duration_ms,
            detail: None,
        };
        let steps = if fails {
            vec![
                step(Step::Check, StepState::Failed, 100),
                step(Step::SwitchBack, StepState::Ok, 2000),
            ]
        } else {
            Vec::new()
        };
        self.say(&order, 2, state, steps).await;
    }

    fn behaviour(&self, phase: Phase) -> Does {
        let behaviour = self.behaviour.lock().expect("not poisoned");
        behaviour
            .get(&(self.name.clone(), phase))
            .copied()
            .unwrap_or(Does::Works)
    }

    async fn held(&mut self, phase: Phase) {
        while self.behaviour(phase) == Does::Holds {
            self.release.changed().await.expect("the test goes on");
        }
    }

    async fn say(&self, order: &orders::Order, number: u64, state: State, steps: Vec<StepReport>) {
        self.report(order, number, state, steps, None).await;
    }

    async fn disbelieve(&self, order: &orders::Order, copy: &Ordered) {
        let reason = "the order is not to be believed".to_owned();
        let copy = orders::copy_digest(copy);
        self.report(order, 1, State::Refused { reason }, Vec::new(), Some(copy))
            .await;
    }

    async fn report(
        &self,
        order: &orders::Order,
        number: u64,
        state: State,
        steps: Vec<StepReport>,
        unbelieved: Option<String>,
    ) {
        let report = Reported {
            host: self.name.clone(),
            project: order.project.clone(),
            order: order.id,
            deploy: order.deploy,
            phase: order.phase,
            number,
            state,
            steps,
            live: self.live.clone(),
            previous: self.past.last().cloned(),
            broke_glass: None,
            head: None,
            unbelieved,
        };
        self.member
            .bus
            .publish(&report)
            .await
            .expect("it is published");
    }
}
