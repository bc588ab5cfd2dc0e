//! What an agent answers to an order.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    CommitId, HostName, JournalHash, Payload, ProjectName, TagName, Topic, message::Phase,
};

/// The state of one order on one host. Each report is whole: the newest one (by `number`) replaces the ones before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reported {
    /// Where.
    pub host: HostName,
    /// Which project.
    pub project: ProjectName,
    /// The order that it answers.
    pub order: Uuid,
    /// The deploy that the order belongs to.
    pub deploy: Uuid,
    /// What was asked for.
    pub phase: Phase,
    /// Counts up per order.
    pub number: u64,
    /// Where it stands.
    pub state: State,
    /// The steps so far, in order.
    #[serde(default)]
    pub steps: Vec<StepReport>,
    /// What is live on the host now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Running>,
    /// What a rollback would make live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Running>,
    /// Set if the glass was broken for the order: what was gone past, such as a freeze.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broke_glass: Option<String>,
    /// Where the project's journal ended when this was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<JournalHead>,
    /// Set where the order is refused because the message that brought it is not believed: the digest of that message. It may have been
    /// a forged copy, which says nothing of the true one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unbelieved: Option<String>,
}

/// The end of a project's journal on its host. Whoever keeps one can tell later whether any entry up to it was edited, removed
/// or cut off. As text `412:9f86d081…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHead {
    /// How many entries there are.
    pub entries: u64,
    /// The hash of the last one, and with it of all before.
    pub hash: JournalHash,
}

impl fmt::Display for JournalHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.entries, self.hash)
    }
}

impl FromStr for JournalHead {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            let text: String = text.chars().take(80).collect();
            format!(
                "{text:?} is not the end of a journal: write ENTRIES:HASH, as `deploykit hosts --json` has it"
            )
        };
        let (entries, hash) = text.split_once(':').ok_or_else(wrong)?;
        let entries = entries.parse().map_err(|_| wrong())?;
        let hash = hash.parse().map_err(|_| wrong())?;
        Ok(Self { entries, hash })
    }
}

/// Where an order stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum State {
    /// Verified and in the journal; it will be carried out.
    Accepted,
    /// Not accepted; nothing was done.
    Refused {
        /// Why, for people.
        reason: String,
    },
    /// Cannot go on yet; tried again.
    Waiting {
        /// For what.
        reason: String,
    },
    /// A step is under way.
    Working {
        /// Which one.
        step: Step,
    },
    /// Prepared: the receipt.
    Prepared {
        /// The release folder's name.
        release: String,
    },
    /// The asked-for release is live and checked (also after a rollback).
    Live,
    /// It failed, and the host is back on what it had.
    PutBack {
        /// What failed: `check: exit 1, 3 tries: …`.
        reason: String,
    },
    /// It failed before anything live was touched.
    Failed {
        /// What failed.
        reason: String,
    },
    /// It failed, and so did putting it back: a person is needed.
    Broken {
        /// What failed, and what failed in putting back.
        reason: String,
    },
    /// Ended by an abort before anything live was touched.
    Aborted,
    /// What stood in the way of deploys is cleared.
    Cleared,
}

impl State {
    /// True if no further report of this order follows.
    #[must_use]
    pub fn is_final(&self) -> bool {
        !matches!(
            self,
            Self::Accepted | Self::Waiting { .. } | Self::Working { .. }
        )
    }
}

/// A step of a deploy on a host, in the order in which they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// The revision is in the mirror.
    Objects,
    /// The tree is laid out beside the others and flushed.
    Layout,
    /// What outlives releases is linked in.
    Shared,
    /// Script `build`.
    Build,
    /// Script `pre-deploy`.
    PreDeploy,
    /// Script `stop`, of the release that is live.
    Stop,
    /// `live` leads to the new release.
    Switch,
    /// Script `start`.
    Start,
    /// Script `refresh`, in place of stop and start.
    Refresh,
    /// Script `check`.
    Check,
    /// Script `post-deploy`.
    PostDeploy,
    /// `live` leads to the release before again.
    SwitchBack,
    /// Script `stop` of what failed.
    BackStop,
    /// Script `start` of the release before.
    BackStart,
    /// Script `check` of the release before.
    BackCheck,
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Objects => "objects",
            Self::Layout => "layout",
            Self::Shared => "shared",
            Self::Build => "build",
            Self::PreDeploy => "pre-deploy",
            Self::Stop => "stop",
            Self::Switch => "switch",
            Self::Start => "start",
            Self::Refresh => "refresh",
            Self::Check => "check",
            Self::PostDeploy => "post-deploy",
            Self::SwitchBack => "switch-back",
            Self::BackStop => "back-stop",
            Self::BackStart => "back-start",
            Self::BackCheck => "back-check",
        })
    }
}

/// How one step went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepReport {
    /// Which step.
    pub step: Step,
    /// How it stands.
    pub state: StepState,
    /// The exit code of its script, if it ran one and that ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<i32>,
    /// How often it was tried.
    #[serde(default = "once")]
    pub tries: u32,
    /// How long it took, in milliseconds.
    #[serde(default)]
    pub duration_ms: u64,
    /// What failed, or the last line of output; cut to 400 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

fn once() -> u32 {
    1
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepState {
    /// Under way.
    Running,
    /// Done.
    Ok,
    /// Failed.
    Failed,
    /// Ended at its limit of time.
    TimedOut,
    /// There was nothing to do, such as no script of that name.
    Skipped,
}

/// A release that is, or could be, live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// The release folder's name.
    pub release: String,
    /// The commit that it was made from.
    pub revision: CommitId,
    /// The tag under which it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<TagName>,
    /// Since when it is (or when it was last) live.
    pub since: Timestamp,
}

impl Running {
    /// The tag, or else the short commit id.
    #[must_use]
    pub fn label(&self) -> &str {
        self.tag
            .as_ref()
            .map_or(self.revision.short(), TagName::as_str)
    }
}

impl Payload for Reported {
    const TYPE: &'static str = "deploykit.deploy.report.v1";
    fn topic(&self) -> Topic {
        Topic::DeployReports
    }
    fn subject(&self) -> String {
        format!("{} {} on {}", self.phase, self.project, self.host)
    }
}
