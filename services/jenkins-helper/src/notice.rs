//! A notification of Jenkins' Notification plugin. No I/O. It has no signature, so all that is taken from it is which
//! build to ask Jenkins about.

use events::JobName;
use serde::{Deserialize, Serialize};

/// The largest body that is read, bytes. The plugin may send the build's log along.
pub const BODY_BYTES: usize = 4 << 20;

/// Which build to look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its job.
    pub job: JobName,
    /// Its number.
    pub number: u64,
    /// It is said to have ended.
    pub ended: bool,
}

/// Why a body is no notification.
#[derive(Debug, thiserror::Error)]
pub enum NotANotice {
    /// Not such JSON.
    #[error("the body is no notification")]
    Shape(#[from] serde_json::Error),
    /// The build is not named.
    #[error("the notification names no build: build.url must be such as job/backend/job/shop/42/")]
    NoBuild,
}

#[derive(Deserialize)]
struct Raw {
    build: RawBuild,
}

#[derive(Deserialize)]
struct RawBuild {
    phase: String,
    url: Option<String>,
    full_url: Option<String>,
}

/// Reads a body; none if there is nothing to tell yet.
///
/// # Errors
/// See [`NotANotice`].
pub fn read(body: &[u8]) -> Result<Option<Notice>, NotANotice> {
    let Raw { build } = serde_json::from_slice(body)?;
    let ended = match build.phase.as_str() {
        "STARTED" => false,
        "COMPLETED" | "FINALIZED" => true,
        _ => return Ok(None),
    };
    let places = [build.url, build.full_url];
    let named = places.iter().flatten().find_map(|url| named(url));
    let (job, number) = named.ok_or(NotANotice::NoBuild)?;
    Ok(Some(Notice { job, number, ended }))
}

/// `…job/backend/job/shop/42/`, whatever address is before it.
fn named(url: &str) -> Option<(JobName, u64)> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
    let first = parts.iter().position(|part| *part == "job")?;
    let (number, pairs) = parts[first..].split_last()?;
    let mut names = Vec::new();
    for pair in pairs.chunks(2) {
        let ["job", name] = pair else { return None };
        names.push(decoded(name)?);
    }
    Some((names.join("/").parse().ok()?, number.parse().ok()?))
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        if *first == b'%' {
            let pair = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(pair, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    // A slash within a name would be another folder.
    let text = String::from_utf8(bytes).ok()?;
    (!text.contains('/')).then_some(text)
}
