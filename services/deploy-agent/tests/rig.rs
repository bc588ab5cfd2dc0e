//! A broker, a repository, keys, and agents as processes of their own that can be killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use broker::Broker;
use chassis::{Bus, BusSettings, Inbox, Listen};
use events::{
    CommitId, HostName, Topic,
    message::{Present, Reported, ScriptOutput},
};
use orders::{Document, Grant, Key, Order};
use tempfile::TempDir;
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use world::World;

mod at_host;
mod ordering;

pub(crate) use at_host::as_nobody;
pub(crate) use ordering::id_of;

/// How long anything may take that is waited for here.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

const AGENT: &str = env!("CARGO_BIN_EXE_deploy-agent");

/// Everything around the agent of one host.
pub(crate) struct Rig {
    folder: TempDir,
    world: World,
    address: String,
    bus: Bus,
    inbox: Inbox,
    /// Durable, as the orchestrator has it.
    reports: Inbox,
    orchestrator: Key,
    alice: Key,
    sequence: u64,
    agent: Option<Child>,
    seen: Vec<Reported>,
    /// More settings of the project.
    pub(crate) settings: String,
    pub(crate) output: Vec<ScriptOutput>,
    pub(crate) present: Option<Present>,
    stop: CancellationToken,
    broker_stop: CancellationToken,
    broker: JoinSet<()>,
    _tasks: JoinSet<()>,
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.kill();
        self.stop.cancel();
    }
}

fn bus_settings(address: &str, passcode: &Path) -> BusSettings {
    BusSettings {
        brokers: vec![address.to_owned()],
        login: Some("guest".to_owned()),
        passcode_file: Some(passcode.to_owned()),
        backoff_limit_s: 1,
        ..BusSettings::default()
    }
}

/// Starts a broker and says where it listens.
async fn start_broker(
    world: &World,
    data: PathBuf,
    at: &str,
    stop: &CancellationToken,
    tasks: &mut JoinSet<()>,
) -> String {
    let settings = broker::Settings {
        data: Some(data),
        ..broker::Settings::default()
    };
    let broker = Broker::open(settings, world).await.expect("a broker");
    let listener = world.net.listen(at).await.expect("a free port");
    let address = listener.local_address().expect("it has one").to_string();
    let stop = stop.clone();
    tasks.spawn(async move { broker.run(listener, stop).await.expect("it runs") });
    address
}

