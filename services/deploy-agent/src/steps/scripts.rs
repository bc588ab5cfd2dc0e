//! The steps that are scripts of a release.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use events::message::{ScriptOutput, Step};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use world::Disk;

use super::{Site, Work};
use crate::{
    machine::{End, Outcome},
    manifest::Terms,
    run_folder::{RunFolder, Spec},
    script::{self, Run, Tail},
    scripts::{Script, Scripts, roots},
};

/// How long to wait before the disk is asked again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long the disk is asked.
const ASK_LIMIT: Duration = Duration::from_secs(600);

/// Runs the script of a step, if there is one.
pub(super) async fn run(
    site: &Site,
    work: &Work,
    script: Script,
    end: &CancellationToken,
) -> Outcome {
    let began = match begun(site, work).await {
        Ok(began) => began,
        // It may run, or have run.
        Err(error) => return Outcome::of(End::Interrupted, Some(error.to_string())),
    };
    let spec = match began {
        // What an agent began goes on as it was meant then, whatever the settings and files are by now.
        Some(spec) => spec,
        None => match look_up(site, work, script).await {
            Ok(Some(spec)) => spec,
            Ok(None) => return Outcome::of(End::Skipped, None),
            Err(reason) => return Outcome::of(End::Failed, Some(reason)),
        },
    };
    let run = Run {
        folder: folder(site, work, work.attempt),
        spec,
        runner: site.runner.clone(),
        tail: Tail {
            message: ScriptOutput {
                host: site.host.clone(),
                project: site.project.clone(),
                deploy: work.asked.deploy,
                step: work.step,
                // What is passed on is best effort; `ask` has said what is wrong.
                offset: said_before(site, work).await.unwrap_or_default(),
                text: String::new(),
                cut: false,
            },
            read: 0,
            voice: site.voice.clone(),
            redactor: Arc::clone(&site.redactor),
            limit: site.output_bytes,
        },
    };
    script::run(&site.world, run, end).await
}

/// What this try was begun with by an agent before this one, or earlier by this one; `None` if it was not.
pub(super) async fn begun(site: &Site, work: &Work) -> io::Result<Option<Spec>> {
    let folder = folder(site, work, work.attempt);
    ask(site, move |disk| folder.begun(disk)).await
}

/// What is run, if there is something to run.
async fn look_up(site: &Site, work: &Work, script: Script) -> Result<Option<Spec>, String> {
    let Some(release) = &work.release else {
        return Ok(None);
    };
    let tree = site.layout.release(release);
    let terms = terms(site, release).await?;
    let scripts = site.scripts.under(&terms);
    let manner = scripts.manner(script);
    let found = find(site, work, scripts, script, &tree).await;
    let Some(program) = found.map_err(|error| error.to_string())?? else {
        return Ok(None);
    };
    let user = terms.owner.clone().filter(|_| !manner.root);
    let mut env = environment(site, work, &tree);
    if user.is_some() {
        // Theirs is what the system's list of users says.
        env.remove("HOME");
    }
    let args = manner
        .args
        .iter()
        .map(|arg| arg.fill(|place| named(&env, place)));
    Ok(Some(Spec {
        program,
        args: args.collect(),
        // Root is not led by a folder that is somebody else's.
        folder: match manner.root {
            true => PathBuf::from("/"),
            false => tree,
        },
        user,
        env,
        limit_s: manner.limit_s.unwrap_or(terms.script_limit_s),
        grace_s: terms.script_grace_s,
        // What is built is a part of the release.
        flush: work.step == Step::Build,
    }))
}

/// What applies to a release.
pub(super) async fn terms(site: &Site, release: &str) -> Result<Terms, String> {
    let (layout, host, of) = (
        site.layout.clone(),
        site.settings.clone(),
        release.to_owned(),
    );
    let terms = ask(site, move |disk| {
        Terms::of_release(disk, &layout, &host, &of)
    });
    terms.await.map_err(|error| error.to_string())?
}

/// The script's file; `None` if there is none. What was there when the release was prepared is not passed over because it is gone.
async fn find(
    site: &Site,
    work: &Work,
    scripts: Scripts,
    script: Script,
    tree: &Path,
) -> io::Result<Result<Option<PathBuf>, String>> {
    let (plan, tree) = (work.plan.clone(), tree.to_owned());
    let find = move |disk: &dyn Disk| {
        if let Some(path) = scripts.on_host(script) {
            return Ok(roots(disk, &path).map(|()| Some(path)));
        }
        let Some(file) = scripts.in_tree(disk, &tree, script, plan.as_ref())? else {
            return Ok(Ok(None));
        };
        let path = tree.join(file);
        Ok(match disk.look(&path)? {
            Some(_) => Ok(Some(path)),
            None => Err(format!("{} is gone", path.display())),
        })
    };
    ask(site, find).await
}

/// A variable of the environment, as the argument of a script names it.
pub(super) fn named(env: &BTreeMap<String, String>, place: &str) -> String {
    let name = format!("DEPLOYKIT_{}", place.to_uppercase());
    env.get(&name).cloned().unwrap_or_default()
}

fn folder(site: &Site, work: &Work, attempt: u32) -> RunFolder {
    let name = format!("{}-{}-{attempt}", work.asked.order, work.step);
    RunFolder::at(site.layout.step(&name))
}

/// Asks the disk until it answers: the script may run already, so an error that can pass says nothing about it.
async fn ask<T: Send + 'static>(
    site: &Site,
    ask: impl Fn(&dyn Disk) -> io::Result<T> + Clone + Send + 'static,
) -> io::Result<T> {
    let until = Instant::now() + ASK_LIMIT;
    loop {
        let error = match site.world.on_disk(ask.clone()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let lasts = matches!(
            error.kind(),
            io::ErrorKind::NotADirectory | io::ErrorKind::PermissionDenied
        );
        if lasts || Instant::now() >= until {
            return Err(error);
        }
        tracing::warn!(%error, "a script cannot be looked for, trying again");
        sleep(AGAIN).await;
    }
}

/// How much the tries of this step before this one wrote.
async fn said_before(site: &Site, work: &Work) -> io::Result<u64> {
    let before = 1..work.attempt;
    let outputs: Vec<PathBuf> = before
        .map(|attempt| folder(site, work, attempt).output())
        .collect();
    let sizes = ask(site, move |disk| {
        let mut bytes = 0;
        for output in &outputs {
            bytes += disk.look(output)?.map_or(0, |file| file.bytes);
        }
        Ok(bytes)
    });
    sizes.await
}

/// The whole environment of a script; `PATH` and `LC_ALL` come with every program.
pub(super) fn environment(site: &Site, work: &Work, tree: &Path) -> BTreeMap<String, String> {
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
