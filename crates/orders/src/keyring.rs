//! Whose signatures count: an `allowed_signers` file, and the verification against it.

use std::collections::BTreeMap;

use events::message::Signed;
use jiff::Timestamp;
use ssh_key::{HashAlg, PublicKey, SshSig};

use crate::{
    Document, document,
    pattern::PatternList,
    signing::{self, EnvelopeError, MAX_SIGNATURES},
};

/// An `allowed_signers` file, as in `ssh-keygen(1)`.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    pub(crate) lines: Vec<Line>,
    pub(crate) notes: Vec<String>,
}

/// One line of the file.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) number: usize,
    pub(crate) principals: PatternList,
    pub(crate) namespaces: Option<PatternList>,
    pub(crate) valid_after: Option<Timestamp>,
    pub(crate) valid_before: Option<Timestamp>,
    pub(crate) key: PublicKey,
}

/// A key that signed, and whom it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// `SHA256:…`
    pub fingerprint: String,
    /// The principals of its lines, as written there.
    pub principals: Vec<PatternList>,
}

impl Signer {
    /// True if this key may sign as `principal`.
    #[must_use]
    pub fn is(&self, principal: &str) -> bool {
        self.principals.iter().any(|list| list.matches(principal))
    }

    /// Its principals as text.
    #[must_use]
    pub fn name(&self) -> String {
        let names: Vec<&str> = self.principals.iter().map(PatternList::as_str).collect();
        names.join(",")
    }
}

/// A document whose signatures are good. Whether the right ones signed is for [`crate::Policy`] to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<D> {
    /// The document.
    pub document: D,
    /// Who signed, one text per key, as the file names them.
    pub signers: Vec<String>,
    /// The same with the keys.
    pub keys: Vec<Signer>,
    /// The digest of the payload's bytes: `sha256:…`.
    pub digest: String,
    /// Signatures that do not count, each with the reason.
    pub ignored: Vec<String>,
}

/// Why a signed document is not to be believed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Broken, or another kind of document.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// Nobody signed.
    #[error("it has no signature")]
    Unsigned,
    /// More than [`MAX_SIGNATURES`].
    #[error("it has {0} signatures, at most {MAX_SIGNATURES} are read")]
    TooMany(usize),
    /// A signature that is no SSHSIG blob.
    #[error("signature {number} is not an SSH signature")]
    NotASignature {
        /// From 1 on.
        number: usize,
        /// What is wrong with it.
        source: ssh_key::Error,
    },
    /// A signature for something else.
    #[error("the signature of {fingerprint} is for {found:?}, not for {expected:?}")]
    Namespace {
        /// Whose.
        fingerprint: String,
        /// What it is for.
        found: String,
        /// What it must be for.
        expected: &'static str,
    },
    /// The content is not what was signed.
    #[error("the signature of {fingerprint} does not fit the content: one of the two was changed")]
    Changed {
        /// Whose.
        fingerprint: String,
    },
    /// Good signatures, but none of a key that counts.
    #[error("none of its signatures counts: {}", reasons.join("; "))]
    NotTrusted {
        /// One per signature.
        reasons: Vec<String>,
    },
    /// Rightly signed, but not what this build reads.
    #[error("the signed content is not a document of type {0}")]
    Content(&'static str, #[source] serde_json::Error),
    /// Rightly signed nonsense.
    #[error("the signed content makes no sense: {0}")]
    Nonsense(String),
}

impl Keyring {
    /// What in the file was not used or read in an unusual way, by line number. For `--check` and logs.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The fingerprints of all keys in use, with their principals.
    pub fn keys(&self) -> impl Iterator<Item = (String, &PatternList)> {
        let entry = |line: &'_ Line| line.key.fingerprint(HashAlg::Sha256).to_string();
        self.lines
            .iter()
            .map(move |line| (entry(line), &line.principals))
    }

