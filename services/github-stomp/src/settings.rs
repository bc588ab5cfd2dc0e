//! What may be asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use chassis::{Failure, Secret, outbox::OutboxSettings};
use events::RepoName;
use git::Origin;
use jiff::SignedDuration;
use serde::Deserialize;
use world::{Disk, Kind as FileKind};

use crate::{body::Room, deliveries::Bounds};

pub use crate::forge::Kind;
use crate::signature;

/// The keys of `github-stomp.toml` that are its own.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where it listens.
    #[serde(default = "listen")]
    pub listen: String,
    /// Seconds in which a hook is answered.
    #[serde(default = "answer_within_s")]
    pub answer_within_s: u64,
    /// Connections at once.
    #[serde(default = "connections")]
    pub connections: usize,
    /// MiB of bodies that are in memory at once.
    #[serde(default = "bodies_mib")]
    pub bodies_mib: usize,
    /// For so many seconds a push that is told again is not announced again; 0: it always is.
    #[serde(default = "fold_s")]
    pub fold_s: u32,
    /// Where deliveries and the socket for `deploykit webhooks` are.
    #[serde(default = "data")]
    pub data: PathBuf,
    /// Where pushes wait for the broker.
    #[serde(default)]
    pub outbox: OutboxSettings,
    /// How many deliveries are kept to be looked at.
    #[serde(default)]
    pub deliveries: DeliveriesSettings,
    /// The search for pushes whose hook did not come.
    #[serde(default)]
    pub sweep: SweepSettings,
    /// One path `/hook/NAME` each.
    pub sources: BTreeMap<String, Source>,
    /// Our names for repositories.
    #[serde(default)]
    pub repositories: BTreeMap<RepoName, Repository>,
}

/// `[deliveries]`: how many are kept to be looked at. What passes any of the three is removed, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveriesSettings {
    /// Deliveries.
    pub number: u64,
    /// MiB, with their bodies.
    pub mib: u64,
    /// Days.
    pub keep_days: u32,
}

impl Default for DeliveriesSettings {
    fn default() -> Self {
        Self {
            number: 10_000,
            mib: 256,
            keep_days: 3,
        }
    }
}

impl DeliveriesSettings {
    /// As the shelf has it.
    #[must_use]
    pub fn bounds(&self) -> Bounds {
        Bounds {
            number: self.number,
            bytes: self.mib.saturating_mul(1 << 20),
            age_s: i64::from(self.keep_days) * 24 * 60 * 60,
        }
    }

    fn check(&self) -> Result<(), String> {
        let number = |what, value: u64, most: u64| match (1..=most).contains(&value) {
            true => Ok(()),
            false => Err(format!("deliveries.{what} must be 1 to {most}")),
        };
        number("number", self.number, 1_000_000)?;
        number("mib", self.mib, 65_536)?;
        number("keep_days", self.keep_days.into(), 365)
    }
}

/// A forge that posts webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it is; it says how requests are signed and read.
    pub kind: Kind,
    /// The file with its secret.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// Files with secrets, any of which is good.
    #[serde(default)]
    pub secret_files: Vec<PathBuf>,
}

/// `[sweep]`: how repositories with an `origin` are looked at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SweepSettings {
    /// Seconds between two looks, give or take a quarter.
    pub every_s: u64,
    /// The folder whose `.ssh`, `.netrc` and `.gitconfig` are used to ask. Default: the home of the service's user.
    pub home: Option<PathBuf>,
}

impl Default for SweepSettings {
    fn default() -> Self {
        Self {
            every_s: 900,
            home: None,
        }
    }
}

/// What is known of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Full names and URLs.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Where it is fetched from, to be looked at by the sweep.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// False where nobody can rewrite its branches.
    #[serde(default = "force_pushes")]
    pub force_pushes: bool,
}

fn listen() -> String {
    "127.0.0.1:8090".to_owned()
}

fn force_pushes() -> bool {
    true
}

fn answer_within_s() -> u64 {
    8
}

fn connections() -> usize {
    chassis::http::CONNECTIONS
}

fn bodies_mib() -> usize {
    72
}

fn fold_s() -> u32 {
    3600
}

/// Where deliveries and the socket are, unless told otherwise.
pub const DATA: &str = "/var/lib/deploykit/github-stomp";

fn data() -> PathBuf {
    PathBuf::from(DATA)
}

