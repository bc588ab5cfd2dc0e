//! A deploy: what was asked for and by whom, and its rollout.

use events::{CommitId, EnvironmentName, HostName, ProjectName, TagName, message::Signed};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{api::Action, rollout::Rollout};

/// What does not change about a deploy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// Its id, which is its grant's.
    pub id: Uuid,
    /// Which project.
    pub project: ProjectName,
    /// Where.
    pub environment: EnvironmentName,
    /// What was asked for.
    pub action: Action,
    /// The commit; absent for a rollback.
    pub commit: Option<CommitId>,
    /// The tag it was asked for by.
    pub tag: Option<TagName>,
    /// For a rollback: the deploy that was under way when it was asked for, which is what it takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Uuid>,
    /// Why, in the words of who asked.
    pub reason: Option<String>,
    /// True if it went past CI.
    #[serde(default)]
    pub untested: bool,
    /// What was gone past by breaking the glass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broke_glass: Option<String>,
    /// Who stands behind the grant.
    pub by: Vec<String>,
    /// When it was asked for.
    pub created: Timestamp,
    /// Its hosts, sorted, as the grant has them by digest.
    pub targets: Vec<HostName>,
    /// The grant as it was signed.
    pub grant: Signed,
    /// The digest of the grant's bytes.
    pub digest: String,
}

/// A deploy under way, or ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Deploy {
    /// What does not change.
    pub about: About,
    /// What does.
    pub rollout: Rollout,
}

impl About {
    /// What a person would type as the revision: the tag, or else the short commit id.
    #[must_use]
    pub fn revision(&self) -> Option<&str> {
        let commit = self.commit.as_ref().map(CommitId::short);
        self.tag.as_ref().map(TagName::as_str).or(commit)
    }

    /// `shop v2`, `shop v2 UNTESTED`, `rollback of shop`.
    #[must_use]
    pub fn title(&self) -> String {
        let title = match (self.action, self.revision()) {
            (Action::Rollback, _) => format!("rollback of {}", self.project),
            (Action::Clear, _) => format!("clearing of {}", self.project),
            (Action::Deploy, Some(revision)) if self.untested => {
                format!("{} {revision} UNTESTED", self.project)
            }
            (Action::Deploy, Some(revision)) => format!("{} {revision}", self.project),
            (Action::Deploy, None) => self.project.to_string(),
        };
        match self.broke_glass {
            Some(_) => format!("{title} GLASS BROKEN"),
            None => title,
        }
    }
}

/// The end of an id: its random part, and so the shortest that tells two apart.
#[must_use]
pub fn short(id: Uuid) -> String {
    let text = id.to_string();
    text[text.len() - 8..].to_owned()
}
