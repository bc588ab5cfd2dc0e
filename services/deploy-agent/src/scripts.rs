//! Which scripts a project has: their names, files and arguments, where each is from, and what a release has of them.

mod argument;
mod manner;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use events::message::Step;
use serde::{Deserialize, Serialize};
use world::{Disk, Entry, Kind};

pub use argument::{Argument, UnknownPlace};
pub use manner::{Manner, ScriptTable};

use crate::{
    layout::Layout,
    machine::{Ground, OnDisk},
    manifest::{self, Terms},
    settings::Project,
};

/// What a script is for; also the name of its file, where the settings do not say otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Script {
    /// Makes of the revision what can be started.
    Build,
    /// Before anything live is touched.
    PreDeploy,
    /// Ends the release that is live.
    Stop,
    /// Starts a release.
    Start,
    /// Has what runs take up the new release, in place of stop and start.
    Refresh,
    /// Says whether the release that is live is good.
    Check,
    /// After the check.
    PostDeploy,
}

impl Script {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Build,
        Self::PreDeploy,
        Self::Stop,
        Self::Start,
        Self::Refresh,
        Self::Check,
        Self::PostDeploy,
    ];

    /// The script of a step; `None` for what the agent does itself.
    #[must_use]
    pub fn of(step: Step) -> Option<Self> {
        match step {
            Step::Build => Some(Self::Build),
            Step::PreDeploy => Some(Self::PreDeploy),
            Step::Stop | Step::BackStop => Some(Self::Stop),
            Step::Start | Step::BackStart => Some(Self::Start),
            Step::Refresh => Some(Self::Refresh),
            Step::Check | Step::BackCheck => Some(Self::Check),
            Step::PostDeploy => Some(Self::PostDeploy),
            Step::Objects | Step::Layout | Step::Shared | Step::Switch | Step::SwitchBack => None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::PreDeploy => "pre-deploy",
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Refresh => "refresh",
            Self::Check => "check",
            Self::PostDeploy => "post-deploy",
        }
    }
}

/// Where a script is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The revision: it is the project's, and a release without it does without.
    #[default]
    Release,
    /// The host: it is root's, for all releases, and has to be there.
    Host,
}

/// The scripts that a release had when it was prepared. They stay those, whatever the settings say later; but the file of
/// one that is from the host is what the settings say now.
pub type Plan = BTreeMap<Script, Planned>;

/// A script of a release.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Its file, from the release's folder on; `None` if the release has none and it is from the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// True if it may be run again when nobody knows how far it came.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rerunnable: bool,
    /// True if it is not run again for the same revision once it was done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

/// The scripts of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scripts {
    /// Their folder in a release.
    pub folder: String,
    /// The folder of those from the host.
    pub host_folder: PathBuf,
    /// How some differ from the usual.
    pub manners: BTreeMap<Script, Manner>,
}

impl Scripts {
    /// Those of a project, whose scripts from the host are in this folder, where revisions say nothing.
    #[must_use]
    pub fn of(project: &Project, host_folder: PathBuf) -> Self {
        let folder = project.scripts.clone();
        Self {
            folder: folder.unwrap_or_else(|| manifest::SCRIPTS.to_owned()),
            host_folder,
            manners: project
                .script
                .iter()
                .map(|(script, table)| (*script, table.clone().manner()))
                .collect(),
        }
    }

    /// Those of a release to which this applies.
    #[must_use]
    pub fn under(&self, terms: &Terms) -> Self {
        Self {
            folder: terms.scripts.clone(),
            host_folder: self.host_folder.clone(),
            manners: terms.script.clone(),
        }
    }

    /// How a script is run.
    #[must_use]
    pub fn manner(&self, script: Script) -> Manner {
        self.manners.get(&script).cloned().unwrap_or_default()
    }

    fn file(&self, script: Script) -> String {
        let file = self.manner(script).file;
        file.unwrap_or_else(|| script.name().to_owned())
    }

    fn in_release(&self, script: Script) -> String {
        format!("{}/{}", self.folder, self.file(script))
    }

    /// Where a script of the host is; `None` if it is the release's.
    #[must_use]
    pub fn on_host(&self, script: Script) -> Option<PathBuf> {
        let from_host = self.manner(script).from == Source::Host;
        from_host.then(|| self.host_folder.join(self.file(script)))
    }

    /// The script's file from the folder of its release on, if the release has it. A release that was prepared before plans were
    /// written down has what is there.
    ///
    /// # Errors
    /// The system's.
    pub fn in_tree(
        &self,
        disk: &dyn Disk,
        tree: &Path,
        script: Script,
        plan: Option<&Plan>,
    ) -> io::Result<Option<String>> {
        match plan {
            Some(plan) => Ok(plan.get(&script).and_then(|planned| planned.file.clone())),
            None => {
                let file = self.in_release(script);
                Ok(disk.look(&tree.join(&file))?.map(|_| file))
            }
        }
    }

