//! What the client promises.
//!
//! `contract` runs against the double, or against a real Jenkins where `DEPLOYKIT_JENKINS_URL` names one (docs/jenkins.md).
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests, which read their environment and look at the disk directly"
)]

mod answers;
mod contract;
mod place;
mod tls;
mod troubles;
