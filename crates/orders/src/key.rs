//! The private key that signs.

use std::fmt;

use ssh_key::{
    HashAlg, LineEnding, PrivateKey,
    private::{Ed25519Keypair, KeypairData},
};

/// An Ed25519 SSH key. Its `Debug` shows the fingerprint only.
#[derive(Clone)]
pub struct Key(pub(crate) PrivateKey);

/// Why a text is not a key that can sign.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a private key in OpenSSH's format; public keys and PEM keys of other programs end here.
    #[error("this is not a private key in OpenSSH's format (-----BEGIN OPENSSH PRIVATE KEY-----)")]
    Format(#[source] ssh_key::Error),
    /// It has a passphrase.
    #[error(
        "this key has a passphrase: sign with `ssh-keygen -Y sign`, which asks for it (or for the ssh-agent), or make \
         a key without one for this purpose (`ssh-keygen -t ed25519 -N '' -f FILE`)"
    )]
    Encrypted,
    /// RSA, ECDSA, or kept on a security key.
    #[error(
        "this is a key of type {0}, only ssh-ed25519 can sign here: make one with `ssh-keygen -t ed25519`"
    )]
    Type(String),
}

impl Key {
    /// Reads a private key file as `ssh-keygen` writes it.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let key = PrivateKey::from_openssh(text.trim_start()).map_err(|error| match error {
            ssh_key::Error::AlgorithmUnknown => KeyError::Type("unknown".to_owned()),
            other => KeyError::Format(other),
        })?;
        if !key.algorithm().is_ed25519() {
            return Err(KeyError::Type(key.algorithm().to_string()));
        }
        if key.is_encrypted() {
            return Err(KeyError::Encrypted);
        }
        Ok(Self(key))
    }

    /// Makes a key from 32 random bytes. The comment is for people; control characters in it become spaces.
    #[must_use]
    pub fn generate(random: &[u8; 32], comment: &str) -> Self {
        let comment: String = comment
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let pair = KeypairData::Ed25519(Ed25519Keypair::from_seed(random));
        Self(PrivateKey::new(pair, comment).expect("a fresh key pair is not encrypted"))
    }

    /// The private key file, to be written with mode 0600.
    #[must_use]
    pub fn to_openssh(&self) -> String {
        let text = self.0.to_openssh(LineEnding::LF);
        text.expect("an Ed25519 key always has a text").to_string()
    }

    /// The public key as one line, as in a `.pub` file, without line feed.
    #[must_use]
    pub fn public_line(&self) -> String {
        let text = self.0.public_key().to_openssh();
        text.expect("an Ed25519 key always has a text")
    }

    /// The line for `allowed_signers` by which this key counts as `principal`, for the given namespaces only.
    #[must_use]
    pub fn allowed_signer(&self, principal: &str, namespaces: &[&str]) -> String {
        format!(
            "{principal} namespaces=\"{}\" {}",
            namespaces.join(","),
            self.public_line()
        )
    }

    /// `SHA256:…`, as `ssh-keygen -l` shows it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.0.fingerprint(HashAlg::Sha256).to_string()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.fingerprint())
    }
}
