//! Certificates of a site's bus, made by the documented script.

use std::path::{Path, PathBuf};

use command::{Limits, Program};
use world::World;

use crate::{Folder, SOON};

/// `docs/brokers/certificates.sh`.
const SCRIPT: &str = include_str!("../../../docs/brokers/certificates.sh");

/// The users of `docs/brokers` who have a certificate; those of servers for `web1.example.org` and `web2.example.org`.
const USERS: [&str; 8] = [
    "github-stomp",
    "announce",
    "deploy-orchestrator",
    "stomp-keepalive",
    "stomp-git.web1_example_org",
    "stomp-git.web2_example_org",
    "deploy-agent.web1_example_org",
    "deploy-agent.web2_example_org",
];

/// A CA, a broker's certificate, and one for each user of `docs/brokers`, by `docs/brokers/certificates.sh`.
#[derive(Debug)]
pub struct Certificates(Folder);

impl Certificates {
    /// By what name clients know the broker; the certificate also has 127.0.0.1.
    pub const SERVER: &'static str = "mq1.example.org";

    /// Makes them.
    ///
    /// # Panics
    /// The script fails, with what it wrote.
    pub async fn make() -> Self {
        let made = Self(Folder::new());
        made.0.write("certificates.sh", SCRIPT);
        made.script(&["ca"]).await;
        made.script(&["server", Self::SERVER, "127.0.0.1"]).await;
        made.script(&[&["client"], &USERS[..]].concat()).await;
        made
    }

    /// Runs the documented script.
    ///
    /// # Panics
    /// It fails, with what it wrote.
    pub async fn script(&self, args: &[&str]) {
        let script = Program::new("sh")
            .arg("certificates.sh")
            .args(args.to_vec())
            .folder(self.0.path());
        let ran = World::real().processes.run(&script, Limits::of(SOON)).await;
        let ran = ran.unwrap_or_else(|error| panic!("{error}"));
        let said = String::from_utf8_lossy(&ran.stderr);
        assert!(ran.success(), "{script}: {}\n{said}", ran.ending());
    }

    /// The CA's certificate.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    /// A user's certificate, or the broker's.
    #[must_use]
    pub fn certificate(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.pem"))
    }

    /// The key of a user, or of the broker.
    #[must_use]
    pub fn key(&self, name: &str) -> PathBuf {
        self.0.join(format!("{name}.key"))
    }

    /// The password of the stores that `certificates.sh stores` made.
    pub(crate) fn store_password(&self) -> String {
        self.0.read("store-password").trim().to_owned()
    }

    /// Where everything lies.
    pub(crate) fn folder(&self) -> &Path {
        self.0.path()
    }
}
