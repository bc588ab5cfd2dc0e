//! Keys, what makes them count, and what is signed with them.

use events::{
    CommitId, HostName, TagName,
    message::{Ordered, Phase},
};
use jiff::SignedDuration;
use orders::{Action, Document, Grant, Key, Keyring, Order, Policy, targets_digest};
use uuid::Uuid;
use world::World;

/// An operator's key and the orchestrator's, the same in every run.
#[derive(Debug)]
pub struct Trust {
    /// Signs grants, as [`Trust::OPERATOR`].
    pub operator: Key,
    /// Signs orders, as [`Trust::ORCHESTRATOR`].
    pub orchestrator: Key,
    /// Nobody knows this one.
    pub stranger: Key,
}

impl Default for Trust {
    fn default() -> Self {
        Self {
            operator: Key::generate(&[1; 32], "ann"),
            orchestrator: Key::generate(&[2; 32], "orchestrator"),
            stranger: Key::generate(&[3; 32], "stranger"),
        }
    }
}

impl Trust {
    /// The operator's principal.
    pub const OPERATOR: &str = "ann@example.org";

    /// The orchestrator's principal.
    pub const ORCHESTRATOR: &str = "orchestrator";

    /// The file that says who these keys are; each counts for its own kind of document only.
    #[must_use]
    pub fn allowed_signers(&self) -> String {
        let operator = self
            .operator
            .allowed_signer(Self::OPERATOR, &[Grant::NAMESPACE]);
        let orchestrator = self
            .orchestrator
            .allowed_signer(Self::ORCHESTRATOR, &[Order::NAMESPACE]);
        format!("{operator}\n{orchestrator}\n")
    }

    /// The policy: the operator alone may ask for anything.
    #[must_use]
    pub fn policy_text(&self) -> String {
        format!(
            "orchestrators = [\"{}\"]\n\n[[allow]]\nproject = \"*\"\nenvironment = \"*\"\nprincipals = [\"{}\"]\n",
            Self::ORCHESTRATOR,
            Self::OPERATOR
        )
    }

    /// The same as a value.
    ///
    /// # Panics
    /// Never: it is parsed in this crate's own tests.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy::parse(&self.policy_text()).expect("it is a good policy")
    }

    /// Who these keys are, as a value.
    ///
    /// # Panics
    /// Never: it is parsed in this crate's own tests.
    #[must_use]
    pub fn keyring(&self) -> Keyring {
        Keyring::parse(&self.allowed_signers()).expect("they are good lines")
    }

    /// What a person asks for: that the project `shop` in `prod` has this version (tag and commit) on the targets, or goes back
    /// there. It is good for an hour.
    ///
    /// # Panics
    /// That is no tag.
    #[must_use]
    pub fn grant(&self, version: Option<(&str, &CommitId)>, targets: &[HostName]) -> Grant {
        let now = World::real().clock.now();
        Grant {
            id: World::real().new_id(),
            project: "shop".parse().expect("a project"),
            environment: "prod".parse().expect("an environment"),
            action: version.map_or(Action::Rollback, |_| Action::Deploy),
            commit: version.map(|(_, commit)| commit.clone()),
            tag: version.map(|(tag, _)| tag.parse::<TagName>().expect("a tag")),
            branch: None,
            targets: targets_digest(targets),
            clears: Vec::new(),
            reason: None,
            not_before: now,
            expires: now + SignedDuration::from_hours(1),
        }
    }

    /// An order of the orchestrator under a grant that the operator has signed: its id, and the message.
    ///
    /// # Panics
    /// The grant makes no sense.
    #[must_use]
    pub fn order(
        &self,
        grant: &Grant,
        phase: Phase,
        host: &HostName,
        targets: &[HostName],
        sequence: u64,
    ) -> (Uuid, Ordered) {
        let signed = orders::sign(grant, &self.operator).expect("a grant can be signed");
        let order = Order {
            id: World::real().new_id(),
            deploy: grant.id,
            host: host.clone(),
            project: grant.project.clone(),
            environment: grant.environment.clone(),
            phase,
            commit: grant.commit.clone(),
            tag: grant.tag.clone(),
            undoes: None,
            wave: 1,
            sequence,
            epoch: 1,
            grant: orders::payload_digest::<Grant>(&signed).expect("it has a payload"),
            issued: grant.not_before,
            expires: grant.expires,
        };
        let ordered = Ordered {
            host: host.clone(),
            project: order.project.clone(),
            phase,
            order: orders::sign(&order, &self.orchestrator).expect("an order can be signed"),
            grant: signed,
            targets: targets.to_vec(),
        };
        (order.id, ordered)
    }
}
