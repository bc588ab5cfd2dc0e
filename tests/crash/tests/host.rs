//! One host, its agent and its broker: the orders are sent, what is killed is started again, until all is answered and quiet.

use std::{
    fs,
    os::unix::{fs::symlink, process::ExitStatusExt},
    path::{Path, PathBuf},
    time::Duration,
};

use crash::{BASE, COMMON, Fired, LEDGER, LOG, Logged, Plan, SETTINGS, sim::Image};
use deploy_agent::{journal, machine};
use events::{
    Topic,
    message::{Present, Reported},
};
use testkit::{Folder, LONG, Member, TestBroker};
use tokio::{
    process::{Child, Command},
    sync::mpsc,
    task::JoinSet,
    time::timeout,
};

use crate::scene::{HOST, Sent, Site, Until};

/// What is passed over of a host's disk: it does not crash, see the README.
const BESIDE: &[&str] = &["mirrors"];

/// How long a kill that is planned may take when all is quiet.
const FIRE_LIMIT: Duration = Duration::from_secs(10);

/// How often the state of the disk is looked at.
const LOOK: Duration = Duration::from_millis(4);

/// A host's folder.
#[derive(Debug)]
pub(crate) struct Host {
    folder: Folder,
}

/// What was heard of an agent.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// All reports, in their order.
    pub(crate) reports: Vec<Reported>,
    /// What was wrong on the disk when the agent had just been killed.
    pub(crate) wrong: Vec<String>,
}

impl Host {
    /// A host with nothing on it but settings and a mirror.
    pub(crate) fn new(site: &Site) -> Self {
        let folder = Folder::new();
        fs::create_dir_all(folder.join(BASE).join("mirrors")).expect("made");
        let mirror = folder.join(BASE).join("mirrors/shop.git");
        symlink(site.origin.path(), mirror).expect("a link to the mirror");
        folder.write("allowed_signers", &site.trust.allowed_signers());
        folder.write("policy.toml", &site.trust.policy_text());
        let path = |name: &str| folder.join(name).display().to_string();
        let settings = format!(
            "base = '{}'\nhome = '{}'\nallowed_signers = '{}'\npolicy = '{}'\nretry_s = 1\n\
             step_command = ['{}', 'step', '{}']\n\
             [projects.shop]\nrepository = 'shop'\nenvironment = 'prod'\nkeep = 2\nshared = ['log']\n\
             check_tries = 1\nscript_limit_s = 60\nscript_grace_s = 2\n",
            path(BASE),
            path("home"),
            path("allowed_signers"),
            path("policy.toml"),
            env!("CARGO_BIN_EXE_crash"),
            folder.path().display(),
        );
        folder.write(SETTINGS, &settings);
        Self { folder }
    }

    /// A host with this on its disk, and what scripts had written down by then.
    pub(crate) fn with(site: &Site, image: &Image, ledger: &[u8]) -> Self {
        let host = Self::new(site);
        image.make(host.path());
        fs::write(host.folder.join(LEDGER), ledger).expect("written");
        host
    }

    /// The same, of a disk that was at another place.
    pub(crate) fn with_moved(site: &Site, image: &Image, from: &Path, ledger: &[u8]) -> Self {
        let host = Self::new(site);
        image.moved(from, host.path()).make(host.path());
        fs::write(host.folder.join(LEDGER), ledger).expect("written");
        host
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn plan(&self, plan: &Plan) {
        plan.write(self.folder.path());
    }

    pub(crate) fn fired(&self) -> bool {
        Fired::is_there(self.folder.path())
    }

    pub(crate) fn image(&self) -> Image {
        Image::of(self.folder.path(), BASE, BESIDE)
    }

    pub(crate) fn ledger(&self) -> Vec<u8> {
        fs::read(self.folder.join(LEDGER)).unwrap_or_default()
    }

    /// The changes that were noted.
    pub(crate) fn log(&self) -> Vec<Logged> {
        let text = self.folder.read(LOG);
        let lines = text.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("a note"))
            .collect()
    }

    /// A path in the project's folder.
    pub(crate) fn shop(&self, path: &str) -> PathBuf {
        self.folder.join(BASE).join("shop").join(path)
    }

    /// What the journal comes to; `None` while there is none, or its last line is being written.
    pub(crate) fn state(&self) -> Option<machine::State> {
        let bytes = fs::read(self.shop("journal/journal.jsonl")).ok()?;
        let replayed = journal::replay(&bytes).ok()?;
        (replayed.torn == 0).then(|| machine::State::replay(&replayed.records))
    }

    /// What is left half done, in words.
    fn unquiet(&self) -> Option<String> {
        let Some(state) = self.state() else {
            return Some("the journal is not whole".to_owned());
        };
        if let Some(order) = state.queue.front() {
            return Some(format!("order {order} is not finished"));
        }
        if let Some(known) = state.orders.iter().find(|known| !known.told) {
            return Some(format!(
                "the report of {} is not confirmed",
                known.asked.order
            ));
        }
        if state.releases.len() > 3 || !state.discard.is_empty() {
            return Some("there are releases to prune".to_owned());
        }
        let names = self.folder.names(format!("{BASE}/shop/releases"));
        let extra = names
            .iter()
            .find(|name| !state.releases.contains_key(*name));
        extra.map(|name| format!("releases/{name} is left"))
    }

