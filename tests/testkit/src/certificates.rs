//! Certificates of a site's bus, made by the documented script.

use std::path::{Path, PathBuf};

use command::{Limits, Program};
use world::World;

use crate::{
    Folder, SOON,
    documented::{HOST, OTHER_HOST},
};

/// `docs/brokers/certificates.sh`.
const SCRIPT: &str = include_str!("../../../docs/brokers/certificates.sh");

/// Who has a certificate.
const USERS: &str = include_str!("../../../docs/brokers/activemq/certificates.properties");

/// The users of `docs/brokers`; those of servers for `web1.example.org` and `web2.example.org`.
fn users() -> Vec<String> {
    let lines = USERS.lines().filter(|line| !line.starts_with('#'));
    let names = lines.filter_map(|line| line.split_once('=').map(|(name, _)| name));
    let both = names.flat_map(|name| [name.to_owned(), name.replace(HOST, OTHER_HOST)]);
    let mut users: Vec<String> = both.collect();
    users.dedup();
    users
}

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
        let users = users();
        let users = users.iter().map(String::as_str);
        let args: Vec<&str> = ["client"].into_iter().chain(users).collect();
        made.script(&args).await;
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
