//! The repository that the demo deploys from: a small shop with three tags, or a copy of the user's own.

use std::path::{Path, PathBuf};

use events::{CommitId, ProjectName, RepoName, TagName};
use world::World;

use super::{checker::Tree, git::Git};
use crate::{announce, failure::Failure};

/// What the demo's CI runs, in a revision that has it.
pub const TEST: &str = ".deploykit-demo/test";

const FIRST: &[(&str, &str)] = &[
    (
        "index.html",
        "<!doctype html>\n<title>Shop</title>\n<h1>Welcome</h1>\n",
    ),
    ("tables", "customers\norders\n"),
    (".deploy/start", include_str!("example/start.sh")),
    (".deploy/check", include_str!("example/check.sh")),
    (TEST, include_str!("example/test.sh")),
];

/// A tag of the story and what it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The tag.
    pub tag: TagName,
    /// Its commit.
    pub commit: CommitId,
    /// The commit's files.
    pub tree: Tree,
}

/// The repository and its releases.
#[derive(Debug)]
pub struct Source {
    /// Its name as a project.
    pub project: ProjectName,
    /// Its name on the bus.
    pub repository: RepoName,
    /// The bare repository that hosts fetch from.
    pub origin: PathBuf,
    /// A clone of it, as a developer has one.
    pub clone: PathBuf,
    /// A good release.
    pub first: Release,
    /// One whose test fails.
    pub red: Release,
    /// A newer good one.
    pub second: Release,
    /// One that fails its health check.
    pub broken: Release,
    /// Paths that outlive releases.
    pub shared: Vec<String>,
}

impl Source {
    /// Makes the repository below `folder`; nothing is pushed yet.
    ///
    /// # Errors
    /// When git fails, or the user's repository has no commit.
    pub async fn make(folder: &Path, repo: Option<&str>, world: &World) -> Result<Self, Failure> {
        let git = Git { folder, world };
        let (origin, clone) = (folder.join("origin.git"), folder.join("clone"));
        git.run(
            folder,
            &[
                "init",
                "--quiet",
                "--bare",
                "--initial-branch=main",
                &shown(&origin),
            ],
        )
        .await?;
        let (name, tags) = match repo {
            Some(repo) => (project_of(repo)?, copy(&git, repo, &clone).await?),
            None => (
                "shop".parse().expect("it is one word"),
                example(&git, &clone).await?,
            ),
        };
        git.run(&clone, &["remote", "add", "announced", &shown(&origin)])
            .await?;
        let [first, red, second, broken] = tags;
        Ok(Self {
            repository: ProjectName::as_str(&name)
                .parse()
                .expect("a project's name is good for a repository too"),
            project: name,
            first: git.release(&clone, first).await?,
            red: git.release(&clone, red).await?,
            second: git.release(&clone, second).await?,
            broken: git.release(&clone, broken).await?,
            shared: if repo.is_some() {
                Vec::new()
            } else {
                vec!["data".to_owned()]
            },
            origin,
            clone,
        })
    }

    /// Pushes a tag to the origin, whose hook (if it has one) announces it.
    ///
    /// # Errors
    /// When git fails.
    pub async fn push(
        &self,
        folder: &Path,
        release: &Release,
        world: &World,
    ) -> Result<(), Failure> {
        let git = Git { folder, world };
        let branch = format!("+{}:refs/heads/main", release.commit);
        let tag = format!("refs/tags/{0}:refs/tags/{0}", release.tag);
        git.run(
            &self.clone,
            &["push", "--quiet", "announced", &branch, &tag],
        )
        .await
    }

    /// Lays a revision out as files, as CI does before it builds.
    ///
    /// # Errors
    /// When git fails.
    pub async fn lay_out(
        &self,
        folder: &Path,
        release: &Release,
        into: &Path,
        world: &World,
    ) -> Result<(), Failure> {
        let git = Git { folder, world };
        let add = ["worktree", "add", "--quiet", "--detach"];
        let (into, commit) = (shown(into), release.commit.as_str());
        git.run(&self.clone, &[&add[..], &[&into, commit]].concat())
            .await
    }

