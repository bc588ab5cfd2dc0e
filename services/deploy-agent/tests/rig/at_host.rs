//! A person at the host, who types.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, lchown},
    path::Path,
    process::Command,
};

use super::{AGENT, Rig, ended};

/// What a command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// What was written to standard output, if it ended with that code.
    #[track_caller]
    pub(crate) fn out_of(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self.out
    }

    /// What was written to standard error, if it ended with that code.
    #[track_caller]
    pub(crate) fn err_of(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self.err
    }
}

/// The same command as a user who is nobody here.
pub(crate) fn as_nobody(command: &Command) -> Command {
    let mut other = Command::new("setpriv");
    other.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"]);
    other.arg(command.get_program()).args(command.get_args());
    other
}

impl Rig {
    /// A command of a person at the host.
    pub(crate) fn typed(&self, words: &[&str]) -> Command {
        let mut command = Command::new(AGENT);
        command
            .args(words)
            .arg("--config")
            .arg(self.path("agent.toml"))
            .env_clear()
            .env("SUDO_USER", "ann")
            .env("PATH", "/usr/local/bin:/usr/bin:/bin");
        command
    }

    /// Types it and waits for its end.
    pub(crate) async fn at_host(&self, words: &[&str]) -> Said {
        self.ends(self.typed(words)).await
    }

    /// Waits for the end of a command.
    pub(crate) async fn ends(&self, mut command: Command) -> Said {
        let (out, err) = (self.path("typed.out"), self.path("typed.err"));
        let file = |path: &Path| fs::File::create(path).expect("a file");
        command.stdout(file(&out)).stderr(file(&err));
        let code = ended(&mut command.spawn().expect("it starts")).await;
        let read = |path: &Path| fs::read_to_string(path).expect("read");
        Said {
            code,
            out: read(&out),
            err: read(&err),
        }
    }

    /// Gives all that is the agent's to nobody, who can then reach it. Needs root.
    pub(crate) fn give_to_nobody(&self) {
        let open = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path("."), open).expect("set");
        give(&self.path("base"));
    }
}

fn give(path: &Path) {
    lchown(path, Some(65534), Some(65534))
        .expect("this test gives files to another user: run it as root");
    let folder = fs::symlink_metadata(path).expect("looked at").is_dir();
    if folder {
        for entry in fs::read_dir(path).expect("listed") {
            give(&entry.expect("an entry").path());
        }
    }
}
