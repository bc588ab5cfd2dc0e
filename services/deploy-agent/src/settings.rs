//! What the agent is told: `/etc/deploykit/deploy-agent.toml`.

use std::{collections::BTreeMap, path::PathBuf};

use events::{EnvironmentName, Facts, GroupName, ProjectName, RepoName};
use git::Origin;
use jiff::SignedDuration;
use serde::Deserialize;
use world::UserName;

use crate::{
    checks::Check,
    machine::Rules,
    manifest::{Manifest, Terms},
    scripts::{Script, ScriptTable},
};

/// The agent's settings.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where releases, mirrors and journals are.
    #[serde(default = "base")]
    pub base: PathBuf,
    /// The folder whose `.netrc` and `.gitconfig` are used to fetch. Default: the home of the agent's user.
    #[serde(default)]
    pub home: Option<PathBuf>,
    /// Whose signatures are known.
    #[serde(default = "allowed_signers")]
    pub allowed_signers: PathBuf,
    /// Who may ask for what.
    #[serde(default = "policy")]
    pub policy: PathBuf,
    /// Where a person at the host asks the agent.
    #[serde(default)]
    pub control: Option<PathBuf>,
    /// Groups that this host says it is in.
    #[serde(default)]
    pub groups: Vec<GroupName>,
    /// How often this host says that it is there.
    #[serde(default = "presence_s")]
    pub presence_s: u64,
    /// How far clocks may differ.
    #[serde(default = "clock_skew_s")]
    pub clock_skew_s: u64,
    /// How long to wait before a preparation is tried again.
    #[serde(default = "retry_s")]
    pub retry_s: u64,
    /// The program that runs a script; empty: this program, with `step`.
    #[serde(default)]
    pub step_command: Vec<String>,
    /// Where scripts from the host are, in a folder for each project.
    #[serde(default = "host_scripts")]
    pub host_scripts: PathBuf,
    /// Files whose lines are secrets.
    #[serde(default)]
    pub secret_files: Vec<PathBuf>,
    /// Output of one script that goes to the bus.
    #[serde(default = "output_kb")]
    pub output_kb: u64,
    /// What this host says of itself.
    #[serde(default)]
    pub facts: Facts,
    /// A command that says more, as one flat JSON object; its program is an absolute path.
    #[serde(default)]
    pub facts_command: Vec<String>,
    /// How often it is asked.
    #[serde(default = "facts_s")]
    pub facts_s: u64,
    /// The projects that may be deployed here.
    #[serde(default)]
    pub projects: BTreeMap<ProjectName, Project>,
}

/// The settings of one project.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The repository it comes from.
    pub repository: RepoName,
    /// Where it is deployed.
    pub environment: EnvironmentName,
    /// From where to clone the mirror, if nobody else keeps one.
    #[serde(default)]
    pub origin: Option<Origin>,
    /// How many releases are kept.
    #[serde(default = "keep")]
    pub keep: usize,
    /// The folder of the scripts in a release. This and the next ones go above what the revision says: see [`Terms`].
    #[serde(default)]
    pub scripts: Option<String>,
    /// Scripts that differ from the usual.
    #[serde(default)]
    pub script: BTreeMap<Script, ScriptTable>,
    /// Checks that need no script.
    #[serde(default)]
    pub check: Option<Vec<Check>>,
    /// Paths that outlive releases.
    #[serde(default)]
    pub shared: Option<Vec<String>>,
    /// How long one run of a script may take.
    #[serde(default)]
    pub script_limit_s: Option<u64>,
    /// How long after TERM it gets KILL.
    #[serde(default)]
    pub script_grace_s: Option<u64>,
    /// Whose releases are; default: this process's user.
    #[serde(default)]
    pub owner: Option<UserName>,
    /// Users that a revision may name as its owner.
    #[serde(default)]
    pub owners: Vec<UserName>,
    /// Nobody ever writes into a release.
    #[serde(default)]
    pub hard_links: Option<bool>,
    /// The most megabytes that a release may have.
    #[serde(default)]
    pub release_mb: Option<u64>,
    /// The most files, links and folders.
    #[serde(default)]
    pub release_files: Option<u64>,
    /// What stays free on the disk: nothing is laid out that takes more.
    #[serde(default = "spare_mb")]
    pub spare_mb: u64,
    /// How many files may then still be made on it.
    #[serde(default = "spare_files")]
    pub spare_files: u64,
    /// How often the check is tried.
    #[serde(default = "check_tries")]
    pub check_tries: u32,
    /// How long to wait between two tries.
    #[serde(default = "check_pause_s")]
    pub check_pause_s: u64,
}

