//! From `git push` to the mirrors of twenty hosts: the real hook, `deploykit announce deliver`, the embedded broker and twenty
//! `stomp-git`, each a process, on one machine.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a measuring program at a person's terminal"
)]

use std::{
    env, fs,
    io::Write,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use bench::{
    machine::Machine,
    run::{median, outcome},
};

const HOSTS: usize = 20;
const ROUNDS: usize = 15;
/// From the push to the last mirror, the median of the rounds.
const MOST: Duration = Duration::from_secs(1);
/// For anything to happen.
const LIMIT: Duration = Duration::from_secs(60);
/// How often mirrors are looked at.
const EVERY: Duration = Duration::from_millis(2);
/// Between two pushes: what the last one started has ended.
const REST: Duration = Duration::from_secs(3);

fn main() -> ExitCode {
    outcome(measure())
}

fn measure() -> Result<(), String> {
    println!("{}", Machine::this());
    println!("git push to {HOSTS} mirrors, {ROUNDS} pushes, in milliseconds");
    let mut with_default = None;
    for splay_ms in [0, 500] {
        let site = Site::start(splay_ms)?;
        let mut rounds = Vec::new();
        for round in 0..=ROUNDS {
            sleep(REST);
            let took = site.push(round)?;
            // The first one warms up.
            if round > 0 {
                rounds.push(took);
            }
        }
        let of = |part: fn(&Took) -> Duration| {
            let mut all: Vec<Duration> = rounds.iter().map(part).collect();
            all.sort();
            let ms = |it: Option<Duration>| it.unwrap_or_default().as_millis();
            format!(
                "{} (most {})",
                ms(median(all.clone())),
                ms(all.last().copied())
            )
        };
        println!(
            "splay_ms = {splay_ms}: git push {}, first mirror {}, last mirror {}",
            of(|it| it.push),
            of(|it| it.first),
            of(|it| it.last)
        );
        with_default = median(rounds.iter().map(|it| it.last).collect());
    }
    match with_default {
        Some(took) if took <= MOST => Ok(()),
        took => Err(format!("too slow: {took:?}, the limit is {MOST:?}")),
    }
}

/// Since the push began.
struct Took {
    push: Duration,
    first: Duration,
    last: Duration,
}

/// Programs that end with the measurement.
struct Started(Vec<Child>);

impl Drop for Started {
    fn drop(&mut self) {
        for child in &mut self.0 {
            // It may have ended by itself; then the measurement has failed already.
            let _ended = child.kill();
            let _reaped = child.wait();
        }
    }
}

/// The repository with its hook, and a clone to push from.
fn repositories(root: &Path, deploykit: &Path, spool: &Path) -> Result<(), String> {
    let at = |name: &str| root.join(name);
    git(root, &["init", "-q", "--bare", "-b", "main", "shop.git"])?;
    git(root, &["init", "-q", "-b", "main", "clone"])?;
    git(&at("clone"), &["remote", "add", "origin", "../shop.git"])?;
    let hook = Command::new(deploykit)
        .args(["announce", "hook", "post-receive"])
        .output();
    let hook =
        String::from_utf8_lossy(&hook.map_err(|error| error.to_string())?.stdout).into_owned();
    let path = at("shop.git/hooks/post-receive");
    write(&path, &hook)?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&path, mode).map_err(|error| error.to_string())?;
    for (key, value) in [("command", deploykit), ("spool", spool)] {
        let key = format!("deploykit.{key}");
        git(
            &at("shop.git"),
            &["config", &key, &value.display().to_string()],
        )?;
    }
    Ok(())
}

/// A repository that people push to, and the hosts.
struct Site {
    folder: tempfile::TempDir,
    started: Started,
}

