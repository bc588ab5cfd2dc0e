//! A push as GitHub announces it: JSON, signed over its raw bytes, sent over HTTP.

use std::net::SocketAddr;

use events::{CommitId, RepoName, TagName};
use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::failure::Failure;

/// The name that the forge gives the repository.
pub(super) fn full_name(repository: &RepoName) -> String {
    format!("acme/{repository}")
}

/// Sends the webhook of a new tag. Returns the HTTP status.
pub(super) async fn send(
    to: SocketAddr,
    secret: &[u8],
    repository: &RepoName,
    tag: &TagName,
    commit: &CommitId,
) -> Result<u16, Failure> {
    let full_name = full_name(repository);
    let body = serde_json::json!({
        "ref": format!("refs/tags/{tag}"),
        "before": "0".repeat(40),
        "after": commit,
        "created": true, "deleted": false, "forced": false,
        "repository": {
            "name": repository,
            "full_name": full_name,
            "clone_url": format!("https://github.com/{full_name}.git"),
            "ssh_url": format!("git@github.com:{full_name}.git"),
        },
        "pusher": { "name": "you" },
        "head_commit": { "id": commit, "message": format!("Release {tag}"), "author": { "name": "you", "email": "you@example.org" } },
        "commits": [],
    });
    let body = serde_json::to_vec(&body).map_err(anyhow::Error::from)?;
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).map_err(anyhow::Error::from)?;
    mac.update(&body);
    let signature = hex::encode(mac.finalize().into_bytes());
    let request = reqwest::Client::builder()
        .no_proxy()
        .build()
        .map_err(anyhow::Error::from)?;
    let answer = request
        .post(format!("http://{to}/hook/github"))
        .header("content-type", "application/json")
        .header("x-github-event", "push")
        .header("x-github-delivery", "demo")
        .header("x-hub-signature-256", format!("sha256={signature}"))
        .body(body)
        .timeout(std::time::Duration::from_secs(10))
        .send()
        .await
        .map_err(anyhow::Error::from)?;
    Ok(answer.status().as_u16())
}
