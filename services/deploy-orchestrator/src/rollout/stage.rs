//! Where a rollout stands, and why it stopped.

use events::HostName;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Nothing was done yet.
    New,
    /// All hosts are told to prepare.
    Preparing,
    /// The hosts of this wave (from 0 on) are told to activate.
    Wave(usize),
    /// This wave is good; the next one waits for the end of the bake time.
    Baking {
        /// The wave that is good.
        wave: usize,
        /// When the next one may start.
        until: Timestamp,
    },
    /// It stopped; hosts that are under way finish by themselves.
    Stopping,
    /// It stopped; hosts that it changed go back.
    PuttingBack,
    /// Nothing more happens.
    Ended(Outcome),
}

/// How a rollout ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// All targets, but a few unreachable ones, run what was asked for.
    Succeeded,
    /// It stopped because of what hosts reported, or did not.
    Failed,
    /// A person or a rollback ended it.
    Aborted,
}

/// Why a rollout stopped before its last wave was good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Stopped {
    /// These hosts cannot prepare. Nothing live was touched.
    CannotPrepare {
        /// Which.
        hosts: Vec<HostName>,
    },
    /// More hosts than allowed do not answer.
    Unreachable {
        /// The wave in which that was seen (from 0 on); absent while preparing.
        wave: Option<usize>,
        /// Which.
        hosts: Vec<HostName>,
        /// How many may be.
        allowed: usize,
    },
    /// More hosts failed than the budget allows.
    Failures {
        /// The wave in which that was seen, from 0 on.
        wave: usize,
        /// Which.
        hosts: Vec<HostName>,
    },
    /// No host of this wave came to run the release, so nothing shows that it is good.
    Unproven {
        /// Which wave, from 0 on.
        wave: usize,
    },
    /// The grant runs out before this wave could end.
    GrantRunsOut {
        /// The wave that was not started, from 0 on.
        wave: usize,
    },
    /// A person aborted it.
    ByPerson,
    /// A rollback of the project took over.
    ByRollback {
        /// The rollback's deploy id.
        by: Uuid,
    },
}
