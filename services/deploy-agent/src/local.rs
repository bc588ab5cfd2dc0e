//! A person at the host: what may be asked for without the bus, and what is answered.
//!
//! Read: this file (a line of JSON each way), [`command`] (the command line), [`socket`] (a running agent's end),
//! [`alone`] (where no agent is running), [`who`] (whose hand it was), [`words`] (what people read).

pub mod alone;
mod asking;
pub mod command;
pub mod socket;
mod verifying;
pub mod who;
pub mod words;

use events::{
    CommitId, EnvironmentName, HostName, ProjectName, TagName,
    message::{JournalHead, Ordered, ProjectState, Reported},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a person asks for: one line to the agent's socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    /// How everything here stands, or one project.
    Status {
        /// Which.
        #[serde(default)]
        project: Option<ProjectName>,
    },
    /// The newest orders of a project.
    History {
        /// Which.
        project: ProjectName,
        /// How many.
        limit: usize,
    },
    /// Back to the release before, now.
    Rollback {
        /// Of which project.
        project: ProjectName,
        /// Why, and for whom.
        #[serde(flatten)]
        note: Note,
    },
    /// Let go of a hold, and forget that it is broken.
    Clear {
        /// Which project.
        project: ProjectName,
        /// Why, and for whom.
        #[serde(flatten)]
        note: Note,
    },
    /// Carry out an order that came by hand.
    Apply {
        /// The order, as on the bus.
        ordered: Box<Ordered>,
    },
}

/// What a person says of themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// Who they were before they became this user.
    #[serde(default)]
    pub says: Option<String>,
}

/// What is answered: lines, of which the last one is no report or a final one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Answer {
    /// To a question for the status.
    Status(Status),
    /// To one for the history.
    History {
        /// Newest first.
        entries: Vec<Entry>,
    },
    /// How what was asked for stands.
    Report {
        /// The whole of it.
        report: Box<Reported>,
    },
    /// What became of histories.
    Verified {
        /// Each project that was looked at.
        projects: Vec<Verified>,
    },
    /// Not done, for this reason.
    Refused {
        /// For people.
        reason: String,
    },
    /// This user may not ask.
    Forbidden {
        /// For people.
        reason: String,
    },
}

/// A history that was looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// Whose.
    pub project: ProjectName,
    /// Where it ends, if it is as it was written.
    pub head: Option<JournalHead>,
    /// Why it is not to be believed.
    pub finding: Option<String>,
}

/// How everything here stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// This host.
    pub host: HostName,
    /// The version of the agent.
    pub version: String,
    /// True if an agent is running.
    pub running: bool,
    /// True if it is connected to a broker.
    pub connected: bool,
    /// The projects.
    pub projects: Vec<Standing>,
}

/// How a project stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// Where it is deployed.
    pub environment: EnvironmentName,
    /// As presence says it.
    #[serde(flatten)]
    pub state: ProjectState,
    /// The order that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doing: Option<Entry>,
}

impl Standing {
    /// A project for which nothing can be done.
    pub(crate) fn stuck(
        project: &ProjectName,
        environment: EnvironmentName,
        reason: String,
    ) -> Self {
        Self {
            environment,
            state: stuck(project, &reason),
            doing: None,
        }
    }
}

/// What presence says of a project for which nothing can be done.
pub(crate) fn stuck(project: &ProjectName, reason: &str) -> ProjectState {
    ProjectState {
        project: project.clone(),
        live: None,
        previous: None,
        busy: None,
        stuck: Some(reason.to_owned()),
        broken: None,
        held: None,
        prepared: Vec::new(),
    }
}

/// An order in the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it came.
    pub since: Timestamp,
    /// The tag that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<TagName>,
    /// The commit that it was about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// Who stands behind it.
    pub by: Vec<String>,
    /// Why, where it was asked for at the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How it stands or ended.
    pub report: Reported,
}
