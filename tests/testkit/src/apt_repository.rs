//! A signed apt repository, kept by the real reprepro.
#![expect(
    clippy::disallowed_methods,
    reason = "a test drives reprepro, gpg and dpkg-deb as an administrator does"
)]

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::{Folder, apt_host::native};

/// A repository with the codename `bookworm`, the suite `stable` and the components `main` and `extra`, signed by a key of its own.
#[derive(Debug)]
pub struct AptRepository {
    folder: Folder,
}

impl Default for AptRepository {
    fn default() -> Self {
        Self::new()
    }
}

impl AptRepository {
    /// An empty one; its index is there.
    ///
    /// # Panics
    /// reprepro or gpg is not there.
    #[must_use]
    pub fn new() -> Self {
        let repository = Self {
            folder: Folder::new(),
        };
        repository.settings("");
        std::fs::create_dir_all(repository.folder.join("gnupg")).expect("a folder can be made");
        let home = repository.folder.join("gnupg");
        let own = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&home, own).expect("it is ours");
        let key = [
            "--batch",
            "--quiet",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
            "--quick-gen-key",
            "apt@example.org",
            "ed25519",
            "sign",
            "never",
        ];
        good(repository.gpg(&key), "gpg");
        let exported = repository.gpg(&["--armor", "--export", "apt@example.org"]);
        let key = good(exported, "gpg --export");
        repository.folder.write("apt.asc", &key);
        repository.reprepro(&["export"]);
        repository
    }

    /// Its folder: what a web server publishes.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.join("repo")
    }

    /// The public key that it is signed with.
    #[must_use]
    pub fn public_key(&self) -> PathBuf {
        self.folder.join("apt.asc")
    }

    /// Has reprepro call these: for each package, and at the end.
    pub fn hooks(&self, log: &Path, end: &Path) {
        self.settings(&format!(
            "Log: packages.log\n --type=deb {}\n",
            log.display()
        ));
        let options = format!("endhook {}\n", end.display());
        self.folder.write("repo/conf/options", &options);
    }

    fn settings(&self, more: &str) {
        let text = format!(
            "Origin: acme\nCodename: bookworm\nSuite: stable\nArchitectures: {} riscv64\nComponents: main extra\n\
             SignWith: apt@example.org\n{more}",
            native()
        );
        self.folder.write("repo/conf/distributions", &text);
    }

    /// Builds a package for all architectures with dpkg-deb.
    ///
    /// # Panics
    /// dpkg-deb is not there, or refuses.
    #[must_use]
    pub fn deb(&self, name: &str, version: &str) -> PathBuf {
        let control = format!(
            "Package: {name}\nSource: {name}-src\nVersion: {version}\nSection: misc\nPriority: optional\nArchitecture: all\n\
             Maintainer: Dee <dee@example.org>\nDescription: {name}\n"
        );
        self.folder
            .write(format!("{name}/DEBIAN/control"), &control);
        let plain = version.replace(':', "_");
        let deb = self.folder.join(format!("{name}_{plain}_all.deb"));
        let built = Command::new("dpkg-deb")
            .args(["--root-owner-group", "--build"])
            .arg(self.folder.join(name))
            .arg(&deb)
            .output();
        good(built, "dpkg-deb");
        deb
    }

    /// Builds a package and uploads it to `main`.
    ///
    /// # Panics
    /// A program refuses, with what it said.
    pub fn upload(&self, name: &str, version: &str) -> &Self {
        let deb = self.deb(name, version).display().to_string();
        self.reprepro(&["--component", "main", "includedeb", "bookworm", &deb]);
        self
    }

    /// Runs reprepro; what it wrote to standard error.
    ///
    /// # Panics
    /// It fails, with what it said.
    pub fn reprepro(&self, args: &[&str]) -> String {
        let output = self.try_reprepro(args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "reprepro {args:?}: {said}");
        said
    }

    /// Runs reprepro, however it ends. It has no variables but these, and the folder above the repository's as its own.
    ///
    /// # Panics
    /// It is not there.
    #[must_use]
    pub fn try_reprepro(&self, args: &[&str]) -> Output {
        Command::new("reprepro")
            .args(["--silent", "--basedir", "repo"])
            .args(args)
            .current_dir(self.folder.path())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("GNUPGHOME", self.folder.join("gnupg"))
            .output()
            .unwrap_or_else(|error| panic!("cannot run reprepro: {error}"))
    }

    fn gpg(&self, args: &[&str]) -> std::io::Result<Output> {
        let home = self.folder.join("gnupg");
        Command::new("gpg")
            .arg("--homedir")
            .arg(home)
            .args(args)
            .output()
    }
}

/// The key's agent ends with its repository.
impl Drop for AptRepository {
    fn drop(&mut self) {
        let home = self.folder.join("gnupg");
        let end = Command::new("gpgconf")
            .arg("--homedir")
            .arg(home)
            .args(["--kill", "all"])
            .output();
        drop(end);
    }
}

fn good(output: std::io::Result<Output>, what: &str) -> String {
    let output = output.unwrap_or_else(|error| panic!("cannot run {what}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
