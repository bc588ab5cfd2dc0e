//! What a deploy costs an agent in processor time, against a shell script that does the same with `git archive | tar`; how long
//! a switch takes; and the agent's memory over 1,000 deploys.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Child, Command, ExitCode},
    time::{Duration, Instant},
};

use bench::{
    broker::{Served, measured_beside},
    cpu,
    machine::Machine,
};
use chassis::{BusSettings, Common};
use deploy_agent::layout::Layout;
use events::{
    CommitId, HostName, Topic,
    message::{Phase, Present, Reported, State},
};
use testkit::{Ear, Folder, Member, Origin, Trust};
use world::RealDisk;

/// Files of a release.
const FILES: usize = 20;
/// Versions, deployed one after the other, over and over.
const VERSIONS: usize = 8;
/// Deploys in one measurement.
const DEPLOYS: usize = 40;
/// Measurements of each kind, by turns.
const RUNS: usize = 5;
/// Deploys after which the memory is looked at again.
const MANY: usize = 1_000;
/// Switches that are timed.
const SWITCHES: usize = 1_000;

const HOST: &str = "web1";

/// The steps of an agent, as a person would write them: the version is there, laid out beside, flushed, linked in, switched,
/// the old ones removed.
const FLOOR: &str = r#"set -eu
cd "$1"
version=$2 commit=$3
git -C mirror.git cat-file -e "$commit^{commit}"
[ "$(git -C mirror.git rev-parse "refs/tags/$version^{commit}")" = "$commit" ]
name=$(date -u +%Y%m%dT%H%M%S.%3NZ)-$commit
mkdir "releases/$name.partial"
git -C mirror.git archive "$commit" | tar -x -C "releases/$name.partial"
for script in build stop start check; do
  [ ! -e "releases/$name.partial/.deploy/$script" ] || [ -x "releases/$name.partial/.deploy/$script" ]
done
ln -s ../../shared/log "releases/$name.partial/log"
sync -f "releases/$name.partial"
mv "releases/$name.partial" "releases/$name"
ln -s "releases/$name" .live.new
mv -T .live.new live
sync -f live
ls -r releases | tail -n +6 | while read -r old; do rm -rf "releases/$old"; done
"#;

fn main() -> ExitCode {
    measured_beside(|| {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        runtime.block_on(measure())
    })
}

