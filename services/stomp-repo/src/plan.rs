//! What to do about updated packages. Values in, values out.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use debversion::Version;
use events::{
    AptSource, Architecture, PackageName, PackageVersion, RepoName, SuiteName,
    message::{PackageUpdate, PackagesUpdated},
};

use crate::settings::Source;

/// A package as apt is asked for it: `shop`, or `shop:i386` where the architecture is not the host's own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AptName {
    /// The package.
    pub name: PackageName,
    /// Its architecture, where it is not the host's own.
    pub architecture: Option<Architecture>,
}

impl fmt::Display for AptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.architecture {
            Some(architecture) => write!(f, "{}:{architecture}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

/// What this host can run, as its apt says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Architectures {
    /// The host's own.
    pub native: Architecture,
    /// Others that it takes packages of.
    pub foreign: BTreeSet<Architecture>,
}

impl Architectures {
    /// The package under this architecture, as apt names it; `None` where this host cannot run it.
    #[must_use]
    pub fn name(&self, name: &PackageName, architecture: &Architecture) -> Option<AptName> {
        let own = *architecture == self.native || architecture.as_str() == "all";
        (own || self.foreign.contains(architecture)).then(|| AptName {
            name: name.clone(),
            architecture: (!own).then(|| architecture.clone()),
        })
    }
}

impl fmt::Display for Architectures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.native)?;
        self.foreign
            .iter()
            .try_for_each(|other| write!(f, " {other}"))
    }
}

/// A version that should come to be apt's candidate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Want {
    /// As it was announced.
    pub version: PackageVersion,
    /// The same, to be compared.
    pub compared: Version,
    /// It matters although it is not installed.
    pub upcoming: bool,
    /// The repository that announced it.
    pub repository: RepoName,
    /// How often the source was refreshed for it in vain.
    pub tries: u32,
}

/// Why nothing is done about a package, or about a whole message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Skip {
    /// None of the sources is one for this repository.
    #[error("no source of {0} is watched here")]
    Repository(RepoName),
    /// The source is for other suites.
    #[error("{suite} is none of the suites of {source_file}")]
    Suite {
        /// The source.
        source_file: AptSource,
        /// What was announced.
        suite: SuiteName,
    },
    /// No pattern of the source names the package.
    #[error("{0} is not of interest here")]
    Package(PackageName),
    /// It is built for none of the architectures of this host and source.
    #[error("{0} is not for an architecture of this host")]
    Architecture(PackageName),
    /// The version is none by Debian's rules.
    #[error("{version:?} of {name} is no version: {cause}")]
    Version {
        /// The package.
        name: PackageName,
        /// What was announced.
        version: PackageVersion,
        /// What is wrong with it.
        cause: String,
    },
}

/// What is of interest in a message, by source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What to look for; also of each of `sweeps`, be it nothing.
    pub wants: BTreeMap<AptSource, BTreeMap<AptName, Want>>,
    /// Sources that are refreshed in any case: there were more packages than the message names.
    pub sweeps: BTreeSet<AptSource>,
    /// What not, and why.
    pub skipped: Vec<Skip>,
}

/// Sorts a message by the sources of this host. What is installed, and what apt has already, is looked at later.
#[must_use]
pub fn plan(
    updated: &PackagesUpdated,
    sources: &BTreeMap<AptSource, Source>,
    architectures: &Architectures,
) -> Plan {
    let mut plan = Plan::default();
    let of_repository =
        |(_, source): &(&AptSource, &Source)| source.repositories.contains(&updated.repository);
    let mut known = false;
    for (name, source) in sources.iter().filter(of_repository) {
        known = true;
        if !source.suites.is_empty() && !source.suites.contains(&updated.suite) {
            plan.skipped.push(Skip::Suite {
                source_file: name.clone(),
                suite: updated.suite.clone(),
            });
            continue;
        }
        if updated.packages_total > updated.packages.len() {
            plan.sweeps.insert(name.clone());
            plan.wants.entry(name.clone()).or_default();
        }
        for package in &updated.packages {
            match wants(package, &updated.repository, source, architectures) {
                Err(skip) => plan.skipped.push(skip),
                Ok((names, want)) => {
                    let of_source = plan.wants.entry(name.clone()).or_default();
                    for name in names {
                        keep_newest(of_source, name, want.clone());
                    }
                }
            }
        }
    }
    if !known {
        plan.skipped
            .push(Skip::Repository(updated.repository.clone()));
    }
    plan
}

/// Of two versions wanted of a package, the higher one stays.
pub(crate) fn keep_newest(wants: &mut BTreeMap<AptName, Want>, name: AptName, want: Want) {
    match wants.get(&name) {
        Some(there) if there.compared >= want.compared => {}
        _ => {
            wants.insert(name, want);
        }
    }
}

fn wants(
    package: &PackageUpdate,
    repository: &RepoName,
    source: &Source,
    host: &Architectures,
) -> Result<(BTreeSet<AptName>, Want), Skip> {
    let name = &package.name;
    let upcoming = source.upcoming.iter().any(|pattern| pattern.matches(name));
    if !upcoming && !source.packages.iter().any(|pattern| pattern.matches(name)) {
        return Err(Skip::Package(name.clone()));
    }
    let listed = |architecture: &&Architecture| {
        source.architectures.is_empty()
            || architecture.as_str() == "all"
            || source.architectures.contains(architecture)
    };
    let architectures = package.architectures.iter().filter(listed);
    let names: BTreeSet<AptName> = architectures
        .filter_map(|architecture| host.name(name, architecture))
        .collect();
    if names.is_empty() {
        return Err(Skip::Architecture(name.clone()));
    }
    let compared = package.version.as_str().parse::<Version>();
    let compared = compared.map_err(|error| Skip::Version {
        name: name.clone(),
        version: package.version.clone(),
        cause: error.to_string(),
    })?;
    let want = Want {
        version: package.version.clone(),
        compared,
        upcoming,
        repository: repository.clone(),
        tries: 0,
    };
    Ok((names, want))
}

/// What apt says about a package now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Standing {
    /// The installed version.
    pub installed: Option<PackageVersion>,
    /// What it would install.
    pub candidate: Option<PackageVersion>,
    /// All versions that it knows of.
    pub versions: Vec<PackageVersion>,
}

/// How a wanted version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighed {
    /// Not installed, and not upcoming: nobody cares.
    NotInstalled,
    /// The candidate is that version or a newer one.
    Candidate,
    /// Apt knows the version, or a newer one, and prefers another: it is pinned.
    Pinned,
    /// Apt does not know it: its lists are older than the announcement.
    Unknown,
}

/// Compares what was announced with what apt says.
#[must_use]
pub fn weigh(want: &Want, standing: &Standing) -> Weighed {
    if standing.installed.is_none() && !want.upcoming {
        return Weighed::NotInstalled;
    }
    let reaches = |version: &PackageVersion| {
        let version = version.as_str().parse::<Version>();
        version.is_ok_and(|version| version >= want.compared)
    };
    if standing.candidate.as_ref().is_some_and(reaches) {
        return Weighed::Candidate;
    }
    if standing.versions.iter().any(reaches) {
        return Weighed::Pinned;
    }
    Weighed::Unknown
}
