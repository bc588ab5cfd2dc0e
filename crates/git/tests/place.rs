//! A temporary folder with an origin, in which a person works, and a mirror of it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use events::{CommitId, RefName};
use git::{Ensured, Git, Limits, Mirror, Origin};
use world::World;

pub(crate) struct Place {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) git: Git,
}

pub(crate) fn limits() -> Limits {
    Limits {
        fetch: Duration::from_secs(30),
        lock: Duration::from_secs(30),
        ..Limits::default()
    }
}

pub(crate) fn program() -> PathBuf {
    std::env::var_os("TEST_GIT").map_or_else(|| PathBuf::from("git"), PathBuf::from)
}

impl Place {
    /// An origin with one commit on `main`, not mirrored yet.
    pub(crate) fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            git: Git::new(&World::real())
                .with_program(program())
                .with_limits(limits()),
        };
        place.say(&place.path(""), &["init", "-q", "-b", "main", "origin"]);
        place.commit("a.txt", "one\n");
        place
    }

    /// The same, mirrored.
    pub(crate) async fn mirrored() -> Self {
        let place = Self::new();
        assert_eq!(
            place.mirror().ensure(&place.origin()).await.unwrap(),
            Ensured::Cloned
        );
        place
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn origin(&self) -> Origin {
        self.path("origin").display().to_string().parse().unwrap()
    }

    pub(crate) fn mirror(&self) -> Mirror {
        Mirror::at(self.path("mirrors/group/shop.git"), &self.git)
    }

    /// A git that a shell script stands before; `$REAL` is the real one.
    pub(crate) fn wrapped(&self, script: &str) -> Git {
        let path = self.path("wrapper");
        let real = program();
        let script = format!("#!/bin/sh\nREAL={}\n{script}\n", real.display());
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        self.git.clone().with_program(path)
    }

    /// Writes a file into the origin and commits it.
    pub(crate) fn commit(&self, file: &str, text: &str) -> CommitId {
        let path = self.path("origin").join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self.commit_all()
    }

    pub(crate) fn commit_all(&self) -> CommitId {
        self.work(&["add", "-A"]);
        self.work(&["commit", "-q", "--allow-empty", "-m", "a change"]);
        self.work(&["rev-parse", "HEAD"]).parse().unwrap()
    }

    /// Runs git in the origin.
    pub(crate) fn work(&self, args: &[&str]) -> String {
        self.say(&self.path("origin"), args)
    }

    pub(crate) fn say(&self, folder: &Path, args: &[&str]) -> String {
        self.say_with(folder, args, "")
    }

    pub(crate) fn say_with(&self, folder: &Path, args: &[&str], stdin: &str) -> String {
        use std::io::Write;
        let mut child = Command::new(program())
            .args(args)
            .current_dir(folder)
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.org")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(stdin.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "git {args:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

pub(crate) fn name(text: &str) -> RefName {
    text.parse().unwrap()
}
