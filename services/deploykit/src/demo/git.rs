//! Git as the demo uses it.

use std::{path::Path, time::Duration};

use command::{Limits, Program};
use events::{CommitId, TagName};
use world::World;

use super::source::{Release, TEST, shown};
use crate::failure::Failure;

/// A git command of the demo must end within this time; a clone of the user's repository is the longest.
const GIT_LIMIT: Duration = Duration::from_secs(300);

/// Nobody's configuration, nobody's name.
pub(super) struct Git<'a> {
    pub(super) folder: &'a Path,
    pub(super) world: &'a World,
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

    pub(super) async fn output(&self, folder: &Path, args: &[&str]) -> Result<String, Failure> {
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

    pub(super) async fn run(&self, folder: &Path, args: &[&str]) -> Result<(), Failure> {
        self.output(folder, args).await.map(drop)
    }

    pub(super) fn write(&self, clone: &Path, path: &str, text: &str) -> Result<(), Failure> {
        let file = clone.join(path);
        if let Some(folder) = file.parent() {
            self.world.disk.create_folders(folder, 0o755)?;
        }
        let mode = if path.starts_with(".deploy/") || path == TEST {
            0o755
        } else {
            0o644
        };
        Ok(self.world.disk.replace(&file, text.as_bytes(), mode)?)
    }

    pub(super) async fn commit(
        &self,
        clone: &Path,
        tag: &str,
        message: &str,
    ) -> Result<TagName, Failure> {
        self.run(clone, &["add", "--all"]).await?;
        self.run(
            clone,
            &["commit", "--quiet", "--no-verify", "--message", message],
        )
        .await?;
        self.tag(clone, tag, "HEAD").await
    }

    /// Two releases for a repository without tags: its newest commit, and one on top that changes nothing.
    pub(super) async fn made_tags(&self, clone: &Path) -> Result<(TagName, TagName), Failure> {
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

    pub(super) async fn tag(
        &self,
        clone: &Path,
        tag: &str,
        revision: &str,
    ) -> Result<TagName, Failure> {
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

    pub(super) async fn release(&self, clone: &Path, tag: TagName) -> Result<Release, Failure> {
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