    /// Verifies every signature of a document, then reads it.
    ///
    /// A signature by a key that does not count is ignored and named in [`Verified::ignored`]; one that is broken or made
    /// for something else condemns the document.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub fn verify<D: Document>(
        &self,
        signed: &Signed,
        now: Timestamp,
    ) -> Result<Verified<D>, VerifyError> {
        let payload = signing::payload::<D>(signed)?;
        let bytes = signing::pre_authentication_encoding(&signed.payload_type, &payload);
        match signed.signatures.len() {
            0 => return Err(VerifyError::Unsigned),
            1..=MAX_SIGNATURES => {}
            many => return Err(VerifyError::TooMany(many)),
        }
        let mut keys = BTreeMap::new();
        let mut ignored = Vec::new();
        for (index, signature) in signed.signatures.iter().enumerate() {
            let signature =
                signing::read(signature).map_err(|source| VerifyError::NotASignature {
                    number: index + 1,
                    source,
                })?;
            let key = PublicKey::from(signature.public_key().clone());
            let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
            match self.judge::<D>(&key, &fingerprint, &signature, &bytes, now)? {
                Ok(principals) => {
                    keys.insert(fingerprint, principals);
                }
                Err(reason) => ignored.push(reason),
            }
        }
        if keys.is_empty() {
            return Err(VerifyError::NotTrusted { reasons: ignored });
        }
        let document: D = serde_json::from_slice(&payload)
            .map_err(|source| VerifyError::Content(D::PAYLOAD_TYPE, source))?;
        document.check().map_err(VerifyError::Nonsense)?;
        let keys: Vec<Signer> = keys
            .into_iter()
            .map(|(fingerprint, principals)| Signer {
                fingerprint,
                principals,
            })
            .collect();
        Ok(Verified {
            document,
            signers: keys.iter().map(Signer::name).collect(),
            keys,
            digest: document::digest(&payload),
            ignored,
        })
    }

    /// The principals of a good signature, or why it does not count.
    fn judge<D: Document>(
        &self,
        key: &PublicKey,
        fingerprint: &str,
        signature: &SshSig,
        bytes: &[u8],
        now: Timestamp,
    ) -> Result<Result<Vec<PatternList>, String>, VerifyError> {
        if signature.namespace() != D::NAMESPACE {
            return Err(VerifyError::Namespace {
                fingerprint: fingerprint.to_owned(),
                found: signature.namespace().chars().take(80).collect(),
                expected: D::NAMESPACE,
            });
        }
        if !key.algorithm().is_ed25519() {
            let kind = key.algorithm();
            return Ok(Err(format!(
                "{fingerprint} is a key of type {kind}, which is not used here"
            )));
        }
        key.verify(D::NAMESPACE, bytes, signature)
            .map_err(|_| VerifyError::Changed {
                fingerprint: fingerprint.to_owned(),
            })?;
        let mut principals = Vec::new();
        let mut reasons = Vec::new();
        for line in self
            .lines
            .iter()
            .filter(|line| line.key.key_data() == key.key_data())
        {
            match line.counts(D::NAMESPACE, now) {
                Ok(()) => principals.push(line.principals.clone()),
                Err(reason) => reasons.push(reason),
            }
        }
        if !principals.is_empty() {
            return Ok(Ok(principals));
        }
        Ok(Err(if reasons.is_empty() {
            format!("{fingerprint} is not among the allowed signers")
        } else {
            format!("{fingerprint}: {}", reasons.join(", "))
        }))
    }
}

impl Line {
    /// `Err` with the reason when a signature for `namespace` does not count at this time.
    fn counts(&self, namespace: &str, now: Timestamp) -> Result<(), String> {
        let Self {
            number, principals, ..
        } = self;
        if let Some(namespaces) = &self.namespaces
            && !namespaces.matches(namespace)
        {
            return Err(format!(
                "{principals} (line {number}) signs for {namespaces} only"
            ));
        }
        if let Some(after) = self.valid_after.filter(|after| now < *after) {
            return Err(format!(
                "{principals} (line {number}) is valid from {after} on"
            ));
        }
        if let Some(before) = self.valid_before.filter(|before| now > *before) {
            return Err(format!(
                "{principals} (line {number}) was valid until {before}"
            ));
        }
        Ok(())
    }
}
