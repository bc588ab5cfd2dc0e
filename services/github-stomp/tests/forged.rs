//! Requests as forges make them: headers and signatures, by means of their own.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use github_stomp::forge::Kind;
use hmac::{Hmac, Mac};
use sha2::Sha256;

fn mac(key: &[u8], text: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(text);
    mac.finalize().into_bytes().to_vec()
}

/// The `webhook-signature` of Standard Webhooks.
pub(crate) fn standard(secret: &str, id: &str, time_s: i64, body: &[u8]) -> String {
    let key = secret.strip_prefix("whsec_").unwrap();
    let text = [format!("{id}.{time_s}.").as_bytes(), body].concat();
    let digest = mac(&STANDARD.decode(key).unwrap(), &text);
    format!("v1,{}", STANDARD.encode(digest))
}

/// The headers of an event of this forge, signed; GitLab signs with a secret that begins with `whsec_`, else sends it.
pub(crate) fn headers(
    kind: Kind,
    event: &str,
    secret: &str,
    body: &[u8],
    now_s: i64,
) -> Vec<(&'static str, String)> {
    let hex = hex::encode(mac(secret.as_bytes(), body));
    let prefixed = format!("sha256={hex}");
    let (id, event) = ("f6266f16-1bf3-46a5-9ea4-602e06ead473", event.to_owned());
    let id = id.to_owned();
    match kind {
        Kind::Github => vec![
            ("x-github-event", event),
            ("x-github-delivery", id),
            ("x-hub-signature-256", prefixed),
        ],
        Kind::Gitlab if secret.starts_with("whsec_") => vec![
            ("x-gitlab-event", event),
            ("webhook-timestamp", now_s.to_string()),
            ("webhook-signature", standard(secret, &id, now_s, body)),
            ("webhook-id", id),
        ],
        Kind::Gitlab => vec![
            ("x-gitlab-event", event),
            ("idempotency-key", id),
            ("x-gitlab-token", secret.to_owned()),
        ],
        Kind::Gitea => vec![
            ("x-gitea-event", event.clone()),
            ("x-github-event", event),
            ("x-gitea-delivery", id),
            ("x-gitea-signature", hex),
            ("x-hub-signature-256", prefixed),
        ],
        Kind::Forgejo => vec![
            ("x-forgejo-event", event.clone()),
            ("x-gitea-event", event),
            ("x-forgejo-delivery", id),
            ("x-forgejo-signature", hex.clone()),
            ("x-gitea-signature", hex),
        ],
        Kind::Bitbucket => vec![
            ("x-event-key", event),
            ("x-request-uuid", id),
            ("x-hub-signature", prefixed),
        ],
        Kind::BitbucketServer => vec![
            ("x-event-key", event),
            ("x-request-id", id),
            ("x-hub-signature", prefixed),
        ],
    }
}
