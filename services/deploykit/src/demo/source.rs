//! The repository that the demo deploys from: a small shop with three tags, or a copy of the user's own.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use command::{Limits, Program};
use events::{CommitId, ProjectName, RepoName, TagName};
use world::World;

use super::checker::Tree;
use crate::{announce, failure::Failure};

/// A git command of the demo must end within this time; a clone of the user's repository is the longest.
const GIT_LIMIT: Duration = Duration::from_secs(300);

const FIRST: &[(&str, &str)] = &[
    (
        "index.html",
        "<!doctype html>\n<title>Shop</title>\n<h1>Welcome</h1>\n",
    ),
    ("tables", "customers\norders\n"),
    (".deploy/start", include_str!("example/start.sh")),
    (".deploy/check", include_str!("example/check.sh")),
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

/// The repository and its three releases.
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
        let [first, second, broken] = tags;
        Ok(Self {
            repository: ProjectName::as_str(&name)
                .parse()
                .expect("a project's name is good for a repository too"),
            project: name,
            first: git.release(&clone, first).await?,
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

async fn example(git: &Git<'_>, clone: &Path) -> Result<[TagName; 3], Failure> {
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
        "<!doctype html>\n<title>Shop</title>\n<h1>Welcome back</h1>\n<p>Now with a basket.</p>\n",
    )?;
    let second = git.commit(clone, "v2", "A basket").await?;
    // It asks for a table that nobody makes: what a forgotten migration looks like.
    git.write(clone, "tables", "customers\norders\ninvoices\n")?;
    let broken = git.commit(clone, "v3", "Invoices").await?;
    Ok([first, second, broken])
}

/// The two good releases are the newest two tags of the branch, or are made on its newest commits; the broken one is made on top.
async fn copy(git: &Git<'_>, repo: &str, clone: &Path) -> Result<[TagName; 3], Failure> {
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
    git.write(
        clone,
        ".deploy/check",
        "#!/bin/sh\necho 'GET /health 500 \"broken on purpose by the demo\"'\nexit 1\n",
    )?;
    let message = "A release that fails its check";
    let broken = git.commit(clone, "deploykit-demo-broken", message).await?;
    Ok([first, second, broken])
}

/// Git as the demo uses it: nobody's configuration, nobody's name.
struct Git<'a> {
    folder: &'a Path,
    world: &'a World,
}

impl Git<'_> {
    fn program(&self, folder: &Path, args: &[&str]) -> Program {
        let mut program = Program::new("git")
            .folder(folder)
            .args(args.iter().copied());
        for (name, value) in [
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
        ] {
            program = program.env(name, value);
        }
        for role in ["AUTHOR", "COMMITTER"] {
            program = program
                .env(format!("GIT_{role}_NAME"), "Demo")
                .env(format!("GIT_{role}_EMAIL"), "demo@example.org");
        }
        program.env("HOME", shown(self.folder))
    }

    async fn output(&self, folder: &Path, args: &[&str]) -> Result<String, Failure> {
        let program = self.program(folder, args);
        let output = self
            .world
            .processes
            .run(&program, Limits::of(GIT_LIMIT))
            .await;
        let output = output.map_err(|error| Failure::Failed(chassis::causes(&error)))?;
        if !output.success() {
            return Err(Failure::Failed(format!(
                "{program}: {}: {}",
                output.ending(),
                output.last_line()
            )));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    async fn run(&self, folder: &Path, args: &[&str]) -> Result<(), Failure> {
        self.output(folder, args).await.map(drop)
    }

    fn write(&self, clone: &Path, path: &str, text: &str) -> Result<(), Failure> {
        let file = clone.join(path);
        if let Some(folder) = file.parent() {
            self.world.disk.create_folders(folder, 0o755)?;
        }
        let mode = if path.starts_with(".deploy/") {
            0o755
        } else {
            0o644
        };
        Ok(self.world.disk.replace(&file, text.as_bytes(), mode)?)
    }

    async fn commit(&self, clone: &Path, tag: &str, message: &str) -> Result<TagName, Failure> {
        self.run(clone, &["add", "--all"]).await?;
        self.run(
            clone,
            &["commit", "--quiet", "--no-verify", "--message", message],
        )
        .await?;
        self.tag(clone, tag, "HEAD").await
    }

    /// Two releases for a repository without tags: its newest commit, and one on top that changes nothing.
    async fn made_tags(&self, clone: &Path) -> Result<(TagName, TagName), Failure> {
        let first = self.tag(clone, "deploykit-demo-1", "HEAD").await?;
        let message = "The demo's second release";
        let empty = [
            "commit",
            "--quiet",
            "--no-verify",
            "--allow-empty",
            "--message",
            message,
        ];
        self.run(clone, &empty).await?;
        let second = self.tag(clone, "deploykit-demo-2", "HEAD").await?;
        Ok((first, second))
    }

    async fn tag(&self, clone: &Path, tag: &str, revision: &str) -> Result<TagName, Failure> {
        self.run(
            clone,
            &[
                "tag",
                "--no-sign",
                "--annotate",
                "--message",
                tag,
                tag,
                revision,
            ],
        )
        .await?;
        tag.parse()
            .map_err(|error: events::NameError| Failure::Failed(error.to_string()))
    }

    async fn release(&self, clone: &Path, tag: TagName) -> Result<Release, Failure> {
        let id = self
            .output(
                clone,
                &["rev-parse", &format!("refs/tags/{tag}^{{commit}}")],
            )
            .await?;
        let commit: CommitId = id
            .trim()
            .parse()
            .map_err(|error: events::NameError| Failure::Failed(error.to_string()))?;
        let listing = self
            .output(
                clone,
                &["ls-tree", "-r", "-z", "--full-tree", commit.as_str()],
            )
            .await?;
        let line = |line: &str| {
            let (about, path) = line.split_once('\t')?;
            Some((path.to_owned(), about.rsplit(' ').next()?.to_owned()))
        };
        let tree = listing.split('\0').filter_map(line).collect();
        Ok(Release { tag, commit, tree })
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
