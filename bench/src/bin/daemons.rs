//! The memory of each idle service that is connected to Debian's RabbitMQ over TLS, with a certificate of its own.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{
    env, fs,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use bench::{machine::Machine, run::outcome};
use testkit::{BrokerProcess, Certificates, RabbitMq};

/// From its start until it is ready.
const READY_LIMIT: Duration = Duration::from_secs(20);

/// How long it has been idle when it is looked at.
const IDLE: Duration = Duration::from_secs(10);

/// Resident, and of it what no file backs, at most.
const RESIDENT: u64 = 12_000_000;
const ANONYMOUS: u64 = 4_000_000;

const HOST: &str = "web1.example.org";

/// A service: its binary with arguments, its user at the broker, and what its settings say beyond `setup`'s.
struct Daemon {
    name: &'static str,
    program: &'static str,
    args: &'static [&'static str],
    user: &'static str,
    settings: &'static str,
}

const fn daemon(name: &'static str, user: &'static str, settings: &'static str) -> Daemon {
    Daemon {
        name,
        program: name,
        args: &[],
        user,
        settings,
    }
}

/// `DIR` is a folder of its own.
const DAEMONS: [Daemon; 10] = [
    daemon("stomp-keepalive", "stomp-keepalive", ""),
    daemon("stomp-bridge", "stomp-bridge", ""),
    daemon(
        "stomp-git",
        "stomp-git.web1_example_org",
        "base = 'DIR'\n[repositories.shop]\norigin = 'DIR/origin.git'\n",
    ),
    daemon(
        "stomp-repo",
        "stomp-repo.web1_example_org",
        "[sources.'acme.sources']\nrepositories = ['acme']\nsuites = ['bookworm']\npackages = ['shop']\n",
    ),
    daemon(
        "deploy-agent",
        "deploy-agent.web1_example_org",
        "base = 'DIR'\n[projects.shop]\nrepository = 'shop'\nenvironment = 'live'\norigin = 'DIR/origin.git'\n",
    ),
    daemon(
        "deploy-orchestrator",
        "deploy-orchestrator",
        "data = 'DIR'\nsocket = 'DIR/socket'\nlisten = '127.0.0.1:0'\n",
    ),
    daemon(
        "github-stomp",
        "github-stomp",
        "listen = '127.0.0.1:0'\n[outbox]\nfolder = 'DIR/outbox'\n",
    ),
    Daemon {
        name: "announce",
        program: "deploykit",
        args: &["announce", "deliver"],
        user: "announce",
        settings: "[outbox]\nfolder = 'DIR/outbox'\n",
    },
    daemon(
        "stomp-jenkins",
        "stomp-jenkins",
        "state = 'DIR'\n[jenkins]\nurl = 'https://127.0.0.1:1/'\nuser = 'deploykit'\ntoken_file = 'DIR/token'\n\
         [[rules]]\nrepository = 'shop'\njob = 'shop'\n",
    ),
    daemon(
        "jenkins-helper",
        "jenkins-helper",
        "[repositories.shop]\njobs = ['shop']\n[outbox]\nfolder = 'DIR/outbox'\n[receiver]\nlisten = '127.0.0.1:0'\nstate = 'DIR'\n\
         word_file = 'DIR/word'\n[receiver.jenkins]\nurl = 'https://127.0.0.1:1/'\nuser = 'deploykit'\ntoken_file = 'DIR/token'\n",
    ),
];

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    outcome(measure().await)
}

async fn measure() -> Result<(), String> {
    println!("{}", Machine::this());
    let broker = RabbitMq::start().await;
    let folder = tempfile::tempdir().map_err(text)?;
    let mut running = Vec::new();
    for daemon in &DAEMONS {
        running.push((daemon, start(daemon, &broker, folder.path())?));
    }
    // waits for nothing: being idle is the question.
    thread::sleep(IDLE);
    let mut over = Vec::new();
    for (daemon, started) in &running {
        let [resident, anonymous] = memory(started.0.id(), daemon.name)?;
        println!(
            "{:<20} resident {:>5.1} MB, anonymous {:>4.1} MB",
            daemon.name,
            megabytes(resident),
            megabytes(anonymous)
        );
        if resident > RESIDENT || anonymous > ANONYMOUS {
            over.push(daemon.name);
        }
    }
    if over.is_empty() {
        return Ok(());
    }
    Err(format!(
        "too much memory: {}; the limits are {:.0} and {:.0} MB",
        over.join(", "),
        megabytes(RESIDENT),
        megabytes(ANONYMOUS)
    ))
}

fn text(error: std::io::Error) -> String {
    error.to_string()
}