async fn measure() -> Result<(), String> {
    println!("{}", Machine::this());
    switches()?;
    for scripts in [false, true] {
        let origin = Origin::new();
        let versions = versions(&origin, scripts);
        let floor = Floor::new(&origin)?;
        let mut host = Host::start(&origin).await?;
        // The first ones make what is made once.
        host.deploy(&versions, VERSIONS).await?;
        floor.deploy(&versions, VERSIONS)?;
        let (mut own, mut theirs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let script = floor.deploy(&versions, DEPLOYS)?;
            let agent = host.deploy(&versions, DEPLOYS).await?;
            ratios.push(agent / script);
            own.push(agent);
            theirs.push(script);
        }
        let what = if scripts {
            "with four scripts"
        } else {
            "without scripts"
        };
        println!(
            "{FILES} files, {what}: {:.1} ms of processor time a deploy, the shell script {:.1} ms; ratio {:.2}",
            median(&mut own),
            median(&mut theirs),
            median(&mut ratios)
        );
        if !scripts {
            let before = host.memory()?;
            host.deploy(&versions, MANY).await?;
            let after = host.memory()?;
            println!(
                "memory before and after {MANY} deploys more: {before} and {after} kB resident"
            );
        }
    }
    Ok(())
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How long a switch takes with its flush, where temporary files are.
fn switches() -> Result<(), String> {
    let folder = Folder::new();
    let layout = Layout::new(folder.path(), &"shop".parse().map_err(|_| "a name")?);
    layout.make(&RealDisk).map_err(|error| error.to_string())?;
    for name in ["one", "two"] {
        fs::create_dir(layout.release(name)).map_err(|error| error.to_string())?;
    }
    let mut times = Vec::new();
    for at in 0..SWITCHES {
        let to = if at % 2 == 0 { "one" } else { "two" };
        let began = Instant::now();
        let switched = layout.point(&RealDisk, "live", Some(to));
        switched.map_err(|error| error.to_string())?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let middle = median(&mut times);
    let last = times[SWITCHES * 99 / 100];
    println!("a switch with its flush: {middle:.3} ms, 99 of 100 within {last:.3} ms");
    Ok(())
}

fn versions(origin: &Origin, scripts: bool) -> Vec<(String, CommitId)> {
    let names: Vec<String> = (0..FILES).map(|at| format!("lib/part{at}")).collect();
    let text = "a line of code\n".repeat(200);
    let mut files: Vec<(&str, &str)> = names
        .iter()
        .map(|name| (name.as_str(), text.as_str()))
        .collect();
    if scripts {
        let script = "#!/bin/sh\ntrue\n";
        files.extend(
            [
                ".deploy/build",
                ".deploy/stop",
                ".deploy/start",
                ".deploy/check",
            ]
            .map(|name| (name, script)),
        );
    }
    origin.commit(&files);
    let version = |at: usize| {
        let tag = format!("v{at}");
        origin.commit(&[("version", &tag)]).tag(&tag);
        (tag.clone(), origin.commit_of(&tag))
    };
    (0..VERSIONS).map(version).collect()
}

/// The shell script's folder.
struct Floor(Folder);

impl Floor {
    fn new(origin: &Origin) -> Result<Self, String> {
        let folder = Folder::new();
        for name in ["releases", "shared/log"] {
            fs::create_dir_all(folder.join(name)).map_err(|error| error.to_string())?;
        }
        symlink(origin.path(), folder.join("mirror.git")).map_err(|error| error.to_string())?;
        folder.write("deploy.sh", FLOOR);
        Ok(Self(folder))
    }

    /// Milliseconds of processor time for one of so many deploys.
    fn deploy(&self, versions: &[(String, CommitId)], count: usize) -> Result<f64, String> {
        let before = cpu::of_children()?;
        for (tag, commit) in versions.iter().cycle().take(count) {
            let status = Command::new("sh")
                .arg(self.0.join("deploy.sh"))
                .arg(self.0.path())
                .args([tag, commit.as_str()])
                .status();
            let done = status.is_ok_and(|status| status.success());
            done.then_some(()).ok_or("the shell script failed")?;
        }
        Ok(each(cpu::of_children()? - before, count))
    }
}

fn each(used: Duration, count: usize) -> f64 {
    used.as_secs_f64() * 1e3 / count as f64
}

/// An agent, and who orders it about.
struct Host {
    agent: Child,
    trust: Trust,
    sequence: u64,
    hub: Member,
    reports: Ear,
    _broker: Served,
    _folder: Folder,
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ended = self.agent.kill();
        let _reaped = self.agent.wait();
    }
}

impl Host {
    async fn start(origin: &Origin) -> Result<Self, String> {
        let broker = Served::start(None)?;
        let folder = Folder::new();
        let trust = Trust::default();
        folder.write("allowed_signers", &trust.allowed_signers());
        folder.write("policy.toml", &trust.policy_text());
        let passcode = folder.write("passcode", "guest");
        fs::create_dir_all(folder.join("base/mirrors")).map_err(|error| error.to_string())?;
        symlink(origin.path(), folder.join("base/mirrors/shop.git"))
            .map_err(|error| error.to_string())?;
        let path = |name: &str| folder.join(name).display().to_string();
        let settings = format!(
            "host = '{HOST}'\nbase = '{}'\nallowed_signers = '{}'\npolicy = '{}'\n\
             [bus]\nbrokers = ['{}']\nlogin = 'guest'\npasscode_file = '{}'\n\
             [projects.shop]\nrepository = 'shop'\nenvironment = 'prod'\nshared = ['log']\n",
            path("base"),
            path("allowed_signers"),
            path("policy.toml"),
            broker.address(),
            path("passcode"),
        );
        let file = folder.write("deploy-agent.toml", &settings);
        let common = Common {
            host: Some("hub".parse().map_err(|_| "a name")?),
            bus: BusSettings {
                brokers: vec![broker.address().to_owned()],
                login: Some("guest".to_owned()),
                passcode_file: Some(passcode),
                ..BusSettings::default()
            },
            ..Common::default()
        };
        let hub = Member::connect("bench", common).await;
        let reports = hub.listen_durably(Topic::DeployReports).await;
        let mut presence = hub.listen(Topic::AgentsPresence).await;
        let agent = start(&file)?;
        presence.hear(|_: &Present| true).await;
        Ok(Self {
            agent,
            trust,
            sequence: 0,
            hub,
            reports,
            _broker: broker,
            _folder: folder,
        })
    }

    /// Milliseconds of processor time of the agent, with all that it started, for one of so many deploys.
    async fn deploy(
        &mut self,
        versions: &[(String, CommitId)],
        count: usize,
    ) -> Result<f64, String> {
        let host: HostName = HOST.parse().map_err(|_| "a name")?;
        let targets = [host.clone()];
        let before = cpu::of_family(self.agent.id())?;
        for (tag, commit) in versions.iter().cycle().take(count) {
            let grant = self.trust.grant(Some((tag, commit)), &targets);
            for phase in [Phase::Prepare, Phase::Activate] {
                self.sequence += 1;
                let (id, ordered) = self
                    .trust
                    .order(&grant, phase, &host, &targets, self.sequence);
                let sealed = self
                    .hub
                    .bus
                    .seal(&ordered)
                    .map_err(|error| error.to_string())?;
                let topic = Topic::DeployOrders(host.clone());
                let sent = self.hub.bus.publish_envelope(&topic, true, &sealed).await;
                sent.map_err(|error| error.to_string())?;
                let is_final = |report: &Reported| report.order == id && report.state.is_final();
                let report: Reported = self.reports.hear(is_final).await;
                if !matches!(report.state, State::Prepared { .. } | State::Live) {
                    return Err(format!("{report:?}"));
                }
            }
        }
        Ok(each(cpu::of_family(self.agent.id())? - before, count))
    }

    fn memory(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.agent.id());
        let status = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| "the kernel does not say".to_owned())
    }
}

/// The agent beside this program.
fn start(settings: &Path) -> Result<Child, String> {
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let child = Command::new(own.with_file_name("deploy-agent"))
        .arg("--config")
        .arg(settings)
        .env("RUST_LOG", "warn")
        .spawn();
    child.map_err(|error| {
        format!("deploy-agent: {error}; build it first: cargo build --release --workspace")
    })
}
