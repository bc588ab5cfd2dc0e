//! Who sent a body: what its headers claim, compared over its raw bytes. Pure.

use std::{str, time::Duration};

use axum::http::{HeaderMap, HeaderValue};
use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use chassis::Secret;
use hmac::{Hmac, Mac};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// How far the time that a signature covers may be from ours, either way.
pub const TIMESTAMP_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// How a secret begins that signs as Standard Webhooks says; base64 follows.
pub const STANDARD_SECRET: &str = "whsec_";

/// Bytes of such a secret at least.
const STANDARD_BYTES: usize = 16;

/// Signatures of one request that are looked at: one for each secret of the sender.
const SIGNATURES: usize = 8;

/// Why a request is not its source's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// There is none. Some forges send an empty header where no secret is set; that is none too.
    #[error("there is no {0} header: set the secret in the forge")]
    Missing(&'static str),
    /// It is not of the form that the forge sends.
    #[error("the {header} header is not {form}")]
    Malformed {
        /// Which header.
        header: &'static str,
        /// What it should be.
        form: &'static str,
    },
    /// It is not this body's under any of our secrets.
    #[error("the signature is not this body's: compare the secrets")]
    Mismatch,
    /// The secret is one of ours, and the time is not now.
    #[error("the webhook-timestamp is {away_s} s away from now, more than {}: a replay, or a clock is wrong", TIMESTAMP_TOLERANCE.as_secs())]
    Stale {
        /// How far, seconds.
        away_s: u64,
    },
}

/// How a request says who sent it.
#[derive(Debug)]
pub enum Claim {
    /// With the HMAC-SHA256 of its body.
    Digest([u8; 32]),
    /// With the secret itself.
    Token(Secret),
    /// As Standard Webhooks says: with HMAC-SHA256s of its id, its time and its body.
    Standard {
        /// What is signed before the body.
        before: String,
        /// Seconds since 1970.
        timestamp_s: i64,
        /// One of these is good.
        digests: Vec<[u8; 32]>,
        /// What counts instead where none of our secrets is one that signs.
        token: Option<Secret>,
    },
    /// Not at all, where it does not matter.
    Nobody,
}

/// A header; what is not visible ASCII is as good as empty.
fn value<'a>(headers: &'a HeaderMap, header: &str) -> &'a str {
    let value = headers.get(header).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().trim()
}

/// The claim of a header that is a prefix and the HMAC-SHA256 of the body in hex.
///
/// # Errors
/// `Missing` or `Malformed`.
pub fn digest(
    headers: &HeaderMap,
    header: &'static str,
    prefix: &'static str,
) -> Result<Claim, Wrong> {
    let text = value(headers, header);
    let digits = text.strip_prefix(prefix);
    if digits.unwrap_or(text).is_empty() {
        return Err(Wrong::Missing(header));
    }
    let mut digest = [0; 32];
    match digits.map(|digits| hex::decode_to_slice(digits, &mut digest)) {
        Some(Ok(())) => Ok(Claim::Digest(digest)),
        _ => Err(Wrong::Malformed {
            header,
            form: match prefix {
                "" => "64 hex digits",
                _ => "sha256= and 64 hex digits",
            },
        }),
    }
}

/// The claim of the headers of Standard Webhooks, or, without a `webhook-signature`, of a header that is the secret itself.
///
/// # Errors
/// `Missing` or `Malformed`.
pub fn standard_or_token(headers: &HeaderMap, token: &'static str) -> Result<Claim, Wrong> {
    const HEADER: &str = "webhook-signature";
    let sent = headers.get(token).map(HeaderValue::as_bytes);
    let sent = str::from_utf8(sent.unwrap_or_default().trim_ascii()).unwrap_or_default();
    let sent = (!sent.is_empty()).then(|| Secret::new(sent));
    let text = value(headers, HEADER);
    if text.is_empty() {
        return sent.map(Claim::Token).ok_or(Wrong::Missing(token));
    }
    let named = |header: &'static str| match value(headers, header) {
        "" => Err(Wrong::Missing(header)),
        text => Ok(text),
    };
    let (id, timestamp) = (named("webhook-id")?, named("webhook-timestamp")?);
    let timestamp_s = timestamp.parse().map_err(|_| Wrong::Malformed {
        header: "webhook-timestamp",
        form: "seconds since 1970",
    })?;
    let signatures = text.split(' ').filter_map(|one| one.strip_prefix("v1,"));
    let digests = signatures.take(SIGNATURES);
    let digests = digests.filter_map(|one| BASE64.decode(one).ok()?.try_into().ok());
    let digests: Vec<[u8; 32]> = digests.collect();
    if digests.is_empty() {
        return Err(Wrong::Malformed {
            header: HEADER,
            form: "v1, and the base64 of 32 bytes",
        });
    }
    Ok(Claim::Standard {
        before: format!("{id}.{timestamp}."),
        timestamp_s,
        digests,
        token: sent,
    })
}