fn megabytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes).unwrap_or(u32::MAX)) / 1e6
}

/// A process; dropped, it is ended.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended by itself; then the measurement has failed already.
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Starts it as systemd would, and returns once it says that it is ready.
fn start(daemon: &Daemon, broker: &BrokerProcess, folder: &Path) -> Result<Started, String> {
    let own = folder.join(daemon.name);
    let file = settings(daemon, broker, &own)?;
    let programs = env::current_exe().map_err(text)?;
    let program = programs.with_file_name(daemon.program);
    let notify = own.join("notify");
    let socket = UnixDatagram::bind(&notify).map_err(text)?;
    let log = own.join("log");
    let output = fs::File::create(&log).map_err(text)?;
    let child = Command::new(&program)
        .args(daemon.args)
        .arg("--config")
        .arg(file)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", &own)
        .env("NOTIFY_SOCKET", &notify)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(output)
        .spawn();
    let child =
        child.map_err(|error| format!("{}: {error}: cargo build --release", program.display()))?;
    let started = Started(child);
    let (began, mut said) = (Instant::now(), [0; 4096]);
    socket.set_read_timeout(Some(READY_LIMIT)).map_err(text)?;
    while began.elapsed() < READY_LIMIT {
        let bytes = socket.recv(&mut said).unwrap_or_default();
        let line = String::from_utf8_lossy(&said[..bytes]);
        if line.lines().any(|line| line == "READY=1") {
            return Ok(started);
        }
    }
    let log = fs::read_to_string(&log).unwrap_or_default();
    Err(format!(
        "{} is not ready within {READY_LIMIT:?}:\n{log}",
        daemon.name
    ))
}

/// What it needs in its folder, and its settings.
fn settings(daemon: &Daemon, broker: &BrokerProcess, own: &Path) -> Result<PathBuf, String> {
    let setup = env::current_exe()
        .map_err(text)?
        .with_file_name("deploykit");
    let certificates = broker.certificates();
    let output = Command::new(&setup)
        .args(["setup", "--dir"])
        .arg(own)
        .env("HOME", own)
        .output();
    let output =
        output.map_err(|error| format!("{}: {error}: cargo build --release", setup.display()))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    for name in ["token", "word"] {
        fs::write(own.join(name), "a-word-of-some-length").map_err(text)?;
    }
    let made = Command::new("git")
        .args(["init", "--quiet", "--bare"])
        .arg(own.join("origin.git"))
        .status();
    made.map_err(text)?;
    let quoted = |path: PathBuf| format!("{:?}", path.display().to_string());
    let [orchestrator, web, github, signers, policy] = [
        "keys/orchestrator",
        "keys/web",
        "keys/github",
        "allowed_signers",
        "policy.toml",
    ]
    .map(|name| quoted(own.join(name)));
    let trust = match daemon.name {
        "deploy-orchestrator" => format!(
            "orchestrator_key_file = {orchestrator}\nweb_key_file = {web}\nallowed_signers = {signers}\npolicy = {policy}\n"
        ),
        "deploy-agent" => format!("allowed_signers = {signers}\npolicy = {policy}\n"),
        _ => String::new(),
    };
    let source = match daemon.name {
        "github-stomp" => format!("[sources.github]\nkind = 'github'\nsecret_file = {github}\n"),
        _ => String::new(),
    };
    let bus = format!(
        "[bus]\nbrokers = ['{}']\ntls = true\ntls_server_name = '{}'\ntls_ca_file = {}\ntls_certificate_file = {}\ntls_key_file = {}\n",
        broker.tls_address(),
        Certificates::SERVER,
        quoted(certificates.authority()),
        quoted(certificates.certificate(daemon.user)),
        quoted(certificates.key(daemon.user)),
    );
    let of_its_own = daemon.settings.replace("DIR", &own.display().to_string());
    let file = own.join("bench.toml");
    let all = format!("host = '{HOST}'\n{trust}{of_its_own}{source}{bus}");
    fs::write(&file, all).map_err(text)?;
    Ok(file)
}

/// Resident and anonymous bytes of a process, and of no process that it started.
fn memory(pid: u32, name: &str) -> Result<[u64; 2], String> {
    let path = format!("/proc/{pid}/smaps_rollup");
    let rollup = fs::read_to_string(&path).map_err(|error| format!("{name} is gone: {error}"))?;
    let field = |name: &str| {
        let line = rollup.lines().find_map(|line| line.strip_prefix(name));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.map(|kib| kib * 1024)
            .ok_or_else(|| format!("{path} has no {name}"))
    };
    Ok([field("Rss:")?, field("Anonymous:")?])
}
