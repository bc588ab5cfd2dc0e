//! DSSE around the document, SSHSIG inside it.
//!
//! What is signed is the DSSE pre-authentication encoding of the payload type and the payload bytes; the bytes that were
//! signed are the ones that are read and digested, no JSON is ever written again to compare it.

use base64::{Engine, engine::general_purpose::STANDARD};
use events::message::{Signature, Signed};
use ssh_key::{HashAlg, LineEnding, SshSig};

use crate::{Document, Key, document};

/// More signatures than this are refused unread.
pub const MAX_SIGNATURES: usize = 16;

const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
/// OpenSSH's width of an armored line.
const ARMOR_WIDTH: usize = 70;

/// Why something was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// A document that no reader would take.
    #[error("this is not signed: {0}")]
    Content(String),
    /// The text is not what `ssh-keygen -Y sign` prints.
    #[error("this is not an armored SSH signature ({BEGIN} …)")]
    Armor(#[source] ssh_key::Error),
    /// The envelope is broken or of another kind.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The signing itself failed.
    #[error("cannot sign with the key {fingerprint}")]
    Key {
        /// Which key.
        fingerprint: String,
        /// Why.
        source: ssh_key::Error,
    },
}

/// Why an envelope is not one of the kind asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Another document, or a version that this build does not know.
    #[error("the signed document is {found:?}, expected was {expected:?}")]
    PayloadType {
        /// What it says it is.
        found: String,
        /// What was asked for.
        expected: &'static str,
    },
    /// Not base64 as it is written by everybody.
    #[error("the payload is not base64")]
    Base64(#[source] base64::DecodeError),
}

/// DSSE's pre-authentication encoding: `DSSEv1 SP LEN(type) SP type SP LEN(body) SP body`, lengths as ASCII decimals.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

/// Signs a document.
///
/// # Errors
/// [`SignError::Content`] for a document that no reader would take, [`SignError::Key`] when the key fails.
pub fn sign<D: Document>(document: &D, key: &Key) -> Result<Signed, SignError> {
    let mut signed = unsigned(document)?;
    add_signature::<D>(&mut signed, key)?;
    Ok(signed)
}

/// A document in its envelope, before anybody signed it.
///
/// # Errors
/// [`SignError::Content`] for a document that no reader would take.
pub fn unsigned<D: Document>(document: &D) -> Result<Signed, SignError> {
    document.check().map_err(SignError::Content)?;
    let payload =
        serde_json::to_vec(document).map_err(|error| SignError::Content(error.to_string()))?;
    Ok(Signed {
        payload_type: D::PAYLOAD_TYPE.to_owned(),
        payload: STANDARD.encode(payload),
        signatures: Vec::new(),
    })
}

/// Adds one more signature to a document.
///
/// # Errors
/// See [`SignError`].
pub fn add_signature<D: Document>(signed: &mut Signed, key: &Key) -> Result<(), SignError> {
    let bytes = to_be_signed::<D>(signed)?;
    let signature = key
        .0
        .sign(D::NAMESPACE, HashAlg::Sha512, &bytes)
        .map_err(|source| SignError::Key {
            fingerprint: key.fingerprint(),
            source,
        })?;
    signed.signatures.push(entry(&signature)?);
    Ok(())
}

/// The bytes that `ssh-keygen -Y sign -n NAMESPACE` has to sign, for keys that only it (or an ssh-agent) can use.
///
/// # Errors
/// See [`EnvelopeError`].
pub fn to_be_signed<D: Document>(signed: &Signed) -> Result<Vec<u8>, EnvelopeError> {
    let payload = payload::<D>(signed)?;
    Ok(pre_authentication_encoding(&signed.payload_type, &payload))
}

/// Adds a signature that `ssh-keygen -Y sign` printed. It is verified where the document is.
///
/// # Errors
/// [`SignError::Armor`].
pub fn add_armored(signed: &mut Signed, armored: &str) -> Result<(), SignError> {
    let signature = SshSig::from_pem(armored.trim()).map_err(SignError::Armor)?;
    signed.signatures.push(entry(&signature)?);
    Ok(())
}

/// The form that `ssh-keygen -Y verify` reads.
#[must_use]
pub fn armored(signature: &Signature) -> String {
    let mut text = format!("{BEGIN}\n");
    for (index, digit) in signature.sig.chars().enumerate() {
        if index > 0 && index % ARMOR_WIDTH == 0 {
            text.push('\n');
        }
        text.push(digit);
    }
    text.push_str(&format!("\n{END}\n"));
    text
}

/// The digest of the payload's bytes, by which an order names its grant: `sha256:…`.
///
/// # Errors
/// See [`EnvelopeError`].
pub fn payload_digest<D: Document>(signed: &Signed) -> Result<String, EnvelopeError> {
    payload::<D>(signed).map(|bytes| document::digest(&bytes))
}

/// The bytes inside the envelope; nothing about them is verified.
pub(crate) fn payload<D: Document>(signed: &Signed) -> Result<Vec<u8>, EnvelopeError> {
    if signed.payload_type != D::PAYLOAD_TYPE {
        return Err(EnvelopeError::PayloadType {
            found: signed.payload_type.chars().take(80).collect(),
            expected: D::PAYLOAD_TYPE,
        });
    }
    STANDARD
        .decode(&signed.payload)
        .map_err(EnvelopeError::Base64)
}

fn entry(signature: &SshSig) -> Result<Signature, SignError> {
    Ok(Signature {
        keyid: signature
            .public_key()
            .fingerprint(HashAlg::Sha256)
            .to_string(),
        sig: blob(signature).map_err(SignError::Armor)?,
    })
}

/// The raw SSHSIG blob, base64: the armored form without its first and last line and its line breaks.
fn blob(signature: &SshSig) -> Result<String, ssh_key::Error> {
    let text = signature.to_pem(LineEnding::LF)?;
    let inner = text.lines().filter(|line| !line.starts_with('-'));
    Ok(inner.collect())
}

/// Reads a signature that is written in the one right way: nothing after it, nothing encoded twice.
pub(crate) fn read(signature: &Signature) -> Result<SshSig, ssh_key::Error> {
    let read = SshSig::from_pem(armored(signature))?;
    if read.version() != SshSig::VERSION || blob(&read)? != signature.sig {
        return Err(ssh_key::Error::FormatEncoding);
    }
    Ok(read)
}
