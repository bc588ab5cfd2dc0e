//! Doing one step: everything here can be done again after a crash, or finds out how far it came.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use events::{
    CommitId, HostName, ProjectName, RefName, TagName,
    message::{Running, ScriptOutput, Step},
};
use git::{Git, GitError, Mirror};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use world::{Disk, World};

use crate::{
    layout::Layout,
    machine::{Asked, End, Outcome},
    redact::Redactor,
    run_folder::{RunFolder, Spec},
    script::{self, Run, Tail},
    settings,
};

/// The scripts that a release may have.
pub const SCRIPTS: [&str; 7] = [
    "build",
    "pre-deploy",
    "stop",
    "start",
    "refresh",
    "check",
    "post-deploy",
];

/// One project on this host: all that its steps need.
#[derive(Debug)]
pub struct Site {
    /// The outside.
    pub world: World,
    /// Runs git.
    pub git: Git,
    /// This host.
    pub host: HostName,
    /// The project.
    pub project: ProjectName,
    /// Its settings.
    pub settings: settings::Project,
    /// Where everything is.
    pub base: PathBuf,
    /// Where the project is.
    pub layout: Layout,
    /// What runs a script.
    pub runner: Vec<String>,
    /// What may not leave the host.
    pub redactor: Arc<Redactor>,
    /// How much output of a script goes to the bus.
    pub output_bytes: u64,
    /// Where it goes.
    pub voice: mpsc::Sender<ScriptOutput>,
}

/// One try of a step, with what it is about.
#[derive(Debug, Clone)]
pub struct Work {
    /// Which step.
    pub step: Step,
    /// Which try.
    pub attempt: u32,
    /// The order.
    pub asked: Asked,
    /// The release whose script is run, or which is made, or which becomes live.
    pub release: Option<String>,
    /// What that release was made from.
    pub revision: Option<CommitId>,
    /// The tag under which it was asked for.
    pub tag: Option<TagName>,
    /// What was live when the order came.
    pub before: Option<Running>,
}

/// Why a step did not come to its end.
enum Trouble {
    Failed(String),
    NotYet(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::NotYet(error.to_string())
            }
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// Does one try of a step. Cancelling `end` ends it early where that leaves nothing half done.
pub async fn act(site: Arc<Site>, work: Work, end: CancellationToken) -> Outcome {
    let began = Instant::now();
    let done = match script_name(work.step) {
        Some(name) => run_script(&site, &work, name, &end).await,
        None => tokio::select! {
            done = change(&site, &work) => done,
            () = end.cancelled(), if !switches(work.step) => {
                Outcome::of(End::Ended, None)
            }
        },
    };
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    if done.duration_ms == 0 {
        done.took(took)
    } else {
        done
    }
}

fn switches(step: Step) -> bool {
    matches!(step, Step::Switch | Step::SwitchBack)
}

fn script_name(step: Step) -> Option<&'static str> {
    match step {
        Step::Build => Some("build"),
        Step::PreDeploy => Some("pre-deploy"),
        Step::Stop | Step::BackStop => Some("stop"),
        Step::Start | Step::BackStart => Some("start"),
        Step::Refresh => Some("refresh"),
        Step::Check | Step::BackCheck => Some("check"),
        Step::PostDeploy => Some("post-deploy"),
        Step::Objects | Step::Layout | Step::Shared | Step::Switch | Step::SwitchBack => None,
    }
}

async fn change(site: &Site, work: &Work) -> Outcome {
    let done = match work.step {
        Step::Objects => objects(site, work).await,
        Step::Layout => lay_out(site, work).await,
        Step::Shared => share(site, work).await,
        _ => switch(site, work).await,
    };
    match done {
        Ok(detail) => Outcome::of(End::Ok, detail),
        Err(Trouble::Failed(reason)) => Outcome::of(End::Failed, Some(reason)),
        Err(Trouble::NotYet(reason)) => Outcome::of(End::NotYet, Some(reason)),
    }
}

type Done = Result<Option<String>, Trouble>;

