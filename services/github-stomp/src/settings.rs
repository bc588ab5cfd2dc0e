//! What may be asked for.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use chassis::{Failure, Secret, outbox::OutboxSettings};
use events::RepoName;
use serde::Deserialize;
use world::{Disk, Kind as FileKind};

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
    /// Where pushes wait for the broker.
    #[serde(default)]
    pub outbox: OutboxSettings,
    /// One path `/hook/NAME` each.
    pub sources: BTreeMap<String, Source>,
    /// Our names for repositories.
    #[serde(default)]
    pub repositories: BTreeMap<RepoName, Repository>,
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

/// What is known of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Full names and URLs.
    #[serde(default)]
    pub aliases: Vec<String>,
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
}

impl chassis::Settings for Settings {
    const SHIPPED: &'static str = include_str!("../dist/github-stomp.toml");

    fn check(&self) -> Result<(), String> {
        if !(1..=60).contains(&self.answer_within_s) {
            return Err("answer_within_s must be 1 to 60".to_owned());
        }
        self.outbox.check()?;
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
