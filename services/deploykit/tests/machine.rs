//! The built program on this machine, as a person uses it.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use serde_json::Value;

/// A pipeline must be up, or have stopped, within this time.
const UP_LIMIT: Duration = Duration::from_secs(60);
/// Everything else must have happened within this time.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Waits until `condition` gives a value; fails after [`LIMIT`], naming what it waited for.
pub(crate) fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(began.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        std::thread::sleep(LOOK_AGAIN); // waits for the condition
    }
}

pub(crate) fn says(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A command with nothing of this test's environment but what programs need.
pub(crate) fn program(name: impl AsRef<std::ffi::OsStr>, home: &Path) -> Command {
    let mut command = Command::new(name);
    command
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", home)
        .env("USER", "ann")
        .stdin(Stdio::null());
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "Ann")
            .env(format!("GIT_{role}_EMAIL"), "ann@example.org");
    }
    command
}

/// A home folder with a repository `shop` in it.
#[derive(Debug)]
pub(crate) struct Machine {
    home: tempfile::TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let machine = Self {
            home: tempfile::tempdir().unwrap(),
        };
        machine.git(&["init", "--quiet", "--initial-branch=main", "."]);
        machine
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    pub(crate) fn repository(&self) -> PathBuf {
        let folder = self.home().join("shop");
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.home().join("data")
    }

    fn git(&self, args: &[&str]) -> String {
        let output = program("git", self.home())
            .args(args)
            .current_dir(self.repository())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {args:?}: {}", says(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits these files (scripts executable) under a tag. Returns the commit.
    pub(crate) fn release(&self, tag: &str, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            let file = self.repository().join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, text).unwrap();
            if path.starts_with(".deploy/") {
                use std::os::unix::fs::PermissionsExt;
                fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", tag]);
        self.git(&["tag", tag]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = program(env!("CARGO_BIN_EXE_deploykit"), self.home());
        command.arg("--at").arg(self.data()).args(args);
        command
    }

    /// Runs `deploykit` to its end.
    pub(crate) fn deploykit(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs `deploykit`, which must end with `code`. Returns what it said.
    pub(crate) fn ends_with(&self, code: i32, args: &[&str]) -> String {
        let output = self.deploykit(args);
        assert_eq!(
            output.status.code(),
            Some(code),
            "deploykit {args:?}: {}",
            says(&output)
        );
        says(&output)
    }

    /// Starts `deploykit` and does not wait for it.
    pub(crate) fn start(&self, args: &[&str]) -> Child {
        self.command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Runs `deploykit … --json`, which must succeed.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.deploykit(args);
        assert!(
            output.status.success(),
            "deploykit {args:?}: {}",
            says(&output)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Waits until all hosts have a tag.
    pub(crate) fn has_everywhere(&self, tag: &str) {
        until(&format!("{tag} is on all hosts"), || {
            let tags = self.json(&["tags", "shop", "--json"]);
            let complete = |view: &Value| {
                view["tag"] == tag && view["missing"].as_array().is_some_and(Vec::is_empty)
            };
            tags.as_array().unwrap().iter().any(complete).then_some(())
        });
    }

    /// The label of what is live on each host, by `deploykit status`.
    pub(crate) fn runs(&self) -> Vec<String> {
        let status = self.json(&["status", "--json"]);
        let hosts = status["projects"][0]["hosts"].as_array().unwrap().clone();
        hosts
            .iter()
            .map(|host| host["live"]["tag"].as_str().unwrap_or("nothing").to_owned())
            .collect()
    }

    /// The commit of the release that `live` leads to on a host, as its folder's name says.
    pub(crate) fn live(&self, host: &str) -> Option<String> {
        let link = self.data().join("hosts").join(host).join("shop/live");
        let name = fs::read_link(link).ok()?.to_string_lossy().into_owned();
        Some(name.rsplit('-').next()?.to_owned())
    }

    pub(crate) fn up(&self) -> Up {
        self.up_with(&[])
    }

    pub(crate) fn up_with(&self, more: &[&str]) -> Up {
        let repository = self.repository().display().to_string();
        let data = self.data().display().to_string();
        let mut args = vec!["up", "--repo", &repository, "--data", &data];
        for name in ["--listen", "--webhooks", "--broker"] {
            args.extend([name, "127.0.0.1:0"]);
        }
        args.extend(more);
        Up::start(self.start(&args))
    }
}

/// A running `deploykit up`.
#[derive(Debug)]
pub(crate) struct Up {
    child: Child,
    /// What it said when it was up.
    pub(crate) said: String,
}

impl Up {
    fn start(mut child: Child) -> Self {
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        // Reads to the end, so that the child never waits for a reader; ends with the child.
        std::thread::spawn(move || {
            stdout
                .lines()
                .map_while(Result::ok)
                .try_for_each(|line| sender.send(line))
        });
        let mut said = String::new();
        let began = Instant::now();
        while let Some(left) = UP_LIMIT.checked_sub(began.elapsed()) {
            match lines.recv_timeout(left) {
                Ok(line) => {
                    said.push_str(&line);
                    said.push('\n');
                    if line.contains("Ctrl-C stops it") {
                        return Self { child, said };
                    }
                }
                Err(_) => break,
            }
        }
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        panic!("deploykit up is not up: {said}{}", says(&output));
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The address behind a word of what it said, such as `page`.
    pub(crate) fn address(&self, of: &str) -> String {
        let line = self
            .said
            .lines()
            .find(|line| line.trim_start().starts_with(of))
            .unwrap();
        let at = line.find("127.0.0.1:").unwrap();
        line[at..].split(['/', ' ']).next().unwrap().to_owned()
    }

    /// TERM, and waits. Returns the exit code.
    pub(crate) fn stop(mut self) -> Option<i32> {
        signal(self.pid(), "TERM");
        let status = until("deploykit up has stopped", || {
            self.child.try_wait().unwrap()
        });
        status.code()
    }

    /// KILL, and waits.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Already waited for in the good case; otherwise the test has failed.
        let _gone = self.child.kill();
        let _reaped = self.child.wait();
    }
}

pub(crate) fn signal(pid: u32, name: &str) {
    let status = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "kill -s {name} {pid}");
}

/// The processes whose command line contains a text.
pub(crate) fn processes_with(text: &str) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if String::from_utf8_lossy(&line).contains(text) {
            found.push(pid);
        }
    }
    found
}
