//! Asking apt and dpkg, without rights: what is installed, what would be.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use command::{Limits, Output, Program, RunError};
use world::World;

use crate::plan::{AptName, Architectures, Standing};

/// A question to apt takes 20 ms to 1 s; it is ended after this.
const LIMIT: Duration = Duration::from_secs(60);
/// The longest answer: 500 packages with hundreds of versions each.
const ANSWER_BYTES: usize = 16 << 20;
/// How many packages one question is about.
const AT_ONCE: usize = 500;

/// Why apt did not answer.
#[derive(Debug, thiserror::Error)]
pub enum AptError {
    /// It could not be run, or took too long.
    #[error(transparent)]
    Run(#[from] RunError),
    /// It ran and failed.
    #[error("{program}: {ending}: {said}")]
    Failed {
        /// The line a person would type.
        program: String,
        /// How it ended.
        ending: String,
        /// Its last line.
        said: String,
    },
    /// Another apt replaced the lists while they were read: ask again.
    #[error("{program}: another apt replaces the lists: {said}")]
    Busy {
        /// The line a person would type.
        program: String,
        /// Its last line.
        said: String,
    },
    /// It answered something else than was asked for.
    #[error("{program} did not tell {what}")]
    Answer {
        /// The line a person would type.
        program: String,
        /// What was asked for.
        what: &'static str,
    },
}

/// The apt of a host.
#[derive(Debug)]
pub struct Apt {
    world: World,
    config: Option<PathBuf>,
    architectures: Architectures,
    /// The folder of dpkg's `status`.
    dpkg: String,
}

impl Apt {
    /// Asks apt what it is for. `config`: see `APT_CONFIG` in apt.conf(5).
    ///
    /// # Errors
    /// When it is not there or does not answer.
    pub async fn of_this_host(world: &World, config: Option<PathBuf>) -> Result<Self, AptError> {
        let shell = Program::new("apt-config").args([
            "shell",
            "NATIVE",
            "APT::Architecture",
            "STATUS",
            "Dir::State::status/f",
        ]);
        let shell = with_config(shell, config.as_ref());
        let answer = run(world, &shell).await?;
        let lacks = |what| AptError::Answer {
            program: shell.to_string(),
            what,
        };
        let text = String::from_utf8_lossy(&answer.stdout);
        let values = shell_values(&text);
        let native = values.get("NATIVE").and_then(|text| text.parse().ok());
        let native = native.ok_or_else(|| lacks("the architecture"))?;
        let status = values.get("STATUS").map(PathBuf::from);
        let dpkg = status.and_then(|path| Some(path.parent()?.display().to_string()));
        let dpkg = dpkg.ok_or_else(|| lacks("where dpkg's status is"))?;
        let dump = Program::new("apt-config").args(["dump", "APT::Architectures"]);
        let dump = with_config(dump, config.as_ref());
        let answer = run(world, &dump).await?;
        let mut foreign = listed(&String::from_utf8_lossy(&answer.stdout));
        foreign.remove(&native);
        Ok(Self {
            world: world.clone(),
            config,
            architectures: Architectures { native, foreign },
            dpkg,
        })
    }

    /// What this host can run.
    #[must_use]
    pub fn architectures(&self) -> &Architectures {
        &self.architectures
    }

    /// All installed packages.
    ///
    /// # Errors
    /// See [`AptError`].
    pub async fn installed(&self) -> Result<BTreeSet<AptName>, AptError> {
        let query = Program::new("dpkg-query").args([
            "--admindir",
            &self.dpkg,
            "-W",
            "-f=${db:Status-Status} ${Package} ${Architecture}\\n",
        ]);
        match run(&self.world, &query).await {
            Ok(answer) => Ok(installed(
                &String::from_utf8_lossy(&answer.stdout),
                &self.architectures,
            )),
            // It ends so where not one package is installed.
            Err(AptError::Failed { said, .. }) if said.contains("no packages found") => {
                Ok(BTreeSet::new())
            }
            Err(error) => Err(error),
        }
    }

