//! Doing one step: everything here can be done again after a crash, or finds out how far it came.

mod checks;
mod named;
mod release;
mod scripts;

use std::{io, path::PathBuf, sync::Arc};

use events::{
    CommitId, HostName, ProjectName, TagName,
    message::{Running, ScriptOutput, Step},
};
use git::{Git, GitError, Mirror};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;
use world::{Disk, World};

use crate::{
    layout::Layout,
    machine::{Asked, End, Outcome},
    manifest::Terms,
    redact::Redactor,
    scripts::{Plan, Script, Scripts},
    settings,
};

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
    /// Its scripts.
    pub scripts: Scripts,
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
    /// The scripts that the release was prepared with.
    pub plan: Option<Plan>,
}

/// Why a step did not come to its end.
enum Trouble {
    Failed(String),
    NotYet(String),
    Ended,
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
    let done = match Script::of(work.step) {
        Some(Script::Check) => check(&site, &work, &end).await,
        Some(script) => scripts::run(&site, &work, script, &end).await,
        None => change(&site, &work, &end).await,
    };
    let done = match work.step {
        Step::Layout | Step::Build => with_scripts(&site, &work, done).await,
        _ => done,
    };
    let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    if done.duration_ms == 0 {
        done.took(took)
    } else {
        done
    }
}

/// What needs no script comes first: there is not much to ask of a release that does not answer.
async fn check(site: &Site, work: &Work, end: &CancellationToken) -> Outcome {
    // Its script was begun: the rest was good by then.
    if !matches!(scripts::begun(site, work).await, Ok(None)) {
        return scripts::run(site, work, Script::Check, end).await;
    }
    let Some(release) = &work.release else {
        return Outcome::of(End::Skipped, None);
    };
    let terms = match scripts::terms(site, release).await {
        Ok(terms) => terms,
        Err(reason) => return Outcome::of(End::Failed, Some(reason)),
    };
    let env = scripts::environment(site, work, &site.layout.release(release));
    if let Err(outcome) = checks::run(site, &terms.check, &env, end).await {
        return outcome;
    }
    let script = scripts::run(site, work, Script::Check, end).await;
    match script.end {
        End::Skipped if !terms.check.is_empty() => Outcome::of(End::Ok, None),
        _ => script,
    }
}

/// What a release has of scripts is known, and can be run, before one of them is; what the build made counts too.
async fn with_scripts(site: &Site, work: &Work, done: Outcome) -> Outcome {
    let built = work.step == Step::Build;
    let Some(release) = work.release.as_ref().filter(|_| done.end.passes()) else {
        return done;
    };
    let (layout, scripts) = (site.layout.clone(), site.scripts.clone());
    let (release, host) = (release.clone(), site.settings.clone());
    let found = site.world.on_disk(move |disk| {
        let terms = Terms::of_release(disk, &layout, &host, &release)?;
        let tree = layout.release(&release);
        Ok(terms.and_then(|terms| scripts.under(&terms).find(disk, &tree, built)))
    });
    let found = found.await.map_err(|error| error.to_string());
    match found.and_then(|found| found) {
        Ok(plan) => Outcome {
            scripts: Some(plan),
            ..done
        },
        Err(reason) => Outcome::of(End::Failed, Some(reason)),
    }
}

async fn change(site: &Site, work: &Work, end: &CancellationToken) -> Outcome {
    let done = match work.step {
        Step::Objects => until(end, objects(site, work)).await,
        Step::Layout => release::lay_out(site, work, end).await,
        Step::Shared => release::share(site, work).await,
        _ => switch(site, work).await,
    };
    match done {
        Ok(detail) => Outcome::of(End::Ok, detail),
        Err(Trouble::Failed(reason)) => Outcome::of(End::Failed, Some(reason)),
        Err(Trouble::NotYet(reason)) => Outcome::of(End::NotYet, Some(reason)),
        Err(Trouble::Ended) => Outcome::of(End::Ended, None),
    }
}

/// Gives up work that leaves nothing behind that counts.
async fn until<T>(
    end: &CancellationToken,
    work: impl Future<Output = Result<T, Trouble>>,
) -> Result<T, Trouble> {
    tokio::select! {
        done = work => done,
        () = end.cancelled() => Err(Trouble::Ended),
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

/// The commit is in the mirror, and the tag or branch of the order leads to it, here or at the origin.
async fn objects(site: &Site, work: &Work) -> Done {
    let commit = needed(&work.asked.commit, "commit to prepare")?;
    let mirror = mirror(site);
    let not_yet = |error: GitError| Trouble::NotYet(chassis::causes(&error));
    if let Some(origin) = &site.settings.origin
        && !mirror.exists().await.map_err(not_yet)?
    {
        // Empty: whether all else may come is for its keeper to say, which may be about to make it.
        mirror.ensure_empty(origin, commit).await.map_err(not_yet)?;
    }
    let mut fetched = false;
    let there = mirror.has(commit).await.map_err(not_yet)?;
    if !there || named::moved(&mirror, &work.asked).await?.is_some() {
        fetched = true;
        // Somebody who may has ordered this commit, and no other: all else is its keeper's, also before that has set a gate.
        let alone = match there {
            true => Ok(()),
            false => mirror.fetch_commit(commit).await,
        };
        if mirror.gated().await.map_err(not_yet)? {
            alone.map_err(not_yet)?;
        } else if there || alone.is_err() {
            // A tag that leads elsewhere here, or an origin that gives only what its refs lead to.
            mirror.fetch().await.map_err(not_yet)?;
        }
        if !mirror.has(commit).await.map_err(not_yet)? {
            let repository = &site.settings.repository;
            let short = commit.short();
            return Err(Trouble::NotYet(format!(
                "commit {short} is not in the mirror of {repository}"
            )));
        }
    }
    let wrong = match named::moved(&mirror, &work.asked).await? {
        Some(reason) => Some(reason),
        None => named::unknown(&mirror, &site.git, &work.asked).await?,
    };
    match wrong {
        Some(reason) => Err(Trouble::Failed(reason)),
        None => Ok(fetched.then(|| "fetched".to_owned())),
    }
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
