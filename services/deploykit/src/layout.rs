//! The folders and settings files of a pipeline on one machine. Pure: text and paths.
//!
//! The files are the same that the services have in `/etc/deploykit` of a real installation, and are read by the same code.

use std::path::{Path, PathBuf};

use chassis::BusSettings;
use events::{EnvironmentName, HostName, ProjectName, RepoName, Topic};

use crate::trust::Trust;

/// What a pipeline on one machine is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Everything is below this folder.
    pub data: PathBuf,
    /// What is deployed.
    pub project: ProjectName,
    /// Its environment.
    pub environment: EnvironmentName,
    /// Its repository on the bus.
    pub repository: RepoName,
    /// Other names that forges give the repository.
    pub aliases: Vec<String>,
    /// Where the repository is fetched from.
    pub origin: String,
    /// The servers that are played.
    pub hosts: Vec<HostName>,
    /// Where the web page listens.
    pub page: String,
    /// Where webhooks are received.
    pub webhooks: String,
    /// The broker.
    pub broker: Broker,
    /// Paths of the project that outlive releases.
    pub shared: Vec<String>,
    /// True if only what CI has found good reaches the servers.
    pub requires_ci: bool,
}

/// The broker of a pipeline.
#[derive(Debug, Clone, PartialEq)]
pub enum Broker {
    /// The embedded one, which listens here.
    Embedded(String),
    /// One that is there already.
    Elsewhere(Box<BusSettings>),
}

/// The host on which everything is played of which there is one.
const HUB: &str = "hub";

impl Layout {
    /// Keys, signers, policy.
    #[must_use]
    pub fn trust(&self) -> Trust {
        Trust::at(&self.data.join("trust"), None)
    }

    /// The folder of one host: what `/var/lib/deploykit` is on a real one.
    #[must_use]
    pub fn base(&self, host: &HostName) -> PathBuf {
        self.data.join("hosts").join(host.as_str())
    }