    /// Installs the real `post-receive` hook in the origin.
    ///
    /// # Errors
    /// When git fails or the file cannot be written.
    pub async fn install_hook(
        &self,
        folder: &Path,
        spool: &Path,
        world: &World,
    ) -> Result<(), Failure> {
        let git = Git { folder, world };
        let executable = std::env::current_exe()?;
        for (key, value) in [
            ("command", shown(&executable)),
            ("spool", shown(spool)),
            ("repository", self.repository.to_string()),
        ] {
            git.run(
                &self.origin,
                &["config", &format!("deploykit.{key}"), &value],
            )
            .await?;
        }
        let hook = self.origin.join("hooks/post-receive");
        let text = announce::hook("post-receive").unwrap_or_default();
        world
            .disk
            .create_folders(&self.origin.join("hooks"), 0o755)?;
        world.disk.replace(&hook, text.as_bytes(), 0o755)?;
        Ok(())
    }

    /// Takes the hook away: from now on the origin is like a forge that sends webhooks.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn remove_hook(&self, world: &World) -> Result<(), Failure> {
        Ok(world
            .disk
            .remove_file(&self.origin.join("hooks/post-receive"))?)
    }
}

/// The project's name by the last part of a path or URL.
///
/// # Errors
/// When that part is no project name: says how to give one.
pub fn project_of(repo: &str) -> Result<ProjectName, Failure> {
    let last = repo
        .trim_end_matches('/')
        .trim_end_matches(".git")
        .trim_end_matches('/')
        .rsplit(['/', ':'])
        .next()
        .unwrap_or(repo);
    let word: String = last
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    let word = word.trim_matches('-');
    word.parse().map_err(|error| {
        Failure::Settings(format!(
            "cannot name a project after {repo:?}: {error}; give --project NAME"
        ))
    })
}

async fn example(git: &Git<'_>, clone: &Path) -> Result<[TagName; 4], Failure> {
    git.run(
        git.folder,
        &["init", "--quiet", "--initial-branch=main", &shown(clone)],
    )
    .await?;
    for (path, text) in FIRST {
        git.write(clone, path, text)?;
    }
    let first = git.commit(clone, "v1", "The shop opens").await?;
    git.write(
        clone,
        "index.html",
        "<!doctype html>\n<title>Shop</title>\n<h1>Welcome back\n",
    )?;
    let red = git.commit(clone, "v2-rc1", "A basket, in a hurry").await?;
    // Beside what follows, so that no good commit has it in its history.
    git.run(clone, &["reset", "--quiet", "--hard", "HEAD^"])
        .await?;
    git.write(
        clone,
        "index.html",
        "<!doctype html>\n<title>Shop</title>\n<h1>Welcome back</h1>\n<p>Now with a basket.</p>\n",
    )?;
    let second = git.commit(clone, "v2", "A basket").await?;
    // It asks for a table that nobody makes: what a forgotten migration looks like.
    git.write(clone, "tables", "customers\norders\ninvoices\n")?;
    let broken = git.commit(clone, "v3", "Invoices").await?;
    Ok([first, red, second, broken])
}

/// The two good releases are the newest two tags of the branch, or are made on its newest commits; the broken one is made on
/// top, and so is the one whose test fails, on a branch of its own.
async fn copy(git: &Git<'_>, repo: &str, clone: &Path) -> Result<[TagName; 4], Failure> {
    git.run(
        git.folder,
        &["clone", "--quiet", "--no-local", "--", repo, &shown(clone)],
    )
    .await?;
    // The last key counts first; of one second, the higher version is the newer.
    let keys = ["--sort=-version:refname", "--sort=-creatordate"];
    let newest = ["tag", "--merged", "HEAD", keys[0], keys[1]];
    let tags = git.output(clone, &newest).await?;
    let mut tags = tags.lines().filter_map(|tag| tag.parse::<TagName>().ok());
    let (first, second) = match (tags.next(), tags.next()) {
        (Some(second), Some(first)) => (first, second),
        _ => git.made_tags(clone).await?,
    };
    let test = "#!/bin/sh\necho 'failed on purpose by the demo'\nexit 1\n";
    git.write(clone, TEST, test)?;
    let message = "A release whose test fails";
    let red = git.commit(clone, "deploykit-demo-red", message).await?;
    git.run(clone, &["reset", "--quiet", "--hard", "HEAD^"])
        .await?;
    git.write(
        clone,
        ".deploy/check",
        "#!/bin/sh\necho 'GET /health 500 \"broken on purpose by the demo\"'\nexit 1\n",
    )?;
    let message = "A release that fails its check";
    let broken = git.commit(clone, "deploykit-demo-broken", message).await?;
    Ok([first, red, second, broken])
}

pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