    /// What a tree has of the scripts. Each that is there, and each from the host, can be run; after the build, those that are
    /// required are there.
    ///
    /// # Errors
    /// Names the script and the next step.
    pub fn find(&self, disk: &dyn Disk, tree: &Path, built: bool) -> Result<Plan, String> {
        let failed = |error: io::Error| format!("{}: {error}", self.folder);
        match disk.look(&tree.join(&self.folder)).map_err(failed)? {
            Some(entry) if entry.kind != Kind::Folder => {
                return Err(format!("{} is no folder", self.folder));
            }
            Some(_) | None => {}
        }
        let mut plan = Plan::new();
        for script in Script::ALL {
            let (manner, on_host) = (self.manner(script), self.on_host(script));
            let file = self.in_release(script);
            let there = disk.look(&tree.join(&file)).map_err(failed)?;
            let file = match there.map(|there| can_be_run(&there, &file)) {
                Some(Err(reason)) if on_host.is_none() => return Err(reason),
                Some(Ok(())) => Some(file),
                Some(Err(_)) | None => None,
            };
            if let Some(path) = &on_host {
                roots(disk, path)?;
                if manner.root && !rustix::process::geteuid().is_root() {
                    let path = path.display();
                    return Err(format!(
                        "{path} is to run as root: start deploy-agent as root"
                    ));
                }
            } else if file.is_none() {
                continue;
            }
            let planned = Planned {
                file,
                rerunnable: manner.rerunnable,
                once: manner.once,
            };
            plan.insert(script, planned);
        }
        let later = !built && plan.contains_key(&Script::Build);
        for script in Script::ALL {
            let required = self.manner(script).required && (script == Script::Build || !later);
            if required && !plan.contains_key(&script) {
                let file = self.in_release(script);
                return Err(format!("{file} is required, and not in the revision"));
            }
        }
        Ok(plan)
    }

    /// What can no longer be run of what a release was prepared with, or of what the host has to have.
    fn missing(&self, disk: &dyn Disk, tree: &Path, plan: Option<&Plan>) -> Option<String> {
        let planned = plan.into_iter().flatten().find_map(|(script, planned)| {
            if self.on_host(*script).is_some() {
                return None;
            }
            let path = tree.join(planned.file.as_ref()?);
            match disk.look(&path) {
                Ok(Some(there)) => can_be_run(&there, &path.display().to_string()).err(),
                Ok(None) => Some(format!(
                    "{} was there when it was prepared, and is gone",
                    path.display()
                )),
                Err(error) => Some(format!("{}: {error}", path.display())),
            }
        });
        let hosts = || {
            let mut hosts = Script::ALL.into_iter().filter_map(|one| self.on_host(one));
            hosts.find_map(|path| roots(disk, &path).err())
        };
        planned.or_else(hosts)
    }

    fn on_disk(&self, disk: &dyn Disk, tree: &Path, plan: Option<&Plan>) -> io::Result<OnDisk> {
        let refresh = self.on_host(Script::Refresh).is_some()
            || self.in_tree(disk, tree, Script::Refresh, plan)?.is_some();
        let missing = self.missing(disk, tree, plan);
        Ok(OnDisk { refresh, missing })
    }

    /// What is on the disk: the complete releases, and what each has of the scripts, or why that is not known.
    ///
    /// # Errors
    /// The system's, where the releases cannot be listed.
    pub fn ground(
        &self,
        disk: &dyn Disk,
        layout: &Layout,
        host: &Project,
        plans: &BTreeMap<String, Plan>,
    ) -> io::Result<Ground> {
        let mut ground = Ground::new();
        for name in layout.complete_releases(disk)? {
            let (tree, plan) = (layout.release(&name), plans.get(&name));
            let unread = |path: &Path| {
                let path = path.display().to_string();
                move |error: io::Error| format!("{path}: {error}")
            };
            let terms = Terms::of_release(disk, layout, host, &name);
            let terms = terms.map_err(unread(&layout.manifest(&name)));
            let there = terms.and_then(|terms| terms).and_then(|terms| {
                let found = self.under(&terms).on_disk(disk, &tree, plan);
                found.map_err(unread(&tree))
            });
            // What is wrong with one release keeps nobody from another.
            let wrong = |reason| OnDisk {
                refresh: false,
                missing: Some(reason),
            };
            ground.insert(name, there.unwrap_or_else(wrong));
        }
        Ok(ground)
    }
}

fn can_be_run(there: &Entry, file: &str) -> Result<(), String> {
    if there.kind != Kind::File {
        return Err(format!("{file} is no regular file"));
    }
    if there.mode & 0o100 == 0 {
        return Err(format!(
            "{file} is not executable: git update-index --chmod=+x {file}"
        ));
    }
    Ok(())
}

/// A script from the host is there, can be run, and is nobody's but root's (or this user's own).
///
/// # Errors
/// Names it and the next step.
pub fn roots(disk: &dyn Disk, path: &Path) -> Result<(), String> {
    world::only_roots(disk, path).map_err(|error| chassis::causes(&error))?;
    let there = disk.look(path).map_err(|error| error.to_string())?;
    match there {
        Some(there) if there.mode & 0o100 != 0 => Ok(()),
        _ => {
            let path = path.display();
            Err(format!("{path} is not executable: chmod +x {path}"))
        }
    }
}
