//! `deploykit up`: the whole pipeline on a person's own repository, until Ctrl-C.

use std::path::{Path, PathBuf};

use world::World;

use crate::{
    cli,
    demo::{interrupted, source::project_of},
    failure::Failure,
    home::Folders,
    layout::{Broker, Layout, web_hosts},
    own_name, person,
    pipeline::Pipeline,
    screen::{BOLD, DIM, paint, say},
};

/// Runs the pipeline until it is told to stop.
///
/// # Errors
/// When something could not be started, or a service ended.
pub async fn run(args: &cli::Up, folders: &Folders, world: &World) -> Result<(), Failure> {
    let layout = layout(args, folders)?;
    let person = person();
    let mut pipeline = tokio::select! {
        started = Pipeline::start(layout, &person, world) => started?,
        () = interrupted() => return Ok(()),
    };
    introduce(&pipeline, args, folders);
    let ended = tokio::select! {
        () = interrupted() => Ok(()),
        failure = pipeline.failed() => Err(failure),
    };
    say(paint(DIM, "stopping …"));
    let stopped = pipeline.stop().await;
    ended.and(stopped)
}

fn layout(args: &cli::Up, folders: &Folders) -> Result<Layout, Failure> {
    let project = match &args.project {
        Some(project) => project.clone(),
        None => project_of(&args.repo)?,
    };
    let data = args.data.clone().unwrap_or_else(|| folders.data.clone());
    let data = std::path::absolute(&data)?;
    let repository = project
        .as_str()
        .parse()
        .expect("a project's name is good for a repository too");
    Ok(Layout {
        requires_ci: false,
        data,
        environment: "local".parse().expect("it is one word"),
        aliases: aliases(&args.repo),
        origin: origin(&args.repo)?,
        hosts: web_hosts(args.hosts),
        page: args.listen.clone(),
        webhooks: args.webhooks.clone(),
        broker: Broker::Embedded(args.broker.clone()),
        shared: Vec::new(),
        project,
        repository,
    })
}

/// A path is made absolute, since the services do not run where the person typed it.
fn origin(repo: &str) -> Result<String, Failure> {
    if is_url(repo) {
        return Ok(repo.to_owned());
    }
    let path = std::path::absolute(Path::new(repo))?;
    let found = [path.clone(), path.join(".git")]
        .iter()
        .any(|path| path.join("HEAD").is_file());
    if !found {
        return Err(Failure::Settings(format!(
            "{} is not a git repository",
            path.display()
        )));
    }
    Ok(path.display().to_string())
}

fn is_url(repo: &str) -> bool {
    repo.contains("://")
        || (repo.contains(':') && !repo.starts_with(['/', '.', '~']) && !Path::new(repo).exists())
}

/// The names that a forge would give a repository of this URL: `acme/shop`.
fn aliases(repo: &str) -> Vec<String> {
    if !is_url(repo) {
        return Vec::new();
    }
    let path = repo.split_once("://").map_or(repo, |(_, rest)| rest);
    let path = path.split_once(['/', ':']).map_or("", |(_, path)| path);
    let path = path.trim_matches('/').trim_end_matches(".git");
    if path.is_empty() {
        Vec::new()
    } else {
        vec![path.to_owned()]
    }
}

fn introduce(pipeline: &Pipeline, args: &cli::Up, folders: &Folders) {
    let layout = &pipeline.layout;
    let project = &layout.project;
    let at = (layout.data != folders.data).then_some(&*layout.data);
    let command = own_name(at);
    say(format!(
        "{} {project} from {} on {}",
        paint(BOLD, "deploykit is up:"),
        layout.origin,
        hosts(layout)
    ));
    say(format!("  page      http://{}/", pipeline.page));
    say(format!(
        "  webhooks  http://{}/hook/github  (secret: {})",
        pipeline.webhooks,
        layout.trust().webhook_secret().display()
    ));
    say(format!(
        "  broker    {}  (login deploykit, passcode: {})",
        pipeline.bus.brokers[0],
        layout.trust().broker_passcode().display()
    ));
    say(format!("  data      {}", layout.data.display()));
    say("In another shell:");
    for rest in [
        format!("tags {project}"),
        format!("deploy {project} TAG"),
        "status".to_owned(),
    ] {
        say(format!("  {command} {rest}"));
    }
    if !is_url(&args.repo) {
        say(
            "To announce commits at once (a look every 30 s finds them anyway), in your repository:",
        );
        for line in hook_lines(
            layout,
            &std::env::current_exe().unwrap_or_else(|_| PathBuf::from("deploykit")),
        ) {
            say(format!("  {line}"));
        }
    }
    say(paint(DIM, "Ctrl-C stops it; the data stays."));
}

fn hosts(layout: &Layout) -> String {
    match layout.hosts.as_slice() {
        [one] => one.to_string(),
        [first, .., last] => format!("{first} to {last}"),
        [] => String::new(),
    }
}

fn hook_lines(layout: &Layout, executable: &Path) -> Vec<String> {
    vec![
        format!("git config deploykit.command {}", executable.display()),
        format!("git config deploykit.spool {}", layout.spool().display()),
        format!("git config deploykit.repository {}", layout.repository),
        "\"$(git config deploykit.command)\" announce hook post-commit > .git/hooks/post-commit"
            .to_owned(),
        "chmod +x .git/hooks/post-commit      # in a bare repository: post-receive, in hooks/"
            .to_owned(),
    ]
}