    /// Where hooks leave their messages.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.data.join("spool")
    }

    /// Where webhooks wait for the broker.
    #[must_use]
    pub fn outbox(&self) -> PathBuf {
        self.data.join("outbox")
    }

    /// What `github-stomp` keeps: deliveries, and its socket.
    #[must_use]
    pub fn webhooks_data(&self) -> PathBuf {
        webhooks_data(&self.data)
    }

    /// The broker's store.
    #[must_use]
    pub fn broker_data(&self) -> PathBuf {
        self.data.join("broker")
    }

    /// The orchestrator's socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.data.join("orchestrator.sock")
    }

    /// The settings file of a service that there is one of.
    #[must_use]
    pub fn settings(&self, service: &str) -> PathBuf {
        self.data.join("etc").join(format!("{service}.toml"))
    }

    /// The settings file of a service that each host has.
    #[must_use]
    pub fn host_settings(&self, service: &str, host: &HostName) -> PathBuf {
        self.data
            .join("etc")
            .join(host.as_str())
            .join(format!("{service}.toml"))
    }

    /// Where an agent's log goes.
    #[must_use]
    pub fn agent_log(&self, host: &HostName) -> PathBuf {
        self.data
            .join("log")
            .join(format!("deploy-agent.{host}.log"))
    }

    /// All folders that must exist.
    #[must_use]
    pub fn folders(&self) -> Vec<PathBuf> {
        let mut folders = vec![self.data.join("etc"), self.data.join("log"), self.spool()];
        folders.extend(
            self.hosts
                .iter()
                .map(|host| self.data.join("etc").join(host.as_str())),
        );
        folders.extend(self.hosts.iter().map(|host| self.base(host)));
        folders
    }

    /// How the services reach the embedded broker, which listens there.
    #[must_use]
    pub fn embedded(&self, address: String) -> BusSettings {
        BusSettings {
            brokers: vec![address],
            login: Some("deploykit".to_owned()),
            passcode_file: Some(self.trust().broker_passcode()),
            ..BusSettings::default()
        }
    }

    /// `host` and what in `[bus]` is not as it is by default, as each file begins.
    fn common(&self, host: &str, bus: &BusSettings) -> String {
        let table =
            |bus: &BusSettings| toml::Table::try_from(bus).expect("the settings of a bus are TOML");
        let defaults = table(&BusSettings::default());
        let mut bus = table(bus);
        bus.retain(|key, value| defaults.get(key) != Some(value));
        let common = toml::Table::from_iter([("bus".to_owned(), toml::Value::Table(bus))]);
        format!("host = {}\n\n{common}", quote(host))
    }

    /// `github-stomp.toml`
    #[must_use]
    pub fn github_stomp(&self, bus: &BusSettings) -> String {
        format!(
            "listen = {}\ndata = {}\n{}\n[outbox]\nfolder = {}\n\n[sources.github]\nkind = \"github\"\nsecret_file = {}\n\n[repositories.{}]\naliases = [{}]\n",
            quote(&self.webhooks),
            quote_path(&self.webhooks_data()),
            self.common(HUB, bus),
            quote_path(&self.outbox()),
            quote_path(&self.trust().webhook_secret()),
            quote(self.repository.as_str()),
            quote_all(&self.aliases),
        )
    }

    /// `stomp-keepalive.toml`
    #[must_use]
    pub fn stomp_keepalive(&self, bus: &BusSettings) -> String {
        format!("every_s = 5\n{}", self.common(HUB, bus))
    }

    /// `announce.toml`: what delivers the spool of the hooks.
    #[must_use]
    pub fn announce(&self, bus: &BusSettings) -> String {
        format!(
            "{}[outbox]\nfolder = {}\n",
            self.common(HUB, bus),
            quote_path(&self.spool())
        )
    }

    /// `on.toml`: how `deploykit on` reaches the bus.
    #[must_use]
    pub fn on(&self, bus: &BusSettings) -> String {
        self.common(HUB, bus)
    }

    /// `deploy-orchestrator.toml`
    #[must_use]
    pub fn deploy_orchestrator(&self, bus: &BusSettings) -> String {
        let trust = self.trust();
        let hosts: Vec<String> = self.hosts.iter().map(HostName::to_string).collect();
        format!(
            "data = {}\nsocket = {}\nlisten = {}\norchestrator_key_file = {}\nweb_key_file = {}\nallowed_signers = {}\npolicy = {}\nadmitted = [{hosts}]\n\
             {}\n[projects.{}]\nrepository = {}\nenvironment = {}\nhosts = [{hosts}]\nwaves = [\"1\", \"100%\"]\nrequires_ci = {}\n",
            quote_path(&self.data.join("orchestrator")),
            quote_path(&self.socket()),
            quote(&self.page),
            quote_path(&trust.orchestrator_key()),
            quote_path(&trust.web_key()),
            quote_path(&trust.allowed_signers()),
            quote_path(&trust.policy()),
            self.common(HUB, bus),
            self.project,
            quote(self.repository.as_str()),
            quote(self.environment.as_str()),
            self.requires_ci,
            hosts = quote_all(&hosts),
        )
    }

    /// A host's `stomp-git.toml`
    #[must_use]
    pub fn stomp_git(&self, host: &HostName, bus: &BusSettings) -> String {
        format!(
            "base = {}\nsweep_s = 30\n{}\n[repositories.{}]\norigin = {}\naliases = [{}]\n{}",
            quote_path(&self.base(host)),
            self.common(host.as_str(), bus),
            quote(self.repository.as_str()),
            quote(&self.origin),
            quote_all(&self.aliases),
            match self.requires_ci {
                true => "gate = \"ci\"\n",
                false => "",
            },
        )
    }

    /// A host's `deploy-agent.toml`
    #[must_use]
    pub fn deploy_agent(&self, host: &HostName, bus: &BusSettings) -> String {
        let trust = self.trust();
        format!(
            "base = {}\npresence_s = 2\nallowed_signers = {}\npolicy = {}\n{}\n[projects.{}]\nrepository = {}\nenvironment = {}\norigin = {}\nshared = [{}]\n",
            quote_path(&self.base(host)),
            quote_path(&trust.allowed_signers()),
            quote_path(&trust.policy()),
            self.common(host.as_str(), bus),
            self.project,
            quote(self.repository.as_str()),
            quote(self.environment.as_str()),
            quote(&self.origin),
            quote_all(&self.shared),
        )
    }
}

/// What `github-stomp` keeps, below the data folder of a pipeline on one machine.
#[must_use]
pub fn webhooks_data(data: &Path) -> PathBuf {
    data.join("github-stomp")
}

/// The durable subscriptions that the services of a pipeline with these hosts make: topic and name.
///
/// # Panics
/// Never: the host that everything is played on has a good name.
#[must_use]
pub fn durable(hosts: &[HostName], bus: &BusSettings) -> Vec<(Topic, String)> {
    let hub = HUB.parse().expect("letters make a host name");
    let reports = bus.topics.subscription("deploy-orchestrator", &hub);
    let orders = hosts.iter().map(|host| {
        let name = bus.topics.subscription("deploy-agent", host);
        (Topic::DeployOrders(host.clone()), name)
    });
    let ci = [Topic::CiSucceeded, Topic::CiFailed].map(|topic| {
        let name = { &bus.topics }.further_subscription("deploy-orchestrator", &hub, &topic);
        (topic, name)
    });
    let reports = (Topic::DeployReports, reports);
    [reports].into_iter().chain(ci).chain(orders).collect()
}

/// The hosts `web1` to `webN`.
///
/// # Panics
/// Never: the names hold only letters and digits.
#[must_use]
pub fn web_hosts(count: u16) -> Vec<HostName> {
    (1..=count)
        .map(|number| {
            format!("web{number}")
                .parse()
                .expect("letters and digits make a host name")
        })
        .collect()
}

fn quote(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn quote_path(path: &Path) -> String {
    quote(&path.display().to_string())
}

fn quote_all(texts: &[String]) -> String {
    texts
        .iter()
        .map(|text| quote(text))
        .collect::<Vec<_>>()
        .join(", ")
}
