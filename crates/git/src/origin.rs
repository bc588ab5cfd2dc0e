//! Where a mirror comes from.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How an origin is reached. Nothing else is ever allowed to git.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// `https://…`
    Https,
    /// `http://…`, also followed to `https`. What arrives is proven by its commit id only.
    Http,
    /// `ssh://…` or `git@host:path`
    Ssh,
    /// `file:///…` or an absolute path
    File,
}

/// The address of a repository, without credentials: those are in the home folder of who fetches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Origin {
    text: String,
    transport: Transport,
}

/// Why a text is not an origin. The text itself is not repeated, since it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// A password or token would be seen in process lists and logs.
    #[error(
        "a repository's address may not hold a password, token or user for https: use ssh keys, or \
         ~/.netrc or a credential helper of the user that fetches"
    )]
    Credentials,
    /// A way that is not allowed, such as `git://` or `ext::`.
    #[error(
        "a repository's address begins with https://, http://, ssh://, file:/// or /, or is like git@host:path"
    )]
    Transport,
    /// A character or a part that has no place in an address.
    #[error("a repository's address {0}")]
    Shape(&'static str),
    /// The mirror has no origin at all.
    #[error("there is none")]
    Missing,
}

impl Origin {
    /// As it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How it is reached.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.transport
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let transport = parse(text)?;
        Ok(Self {
            text: text.to_owned(),
            transport,
        })
    }
}

impl TryFrom<String> for Origin {
    type Error = OriginError;
    fn try_from(text: String) -> Result<Self, OriginError> {
        text.parse()
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.text
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse(text: &str) -> Result<Transport, OriginError> {
    if text.is_empty() || text.len() > 1000 {
        return Err(OriginError::Shape("has 1 to 1000 characters"));
    }
    if text.chars().any(|c| c.is_control() || c == '\\') {
        return Err(OriginError::Shape("has no control character or backslash"));
    }
    if text.starts_with('/') {
        return Ok(Transport::File);
    }
    if let Some(path) = text.strip_prefix("file://") {
        return if path.starts_with('/') {
            Ok(Transport::File)
        } else {
            Err(OriginError::Shape(
                "with file: has three slashes and an absolute path",
            ))
        };
    }
    if text.chars().any(char::is_whitespace) {
        return Err(OriginError::Shape("has no space"));
    }
    if let Some(rest) = text.strip_prefix("https://") {
        return web(rest).map(|()| Transport::Https);
    }
    if let Some(rest) = text.strip_prefix("http://") {
        return web(rest).map(|()| Transport::Http);
    }
    if let Some(rest) = text.strip_prefix("ssh://") {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        return login(authority, path).map(|()| Transport::Ssh);
    }
    if text.contains("://") || text.contains("::") {
        return Err(OriginError::Transport);
    }
    // git@host:path, as scp writes it.
    let (authority, path) = text.split_once(':').ok_or(OriginError::Transport)?;
    if authority.contains('/') {
        return Err(OriginError::Transport);
    }
    if path.contains('@') {
        return Err(OriginError::Credentials);
    }
    login(authority, path).map(|()| Transport::Ssh)
}

fn web(rest: &str) -> Result<(), OriginError> {
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if authority.contains('@') {
        return Err(OriginError::Credentials);
    }
    if path.contains(['?', '#']) || authority.contains(['?', '#']) {
        return Err(OriginError::Shape("has no ? or #"));
    }
    host_and_path(authority, path)
}

fn login(authority: &str, path: &str) -> Result<(), OriginError> {
    let host = match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => return Err(OriginError::Credentials),
        Some((user, _)) if user.is_empty() || user.starts_with('-') => {
            return Err(OriginError::Shape("has a user that does not begin with -"));
        }
        Some((_, host)) => host,
        None => authority,
    };
    host_and_path(host, path)
}

fn host_and_path(host: &str, path: &str) -> Result<(), OriginError> {
    // Both would be read as options by ssh or by the program at the other end.
    if host.is_empty() || host.starts_with(['-', ':']) {
        return Err(OriginError::Shape("has a host that does not begin with -"));
    }
    if path.trim_matches('/').is_empty() || path.starts_with('-') {
        return Err(OriginError::Shape("has a path that does not begin with -"));
    }
    Ok(())
}
