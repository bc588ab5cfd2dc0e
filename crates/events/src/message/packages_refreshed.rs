//! A host's apt knows other versions than before.

use serde::{Deserialize, Serialize};

use super::frame;
use crate::{AptSource, Architecture, HostName, PackageName, PackageVersion, Payload, Topic};

/// A hint from `stomp-repo` (or from the line in apt's settings): apt on this host would now install these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackagesRefreshed {
    /// Where.
    pub host: HostName,
    /// The source that was refreshed; absent when apt refreshed all of them itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<AptSource>,
    /// Those whose candidate has changed, cut to fit a frame ([`PackagesRefreshed::cut_to_frame`]).
    pub packages: Vec<Candidate>,
    /// How many there are in all.
    pub packages_total: usize,
}

/// What apt would install of a package: its candidate, pinning and all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The package.
    pub name: PackageName,
    /// Its architecture, where it is not the host's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<Architecture>,
    /// The version that is installed; absent when none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installed: Option<PackageVersion>,
    /// The candidate before; absent when there was none, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PackageVersion>,
    /// The candidate now; absent when there is none any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<PackageVersion>,
}

impl PackagesRefreshed {
    /// Leaves out packages from the end until the message fits a frame; `packages_total` counts them all.
    #[must_use]
    pub fn cut_to_frame(mut self) -> Self {
        self.packages_total = self.packages_total.max(self.packages.len());
        frame::cut(&mut self.packages, frame::LIST_BYTES);
        self
    }
}

impl Payload for PackagesRefreshed {
    const TYPE: &'static str = "deploykit.packages.refreshed.v1";
    fn topic(&self) -> Topic {
        Topic::PackagesRefreshed
    }
    fn subject(&self) -> String {
        match (&self.packages[..], self.packages_total) {
            ([one], 0 | 1) => {
                let after = one
                    .after
                    .as_ref()
                    .map_or("gone", |version| version.as_str());
                format!("{} {after} on {}", one.name, self.host)
            }
            (_, total) => format!("{total} packages on {}", self.host),
        }
    }
}
