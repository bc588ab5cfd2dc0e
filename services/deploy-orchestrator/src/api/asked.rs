//! What people ask for: plans, and the signed grants that they hand back.

use events::{HostName, ProjectName, message::Signed};
use serde::{Deserialize, Serialize};

use super::ProjectHost;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Make a tag or commit live.
    Deploy,
    /// Back to the release before, host by host.
    Rollback,
    /// Have broken hosts take deploys again.
    Clear,
}

impl From<orders::Action> for Action {
    fn from(action: orders::Action) -> Self {
        match action {
            orders::Action::Deploy => Self::Deploy,
            orders::Action::Rollback => Self::Rollback,
            orders::Action::Clear => Self::Clear,
        }
    }
}

impl From<Action> for orders::Action {
    fn from(action: Action) -> Self {
        match action {
            Action::Deploy => Self::Deploy,
            Action::Rollback => Self::Rollback,
            Action::Clear => Self::Clear,
        }
    }
}

/// Asks what a deploy would do. Nothing is touched by it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanRequest {
    /// Which project.
    pub project: ProjectName,
    /// What to do.
    pub action: Action,
    /// A tag, a branch or a commit id (needed to deploy; not allowed with a rollback).
    #[serde(default)]
    pub revision: Option<String>,
    /// Hosts and groups; absent means all hosts of the project. An empty list is an error.
    #[serde(default)]
    pub on: Option<Vec<String>>,
    /// Why, for the history.
    #[serde(default)]
    pub reason: Option<String>,
    /// Deploy it though CI has not found it good; needs a reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untested: bool,
    /// Deploy to hosts that are broken, too; the grant then names what it clears.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clear: bool,
}

/// What a deploy would do, and the grant that allows it once it is signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The grant to sign, as it is: [`orders::Grant`].
    pub grant: orders::Grant,
    /// All targets, sorted; the grant holds their digest.
    pub targets: Vec<HostName>,
    /// The same hosts in waves, first wave first.
    pub waves: Vec<Vec<HostName>>,
    /// What runs on each target now.
    pub now: Vec<ProjectHost>,
    /// What a person should know before signing: hosts not heard of, tag not everywhere.
    pub warnings: Vec<String>,
    /// True if it goes past CI; the request that brings the grant back says so again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untested: bool,
}

/// Asks for a deploy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// The grant of a [`Plan`], signed.
    pub grant: Signed,
    /// The targets of that plan, as they were.
    pub targets: Vec<HostName>,
    /// As in the plan.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untested: bool,
}
