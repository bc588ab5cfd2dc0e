//! Packages that came into an apt repository, in the plain-text form: one message for each file. No I/O.

use events::{
    Architecture, ComponentName, PackageName, PackageVersion, RepoName, SuiteName,
    message::{PackageUpdate, PackagesUpdated},
};
use serde::Deserialize;

use crate::text::{Text, Wrong, head, name, one_line, value};

/// Where the packages of older messages are: they do not say it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// The apt repository.
    pub repository: RepoName,
    /// The suite.
    pub suite: SuiteName,
    /// The component.
    pub component: ComponentName,
}

/// Reads `package: shop_1.2_all.deb`. A file's name has no epoch.
///
/// # Errors
/// See [`Wrong`].
pub fn read(body: &[u8], place: &Place) -> Result<PackagesUpdated, Wrong> {
    let file = value(head(body)?, 1, "package:")?;
    let parts: Option<Vec<&str>> = file.strip_suffix(".deb").map(|it| it.split('_').collect());
    let Some([package, version, architecture]) = parts.as_deref() else {
        let file = one_line(file);
        let why = format!("{file:?} is not NAME_VERSION_ARCHITECTURE.deb");
        return Err(Wrong::NotCarried(why));
    };
    let package = PackageUpdate {
        name: name::<PackageName>(package)?,
        version: name::<PackageVersion>(version)?,
        before: None,
        architectures: vec![name::<Architecture>(architecture)?],
        source: None,
    };
    let Place {
        repository,
        suite,
        component,
    } = place.clone();
    Ok(PackagesUpdated {
        repository,
        suite,
        component,
        packages: vec![package],
        packages_total: 1,
    })
}

/// The name of a package's file. Our messages do not tell a package for `all` from one that was built for each of several
/// architectures; then it says `all`.
#[must_use]
pub fn file(package: &PackageUpdate) -> String {
    let version = package.version.as_str();
    let without_epoch = version.split_once(':').map_or(version, |(_, rest)| rest);
    let architecture = match &package.architectures[..] {
        [one] => one.as_str(),
        _ => "all",
    };
    format!("{}_{without_epoch}_{architecture}.deb", package.name)
}

/// A package as the older importer told it.
#[must_use]
pub fn write(package: &PackageUpdate) -> Text {
    let file = file(package);
    Text {
        subject: format!("Package update: [{file}]"),
        body: format!("package: {file}\n"),
    }
}