impl Rig {
    /// A broker, an empty repository and an agent of `web1` that may be told to deploy `shop` from it.
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let world = World::real();
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let (broker_stop, mut broker) = (CancellationToken::new(), JoinSet::new());
        let data = folder.path().join("broker");
        let at = "127.0.0.1:0";
        let address = start_broker(&world, data, at, &broker_stop, &mut broker).await;
        let passcode = folder.path().join("passcode");
        fs::write(&passcode, "guest").expect("written");
        let hub: HostName = "hub1".parse().expect("a host");
        let settings = bus_settings(&address, &passcode);
        let (bus, connection) = Bus::new("test", &hub, settings, world.clone()).expect("a bus");
        tasks.spawn(connection.run(stop.clone()));
        let topics = [Topic::DeployOutput, Topic::AgentsPresence];
        let inbox = bus.listen(Listen::hints(topics)).await;
        let subscription = bus.names().subscription("test", &hub);
        let reports = Listen::durable(Topic::DeployReports, subscription);
        let reports = bus.listen(reports).await;
        let rig = Self {
            world,
            address,
            bus,
            inbox,
            reports,
            orchestrator: Key::generate(&[1; 32], "orchestrator"),
            alice: Key::generate(&[2; 32], "alice"),
            sequence: 0,
            agent: None,
            seen: Vec::new(),
            settings: String::new(),
            output: Vec::new(),
            present: None,
            stop,
            broker_stop,
            broker,
            _tasks: tasks,
            folder,
        };
        rig.write_trust();
        rig.git(&["init", "--quiet", "--initial-branch=main"]);
        rig
    }

    /// Ends the broker; what is durable stays on its disk.
    pub(crate) async fn stop_broker(&mut self) {
        self.broker_stop.cancel();
        while let Some(ended) = self.broker.join_next().await {
            ended.expect("it does not panic");
        }
        let mut connected = self.bus.connected();
        let gone = timeout(LIMIT, connected.wait_for(|connected| !*connected)).await;
        gone.expect("within the limit").expect("it is kept");
    }

    /// Starts it again where it was, and hears again when this returns.
    pub(crate) async fn start_broker(&mut self) {
        self.broker_stop = CancellationToken::new();
        let (data, stop) = (self.path("broker"), &self.broker_stop);
        start_broker(&self.world, data, &self.address, stop, &mut self.broker).await;
        let mut connected = self.bus.connected();
        let again = timeout(LIMIT, connected.wait_for(|connected| *connected)).await;
        again.expect("within the limit").expect("it is kept");
    }

    fn write_trust(&self) {
        let signers = format!(
            "{}\n{}\n",
            self.alice.allowed_signer("alice", &[Grant::NAMESPACE]),
            self.orchestrator
                .allowed_signer("orchestrator", &[Order::NAMESPACE]),
        );
        fs::write(self.path("allowed_signers"), signers).expect("written");
        let policy = "orchestrators = ['orchestrator']\n[[allow]]\nproject = 'shop'\n\
                      environment = 'prod'\nprincipals = ['alice']\n";
        fs::write(self.path("policy.toml"), policy).expect("written");
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A path in the project's folder.
    pub(crate) fn shop(&self, name: &str) -> PathBuf {
        self.path("base/shop").join(name)
    }

    fn repository(&self) -> PathBuf {
        let path = self.path("repository");
        fs::create_dir_all(&path).expect("made");
        path
    }

    fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org"])
            .args(args)
            .current_dir(self.repository())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Commits and tags a version with the usual scripts, which write down that they ran, and with these files.
    pub(crate) fn version(&self, tag: &str, files: &[(&str, &str)]) -> CommitId {
        let tree = self.repository();
        let scripts = tree.join(".deploy");
        self.git(&["rm", "-r", "-q", "--ignore-unmatch", "."]);
        fs::create_dir_all(&scripts).expect("made");
        let note =
            "#!/bin/sh\necho \"$DEPLOYKIT_STEP $DEPLOYKIT_TAG\" >> \"$DEPLOYKIT_SHARED/ran\"\n";
        let own = [
            ("name", tag.to_owned()),
            (".deploy/build", note.to_owned()),
            (".deploy/stop", note.to_owned()),
            (".deploy/start", note.to_owned()),
            (".deploy/check", note.to_owned()),
        ];
        let given = files.iter().map(|(path, text)| (*path, (*text).to_owned()));
        for (path, text) in own.into_iter().chain(given) {
            let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
            write(&tree.join(path), &text, mode);
        }
        self.commit(tag)
    }

    /// Lets other users come as far as `base`.
    pub(crate) fn let_others_in(&self) {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.folder.path(), mode).expect("set");
    }

    /// A script of the host itself.
    pub(crate) fn host_script(&self, name: &str, text: &str) {
        write(&self.path("host-scripts/shop").join(name), text, 0o755);
    }

    /// Goes on with a new branch from there.
    pub(crate) fn to_branch(&self, name: &str, from: &CommitId) {
        self.git(&["switch", "--quiet", "--create", name, from.as_str()]);
    }

    /// Commits and tags the repository's work tree as it is.
    pub(crate) fn commit(&self, tag: &str) -> CommitId {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "-m", tag]);
        self.git(&["tag", tag]);
        self.git(&["rev-parse", "HEAD"]).parse().expect("a commit")
    }

    /// Starts the agent's own program, and waits until it hears orders.
    pub(crate) async fn run_agent(&mut self) {
        self.present = None;
        self.start_agent();
        self.wait("the agent's presence", |rig| rig.present.as_ref().map(drop))
            .await;
    }

    fn start_agent(&mut self) {
        let path = |name: &str| self.path(name).display().to_string();
        let settings = format!(
            "host = 'web1'\nlog = 'info'\nbase = '{}'\nhome = '{}'\nallowed_signers = '{}'\npolicy = '{}'\n\
             host_scripts = '{}'\nretry_s = 1\noutput_kb = 64\nsecret_files = ['{}']\n\
             [bus]\nbackoff_limit_s = 1\nbrokers = ['{}']\nlogin = 'guest'\npasscode_file = '{}'\n\
             [projects.shop]\nrepository = 'shop'\nenvironment = 'prod'\norigin = '{}'\n\
             shared = ['log']\ncheck_pause_s = 0\nscript_limit_s = 20\nscript_grace_s = 2\n{}",
            path("base"),
            path("home"),
            path("allowed_signers"),
            path("policy.toml"),
            path("host-scripts"),
            path("secrets"),
            self.address,
            path("passcode"),
            path("repository"),
            self.settings,
        );
        fs::write(self.path("secrets"), "DB_PASSWORD=correct-horse\n").expect("written");
        fs::write(self.path("agent.toml"), settings).expect("written");
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.path("agent.log"))
            .expect("a log");
        let child = self.agent().stderr(log).spawn();
        self.agent = Some(child.expect("the agent starts"));
    }

    /// Starts another agent with the same settings, which ends by itself; gives its exit code and what it logs.
    pub(crate) async fn second_agent(&mut self) -> (Option<i32>, String) {
        let log = self.path("second.log");
        let file = fs::File::create(&log).expect("a log");
        let mut second = self.agent().stderr(file).spawn().expect("it starts");
        let code = ended(&mut second).await;
        let said = fs::read_to_string(&log).expect("read");
        (code, said)
    }

    /// The agent's program with its settings.
    fn agent(&self) -> Command {
        let mut command = Command::new(AGENT);
        command
            .arg("--config")
            .arg(self.path("agent.toml"))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command
    }

    /// What the script of a step wrote, as kept on the host; `-build-1` is the end of the run's name.
    pub(crate) fn output_of(&self, run: &str) -> PathBuf {
        let runs = fs::read_dir(self.shop("steps")).expect("read");
        let mut runs = runs.map(|entry| entry.expect("read").path());
        let found = runs.find(|path| path.to_string_lossy().ends_with(run));
        found.expect("it ran").join("output")
    }

    /// SIGTERM, as systemd stops a service; gives the exit code.
    pub(crate) async fn stop(&mut self) -> Option<i32> {
        let mut agent = self.agent.take()?;
        let told = Command::new("kill").arg(agent.id().to_string()).status();
        assert!(told.expect("kill runs").success());
        ended(&mut agent).await
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            agent.kill().expect("killed");
            agent.wait().expect("reaped");
        }
    }

    /// The host goes down: the agent is killed, and with it what runs scripts, and they.
    pub(crate) fn crash(&mut self) {
        self.kill();
        let of_a_script = |process: &Path| {
            let line = fs::read(process.join("cmdline")).unwrap_or_default();
            let steps = self.shop("steps").display().to_string();
            let runs = String::from_utf8_lossy(&line).contains(&steps);
            let folder = fs::read_link(process.join("cwd")).unwrap_or_default();
            runs || folder.starts_with(self.shop("releases"))
        };
        let processes = fs::read_dir("/proc").expect("read").flatten();
        for process in processes.filter(|process| of_a_script(&process.path())) {
            let _gone = Command::new("kill")
                .arg("-9")
                .arg(process.file_name())
                .status();
        }
    }

    /// Hears until `wanted` gives something, or a limit says what was waited for.
    pub(crate) async fn wait<T>(
        &mut self,
        what: &str,
        mut wanted: impl FnMut(&Self) -> Option<T>,
    ) -> T {
        let waited = timeout(LIMIT, async {
            loop {
                if let Some(found) = wanted(self) {
                    return found;
                }
                let heard = timeout(Duration::from_millis(20), async {
                    tokio::select! {
                        report = self.reports.next() => report,
                        other = self.inbox.next() => other,
                    }
                });
                let heard = heard.await;
                let Ok(Some(delivery)) = heard else { continue };
                let envelope = delivery.envelope().expect("an envelope");
                if let Ok(report) = envelope.open::<Reported>() {
                    self.seen.push(report);
                } else if let Ok(output) = envelope.open::<ScriptOutput>() {
                    self.output.push(output);
                } else if let Ok(present) = envelope.open::<Present>() {
                    self.present = Some(present);
                }
                delivery.ack().await;
            }
        });
        let waited = waited.await;
        waited.unwrap_or_else(|_| {
            let log = fs::read_to_string(self.path("agent.log")).unwrap_or_default();
            panic!(
                "waited in vain for {what}; reports: {:#?}; log:\n{log}",
                self.seen
            )
        })
    }

    /// What `live` leads to: the file `name` in it.
    pub(crate) fn live(&self) -> Option<String> {
        fs::read_to_string(self.shop("live/name")).ok()
    }

    /// What the scripts wrote down, since the last look.
    pub(crate) fn ran(&self) -> String {
        let path = self.shop("shared/ran");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _none = fs::remove_file(&path);
        text.lines().collect::<Vec<_>>().join(", ")
    }
}

fn write(file: &Path, text: &str, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(file.parent().expect("it is in a folder")).expect("made");
    fs::write(file, text).expect("written");
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("set");
}

/// Waits for a process without holding up the broker, which runs on this thread; gives its exit code.
async fn ended(process: &mut Child) -> Option<i32> {
    let code = timeout(LIMIT, async {
        loop {
            if let Some(status) = process.try_wait().expect("it is ours") {
                return status.code();
            }
            // waits for the process to end, within the limit around it
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let code = code.await;
    if code.is_err() {
        process.kill().expect("killed");
    }
    code.expect("the process ends within the limit")
}