fn mirror(site: &Site) -> Mirror {
    let folder = git::mirror_folder(&site.base, &site.settings.repository);
    Mirror::at(folder, &site.git)
}

fn needed<'a, T>(value: &'a Option<T>, what: &str) -> Result<&'a T, Trouble> {
    let missing = || Trouble::Failed(format!("there is no {what}"));
    value.as_ref().ok_or_else(missing)
}

/// The commit is in the mirror, and the tag, if it is there, leads to it.
async fn objects(site: &Site, work: &Work) -> Done {
    let commit = needed(&work.asked.commit, "commit to prepare")?;
    let mirror = mirror(site);
    let not_yet = |error: GitError| Trouble::NotYet(chassis::causes(&error));
    if let Some(origin) = &site.settings.origin
        && !mirror.exists().await.map_err(not_yet)?
    {
        mirror.ensure(origin).await.map_err(not_yet)?;
    }
    let mut fetched = false;
    let there = mirror.has(commit).await.map_err(not_yet)?;
    if !there || moved(&mirror, work).await?.is_some() {
        fetched = true;
        mirror.fetch().await.map_err(not_yet)?;
        if !mirror.has(commit).await.map_err(not_yet)? {
            let repository = &site.settings.repository;
            let short = commit.short();
            return Err(Trouble::NotYet(format!(
                "commit {short} is not in the mirror of {repository}"
            )));
        }
    }
    match moved(&mirror, work).await? {
        Some(reason) => Err(Trouble::Failed(reason)),
        None => Ok(fetched.then(|| "fetched".to_owned())),
    }
}

async fn moved(mirror: &Mirror, work: &Work) -> Result<Option<String>, Trouble> {
    let (Some(tag), Some(commit)) = (&work.asked.tag, &work.asked.commit) else {
        return Ok(None);
    };
    let leads = mirror.resolve(&RefName::tag(tag)).await;
    let leads = leads.map_err(|error| Trouble::NotYet(chassis::causes(&error)))?;
    Ok(leads.filter(|leads| leads != commit).map(|leads| {
        let (leads, short) = (leads.short(), commit.short());
        format!("tag {tag} leads to {leads} here, the order says {short}: was it moved?")
    }))
}

async fn lay_out(site: &Site, work: &Work) -> Done {
    let commit = needed(&work.asked.commit, "commit to prepare")?;
    let name = needed(&work.release, "release to make")?.clone();
    let layout = site.layout.clone();
    let (release, partial) = (layout.release(&name), layout.partial(&name));
    let clear = {
        let partial = partial.clone();
        move |disk: &dyn Disk| {
            let there = disk.look(&release)?.is_some();
            if !there {
                disk.remove_tree(&partial)?;
            }
            Ok(there)
        }
    };
    if site.world.on_disk(clear).await? {
        return Ok(None);
    }
    let exported = mirror(site)
        .export(commit, &partial)
        .await
        .map_err(|error| {
            let short_of_room = matches!(&error, GitError::Disk { source, .. }
            if source.kind() == io::ErrorKind::StorageFull);
            match short_of_room {
                true => Trouble::NotYet(chassis::causes(&error)),
                false => Trouble::Failed(chassis::causes(&error)),
            }
        })?;
    let scripts = site.settings.scripts.clone();
    let finish = move |disk: &dyn Disk| {
        let checked = Layout::verify_scripts(disk, &partial, &scripts, &SCRIPTS);
        if checked.is_ok() {
            layout.complete(disk, &name)?;
        } else {
            disk.remove_tree(&partial)?;
        }
        Ok(checked)
    };
    let checked = site.world.on_disk(finish).await?;
    checked.map_err(Trouble::Failed)?;
    Ok(Some(format!(
        "{} files, {} bytes",
        exported.files, exported.bytes
    )))
}

