//! Who sent a body: HMAC-SHA256 over its raw bytes. Pure.

use chassis::Secret;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The header that GitHub signs in.
pub const HEADER: &str = "x-hub-signature-256";

/// Why a signature is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// There is none. Some forges send an empty header where no secret is set; that is none too.
    #[error("there is no {HEADER} header: set the secret in the forge")]
    Missing,
    /// It is not `sha256=` and 64 hex digits.
    #[error("the {HEADER} header is not sha256= and 64 hex digits")]
    Malformed,
    /// It is not this body's under any of our secrets.
    #[error("the signature is not this body's: compare the secrets")]
    Mismatch,
}

/// The digest that a signature header claims.
///
/// # Errors
/// `Missing` or `Malformed`.
pub fn claimed(header: Option<&str>) -> Result<[u8; 32], Wrong> {
    let text = header.map(str::trim).unwrap_or_default();
    let digits = text.strip_prefix("sha256=").unwrap_or(text);
    if digits.is_empty() {
        return Err(Wrong::Missing);
    }
    let mut digest = [0; 32];
    if digits.len() == text.len() || hex::decode_to_slice(digits, &mut digest).is_err() {
        return Err(Wrong::Malformed);
    }
    Ok(digest)
}

/// Compares with the body's digest under each secret, in a time that tells neither where they differ nor which secret fits.
///
/// # Errors
/// `Mismatch`.
pub fn verify(secrets: &[Secret], body: &[u8], claimed: &[u8; 32]) -> Result<(), Wrong> {
    let fits = |secret: &Secret| mac(secret, body).verify_slice(claimed).is_ok();
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

/// The header's value for a body, as a forge makes it.
#[must_use]
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    format!(
        "sha256={}",
        hex::encode(mac(secret, body).finalize().into_bytes())
    )
}

fn mac(secret: &Secret, body: &[u8]) -> Hmac<Sha256> {
    let key = secret.expose().as_bytes();
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(body);
    mac
}