impl Source {
    /// All files that hold a secret of this source.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let files = self.secret_file.iter().chain(&self.secret_files);
        files.map(PathBuf::as_path)
    }

    /// Reads its secrets, and warns of files that others can read.
    ///
    /// # Errors
    /// Names the file that is missing or empty.
    pub fn secrets(&self, name: &str, disk: &dyn Disk) -> Result<Vec<Secret>, Failure> {
        self.files()
            .map(|file| secret(name, self.kind, file, disk))
            .collect()
    }
}

fn secret(source: &str, kind: Kind, file: &Path, disk: &dyn Disk) -> Result<Secret, Failure> {
    let path = file.display();
    let wrong =
        |why: &str| Failure::Settings(format!("sources.{source}: secret file {path}: {why}"));
    let bytes = disk.read(file).map_err(|error| wrong(&error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err(wrong("it is empty"));
    }
    let read = Secret::new(text);
    if kind == Kind::Gitlab {
        signature::standard_key(&read).map_err(wrong)?;
    }
    let open = |mode: u32| mode & 0o077 != 0;
    if let Ok(Some(entry)) = disk.look(file)
        && entry.kind == FileKind::File
        && open(entry.mode)
    {
        let mode = format!("{:04o}", entry.mode);
        tracing::warn!(source, file = %path, mode, "others can read this secret: chmod 600");
    }
    Ok(read)
}

impl Settings {
    /// How long the answer to a hook may take.
    #[must_use]
    pub fn answer_within(&self) -> Duration {
        Duration::from_secs(self.answer_within_s)
    }

    /// The room for bodies in memory.
    #[must_use]
    pub fn room(&self) -> Room {
        Room::new(self.bodies_mib << 20)
    }

    /// How long a push is known.
    #[must_use]
    pub fn fold(&self) -> SignedDuration {
        SignedDuration::from_secs(self.fold_s.into())
    }

    /// The repositories that are looked at.
    #[must_use]
    pub fn origins(&self) -> BTreeMap<RepoName, Origin> {
        let with = |(name, repository): (&RepoName, &Repository)| {
            Some((name.clone(), repository.origin.clone()?))
        };
        self.repositories.iter().filter_map(with).collect()
    }

    /// What the sweep knows of them.
    #[must_use]
    pub fn tips_folder(&self) -> PathBuf {
        self.data.join("tips")
    }

    /// The folder of the deliveries.
    #[must_use]
    pub fn deliveries_folder(&self) -> PathBuf {
        self.data.join("deliveries")
    }
}

/// The socket for `deploykit webhooks`, below the service's `data`.
#[must_use]
pub fn socket(data: &Path) -> PathBuf {
    data.join("socket")
}

impl chassis::Settings for Settings {
    const SHIPPED: &'static str = include_str!("../dist/github-stomp.toml");

    fn check(&self) -> Result<(), String> {
        if !(1..=60).contains(&self.answer_within_s) {
            return Err("answer_within_s must be 1 to 60".to_owned());
        }
        if !(8..=65_536).contains(&self.connections) {
            return Err("connections must be 8 to 65536".to_owned());
        }
        // The largest body fits into what is left beside the room for small ones.
        if !(36..=1024).contains(&self.bodies_mib) {
            return Err("bodies_mib must be 36 to 1024".to_owned());
        }
        if self.fold_s > 86_400 {
            return Err("fold_s must be 0 to 86400".to_owned());
        }
        if !self.data.is_absolute() {
            let data = self.data.display();
            return Err(format!("data: {data} is no absolute path"));
        }
        self.outbox.check()?;
        self.deliveries.check()?;
        if !(1..=86_400).contains(&self.sweep.every_s) {
            return Err("sweep.every_s must be 1 to 86400".to_owned());
        }
        if self.sources.is_empty() {
            return Err("sources is empty: name at least one, [sources.github]".to_owned());
        }
        for (name, source) in &self.sources {
            let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if name.is_empty() || !name.chars().all(word) {
                return Err(format!("sources.{name}: use letters, digits, - and _"));
            }
            if source.files().next().is_none() {
                return Err(format!("sources.{name} has no secret_file"));
            }
        }
        let mut known = BTreeSet::new();
        for (name, repository) in &self.repositories {
            for alias in &repository.aliases {
                if !known.insert(alias) {
                    return Err(format!(
                        "repositories.{name}: alias {alias:?} is there twice"
                    ));
                }
            }
        }
        Ok(())
    }
}
