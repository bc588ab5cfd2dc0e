//! An agent says that it is there, and what runs on its host.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{CommitId, Facts, GroupName, HostName, Payload, ProjectName, Topic, message::Running};

/// A hint from `deploy-agent`: at start, on change and slowly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Present {
    /// Where it runs.
    pub host: HostName,
    /// This start of the agent; two at once under one host name are two holders of one subscription.
    pub instance: Uuid,
    /// The version of the agent.
    pub version: String,
    /// The groups that its settings name.
    #[serde(default)]
    pub groups: Vec<GroupName>,
    /// What it says of itself: from its settings, and from a command there.
    #[serde(default, skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
    /// What runs, per project.
    pub projects: Vec<ProjectState>,
}

/// One project on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectState {
    /// Which project.
    pub project: ProjectName,
    /// What `live` leads to; absent before the first deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Running>,
    /// What a rollback would make live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Running>,
    /// The deploy that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy: Option<Uuid>,
    /// A project that cannot go on without a person says why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stuck: Option<String>,
    /// The deploy that left it broken, where that is why: a grant that names it clears that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken: Option<Uuid>,
    /// Set after a rollback that a person made at the host, until a deploy is good there or somebody clears it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
    /// Releases that lie there complete beside the live one, newest first; at most [`PREPARED`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepared: Vec<Prepared>,
}

/// More prepared releases are not said.
pub const PREPARED: usize = 8;

/// A complete release that is not live.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The release folder's name.
    pub release: String,
    /// The commit that it was made from.
    pub revision: CommitId,
}

/// A rollback that a person made at the host: nothing moves it on but a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The id under which the rollback is in the host's history: a grant that names it clears the hold.
    pub deploy: Uuid,
    /// Whose hand it was.
    pub by: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub since: Timestamp,
}

impl Payload for Present {
    const TYPE: &'static str = "deploykit.agent.present.v1";
    const TIME_TO_LIVE: Option<Duration> = Some(Duration::from_secs(60 * 60));
    fn topic(&self) -> Topic {
        Topic::AgentsPresence
    }
    fn subject(&self) -> String {
        format!("agent on {}", self.host)
    }
}
