//! Packages that came into an apt repository, as reprepro tells its log scripts, and what apt would install of some here.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use events::{
    Architecture, ComponentName, HostName, NameError, PackageName, PackageVersion, RepoName,
    SuiteName,
    message::{Candidate, PackageUpdate, PackagesRefreshed, PackagesUpdated},
};
use stomp_repo::{
    apt::{Apt, AptError},
    plan::AptName,
};
use world::World;

/// Why a line is not a package that came.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// Too few words, or another action.
    #[error(
        "{0:?} is not \"add|replace SUITE deb COMPONENT ARCHITECTURE NAME VERSION [OLD] [-- FILES]\""
    )]
    Shape(String),
    /// One of them is no such name.
    #[error(transparent)]
    Name(#[from] NameError),
}

/// One package of one suite, component and architecture.
struct Came {
    suite: SuiteName,
    component: ComponentName,
    architecture: Architecture,
    name: PackageName,
    version: PackageVersion,
    before: Option<PackageVersion>,
    source: Option<PackageName>,
}

/// Reads what reprepro gives to its log scripts: a line per package and architecture. Removals and what is no binary package
/// are passed over; a line that is none does not spoil the others. One message per suite and component.
#[must_use]
pub fn updated(repository: &RepoName, input: &str) -> (Vec<PackagesUpdated>, Vec<LineError>) {
    let mut errors = Vec::new();
    let mut places: BTreeMap<_, BTreeMap<_, PackageUpdate>> = BTreeMap::new();
    for line in input.lines().filter(|line| !line.trim().is_empty()) {
        match came(line) {
            Ok(None) => {}
            Err(error) => errors.push(error),
            Ok(Some(came)) => {
                let place = places.entry((came.suite, came.component)).or_default();
                let key = (came.name.clone(), came.version.clone());
                let package = place.entry(key).or_insert_with(|| PackageUpdate {
                    name: came.name,
                    version: came.version,
                    before: came.before,
                    architectures: Vec::new(),
                    source: came.source,
                });
                let architectures: BTreeSet<Architecture> = package
                    .architectures
                    .drain(..)
                    .chain([came.architecture])
                    .collect();
                package.architectures = architectures.into_iter().collect();
            }
        }
    }
    let messages = places.into_iter().map(|((suite, component), packages)| {
        let message = PackagesUpdated {
            repository: repository.clone(),
            suite,
            component,
            packages_total: packages.len(),
            packages: packages.into_values().collect(),
        };
        message.cut_to_frame()
    });
    (messages.collect(), errors)
}

fn came(line: &str) -> Result<Option<Came>, LineError> {
    let mut parts = line.split(" -- ");
    let words: Vec<&str> = parts
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let files = parts.next().unwrap_or_default();
    let shape = || LineError::Shape(line.chars().take(200).collect());
    let (suite, kind, rest) = match words[..] {
        ["add" | "replace", suite, kind, ref rest @ ..] => (suite, kind, rest),
        ["remove" | "info", ..] => return Ok(None),
        _ => return Err(shape()),
    };
    let (component, architecture, name, version, before) = match *rest {
        _ if matches!(kind, "dsc" | "udeb") => return Ok(None),
        [component, architecture, name, version] if kind == "deb" => {
            (component, architecture, name, version, None)
        }
        [component, architecture, name, version, before] if kind == "deb" => {
            (component, architecture, name, version, Some(before))
        }
        _ => return Err(shape()),
    };
    Ok(Some(Came {
        suite: suite.parse()?,
        component: component.parse()?,
        architecture: architecture.parse()?,
        name: name.parse()?,
        version: version.parse()?,
        before: before.map(str::parse).transpose()?,
        source: source(files),
    }))
}

/// `shop` of `pool/main/s/shop/shop-api_1.0_all.deb`.
fn source(files: &str) -> Option<PackageName> {
    let first = files.split_whitespace().next()?.strip_prefix("pool/")?;
    first.rsplit('/').nth(1)?.parse().ok()
}

/// What apt would install now of these packages, those that it knows. Takes some 0.1 s.
///
/// # Errors
/// apt's.
pub async fn refreshed(
    names: &[PackageName],
    host: HostName,
    world: &World,
    apt_config: Option<PathBuf>,
) -> Result<PackagesRefreshed, AptError> {
    let apt = Apt::of_this_host(world, apt_config).await?;
    let own = |name: &PackageName| AptName {
        name: name.clone(),
        architecture: None,
    };
    let standings = apt.standings(&names.iter().map(own).collect()).await?;
    let candidates = standings.into_iter().map(|(name, standing)| Candidate {
        name: name.name,
        architecture: name.architecture,
        installed: standing.installed,
        before: None,
        after: standing.candidate,
    });
    let packages: Vec<Candidate> = candidates.filter(|it| it.after.is_some()).collect();
    let message = PackagesRefreshed {
        host,
        source: None,
        packages_total: packages.len(),
        packages,
    };
    Ok(message.cut_to_frame())
}
