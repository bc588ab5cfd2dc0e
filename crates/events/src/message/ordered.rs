//! An order to one agent, with the grant that it acts under.

use serde::{Deserialize, Serialize};

use crate::{HostName, Payload, ProjectName, Topic};

/// What an order asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Lay the revision out and verify it; touch nothing live.
    Prepare,
    /// Make a prepared release live.
    Activate,
    /// Go back to the release before, from what is on the host.
    Rollback,
    /// Stop what is under way for the project, and put it back.
    Abort,
    /// Forget that the host is broken, so that it takes deploys again.
    Clear,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Prepare => "prepare",
            Self::Activate => "activate",
            Self::Rollback => "rollback",
            Self::Abort => "abort",
            Self::Clear => "clear",
        })
    }
}

/// An order on its way. All that counts is inside the signed documents; the rest is for routing and people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ordered {
    /// Whom it is for.
    pub host: HostName,
    /// Which project.
    pub project: ProjectName,
    /// What it asks for.
    pub phase: Phase,
    /// The order, signed by the orchestrator.
    pub order: Signed,
    /// The grant behind it, signed by people, a rule or the web page.
    pub grant: Signed,
    /// The hosts that the grant names by digest, sorted.
    pub targets: Vec<HostName>,
}

/// A DSSE envelope: <https://github.com/secure-systems-lab/dsse/blob/master/envelope.md>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// The media type of the payload.
    #[serde(rename = "payloadType")]
    pub payload_type: String,
    /// The payload, base64.
    pub payload: String,
    /// One or more signatures over the same bytes.
    pub signatures: Vec<Signature>,
}

/// One signature of a [`Signed`] document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// The fingerprint of the key, as OpenSSH writes it: `SHA256:…`. A hint, never trusted.
    pub keyid: String,
    /// The SSHSIG blob, base64.
    pub sig: String,
}

impl Payload for Ordered {
    const TYPE: &'static str = "deploykit.deploy.order.v1";
    fn topic(&self) -> Topic {
        Topic::DeployOrders(self.host.clone())
    }
    fn subject(&self) -> String {
        format!("{} {} on {}", self.phase, self.project, self.host)
    }
}
