//! Keys, and what makes them count.

use orders::{Document, Grant, Key, Keyring, Order, Policy};

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
}
