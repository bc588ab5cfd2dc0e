//! A piece of a script's output, live.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{HostName, Payload, ProjectName, Topic, message::Step};

/// At most [`ScriptOutput::MAX_BYTES`] of output, by offset, so that a reader sees what it missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScriptOutput {
    /// Where.
    pub host: HostName,
    /// Which project.
    pub project: ProjectName,
    /// The deploy.
    pub deploy: Uuid,
    /// The step whose script says it.
    pub step: Step,
    /// Where in the whole output `text` begins, in bytes.
    pub offset: u64,
    /// The output; what is not UTF-8 is replaced.
    pub text: String,
    /// True if the host has more of it than was sent.
    #[serde(default)]
    pub cut: bool,
}

impl ScriptOutput {
    /// The most output in one message, in bytes.
    pub const MAX_BYTES: usize = 16 * 1024;
}

impl Payload for ScriptOutput {
    const TYPE: &'static str = "deploykit.deploy.output.v1";
    const PERSISTENT: bool = false;
    const TIME_TO_LIVE: Option<Duration> = Some(Duration::from_secs(60 * 60));
    fn topic(&self) -> Topic {
        Topic::DeployOutput
    }
    fn subject(&self) -> String {
        format!("{} of {} on {}", self.step, self.project, self.host)
    }
}
