//! What the tests need from Debian. To need one more, add it to [`NEEDED`]; that is the only place.

use std::{
    fs,
    io::{ErrorKind, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
    process::Command,
    thread,
    time::Duration,
};

use crate::stage::{Failed, Stage, answers};

/// A Debian package, the program the tests want it for, and why.
struct Package {
    name: &'static str,
    program: &'static str,
    why: &'static str,
}

const NEEDED: &[Package] = &[
    Package {
        name: "git",
        program: "git",
        why: "real repositories, real hooks",
    },
    Package {
        name: "openssh-client",
        program: "ssh-keygen",
        why: "the foreign verifier of our signatures",
    },
    Package {
        name: "openssh-server",
        program: "sshd",
        why: "a real origin over ssh",
    },
    Package {
        name: "shellcheck",
        program: "shellcheck",
        why: "lints for hooks and scripts",
    },
    Package {
        name: "reprepro",
        program: "reprepro",
        why: "a real apt repository, and its hooks",
    },
    Package {
        name: "gnupg",
        program: "gpg",
        why: "the key that the apt repository is signed with",
    },
    Package {
        name: "systemd",
        program: "systemd-socket-activate",
        why: "starts the root part of stomp-repo for a connection, as on a server",
    },
    Package {
        name: "subversion",
        program: "svnadmin",
        why: "real Subversion repositories, and their hook",
    },
    Package {
        name: "openssl",
        program: "openssl",
        why: "the certificates of the brokers and their clients",
    },
    Package {
        name: "rabbitmq-server",
        program: "rabbitmq-server",
        why: "one of the brokers that the conformance suite starts",
    },
    Package {
        name: "activemq",
        program: "activemq",
        why: "one of the brokers that the conformance suite starts; brings Java and its keytool",
    },
    Package {
        name: "python3-stomp",
        program: "python3",
        why: "a foreign client that the embedded broker is tested with",
    },
    Package {
        name: "ruby-stomp",
        program: "ruby",
        why: "a foreign client that the embedded broker is tested with",
    },
    Package {
        name: "python3-jenkins",
        program: "python3",
        why: "a foreign client that drives the double of Jenkins",
    },
    Package {
        name: "nodejs",
        program: "node",
        why: "runs another foreign client that drives the double of Jenkins",
    },
    // Debian's brings some 400 small packages.
    Package {
        name: "npm",
        program: "npm",
        why: "installs that client, as its lock file says",
    },
];

/// Of these any will do, from wherever it is: Debian's would drive out one that comes with nodejs.
const FROM_ANYWHERE: [&str; 2] = ["nodejs", "npm"];

/// What packages ask before they start a service.
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// The names of all packages, for a line of output.
pub(crate) fn names() -> String {
    list(&NEEDED.iter().collect::<Vec<_>>())
}

/// Makes sure everything is there; installs what is missing if this is root, else says what to type.
pub(crate) fn ensure() -> Result<(), Failed> {
    println!("\n── packages");
    let missing = missing();
    for package in &missing {
        println!("{}: missing ({})", package.name, package.why);
    }
    if missing.is_empty() {
        println!("── packages: good ({})", names());
        return Ok(());
    }
    if !answers("apt-get", &["--version"]) {
        return Err(Failed(format!(
            "missing: {}; there is no apt-get here, so install them in this system's own way",
            list(&missing)
        )));
    }
    if !is_root() {
        return Err(Failed(refusal(&list(&missing))));
    }
    update()?;
    let names: Vec<String> = missing.iter().map(|it| it.name.to_owned()).collect();
    let _until_installed = Quiet::at(Path::new(POLICY))?;
    apt(
        "install packages",
        &["install", "-y", "--no-install-recommends"],
    )
    .args(&names)
    .run()
}

/// While this lives, packages start no service: the tests start brokers of their own. A policy that is there already is
/// left as it is.
struct Quiet<'a>(Option<&'a Path>);

