//! Git repositories over https, with a login.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use command::{Limits, Program, Running};
use world::World;

use crate::{BrokerProcess, Folder, SOON, until};

const SCRIPT: &str = include_str!("git_https.py");

/// `git http-backend` behind TLS on loopback, for `ann` with the password `right`. Dropped, it is ended.
#[derive(Debug)]
pub struct GitHttps {
    folder: Folder,
    port: u16,
    _running: Box<dyn Running>,
}

impl GitHttps {
    /// Serves the repositories below `root`, with a certificate for `127.0.0.1` that signs itself.
    ///
    /// # Panics
    /// It does not start; with the last lines of its log.
    pub async fn start(root: &Path) -> Self {
        let folder = Folder::new();
        let at = |name: &str| folder.join(name).display().to_string();
        let (certificate, key) = (at("certificate.pem"), at("key.pem"));
        let openssl = Program::new("openssl").args([
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=git",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-out",
            &certificate,
            "-keyout",
            &key,
        ]);
        let limits = Limits::of(Duration::from_secs(20));
        let made = World::real().processes.run(&openssl, limits).await;
        let made = made.unwrap_or_else(|error| panic!("{error}"));
        assert!(made.success(), "{openssl}: {}", made.last_line());
        let both = folder.read("certificate.pem") + &folder.read("key.pem");
        let both = folder.write("both.pem", &both).display().to_string();
        let script = folder.write("serve.py", SCRIPT).display().to_string();
        let root = root.display().to_string();
        let program = BrokerProcess::program("python3").args([script, root, both]);
        let log = folder.join("log");
        let running = World::real().processes.start(&program, &log);
        let running = running.expect("python3 can be started");
        let port = until("the server says its port", SOON, async || {
            folder.read("log").lines().next()?.parse().ok()
        });
        let port = port.await;
        Self {
            folder,
            port,
            _running: running,
        }
    }

    /// The address of a repository by its path below the root.
    #[must_use]
    pub fn origin(&self, path: &str) -> String {
        format!("https://127.0.0.1:{}/{path}", self.port)
    }

    /// The certificate, which nobody else has signed.
    #[must_use]
    pub fn certificate(&self) -> PathBuf {
        self.folder.join("certificate.pem")
    }
}
