//! What the tests need from Debian. To need one more, add it to [`NEEDED`]; that is the only place.

use std::{fs, os::unix::fs::MetadataExt, process::Command, thread, time::Duration};

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
        name: "shellcheck",
        program: "shellcheck",
        why: "lints for hooks and scripts",
    },
];

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
    apt(
        "install packages",
        &["install", "-y", "--no-install-recommends"],
    )
    .args(&names)
    .run()
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
        Ok(output) => not_installed(&String::from_utf8_lossy(&output.stdout)),
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
        let all = "installed git\ninstalled openssh-client\ninstalled shellcheck\n";
        assert_eq!(list(&not_installed(all)), "");
        let some = "installed git\nconfig-files shellcheck\n";
        assert_eq!(list(&not_installed(some)), "openssh-client shellcheck");
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
    fn apt_waits_for_the_lock_and_asks_nothing() {
        assert_eq!(
            apt("x", &["install", "-y"]).to_string(),
            "DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y"
        );
    }
}