/// Base64 with or without its padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The key in a secret of Standard Webhooks; none if it is another secret.
///
/// # Errors
/// Says what it should be.
pub fn standard_key(secret: &Secret) -> Result<Option<Vec<u8>>, &'static str> {
    let Some(text) = secret.expose().strip_prefix(STANDARD_SECRET) else {
        return Ok(None);
    };
    let key = BASE64.decode(text).ok();
    key.filter(|key| key.len() >= STANDARD_BYTES)
        .map(Some)
        .ok_or("it begins with whsec_, and no base64 of 16 bytes or more follows")
}

/// Compares a claim with each secret, in a time that tells neither where they differ nor which secret fits.
///
/// # Errors
/// `Mismatch` or `Stale`.
pub fn verify(secrets: &[Secret], body: &[u8], claim: &Claim, now_s: i64) -> Result<(), Wrong> {
    // Not `any`, which would stop at the first.
    let one_is_good = |fits: &dyn Fn(&Secret) -> bool| match secrets
        .iter()
        .fold(false, |good, secret| fits(secret) | good)
    {
        true => Ok(()),
        false => Err(Wrong::Mismatch),
    };
    match claim {
        Claim::Digest(digest) => one_is_good(&|secret| {
            let mac = mac(secret.expose().as_bytes(), &[body]);
            mac.verify_slice(digest).is_ok()
        }),
        Claim::Token(token) => one_is_good(&|secret| is(secret, token)),
        Claim::Standard {
            token: Some(token), ..
        } if !secrets.iter().any(signs) => one_is_good(&|secret| is(secret, token)),
        Claim::Standard {
            before,
            timestamp_s,
            digests,
            token: _,
        } => {
            one_is_good(&|secret| {
                let Ok(Some(key)) = standard_key(secret) else {
                    return false;
                };
                let mac = mac(&key, &[before.as_bytes(), body]);
                let fits = |digest: &[u8; 32]| mac.clone().verify_slice(digest).is_ok();
                digests
                    .iter()
                    .fold(false, |good, digest| fits(digest) | good)
            })?;
            let away_s = timestamp_s.abs_diff(now_s);
            match away_s > TIMESTAMP_TOLERANCE.as_secs() {
                true => Err(Wrong::Stale { away_s }),
                false => Ok(()),
            }
        }
        Claim::Nobody => Ok(()),
    }
}

fn signs(secret: &Secret) -> bool {
    secret.expose().starts_with(STANDARD_SECRET)
}

/// True for the same text, unless it is a secret that is never sent.
fn is(secret: &Secret, sent: &Secret) -> bool {
    // Their digests, so that the time does not tell the length.
    let [ours, theirs] = [secret, sent].map(|text| Sha256::digest(text.expose()));
    let same: bool = ours.ct_eq(&theirs).into();
    same & !signs(secret)
}

/// `sha256=` and the digits of a body's HMAC-SHA256, as GitHub makes it.
#[must_use]
pub fn sign(secret: &Secret, body: &[u8]) -> String {
    let mac = mac(secret.expose().as_bytes(), &[body]);
    let digits = hex::encode(mac.finalize().into_bytes());
    format!("sha256={digits}")
}

fn mac(key: &[u8], parts: &[&[u8]]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac
}