impl Site {
    fn start(splay_ms: u64) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let root = folder.path().to_owned();
        let at = |name: &str| root.join(name);
        let deploykit = program("deploykit")?;
        let stomp_git = program("stomp-git")?;
        let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let broker = free.map_err(|error| error.to_string())?.to_string();
        write(&at("passcode"), "guest")?;
        let bus = format!(
            "[bus]\nbrokers = [{broker:?}]\nlogin = \"guest\"\npasscode_file = {:?}\n",
            at("passcode")
        );
        let spool = at("spool");
        let announce = format!("host = \"hub\"\n[outbox]\nfolder = {spool:?}\n{bus}");
        write(&at("announce.toml"), &announce)?;
        repositories(&root, &deploykit, &spool)?;
        let mut started = Started(Vec::new());
        let mut start = |program: &Path, args: &[&str], log: &str| {
            let log = fs::File::create(at(log)).map_err(|error| error.to_string())?;
            let child = Command::new(program)
                .args(args)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn();
            started.0.push(child.map_err(|error| error.to_string())?);
            Ok::<(), String>(())
        };
        start(&deploykit, &["broker", "--listen", &broker], "broker.log")?;
        let config = at("announce.toml").display().to_string();
        start(
            &deploykit,
            &["announce", "deliver", "--config", &config],
            "deliver.log",
        )?;
        let mut site = Self {
            folder,
            started: Started(Vec::new()),
        };
        site.commit(0)?;
        site.git_push()?;
        for host in 0..HOSTS {
            let text = format!(
                "host = \"web{host}\"\nbase = {:?}\nsplay_ms = {splay_ms}\nsweep_s = 86400\n[repositories.shop]\n\
                 origin = {:?}\n{bus}",
                at(&format!("web{host}")),
                at("shop.git"),
            );
            let config = at(&format!("web{host}.toml"));
            write(&config, &text)?;
            let config = config.display().to_string();
            start(
                &stomp_git,
                &["--config", &config],
                &format!("web{host}.log"),
            )?;
        }
        let head = git(&at("clone"), &["rev-parse", "HEAD"])?;
        site.arrive(&head, Instant::now())?;
        site.started = started;
        Ok(site)
    }

    fn commit(&self, round: usize) -> Result<String, String> {
        let clone = self.folder.path().join("clone");
        write(&clone.join("round"), &round.to_string())?;
        git(&clone, &["add", "-A"])?;
        git(&clone, &["commit", "-q", "--allow-empty", "-m", "a round"])?;
        git(&clone, &["rev-parse", "HEAD"])
    }

    fn git_push(&self) -> Result<(), String> {
        git(
            &self.folder.path().join("clone"),
            &["push", "-q", "origin", "main"],
        )
        .map(drop)
    }

    fn push(&self, round: usize) -> Result<Took, String> {
        let commit = self.commit(round + 1)?;
        let start = Instant::now();
        self.git_push()?;
        let push = start.elapsed();
        let (first, last) = self.arrive(&commit, start)?;
        Ok(Took { push, first, last })
    }

    /// When the first and the last mirror have the commit as their branch.
    fn arrive(&self, commit: &str, start: Instant) -> Result<(Duration, Duration), String> {
        let mut waiting: Vec<PathBuf> = (0..HOSTS)
            .map(|host| {
                self.folder
                    .path()
                    .join(format!("web{host}/mirrors/shop.git"))
            })
            .collect();
        let mut first = None;
        while !waiting.is_empty() {
            waiting.retain(|mirror| !has(mirror, commit));
            if waiting.len() < HOSTS {
                first.get_or_insert(start.elapsed());
            }
            if start.elapsed() > LIMIT {
                return Err(format!("{} mirrors never had {commit}", waiting.len()));
            }
            sleep(EVERY);
        }
        Ok((first.unwrap_or_default(), start.elapsed()))
    }
}

fn has(mirror: &Path, commit: &str) -> bool {
    let files = ["refs/heads/main", "packed-refs"];
    files.iter().any(|file| {
        let text = fs::read_to_string(mirror.join(file)).unwrap_or_default();
        text.contains(commit)
    })
}

/// A program that `cargo build --release` made beside this one.
fn program(name: &str) -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| error.to_string())?;
    let program = own.with_file_name(name);
    match program.is_file() {
        true => Ok(program),
        false => Err(format!(
            "{} is not there; first: cargo build --release -p deploykit -p stomp-git",
            program.display()
        )),
    }
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let written = fs::File::create(path).and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

fn git(folder: &Path, args: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .args(["-c", "user.name=A", "-c", "user.email=a@example.org"])
        .args(args)
        .current_dir(folder)
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(format!(
            "git {args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        )),
    }
}
