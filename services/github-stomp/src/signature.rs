//! Who sent a body: what its headers claim, compared over its raw bytes. Pure.

use axum::http::HeaderMap;
use chassis::Secret;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// Why a request is not its source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// There is none. Some forges send an empty header where no secret is set; that is none too.
    #[error("there is no {0} header: set the secret in the forge")]
    Missing(&'static str),
    /// It is not of the form that the forge sends.
    #[error("the {header} header is not {form}64 hex digits")]
    Malformed {
        /// Which header.
        header: &'static str,
        /// What comes before the digits.
        form: &'static str,
    },
    /// It is not this body's under any of our secrets.
    #[error("the signature is not this body's: compare the secrets")]
    Mismatch,
}

/// How a request says who sent it.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// With the HMAC-SHA256 of its body.
    Digest([u8; 32]),
}

/// The claim of a header that is a prefix and the HMAC-SHA256 of the body in hex.
///
/// # Errors
/// `Missing` or `Malformed`.
pub fn digest(
    headers: &HeaderMap,
    header: &'static str,
    form: &'static str,
) -> Result<Claim, Wrong> {
    // What is not visible ASCII is as good as empty.
    let value = headers.get(header).and_then(|value| value.to_str().ok());
    let text = value.unwrap_or_default().trim();
    let digits = text.strip_prefix(form).unwrap_or(text);
    if digits.is_empty() {
        return Err(Wrong::Missing(header));
    }
    let mut digest = [0; 32];
    let whole = digits.len() + form.len() == text.len();
    if !whole || hex::decode_to_slice(digits, &mut digest).is_err() {
        return Err(Wrong::Malformed { header, form });
    }
    Ok(Claim::Digest(digest))
}

/// Compares a claim with each secret, in a time that tells neither where they differ nor which secret fits.
///
/// # Errors
/// `Mismatch`.
pub fn verify(secrets: &[Secret], body: &[u8], claim: &Claim) -> Result<(), Wrong> {
    let fits = |secret: &Secret| match claim {
        Claim::Digest(digest) => mac(secret, body).verify_slice(digest).is_ok(),
    };
    // Not `any`, which would stop at the first.
    if secrets
        .iter()
        .fold(false, |good, secret| fits(secret) | good)
    {
        Ok(())
    } else {
        Err(Wrong::Mismatch)
    }
}

/// `sha256=` and the digits of a body's HMAC-SHA256, as GitHub makes it.
#[must_use]
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    let digits = hex::encode(mac(secret, body).finalize().into_bytes());
    format!("sha256={digits}")
}

fn mac(secret: &Secret, body: &[u8]) -> Hmac<Sha256> {
    let key = secret.expose().as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(body);
    mac
}
