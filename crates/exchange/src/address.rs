//! An address taken apart.

use hyper::Uri;

/// Where `http://HOST:PORT/PATH` or `https://…` leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// True for `https`.
    pub tls: bool,
    /// Whom a certificate must be for; without brackets.
    pub host: String,
    /// The port, given or usual.
    pub port: u16,
    /// As it stands in `Host`.
    pub authority: String,
    /// The path and the query, as they stand in a request.
    pub target: String,
}

/// Why a text is no address. It is not repeated: somebody may have put a password into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoAddress {
    /// It is something else.
    #[error("must be an address")]
    Text,
    /// Another scheme, or none.
    #[error("must begin with https:// or http://")]
    Scheme,
    /// Nobody to connect to.
    #[error("must have a host")]
    Host,
    /// A user name before the host.
    #[error("must have no login")]
    Login,
}

impl Address {
    /// Takes an address apart.
    ///
    /// # Errors
    /// See [`NoAddress`].
    pub fn parse(text: &str) -> Result<Self, NoAddress> {
        let uri: Uri = text.parse().map_err(|_| NoAddress::Text)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(NoAddress::Scheme),
        };
        let authority = uri.authority().ok_or(NoAddress::Host)?;
        if authority.as_str().contains('@') {
            return Err(NoAddress::Login);
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(NoAddress::Host);
        }
        let target = uri.path_and_query().map_or("/", |it| it.as_str());
        Ok(Self {
            tls,
            host,
            port: authority.port_u16().unwrap_or(if tls { 443 } else { 80 }),
            authority: authority.to_string(),
            target: target.to_owned(),
        })
    }

    /// `host:port`, to connect to.
    #[must_use]
    pub fn connect_to(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}
