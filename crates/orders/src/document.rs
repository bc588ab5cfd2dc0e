//! The two documents that are signed.

use events::{
    CommitId, EnvironmentName, HostName, ProjectName, TagName,
    message::{Ordered, Phase},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// More deploys than this no grant clears at once: it has to fit into each order.
pub const MAX_CLEARS: usize = 256;

/// Something that is signed as a whole.
///
/// Unlike a message of the bus it may hold no field that its reader does not know: that field could be a restriction.
pub trait Document: Serialize + DeserializeOwned {
    /// The media type that is signed along with the content.
    const PAYLOAD_TYPE: &'static str;
    /// The SSHSIG namespace: a signature for one kind of document is none for another.
    const NAMESPACE: &'static str;

    /// Says what is wrong with the content, beyond its types.
    ///
    /// # Errors
    /// One sentence.
    fn check(&self) -> Result<(), String>;
}

/// What a grant allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Make a commit live.
    Deploy,
    /// Back to the release before, host by host.
    Rollback,
    /// Have hosts forget what keeps deploys from them.
    Clear,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Clear => "clear",
        })
    }
}

/// What people (or a rule, or the web page) stand behind with their signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The id of the deploy that it allows: one grant, one deploy.
    pub id: Uuid,
    /// Which project.
    pub project: ProjectName,
    /// Where.
    pub environment: EnvironmentName,
    /// What.
    pub action: Action,
    /// What becomes live; absent for a rollback, where each host has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// The tag by which the commit was asked for. A grant to deploy that names neither tag nor branch was asked for by the
    /// commit's own id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<TagName>,
    /// The branch by which it was asked for: the commit must be on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<TagName>,
    /// The hosts, by [`targets_digest`].
    pub targets: String,
    /// The deploys that left hosts in a state which a person has to see: these it clears, and no other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub clears: Vec<Uuid>,
    /// Why, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Not before this.
    pub not_before: Timestamp,
    /// No host begins after this.
    pub expires: Timestamp,
}

/// What the orchestrator tells one agent, under a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Its own id; it takes effect at most once.
    pub id: Uuid,
    /// The deploy that it belongs to: always the id of its grant.
    pub deploy: Uuid,
    /// Whom it is for.
    pub host: HostName,
    /// Which project.
    pub project: ProjectName,
    /// Where.
    pub environment: EnvironmentName,
    /// What is to be done.
    pub phase: Phase,
    /// The commit of the grant. A rollback or an abort may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitId>,
    /// The tag of the grant. A rollback or an abort may leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<TagName>,
    /// For a rollback that a person asked for while a deploy was under way: that deploy, and nothing else, is taken back. A host
    /// on which it is not live stays as it is, whichever of the two came to an end first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<Uuid>,
    /// From 1 on.
    pub wave: u32,
    /// Counts up per host and project, from 1 on and across deploys: a host takes nothing at or below what it has seen.
    pub sequence: u64,
    /// The orchestrator's lease: a host takes nothing of an older one.
    pub epoch: u64,
    /// The grant, by the digest of its payload bytes: `sha256:…`.
    pub grant: String,
    /// When it was made.
    pub issued: Timestamp,
    /// Not begun after this.
    pub expires: Timestamp,
}

impl Grant {
    /// True if it says why.
    #[must_use]
    pub fn is_reasoned(&self) -> bool {
        let reason = self.reason.as_deref().unwrap_or_default();
        !reason.trim().is_empty()
    }
}

impl Document for Grant {
    const PAYLOAD_TYPE: &'static str = "application/vnd.deploykit.grant.v1+json";
    const NAMESPACE: &'static str = "grant@deploykit";

    fn check(&self) -> Result<(), String> {
        match self.action {
            Action::Deploy if self.commit.is_none() => {
                return Err("a grant to deploy names a commit".to_owned());
            }
            Action::Deploy if self.tag.is_some() && self.branch.is_some() => {
                return Err("a grant names a tag or a branch, not both".to_owned());
            }
            Action::Rollback
                if self.commit.is_some() || self.tag.is_some() || self.branch.is_some() =>
            {
                return Err("a grant to roll back names no commit, tag or branch".to_owned());
            }
            Action::Rollback if !self.clears.is_empty() => {
                return Err(
                    "a grant to roll back clears nothing: nothing stands in its way".to_owned(),
                );
            }
            Action::Clear
                if self.commit.is_some() || self.tag.is_some() || self.branch.is_some() =>
            {
                return Err("a grant to clear names no commit, tag or branch".to_owned());
            }
            Action::Clear if self.clears.is_empty() => {
                return Err("a grant to clear names what it clears".to_owned());
            }
            Action::Deploy | Action::Rollback | Action::Clear => {}
        }
        if self.clears.len() > MAX_CLEARS {
            return Err(format!(
                "a grant clears at most {MAX_CLEARS} deploys, this one {}",
                self.clears.len()
            ));
        }
        if self.expires <= self.not_before {
            return Err(format!(
                "the grant expires at {}, which is not after its beginning at {}",
                self.expires, self.not_before
            ));
        }
        Ok(())
    }
}

impl Document for Order {
    const PAYLOAD_TYPE: &'static str = "application/vnd.deploykit.order.v1+json";
    const NAMESPACE: &'static str = "order@deploykit";

    fn check(&self) -> Result<(), String> {
        match self.phase {
            Phase::Prepare | Phase::Activate if self.commit.is_none() => {
                return Err(format!("an order to {} names a commit", self.phase));
            }
            Phase::Prepare | Phase::Activate | Phase::Abort | Phase::Clear
                if self.undoes.is_some() =>
            {
                return Err(format!("an order to {} undoes no deploy", self.phase));
            }
            _ => {}
        }
        if self.sequence == 0 {
            return Err("the sequence of an order begins at 1".to_owned());
        }
        if self.expires <= self.issued {
            return Err(format!(
                "the order expires at {}, which is not after its issue at {}",
                self.expires, self.issued
            ));
        }
        Ok(())
    }
}

/// The digest of a set of hosts, whatever their order: `sha256:` and 64 hex digits.
///
/// It is made over the sorted names, each once and ended by a line feed.
#[must_use]
pub fn targets_digest(targets: &[HostName]) -> String {
    let mut names: Vec<&str> = targets.iter().map(HostName::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let text: String = names.iter().flat_map(|name| [*name, "\n"]).collect();
    digest(text.as_bytes())
}

/// `sha256:` and 64 hex digits.
/// The digest of a whole message that brings an order: by it a host says which copy of the order it does not believe.
#[must_use]
pub fn copy_digest(ordered: &Ordered) -> String {
    digest(&serde_json::to_vec(ordered).unwrap_or_default())
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}").expect("a String takes all text");
    }
    text
}
