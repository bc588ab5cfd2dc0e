//! A release that cannot be completed.

use std::{fs, io, path::Path, process::Command, sync::Arc};

use deploy_agent::{
    layout::Layout,
    machine::{Asked, End},
    redact::Redactor,
    scripts::Scripts,
    settings::Project,
    steps::{Site, Work, act},
};
use events::{
    CommitId,
    message::{Phase, Step},
};
use git::Git;
use testkit::Faulty;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use world::World;

pub(crate) fn site(base: &Path, world: World, origin: &Path) -> Site {
    let project = "shop".parse().expect("a project");
    let settings = format!(
        "repository = 'shop'\nenvironment = 'prod'\norigin = '{}'",
        origin.display()
    );
    let settings: Project = toml::from_str(&settings).expect("settings");
    let (voice, _) = mpsc::channel(1);
    Site {
        git: Git::new(&world),
        world,
        host: "web1".parse().expect("a host"),
        layout: Layout::new(base, &project),
        project,
        scripts: Scripts::of(&settings, base.join("host-scripts")),
        settings,
        base: base.to_owned(),
        runner: Vec::new(),
        redactor: Arc::new(Redactor::default()),
        output_bytes: 0,
        voice,
    }
}

pub(crate) fn work(commit: &CommitId) -> Work {
    Work {
        step: Step::Objects,
        attempt: 1,
        asked: Asked {
            order: Uuid::from_u128(1),
            deploy: Uuid::from_u128(2),
            phase: Phase::Prepare,
            undo: false,
            undoes: None,
            commit: Some(commit.clone()),
            tag: None,
            branch: None,
            wave: 1,
            signer: String::new(),
            broke_glass: None,
            sequence: 1,
            epoch: 1,
            grant: "sha256:00".to_owned(),
            clears: Vec::new(),
            at_host: None,
            by: Vec::new(),
            seen_until: None,
            expires: "2025-03-01T12:00:00Z".parse().expect("a time"),
        },
        release: Some("one".to_owned()),
        revision: None,
        tag: None,
        before: None,
        plan: None,
    }
}

pub(crate) fn repository(folder: &Path) -> CommitId {
    fs::write(folder.join("name"), "one").expect("written");
    git(folder, &["init", "--quiet", "--initial-branch=main"]);
    commit(folder)
}

/// Commits all that is in a repository's folder.
pub(crate) fn commit(folder: &Path) -> CommitId {
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "-m", "one"]);
    git(folder, &["rev-parse", "HEAD"])
        .parse()
        .expect("a commit")
}

fn git(folder: &Path, args: &[&str]) -> String {
    {
        let output = Command::new("git")
            .args(["-c", "user.name=Ann", "-c", "user.email=ann@example.org"])
            .args(args)
            .current_dir(folder)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

#[tokio::test]
async fn what_cannot_be_completed_is_not_left_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let (origin, base) = (folder.path().join("origin"), folder.path().join("base"));
    fs::create_dir_all(&origin).expect("made");
    let commit = repository(&origin);
    let mut world = World::real();
    world.disk = Arc::new(Faulty::new(|call, path| match call {
        "rename" if path.ends_with("one.partial") => Err(io::Error::other("input/output error")),
        _ => Ok(()),
    }));
    let site = Arc::new(site(&base, world, &origin));
    site.layout.make(&*site.world.disk).expect("folders");
    let try_step = |step| {
        let work = Work {
            step,
            ..work(&commit)
        };
        act(Arc::clone(&site), work, CancellationToken::new())
    };
    let objects = try_step(Step::Objects).await;
    assert_eq!(objects.end, End::Ok, "{objects:?}");
    let laid_out = try_step(Step::Layout).await;
    assert_eq!(laid_out.end, End::Failed);
    assert_eq!(laid_out.detail.as_deref(), Some("input/output error"));
    let left = fs::read_dir(site.layout.releases()).expect("read");
    assert_eq!(left.count(), 0);
}
