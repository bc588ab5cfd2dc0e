//! Why a grant has not the signatures that it needs.

use events::{EnvironmentName, ProjectName};

use crate::Action;

/// Why a grant has not the signatures that it needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// No rule speaks of it at all.
    #[error("the policy lets nobody {action} {project} in {environment}")]
    NoRule {
        /// What was asked for.
        action: Action,
        /// Of which project.
        project: ProjectName,
        /// Where.
        environment: EnvironmentName,
    },
    /// Rules speak of it, but others must sign, or more.
    #[error(
        "to {action} {project} in {environment} needs {}; signed by {}",
        needed.join(", or "),
        signed.join(" and ")
    )]
    NotEnough {
        /// What was asked for.
        action: Action,
        /// Of which project.
        project: ProjectName,
        /// Where.
        environment: EnvironmentName,
        /// Who signed.
        signed: Vec<String>,
        /// One text per rule: `2 of ann, bo, cy`.
        needed: Vec<String>,
    },
    /// The glass is not broken without saying why.
    #[error("{} may break the glass, but only with a reason: sign a grant that gives one", by.join(" and "))]
    NoReason {
        /// Who signed.
        by: Vec<String>,
    },
}
