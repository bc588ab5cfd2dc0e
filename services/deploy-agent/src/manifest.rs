//! `deploy.toml`: what a revision says about how it is laid out and run, and what then applies to its release.
//!
//! It is read from the tree of the commit, never from a folder that somebody could have changed, and kept beside the releases as
//! it was. So what applies to a release is known after a crash too, and for a rollback without git: the kept file, and above it
//! the host's settings as they are then.

use std::{
    collections::BTreeMap,
    io,
    path::{Component, Path, PathBuf},
};

use chassis::settings::exactly;
use serde::Deserialize;
use world::{Disk, UserName};

use crate::{
    checks::{Check, bounded},
    layout::Layout,
    scripts::{Manner, Script, ScriptTable, Source},
    settings::Project,
};

/// The file's name, at the root of a tree.
pub const FILE: &str = "deploy.toml";

/// The folder of scripts in a release, where nobody says otherwise.
pub const SCRIPTS: &str = ".deploy";

/// The largest such file that is read.
pub const MOST_BYTES: u64 = 64 << 10;

/// The longest that one run of a script may take, and the longest from TERM to KILL. While a release is put back, nothing ends a
/// script before.
const SCRIPT_MOST_S: u64 = 24 * 3600;
const GRACE_MOST_S: u64 = 3600;

/// The most checks without a script.
const MOST_CHECKS: usize = 20;

/// What a revision says. Each key is one that the host's settings of a project may have too.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manifest {
    /// The folder of the scripts in a release.
    pub scripts: Option<String>,
    /// Scripts that differ from the usual. What the host says of the same script goes above it, key by key.
    pub script: BTreeMap<Script, ScriptTable>,
    /// Checks that need no script.
    pub check: Vec<Check>,
    /// Paths that outlive releases.
    pub shared: Option<Vec<String>>,
    /// How long one run of a script may take.
    pub script_limit_s: Option<u64>,
    /// How long after TERM it gets KILL.
    pub script_grace_s: Option<u64>,
    /// Whose the release is: one of those that the host allows.
    pub owner: Option<UserName>,
    /// Nobody ever writes into a release: what is the same in the next one is the same file.
    pub hard_links: Option<bool>,
    /// The most megabytes that a release may have when it is laid out.
    pub release_mb: Option<u64>,
    /// The most files, links and folders.
    pub release_files: Option<u64>,
}

impl Manifest {
    /// Reads a revision's file; `name` is for the error only.
    ///
    /// # Errors
    /// One sentence that names the file, the line and the key.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self, String> {
        let text = std::str::from_utf8(bytes).map_err(|error| format!("{name}: {error}"))?;
        let manifest: Self = exactly(text, name).map_err(|wrong| wrong.to_string())?;
        if manifest.check.iter().any(|check| check.ca_file.is_some()) {
            return Err(format!(
                "{name}: check.ca_file: what a host believes is for the host to say"
            ));
        }
        if manifest.check.iter().any(|check| check.pause_s == 0) {
            return Err(format!("{name}: check.pause_s: 0 is too small"));
        }
        let hosts = |(_, table): &(&Script, &ScriptTable)| table.from == Some(Source::Host);
        match manifest.script.iter().find(hosts) {
            Some((script, _)) => Err(format!(
                "{name}: script.{}.from: that a script is the host's is for the host to say",
                script.name()
            )),
            None => Ok(manifest),
        }
    }
}

/// What applies to one release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The folder of the scripts in it.
    pub scripts: String,
    /// How some of them differ from the usual.
    pub script: BTreeMap<Script, Manner>,
    /// Its checks that need no script.
    pub check: Vec<Check>,
    /// Its paths that outlive it.
    pub shared: Vec<String>,
    /// How long one run of a script may take.
    pub script_limit_s: u64,
    /// How long after TERM it gets KILL.
    pub script_grace_s: u64,
    /// Whose it is; `None`: this process's.
    pub owner: Option<UserName>,
    /// What is the same as in the release before is the same file.
    pub hard_links: bool,
    /// The most megabytes that it may have when it is laid out.
    pub release_mb: u64,
    /// The most files, links and folders.
    pub release_files: u64,
}