    /// How these packages stand; of one that apt does not know, nothing.
    ///
    /// # Errors
    /// See [`AptError`].
    pub async fn standings(
        &self,
        names: &BTreeSet<AptName>,
    ) -> Result<BTreeMap<AptName, Standing>, AptError> {
        let mut standings = BTreeMap::new();
        let names: Vec<&AptName> = names.iter().collect();
        for some in names.chunks(AT_ONCE) {
            let policy = Program::new("apt-cache").arg("policy").arg("--");
            let policy = policy.args(some.iter().map(ToString::to_string));
            let answer = run(&self.world, &with_config(policy, self.config.as_ref())).await?;
            let told = policies(&String::from_utf8_lossy(&answer.stdout));
            for name in some {
                let standing = told.get(&name.to_string()).cloned().unwrap_or_default();
                standings.insert((*name).clone(), standing);
            }
        }
        Ok(standings)
    }
}

/// Gives apt its settings file.
pub(crate) fn with_config(program: Program, config: Option<&PathBuf>) -> Program {
    match config {
        Some(path) => program.env("APT_CONFIG", path.display().to_string()),
        None => program,
    }
}

async fn run(world: &World, program: &Program) -> Result<Output, AptError> {
    let limits = Limits {
        output_bytes: ANSWER_BYTES,
        ..Limits::of(LIMIT)
    };
    let output = world.processes.run(program, limits).await?;
    if output.success() {
        return Ok(output);
    }
    Err(refused(program, &output))
}

fn refused(program: &Program, output: &Output) -> AptError {
    let program = program.to_string().chars().take(200).collect();
    let said = output.last_line();
    if said.contains("Cache is out of sync") {
        return AptError::Busy { program, said };
    }
    AptError::Failed {
        program,
        ending: output.ending(),
        said,
    }
}

/// `NAME='value'` lines. A value with a quote in it is left out: no name or path of ours has one.
fn shell_values(text: &str) -> BTreeMap<&str, &str> {
    let value = |line| {
        let (name, value): (&str, &str) = str::split_once(line, '=')?;
        let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
        (!value.contains('\'')).then_some((name, value))
    };
    text.lines().filter_map(value).collect()
}

/// `APT::Architectures:: "amd64";` lines.
fn listed<T: std::str::FromStr + Ord>(text: &str) -> BTreeSet<T> {
    let value = |line: &str| {
        let (_, value) = line.split_once(":: \"")?;
        value.strip_suffix("\";")?.parse().ok()
    };
    text.lines().filter_map(value).collect()
}

/// `installed NAME ARCHITECTURE` lines; others are packages that are not (wholly) installed.
fn installed(text: &str, architectures: &Architectures) -> BTreeSet<AptName> {
    let package = |line: &str| {
        let mut words = line.split(' ');
        let (state, name, architecture) = (words.next()?, words.next()?, words.next()?);
        let name = (state == "installed").then(|| name.parse().ok())??;
        architectures.name(&name, &architecture.parse().ok()?)
    };
    text.lines().filter_map(package).collect()
}

/// What `apt-cache policy` prints, by the headings. One that is not asked for may be among them: apt takes an unknown name for a
/// pattern.
fn policies(text: &str) -> BTreeMap<String, Standing> {
    let mut told: BTreeMap<String, Standing> = BTreeMap::new();
    let mut heading = String::new();
    for line in text.lines() {
        if !line.starts_with(' ') {
            heading = line.strip_suffix(':').unwrap_or(line).to_owned();
            // Told twice, the second is the same: begin again.
            told.insert(heading.clone(), Standing::default());
        } else if let Some(standing) = told.get_mut(&heading) {
            if let Some(version) = line.strip_prefix("  Installed: ") {
                standing.installed = version.parse().ok();
            } else if let Some(version) = line.strip_prefix("  Candidate: ") {
                standing.candidate = version.parse().ok();
            } else if let Some(rest) = line.strip_prefix("     ").or(line.strip_prefix(" *** ")) {
                // The lines with the places of a version are indented more.
                let version = rest.split(' ').next().unwrap_or_default();
                standing.versions.extend(version.parse().ok());
            }
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As apt 2.6 printed it.
    const POLICY: &str = "\
shop:
  Installed: 1.0
  Candidate: 1:1.1~rc1-2+b1
  Version table:
     1:1.1~rc1-2+b1 990
        990 http://127.0.0.1:8080/acme bookworm/main amd64 Packages
 *** 1.0 100
        100 /var/lib/dpkg/status
foo:
  Installed: (none)
  Candidate: (none)
  Version table:
     2 -1
        100 /var/lib/dpkg/status
libm:i386:
  Installed: 3
  Candidate: 3
  Version table:
 *** 3 100
        100 /var/lib/dpkg/status
";

    fn versions(texts: &[&str]) -> Vec<events::PackageVersion> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn architectures() -> Architectures {
        Architectures {
            native: "amd64".parse().unwrap(),
            foreign: BTreeSet::from(["i386".parse().unwrap()]),
        }
    }

    #[test]
    fn a_policy_is_read_with_all_its_versions() {
        let told = policies(POLICY);
        assert_eq!(told.len(), 3);
        let shop = &told["shop"];
        assert_eq!(shop.installed, Some("1.0".parse().unwrap()));
        assert_eq!(shop.candidate, Some("1:1.1~rc1-2+b1".parse().unwrap()));
        assert_eq!(shop.versions, versions(&["1:1.1~rc1-2+b1", "1.0"]));
        let foo = &told["foo"];
        assert_eq!((&foo.installed, &foo.candidate), (&None, &None));
        assert_eq!(foo.versions, versions(&["2"]));
        assert_eq!(told["libm:i386"].installed, Some("3".parse().unwrap()));
    }

    #[test]
    fn what_apt_tells_twice_counts_once() {
        let twice = format!("{POLICY}{POLICY}");
        assert_eq!(policies(&twice), policies(POLICY));
    }

    #[test]
    fn lists_that_change_while_they_are_read_are_told_from_an_error() {
        let output = |stderr: &str| Output {
            code: Some(100),
            signal: None,
            stdout: Vec::new(),
            stderr: stderr.as_bytes().to_vec(),
        };
        let program = Program::new("apt-cache").arg("policy");
        let changing = "E: Cache is out of sync, can't x-ref a package file\n";
        let error = refused(&program, &output(changing));
        assert!(matches!(error, AptError::Busy { .. }), "{error}");
        let error = refused(&program, &output("E: Unable to parse package file\n"));
        assert!(matches!(error, AptError::Failed { .. }), "{error}");
    }

    #[test]
    fn half_installed_packages_and_foreign_architectures_are_told_apart() {
        let text = "config-files foo amd64\ninstalled libm i386\ninstalled libm amd64\ninstalled shop all\n\
                    half-installed bar amd64\ninstalled x armhf\nunpacked y amd64\n";
        let names: Vec<String> = installed(text, &architectures())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(names, ["libm", "libm:i386", "shop"]);
    }

    #[test]
    fn settings_of_apt_are_read() {
        let values = shell_values("NATIVE='amd64'\nSTATUS='/a b/status'\nX=1\nY='a'\\''b'\n");
        let expected = [("NATIVE", "amd64"), ("STATUS", "/a b/status")];
        assert_eq!(values, BTreeMap::from(expected));
        let text = "APT::Architectures \"\";\nAPT::Architectures:: \"amd64\";\nAPT::Architectures:: \"i386\";\n";
        let list: BTreeSet<String> = listed(text);
        assert_eq!(
            list,
            BTreeSet::from(["amd64".to_owned(), "i386".to_owned()])
        );
    }
}
