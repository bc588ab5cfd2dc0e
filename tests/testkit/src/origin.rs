//! A git repository that people push to.
#![expect(
    clippy::disallowed_methods,
    reason = "a test drives the real git as a developer does: blocking, from a folder of its own"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use events::CommitId;

use crate::Folder;

/// The time of every commit: the same content gets the same commit id in every run.
const WHEN: &str = "2026-01-01T00:00:00Z";

/// A bare repository, and a developer's clone of it from which every change is pushed at once, so that hooks run.
#[derive(Debug)]
pub struct Origin {
    folder: Folder,
}

impl Default for Origin {
    fn default() -> Self {
        Self::new()
    }
}

impl Origin {
    /// An empty one, with `main` as its branch.
    ///
    /// # Panics
    /// git is not there.
    #[must_use]
    pub fn new() -> Self {
        let origin = Self {
            folder: Folder::new(),
        };
        let root = origin.folder.path().to_owned();
        git(
            &root,
            &[
                "init",
                "--quiet",
                "--bare",
                "--initial-branch=main",
                "origin.git",
            ],
        );
        git(
            &root,
            &["init", "--quiet", "--initial-branch=main", "clone"],
        );
        origin.git(&["remote", "add", "origin", "../origin.git"]);
        origin
    }

    /// The bare repository: what a mirror fetches from.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join("origin.git")
    }

    /// The same as text.
    #[must_use]
    pub fn url(&self) -> String {
        self.path().display().to_string()
    }

    /// Commits these files (one that begins with `#!` is executable) and pushes the branch.
    ///
    /// # Panics
    /// git refuses, with what it said.
    pub fn commit(&self, files: &[(&str, &str)]) -> &Self {
        for (path, text) in files {
            self.folder.write(Path::new("clone").join(path), text);
        }
        self.git(&["add", "--all"]);
        let names: Vec<&str> = files.iter().map(|(path, _)| *path).collect();
        let message = format!("change {}", names.join(", "));
        self.git(&["commit", "--quiet", "--allow-empty", "-m", &message]);
        self.push(&["HEAD"])
    }

    /// Deletes a file, commits and pushes the branch.
    ///
    /// # Panics
    /// git refuses, with what it said.
    pub fn delete(&self, path: &str) -> &Self {
        self.git(&["rm", "--quiet", path]);
        self.git(&["commit", "--quiet", "-m", &format!("delete {path}")]);
        self.push(&["HEAD"])
    }

    /// Tags the last commit and pushes the tag. One that exists already is moved.
    ///
    /// # Panics
    /// git refuses, with what it said.
    pub fn tag(&self, name: &str) -> &Self {
        self.git(&["tag", "--force", "-m", name, name]);
        self.push(&["--force", &format!("refs/tags/{name}")])
    }

    /// Goes on with another branch: a new one, or one that exists.
    ///
    /// # Panics
    /// git refuses, with what it said.
    pub fn branch(&self, name: &str) -> &Self {
        let known = self.git(&["branch", "--list", "--format=%(refname:short)", name]);
        if known.is_empty() {
            self.git(&["switch", "--quiet", "--create", name]);
        } else {
            self.git(&["switch", "--quiet", name]);
        }
        self
    }

    /// Deletes a branch, here and there. Not the one that is worked on.
    ///
    /// # Panics
    /// git refuses, with what it said.
    pub fn forget(&self, branch: &str) -> &Self {
        self.git(&["switch", "--quiet", "main"]);
        self.git(&["branch", "--quiet", "-D", branch]);
        self.push(&["--delete", &format!("refs/heads/{branch}")])
    }

    /// Makes a symbolic link, for the next commit.
    ///
    /// # Panics
    /// The disk refuses.
    pub fn link(&self, path: &str, target: &str) -> &Self {
        let link = self.folder.join("clone").join(path);
        let made = std::os::unix::fs::symlink(target, &link);
        made.unwrap_or_else(|error| panic!("{}: {error}", link.display()));
        self
    }

    /// The full names of all that the bare repository has.
    ///
    /// # Panics
    /// git refuses, with what it said.
    #[must_use]
    pub fn refs(&self) -> Vec<String> {
        let listed = git(&self.path(), &["for-each-ref", "--format=%(refname)"]);
        listed.lines().map(str::to_owned).collect()
    }

    /// Sets refs of another repository by hand, such as a mirror of this one; without a commit they are deleted.
    ///
    /// # Panics
    /// git refuses, with what it said.
    pub fn set(&self, repository: &Path, refs: &[(&str, Option<&str>)]) {
        let dir = format!("--git-dir={}", repository.display());
        for (name, commit) in refs {
            match commit {
                Some(commit) => self.git(&[&dir, "update-ref", name, commit]),
                None => self.git(&[&dir, "update-ref", "-d", name]),
            };
        }
    }

    /// Takes the last commit away again and pushes that by force.
    ///
    /// # Panics
    /// git refuses, with what it said.
    pub fn rewind(&self) -> &Self {
        self.git(&["reset", "--quiet", "--hard", "HEAD~1"]);
        self.push(&["--force", "HEAD"])
    }

    /// Installs a hook that runs at the next push.
    pub fn hook(&self, name: &str, script: &str) -> &Self {
        self.folder
            .write(Path::new("origin.git/hooks").join(name), script);
        self
    }

    /// The commit that a tag, a branch or `HEAD` names.
    ///
    /// # Panics
    /// There is no such name.
    #[must_use]
    pub fn commit_of(&self, name: &str) -> CommitId {
        self.object_of(&format!("{name}^{{commit}}"))
    }

    /// The object that a name names: for an annotated tag that is the tag.
    ///
    /// # Panics
    /// There is no such name.
    #[must_use]
    pub fn object_of(&self, name: &str) -> CommitId {
        let id = self.git(&["rev-parse", "--verify", name]);
        id.parse().expect("rev-parse prints an id")
    }

    fn push(&self, what: &[&str]) -> &Self {
        self.git(&[&["push", "--quiet", "origin"], what].concat());
        self
    }

    fn git(&self, args: &[&str]) -> String {
        git(&self.folder.join("clone"), args)
    }
}

/// Runs git with nothing of this machine's or this person's settings; what it printed, trimmed.
fn git(folder: &Path, args: &[&str]) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let output = Command::new("git")
        .args(args)
        .current_dir(folder)
        .env_clear()
        .env("PATH", path)
        .env("HOME", folder)
        .env("LC_ALL", "C.UTF-8")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Dee")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "dee@example.org")))
        .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_DATE"), WHEN)))
        .output()
        .unwrap_or_else(|error| panic!("cannot run git: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {args:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