impl Terms {
    /// What the host says goes above what the revision says, key by key.
    ///
    /// # Errors
    /// One sentence that names the key and the rule.
    pub fn of(host: &Project, manifest: &Manifest) -> Result<Self, String> {
        let scripts = host.scripts.as_ref().or(manifest.scripts.as_ref());
        let shared = host.shared.as_ref().or(manifest.shared.as_ref());
        let mut script = manifest.script.clone();
        // A revision takes no longer than its host gives it. Not refused: it may be what a rollback leads to.
        for table in script.values_mut() {
            let most = |limit: u64| limit.min(host.script_limit_s.unwrap_or(limit));
            table.limit_s = table.limit_s.map(most);
        }
        for (name, table) in &host.script {
            let below = script.entry(*name).or_default();
            *below = table.above(below);
        }
        let manners = script
            .into_iter()
            .map(|(name, table)| (name, table.manner()));
        let check = host.check.as_ref().unwrap_or(&manifest.check);
        let terms = Self {
            script: manners.collect(),
            check: check.clone(),
            scripts: scripts.cloned().unwrap_or_else(|| SCRIPTS.to_owned()),
            shared: shared.cloned().unwrap_or_default(),
            script_limit_s: host
                .script_limit_s
                .or(manifest.script_limit_s)
                .unwrap_or(600),
            script_grace_s: host
                .script_grace_s
                .or(manifest.script_grace_s)
                .unwrap_or(10),
            owner: owner(host, manifest)?,
            hard_links: host.hard_links.or(manifest.hard_links).unwrap_or(false),
            release_mb: host.release_mb.or(manifest.release_mb).unwrap_or(16 << 10),
            release_files: host
                .release_files
                .or(manifest.release_files)
                .unwrap_or(1_000_000),
        };
        terms.check().map(|()| terms)
    }

    /// What applies to a release that is on the disk, or in one sentence why that is not understood.
    ///
    /// # Errors
    /// The system's.
    pub fn of_release(
        disk: &dyn Disk,
        layout: &Layout,
        host: &Project,
        release: &str,
    ) -> io::Result<Result<Self, String>> {
        let path = layout.manifest(release);
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            // Laid out before such files were kept.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let name = path.display().to_string();
        let terms = Manifest::parse(&bytes, &name).and_then(|manifest| {
            Self::of(host, &manifest).map_err(|wrong| format!("{name}: {wrong}"))
        });
        Ok(terms)
    }

    fn check(&self) -> Result<(), String> {
        bounded("script_limit_s", self.script_limit_s, 1..=SCRIPT_MOST_S)?;
        bounded("script_grace_s", self.script_grace_s, 0..=GRACE_MOST_S)?;
        if !is_inside(&self.scripts) {
            return Err(format!("scripts: {:?} is no path inside", self.scripts));
        }
        for (script, manner) in &self.script {
            let name = script.name();
            if let Some(file) = manner.file.as_ref().filter(|file| !is_inside(file)) {
                return Err(format!("script.{name}.file: {file:?} is no path inside"));
            }
            if manner.once && !matches!(script, Script::PreDeploy | Script::PostDeploy) {
                return Err(format!(
                    "script.{name}.once: {name} has to run each time; only pre-deploy and post-deploy can be done once"
                ));
            }
            if manner.root && manner.from != Source::Host {
                return Err(format!(
                    "script.{name}.root: only a script with from = \"host\" can run as root"
                ));
            }
            if let Some(limit) = manner.limit_s {
                bounded(&format!("script.{name}.limit_s"), limit, 1..=SCRIPT_MOST_S)?;
            }
        }
        if self.check.len() > MOST_CHECKS {
            return Err(format!(
                "check: {} of them are too many: at most {MOST_CHECKS}",
                self.check.len()
            ));
        }
        for check in &self.check {
            check.asks()?;
        }
        for path in &self.shared {
            let within = |other: &str| Path::new(path).starts_with(other);
            let doubled = |other: &String| other != path && within(other);
            let scripts = within(&self.scripts) || Path::new(&self.scripts).starts_with(path);
            if !is_inside(path) || scripts || self.shared.iter().any(doubled) {
                return Err(format!(
                    "shared: {path:?} must be a path inside the release, outside {:?} and the other shared paths",
                    self.scripts
                ));
            }
        }
        Ok(())
    }
}

/// The host's owner. Only where it names none, and these are among those it allows, the revision's.
fn owner(host: &Project, manifest: &Manifest) -> Result<Option<UserName>, String> {
    let Some(wanted) = manifest.owner.as_ref().filter(|_| host.owner.is_none()) else {
        return Ok(host.owner.clone());
    };
    if host.owners.contains(wanted) {
        return Ok(Some(wanted.clone()));
    }
    Err(format!(
        "owner: this host lets no revision choose {wanted}: add it to `owners` of the project in deploy-agent.toml"
    ))
}

/// A relative path that stays where it is joined: no `..`, no `.`, nothing doubled or trailing.
fn is_inside(path: &str) -> bool {
    let normal = Path::new(path)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let exact: PathBuf = Path::new(path).components().collect();
    !path.is_empty() && normal && exact.as_os_str() == path
}
