//! A host's apt: the real one, with a root of its own.
#![expect(
    clippy::disallowed_methods,
    reason = "a test drives the real apt as an administrator does, and prepares its files"
)]

use std::{
    fmt::Write as _,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use crate::{AptRepository, Folder, SOON, until};

/// The real apt with settings, lists and a dpkg status of its own: nothing of this machine is read or changed.
#[derive(Debug)]
pub struct AptHost {
    folder: Folder,
}

impl Default for AptHost {
    fn default() -> Self {
        Self::new()
    }
}

impl AptHost {
    /// One on which nothing is installed, and that has no sources; of this machine's architecture.
    ///
    /// # Panics
    /// apt is not there.
    #[must_use]
    pub fn new() -> Self {
        let folder = Folder::new();
        let root = folder.join("root");
        for made in [
            "etc/apt/apt.conf.d",
            "etc/apt/sources.list.d",
            "etc/apt/preferences.d",
            "etc/apt/trusted.gpg.d",
            "var/lib/apt/lists/partial",
            "var/cache/apt/archives/partial",
            "var/log/apt",
        ] {
            std::fs::create_dir_all(root.join(made)).expect("a folder can be made");
        }
        folder.write("root/var/lib/dpkg/status", "");
        let root = root.display();
        // Without cache files, as for apt-cache without rights: as root, it would write them while another apt does.
        let config = format!(
            "Dir \"{root}/\";\nDir::State::status \"{root}/var/lib/dpkg/status\";\n\
             APT::Architecture \"{}\";\nAPT::Architectures {{ \"{0}\"; }};\n\
             Dir::Cache::pkgcache \"\";\nDir::Cache::srcpkgcache \"\";\n\
             APT::Sandbox::User \"\";\nAcquire::Retries \"0\";\nAcquire::Languages \"none\";\n",
            native(),
        );
        folder.write("apt.conf", &config);
        Self { folder }
    }

    /// The file that `APT_CONFIG` names.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.folder.join("apt.conf")
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        self.folder.join("root")
    }

    /// Adds a line to apt's settings.
    pub fn set(&self, line: &str) {
        let text = self.folder.read("apt.conf");
        self.folder.write("apt.conf", &format!("{text}{line}\n"));
    }

    /// Adds a source of the `main` of this repository's `bookworm`, fetched from `url` and signed by its key; a file of
    /// `sources.list.d`, by this name (`acme.sources`).
    pub fn add_source(&self, name: &str, url: &str, repository: &AptRepository) {
        let text = format!(
            "Types: deb\nURIs: {url}\nSuites: bookworm\nComponents: main\nSigned-By: {}\n",
            repository.public_key().display()
        );
        let path = Path::new("root/etc/apt/sources.list.d").join(name);
        let path = self.folder.write(path, &text);
        let list = self.list();
        let mut lines = std::fs::read_to_string(&list).unwrap_or_default();
        writeln!(lines, "{}", path.display()).expect("text can be added");
        self.folder.write("stomp-repo.sources", &lines);
    }

    /// The list of those sources, by path.
    #[must_use]
    pub fn list(&self) -> PathBuf {
        self.folder.join("stomp-repo.sources")
    }

    /// Writes preferences (pins).
    pub fn prefer(&self, text: &str) {
        self.folder.write("root/etc/apt/preferences.d/test", text);
    }

    /// Says to dpkg that this package, for all architectures, is installed.
    pub fn install(&self, name: &str, version: &str) {
        let status = "root/var/lib/dpkg/status";
        let entry = format!(
            "Package: {name}\nStatus: install ok installed\nVersion: {version}\nArchitecture: all\n\
             Maintainer: Dee <dee@example.org>\nDescription: {name}\n\n"
        );
        let text = self.folder.read(status);
        self.folder.write(status, &format!("{text}{entry}"));
    }

    /// What apt says of a package: the line `Candidate:`; `(unknown)` too while another apt replaces the lists that it reads.
    ///
    /// # Panics
    /// apt cannot be run.
    #[must_use]
    pub fn candidate(&self, name: &str) -> String {
        let policy = self.tried("apt-cache", &["policy", name]);
        let policy = policy.unwrap_or_default();
        let candidate = policy
            .lines()
            .find_map(|line| line.strip_prefix("  Candidate: "));
        candidate.unwrap_or("(unknown)").to_owned()
    }

    /// The names of apt's lists.
    #[must_use]
    pub fn lists(&self) -> Vec<String> {
        let mut names = self.folder.names("root/var/lib/apt/lists");
        names.retain(|name| name.contains("dists"));
        names
    }

    /// Runs one of apt's programs with this root; what it printed.
    ///
    /// # Panics
    /// It fails, with what it said.
    #[must_use]
    pub fn run(&self, program: &str, args: &[&str]) -> String {
        let output = self.tried(program, args);
        output.unwrap_or_else(|said| panic!("{program} {args:?}: {said}"))
    }

    fn tried(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let output = Command::new(program)
            .args(args)
            .env("APT_CONFIG", self.config())
            .env("LC_ALL", "C.UTF-8")
            .output()
            .unwrap_or_else(|error| panic!("cannot run {program}: {error}"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Starts the root part of stomp-repo for this apt, as systemd does: a socket, and one process for each connection.
    ///
    /// # Panics
    /// `systemd-socket-activate` is not there, or does not listen in time.
    pub async fn root_part(&self, program: &str) -> RootPart {
        let socket = self.folder.join("refresh.sock");
        let child = Command::new("systemd-socket-activate")
            .args(["--accept", "--inetd", "--listen"])
            .arg(&socket)
            .args([program, "refresh", "--list"])
            .arg(self.list())
            .arg("--apt-config")
            .arg(self.config())
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run systemd-socket-activate: {error}"));
        let part = RootPart { socket, child };
        // There is a moment between the socket's file and its listening. Nobody's question is refused.
        let at = &part.socket;
        let listens = || async { UnixStream::connect(at).ok().map(drop) };
        until("the root part's socket listens", SOON, listens).await;
        part
    }
}

/// The root part of stomp-repo, as long as this lives.
#[derive(Debug)]
pub struct RootPart {
    socket: PathBuf,
    child: Child,
}

impl RootPart {
    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }
}

impl Drop for RootPart {
    fn drop(&mut self) {
        let _ended = self.child.kill().and_then(|()| self.child.wait());
        let _gone = std::fs::remove_file(&self.socket);
    }
}

/// This machine's architecture, in Debian's words.
pub(crate) fn native() -> String {
    let output = Command::new("dpkg").arg("--print-architecture").output();
    let output = output.unwrap_or_else(|error| panic!("cannot run dpkg: {error}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