async fn share(site: &Site, work: &Work) -> Done {
    let release = needed(&work.release, "release to link in")?.clone();
    let (layout, shared) = (site.layout.clone(), site.settings.shared.clone());
    let link = move |disk: &dyn Disk| {
        let links = shared.iter();
        Ok(links
            .map(|path| layout.share(disk, &release, path))
            .collect::<Result<(), _>>())
    };
    site.world.on_disk(link).await?.map_err(Trouble::Failed)?;
    Ok(None)
}

async fn switch(site: &Site, work: &Work) -> Done {
    let (layout, release) = (site.layout.clone(), work.release.clone());
    let point = move |disk: &dyn Disk| {
        if let Some(release) = &release
            && disk.look(&layout.release(release))?.is_none()
        {
            return Err(io::Error::other(format!("release {release} is not there")));
        }
        layout.point(disk, "live", release.as_deref())
    };
    site.world.on_disk(point).await?;
    Ok(None)
}

async fn run_script(
    site: &Site,
    work: &Work,
    name: &'static str,
    end: &CancellationToken,
) -> Outcome {
    let Some(release) = &work.release else {
        return Outcome::of(End::Skipped, None);
    };
    let tree = site.layout.release(release);
    let path = tree.join(&site.settings.scripts).join(name);
    let looked = path.clone();
    match site.world.on_disk(move |disk| disk.look(&looked)).await {
        Ok(Some(_)) => {}
        Ok(None) => return Outcome::of(End::Skipped, None),
        Err(error) => return Outcome::of(End::Failed, Some(error.to_string())),
    }
    let folder = format!("{}-{}-{}", work.asked.order, work.step, work.attempt);
    let run = Run {
        folder: RunFolder::at(site.layout.step(&folder)),
        spec: Spec {
            program: path,
            env: environment(site, work, &tree),
            folder: tree.clone(),
            limit_s: site.settings.script_limit_s,
            grace_s: site.settings.script_grace_s,
        },
        runner: site.runner.clone(),
        tail: Tail {
            message: ScriptOutput {
                host: site.host.clone(),
                project: site.project.clone(),
                deploy: work.asked.deploy,
                step: work.step,
                offset: 0,
                text: String::new(),
                cut: false,
            },
            voice: site.voice.clone(),
            redactor: Arc::clone(&site.redactor),
            limit: site.output_bytes,
        },
    };
    let outcome = script::run(&site.world, run, end).await;
    if work.step != Step::Build || outcome.end != End::Ok {
        return outcome;
    }
    // What was built lasts before anybody is told that it is there.
    match site.world.on_disk(move |disk| disk.sync_all(&tree)).await {
        Ok(()) => outcome,
        Err(error) => Outcome::of(End::Failed, Some(error.to_string())),
    }
}

/// The whole environment of a script; `PATH` and `LC_ALL` come with every program.
fn environment(site: &Site, work: &Work, tree: &Path) -> BTreeMap<String, String> {
    let text = |value: Option<&dyn ToString>| value.map_or_else(String::new, ToString::to_string);
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let revision = work.revision.as_ref().map(|value| value as &dyn ToString);
    let tag = work.tag.as_ref().map(|value| value as &dyn ToString);
    let before = work
        .before
        .as_ref()
        .map(|past| &past.revision as &dyn ToString);
    let folder = site.layout.folder();
    let own = [
        ("PROJECT", site.project.to_string()),
        ("ENVIRONMENT", site.settings.environment.to_string()),
        ("HOST", site.host.to_string()),
        ("DEPLOY", work.asked.deploy.to_string()),
        ("ORDER", work.asked.order.to_string()),
        ("WAVE", work.asked.wave.to_string()),
        ("STEP", work.step.to_string()),
        ("REVISION", text(revision)),
        ("TAG", text(tag)),
        ("RELEASE", path(tree)),
        ("PREVIOUS_REVISION", text(before)),
        ("BASE", path(folder)),
        ("SHARED", path(&site.layout.shared())),
    ];
    let mut env: BTreeMap<String, String> = own
        .into_iter()
        .map(|(name, value)| (format!("DEPLOYKIT_{name}"), value))
        .collect();
    env.insert("HOME".to_owned(), path(folder));
    env
}
