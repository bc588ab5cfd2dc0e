//! Packages came into an apt repository.

use serde::{Deserialize, Serialize};

use super::frame;
use crate::{
    Architecture, ComponentName, PackageName, PackageVersion, Payload, RepoName, SuiteName, Topic,
};

/// A hint from the hooks of an apt repository: its index has these versions now. One message per suite and component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagesUpdated {
    /// The apt repository, by its one name on the bus.
    pub repository: RepoName,
    /// The suite, as the repository calls it (reprepro: the codename).
    pub suite: SuiteName,
    /// The component.
    pub component: ComponentName,
    /// What is new, cut to fit a frame ([`PackagesUpdated::cut_to_frame`]).
    pub packages: Vec<PackageUpdate>,
    /// How many there are in all.
    pub packages_total: usize,
}

/// A version of a package that is in the repository now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageUpdate {
    /// The binary package.
    pub name: PackageName,
    /// The version that came.
    pub version: PackageVersion,
    /// The version that it replaced; absent for a new package, or where the hook does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PackageVersion>,
    /// The architectures in whose index it is; a package for `all` is named under each of the repository's.
    pub architectures: Vec<Architecture>,
    /// The source package that it was built from, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<PackageName>,
}

impl PackagesUpdated {
    /// Leaves out packages from the end until the message fits a frame; `packages_total` counts them all.
    #[must_use]
    pub fn cut_to_frame(mut self) -> Self {
        self.packages_total = self.packages_total.max(self.packages.len());
        frame::cut(&mut self.packages, frame::LIST_BYTES);
        self
    }
}

impl Payload for PackagesUpdated {
    const TYPE: &'static str = "deploykit.packages.updated.v1";
    fn topic(&self) -> Topic {
        Topic::PackagesUpdated
    }
    fn subject(&self) -> String {
        let of = format!("{} {}/{}", self.repository, self.suite, self.component);
        match (&self.packages[..], self.packages_total) {
            ([one], 0 | 1) => format!("{of} {} {}", one.name, one.version),
            (_, total) => format!("{of}: {total} packages"),
        }
    }
}