impl<'a> Quiet<'a> {
    fn at(policy: &'a Path) -> Result<Self, Failed> {
        let mut options = fs::OpenOptions::new();
        let made = options
            .write(true)
            .create_new(true)
            .mode(0o755)
            .open(policy);
        match made.and_then(|mut file| file.write_all(b"#!/bin/sh\nexit 101\n")) {
            Ok(()) => {
                println!("no service is started meanwhile ({})", policy.display());
                Ok(Self(Some(policy)))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Self(None)),
            Err(error) => Err(Failed(format!("{}: {error}", policy.display()))),
        }
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        if let Some(made) = self.0
            && let Err(error) = fs::remove_file(made)
        {
            println!("{}: {error}; remove it by hand", made.display());
        }
    }
}

fn list(packages: &[&Package]) -> String {
    let names: Vec<&str> = packages.iter().map(|package| package.name).collect();
    names.join(" ")
}

/// What somebody who is not root is told.
fn refusal(names: &str) -> String {
    format!(
        "missing packages: {names}\nas root:\n  apt-get update && apt-get install -y --no-install-recommends {names}"
    )
}

/// `apt-get update` ignores `DPkg::Lock::Timeout`, so it is tried again while another apt holds the lock.
fn update() -> Result<(), Failed> {
    const TRIES: u32 = 10;
    let stage = apt("refresh package lists", &["update"]);
    let mut outcome = stage.run();
    for _ in 1..TRIES {
        if outcome.is_ok() {
            break;
        }
        thread::sleep(Duration::from_secs(6));
        outcome = stage.run();
    }
    outcome
}

fn apt(name: &'static str, args: &[&str]) -> Stage {
    Stage::new(name, "apt-get", &["-o", "DPkg::Lock::Timeout=300"])
        .args(&args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>())
        .env("DEBIAN_FRONTEND", "noninteractive")
}

fn missing() -> Vec<&'static Package> {
    let query = Command::new("dpkg-query")
        .args(["-W", "-f=${db:Status-Status} ${Package}\\n"])
        .args(NEEDED.iter().map(|package| package.name))
        .output();
    match query {
        Ok(output) => {
            let mut missing = not_installed(&String::from_utf8_lossy(&output.stdout));
            missing.retain(|it| !(FROM_ANYWHERE.contains(&it.name) && on_path(it.program)));
            missing
        }
        // Not Debian: the programs on PATH count.
        Err(_) => NEEDED
            .iter()
            .filter(|package| !on_path(package.program))
            .collect(),
    }
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Which packages `dpkg-query`'s answer does not name as installed; unknown ones are not in it at all.
fn not_installed(answer: &str) -> Vec<&'static Package> {
    let installed: Vec<&str> = answer
        .lines()
        .filter_map(|line| line.strip_prefix("installed "))
        .collect();
    let missing = NEEDED.iter().filter(|it| !installed.contains(&it.name));
    missing.collect()
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_counts_only_when_it_is_installed_whole() {
        let all: String = NEEDED
            .iter()
            .map(|it| format!("installed {}\n", it.name))
            .collect();
        assert_eq!(list(&not_installed(&all)), "");
        let some = all.replace("installed openssh-client\n", "");
        let some = some.replace("installed shellcheck", "config-files shellcheck");
        assert_eq!(list(&not_installed(&some)), "openssh-client shellcheck");
    }

    #[test]
    fn without_root_the_exact_command_is_told() {
        assert_eq!(
            refusal("git shellcheck"),
            "missing packages: git shellcheck\nas root:\n  \
             apt-get update && apt-get install -y --no-install-recommends git shellcheck"
        );
    }

    #[test]
    fn services_are_kept_quiet_only_for_the_time_of_the_install() {
        let policy = std::env::temp_dir().join(format!("policy-rc.d-{}", std::process::id()));
        let quiet = Quiet::at(&policy).unwrap();
        assert!(Command::new(&policy).status().unwrap().code() == Some(101));
        drop(Quiet::at(&policy).unwrap());
        assert!(policy.exists(), "somebody else's policy stays");
        drop(quiet);
        assert!(!policy.exists());
    }

    #[test]
    fn apt_waits_for_the_lock_and_asks_nothing() {
        assert_eq!(
            apt("x", &["install", "-y"]).to_string(),
            "DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y"
        );
    }
}