    fn start(&self) -> Child {
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.folder.join("agent.log"))
            .expect("a log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_crash"));
        command
            .arg("agent")
            .arg(self.folder.path())
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .stderr(log)
            .kill_on_drop(true);
        command.spawn().expect("the agent starts")
    }

    /// Sends the orders, one after the other, and waits until all is done. An agent that kills itself is started again.
    ///
    /// # Panics
    /// It takes too long, or the agent ends for another reason.
    pub(crate) async fn play(&self, orders: &[Sent]) -> Heard {
        let broker = TestBroker::start().await;
        let common = serde_json::to_string(&broker.common(HOST)).expect("settings of the bus");
        self.folder.write(COMMON, &common);
        let hub = Member::connect("test", broker.common("hub1")).await;
        let (said, news) = mpsc::unbounded_channel();
        let mut ears = JoinSet::new();
        let mut reports = hub.listen_durably(Topic::DeployReports).await;
        let mut presence = hub.listen(Topic::AgentsPresence).await;
        let reported = said.clone();
        ears.spawn(async move {
            while reported
                .send(News::Report(Box::new(reports.next().await)))
                .is_ok()
            {}
        });
        ears.spawn(async move {
            loop {
                let _present: Present = presence.next().await;
                if said.send(News::Present).is_err() {
                    return;
                }
            }
        });
        let mut play = Play {
            host: self,
            news,
            agent: self.start(),
            heard: Heard::default(),
            present: false,
        };
        let played = timeout(LONG, play.through(&hub, orders)).await;
        if played.is_err() {
            let why = self.unquiet();
            let heard = &play.heard.reports;
            let log = self.folder.read("agent.log");
            let ledger = String::from_utf8_lossy(&self.ledger()).into_owned();
            panic!("not quiet: {why:?}\nreports: {heard:#?}\nledger:\n{ledger}\nlog:\n{log}");
        }
        play.agent.kill().await.expect("the agent is killed");
        play.heard
    }
}

/// What an agent says.
enum News {
    Report(Box<Reported>),
    Present,
}

/// A host at play.
struct Play<'a> {
    host: &'a Host,
    news: mpsc::UnboundedReceiver<News>,
    agent: Child,
    heard: Heard,
    present: bool,
}

impl Play<'_> {
    async fn through(&mut self, hub: &Member, orders: &[Sent]) {
        while !self.present {
            self.look().await;
        }
        for (at, order) in orders.iter().enumerate() {
            let before = at.checked_sub(1).map(|before| &orders[before]);
            while before.is_some_and(|before| !self.may_follow(order, before)) {
                self.look().await;
            }
            let topic = Topic::DeployOrders(HOST.parse().expect("a host"));
            let envelope = hub.bus.seal(&order.ordered).expect("sealed");
            let sent = hub.bus.publish_envelope(&topic, true, &envelope).await;
            sent.expect("published");
        }
        while !orders.iter().all(|order| self.is_final(order)) || self.host.unquiet().is_some() {
            self.look().await;
        }
        // The last change may be done, and its process not killed yet.
        let kill = matches!(Plan::read(self.host.path()), Plan::Kill(_));
        let fired = async {
            while kill && (!self.host.fired() || self.host.unquiet().is_some()) {
                self.look().await;
            }
        };
        // A kill that never comes is found by who planned it.
        let _never = timeout(FIRE_LIMIT, fired).await;
    }

    fn may_follow(&self, order: &Sent, before: &Sent) -> bool {
        let starting = || {
            let ledger = String::from_utf8_lossy(&self.host.ledger()).into_owned();
            ledger.contains(&format!("begin {} start", before.id))
        };
        self.is_final(before) || (order.when == Until::Starting && starting())
    }

    fn is_final(&self, order: &Sent) -> bool {
        let mut reports = self.heard.reports.iter();
        reports.any(|report| report.order == order.id && report.state.is_final())
    }

    /// Takes in what happens next, be it nothing for a moment.
    async fn look(&mut self) {
        tokio::select! {
            Some(news) = self.news.recv() => match news {
                News::Report(report) => self.heard.reports.push(*report),
                News::Present => self.present = true,
            },
            ended = self.agent.wait() => {
                let ended = ended.expect("it is a child");
                let by_itself = ended.signal() == Some(9) && self.host.fired();
                assert!(by_itself, "{ended}: {}", self.host.folder.read("agent.log"));
                self.heard.wrong.extend(crate::oracle::crashed(self.host));
                self.host.plan(&Plan::Nothing);
                self.agent = self.host.start();
                self.present = false;
            }
            // waits for what the disk shows; what is heard ends it
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}
