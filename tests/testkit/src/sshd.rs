//! Debian's OpenSSH server, for repositories of this machine over ssh.
#![expect(
    clippy::disallowed_methods,
    reason = "a test's own server, on loopback and outside of the world that it tests"
)]

use std::{net::TcpListener, path::PathBuf, time::Duration};

use command::{Limits, Program, Running};
use tokio::net::TcpStream;
use world::World;

use crate::{BrokerProcess, Folder, SOON, until};

/// A server on loopback that lets one key in, as the user who runs the test. Dropped, it is ended.
#[derive(Debug)]
pub struct Sshd {
    folder: Folder,
    port: u16,
    user: String,
    _running: Box<dyn Running>,
}

impl Sshd {
    /// Starts it and waits until it listens.
    ///
    /// # Panics
    /// It is not installed, or does not start; with the last lines of its log.
    pub async fn start() -> Self {
        let folder = Folder::new();
        let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
        let port = free.expect("a free port").port();
        keygen(&folder, "host", "").await;
        keygen(&folder, "key", "").await;
        std::fs::copy(folder.join("key.pub"), folder.join("authorized")).expect("a key was made");
        let at = |name: &str| folder.join(name).display().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nAuthorizedKeysFile {}\nPasswordAuthentication yes\nUsePAM no\n\
             StrictModes no\nPermitRootLogin yes\nPidFile none\n",
            at("host"),
            at("authorized"),
        );
        let config = folder.write("sshd_config", &config);
        // As root it wants this one, which its unit makes elsewhere.
        let _not_root = std::fs::create_dir_all("/run/sshd");
        let program = BrokerProcess::program("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(config.display().to_string());
        let log = folder.join("log");
        let running = World::real().processes.start(&program, &log);
        let running = running.expect("sshd can be started: apt-get install openssh-server");
        let listens = async || TcpStream::connect(("127.0.0.1", port)).await.ok();
        until("sshd listens", SOON, listens).await;
        Self {
            folder,
            port,
            user: said(Program::new("id").arg("-un")).await,
            _running: running,
        }
    }

    /// The address of a repository of this machine.
    #[must_use]
    pub fn origin(&self, path: &std::path::Path) -> String {
        format!(
            "ssh://{}@127.0.0.1:{}{}",
            self.user,
            self.port,
            path.display()
        )
    }

    /// The key that is let in.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.folder.join("key")
    }

    /// Another key, perhaps with a passphrase.
    ///
    /// # Panics
    /// There is one of this name.
    pub async fn other_key(&self, name: &str, passphrase: &str) -> PathBuf {
        keygen(&self.folder, name, passphrase).await;
        self.folder.join(name)
    }

    /// Lets this key in too.
    pub fn let_in(&self, key: &str) {
        let both = self.folder.read("authorized") + &self.folder.read(format!("{key}.pub"));
        self.folder.write("authorized", &both);
    }

    /// A `known_hosts` that gives this server the host key of that name: its own is `host`.
    #[must_use]
    pub fn known_hosts(&self, key: &str) -> PathBuf {
        let key = self.folder.read(format!("{key}.pub"));
        let line = format!("[127.0.0.1]:{} {key}", self.port);
        self.folder.write("known_hosts", &line)
    }

    /// One that knows nobody.
    #[must_use]
    pub fn empty_known_hosts(&self) -> PathBuf {
        self.folder.write("no_known_hosts", "")
    }
}

async fn keygen(folder: &Folder, name: &str, passphrase: &str) {
    let key = folder.join(name).display().to_string();
    let args = ["-q", "-t", "ed25519", "-N", passphrase, "-f", &key];
    said(Program::new("ssh-keygen").args(args)).await;
}

/// What a program prints.
async fn said(program: Program) -> String {
    let limits = Limits::of(Duration::from_secs(10));
    let ran = World::real().processes.run(&program, limits).await;
    let output = ran.unwrap_or_else(|error| panic!("{error}"));
    assert!(output.success(), "{program}: {}", output.last_line());
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