fn base() -> PathBuf {
    PathBuf::from("/var/lib/deploykit")
}
fn allowed_signers() -> PathBuf {
    PathBuf::from("/etc/deploykit/allowed_signers")
}
fn policy() -> PathBuf {
    PathBuf::from("/etc/deploykit/policy.toml")
}
fn host_scripts() -> PathBuf {
    PathBuf::from("/etc/deploykit/projects.d")
}
fn facts_s() -> u64 {
    3600
}
fn presence_s() -> u64 {
    60
}
fn clock_skew_s() -> u64 {
    30
}
fn retry_s() -> u64 {
    10
}
fn output_kb() -> u64 {
    1024
}
fn keep() -> usize {
    5
}
fn spare_mb() -> u64 {
    256
}
fn spare_files() -> u64 {
    10_000
}
fn check_tries() -> u32 {
    3
}
fn check_pause_s() -> u64 {
    1
}

impl Settings {
    /// Where a person at the host asks the agent.
    #[must_use]
    pub fn control(&self) -> PathBuf {
        let own = self.control.clone();
        own.unwrap_or_else(|| self.base.join("control.sock"))
    }
}

impl chassis::Settings for Settings {
    const SHIPPED: &'static str = include_str!("../dist/deploy-agent.toml");

    fn check(&self) -> Result<(), String> {
        if !self.base.is_absolute() {
            return Err(format!("base: {} is no absolute path", self.base.display()));
        }
        if !self.host_scripts.is_absolute() {
            let path = self.host_scripts.display();
            return Err(format!("host_scripts: {path} is no absolute path"));
        }
        if let Some(path) = self.control.as_ref().filter(|path| !path.is_absolute()) {
            return Err(format!("control: {} is no absolute path", path.display()));
        }
        let times = [
            ("presence_s", self.presence_s),
            ("retry_s", self.retry_s),
            ("facts_s", self.facts_s),
            ("output_kb", self.output_kb),
        ];
        if let Some((key, _)) = times.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{key}: 0 is too small"));
        }
        let commands = [
            ("step_command", &self.step_command),
            ("facts_command", &self.facts_command),
        ];
        let relative = |(_, command): &(_, &Vec<String>)| {
            command
                .first()
                .is_some_and(|program| !program.starts_with('/'))
        };
        if let Some((key, _)) = commands.into_iter().find(relative) {
            return Err(format!("{key}: the program is an absolute path"));
        }
        self.projects.iter().try_for_each(|(name, project)| {
            project
                .check()
                .map_err(|wrong| format!("projects.{name}.{wrong}"))
        })
    }
}

impl Project {
    fn check(&self) -> Result<(), String> {
        if self.keep < 2 {
            return Err(format!(
                "keep: {} is too small, a rollback needs 2",
                self.keep
            ));
        }
        if self.check_tries == 0 {
            return Err("check_tries: 0 is too small".to_owned());
        }
        Terms::of(self, &Manifest::default()).map(|_| ())
    }

    /// What the decisions depend on.
    #[must_use]
    pub fn rules(&self, retry_s: u64) -> Rules {
        let seconds = |s: u64| SignedDuration::from_secs(i64::try_from(s).unwrap_or(i64::MAX));
        Rules {
            check_tries: self.check_tries,
            check_pause: seconds(self.check_pause_s),
            retry: seconds(retry_s),
            keep: self.keep,
        }
    }
}
